"""Models that see or hear: ViT, CLIP, the blocks of Qwen's and Pixtral's towers, and wav2vec 2.0."""

from __future__ import annotations

from spectra_cli.architectures.families.encoder_decoder import attention
from spectra_cli.architectures.families.llama import QKV_BLOCKS
from spectra_cli.architectures.record import Architecture, Rule, Split

# Outputs stacked, whatever the width of the heads.
QKV = Split("three blocks", "3 *, *", (("attn.q", "0"), ("attn.k", "1"), ("attn.v", "2")))

UP_DOWN = tuple(
    Rule(f"mlp.{name}.weight", f"mlp.{role}")
    for names, role in (
        (("fc1", "linear_fc1", "up_proj"), "up"), (("fc2", "linear_fc2", "down_proj"), "down"), (("gate_proj",), "gate")
    )
    for name in names
)  # fmt: skip
QUERY_KEY_VALUE = tuple((name, f"attn.{name[0]}") for name in ("query", "key", "value"))

VIT = Architecture(
    name="vit",
    model_types=(
        "vit",
        "audio-spectrogram-transformer",
        "beit",
        "data2vec-vision",
        "deit",
        "dinov2",
        "dinov2_with_registers",
        "dinov3_vit",
        "dpt",
        "flava_image_model",
        "flava_text_model",
        "ijepa",
        "internvl_vision",
        "layoutlmv3",
        "altclip_text_model",
        "pixio",
        "qianfan_ocr_vision",
        "rf_detr_dinov2",
        "sam3_vit_model",
        "videomae",
        "vilt",
        "vit_mae",
        "vit_msn",
        "vivit",
        "yolos",
        "vitpose_backbone",
    ),
    layers=("encoder.layer.{layer}.", "encoder.layers.{layer}.", "layers.{layer}.", "layer.{layer}."),
    in_layer=(
        *(Rule(f"attention.attention.{name}.weight", role) for name, role in QUERY_KEY_VALUE),
        *(Rule(f"attention.self.{name}.weight", role) for name, role in QUERY_KEY_VALUE),
        Rule("attention.output.dense.weight", "attn.o"),
        *attention("attention", "attn"),
        Rule("attention.projection_layer.weight", "attn.o"),
        Rule("intermediate.dense.weight", "mlp.up"),
        Rule("output.dense.weight", "mlp.down"),
        *UP_DOWN,
    ),
    outside=(
        Rule("pooler.dense.weight", None),
        *(
            Rule(f"embeddings.{name}", None)
            for name in (
                "cls_token",
                "mask_token",
                "distillation_token",
                "detection_tokens",
                "register_tokens",
                "position_embeddings",
                "patch_embeddings.projection.weight",
                "patch_embeddings.weight",
            )
        ),
        Rule("embeddings.text_embeddings.word_embeddings.weight", "embed"),
        Rule("embeddings.word_embeddings.weight", "embed"),
    ),
)

CLIP = Architecture(
    name="clip",
    model_types=(
        "clip_text_model", "minicpm_ocr_vision", "minicpmv4_6_vision", "minicpmv4_7_vision", "molmo2_vision",
        "hunyuan_vl_vision", "clip_vision_model", "altclip_vision_model", "blip_2_vision_model", "blip_vision_model",
        "chinese_clip_vision_model", "clipseg_text_model", "clipseg_vision_model", "groupvit_text_model",
        "idefics2_vision", "idefics3_vision", "instructblip_vision_model", "instructblipvideo_vision_model",
        "janus_vision_model", "kosmos_2_vision_model", "metaclip_2_text_model", "metaclip_2_vision_model", "mlcd",
        "mlcd_vision_model", "owlv2_text_model", "owlvit_text_model", "owlv2_vision_model", "owlvit_vision_model",
        "git_vision_model", "phi4_multimodal_vision", "siglip2_text_model", "siglip2_vision_model",
        "siglip_text_model", "siglip_vision_model", "smolvlm_vision", "video_llama_3_vision", "xclip_text_model",
        "clip", "siglip", "siglip2", "metaclip_2", "clipseg", "owlvit", "owlv2", "llama4_vision_model",
        "glmasr_encoder", "audioflamingo3_encoder", "qwen2_5_omni_audio_encoder", "qwen2_audio_encoder",
        "qwen3_asr_encoder", "qwen3_omni_moe_audio_encoder", "voxtral_encoder",
    ),
    layers=("encoder.layers.{layer}.", "vision_model.encoder.layers.{layer}.", "layers.{layer}."),
    in_layer=(
        *attention("self_attn", "attn", "out_proj"),
        Rule("self_attn.o_proj.weight", "attn.o"),
        Rule("self_attn.qkv.weight", "attn.qkv", QKV),
        Rule("self_attn.projection.weight", "attn.o"),
        Rule("self_attn.projection_layer.weight", "attn.o"),
        *UP_DOWN,
        Rule("fc1.weight", "mlp.up"),
        Rule("fc2.weight", "mlp.down"),
    ),
    outside=(
        Rule("embeddings.token_embedding.weight", "embed"),
        *(Rule(f"{inside}embeddings.position_embedding.weight", "pos_embed") for inside in ("", "vision_model.")),
        *(Rule(f"{inside}embeddings.patch_embedding.weight", None) for inside in ("", "vision_model.")),
        Rule("embed_positions.weight", "pos_embed"),
        Rule("conv1.weight", None),
        Rule("conv2.weight", None),
        Rule("head.probe", None),
        *(Rule(f"{name}.weight", None) for name in (
            "visual_projection", "text_projection", "head", "head.attention.out_proj", "head.mlp.fc1", "head.mlp.fc2")),
        Rule("head.attention.in_proj_weight", None),
    ),
)  # fmt: skip

# Qwen2-VL and what took up its tower.
VISION_BLOCKS = Architecture(
    name="vision_blocks",
    model_types=(
        "qwen2_vl_vision", "cohere_compass_vision", "glm5_next_vision", "qwen4_exp_vision", "kimi_k25_vision",
        "muse_glimmer_vision", "muse_spark_vision", "qwen2_5_vl_vision", "qwen3_vl_vision", "qwen3_vl_moe_vision",
        "qwen2_5_omni_vision_encoder", "qwen3_omni_moe_vision_encoder", "qwen3_5_vision", "qwen3_5_moe_vision",
        "ernie4_5_vl_moe_vision", "exaone4_5_vision", "glm4v_vision", "glm4v_moe_vision", "glm_image_vision",
        "glm_ocr_vision",
    ),
    layers=("blocks.{layer}.", "layers.{layer}.", "encoder.blocks.{layer}."),
    in_layer=(
        Rule("attn.qkv.weight", "attn.qkv", QKV_BLOCKS, when=("model_type", "exaone4_5_vision")),
        Rule("attn.qkv.weight", "attn.qkv", QKV),
        Rule("attention.qkv.weight", "attn.qkv", QKV),
        *attention("attn", "attn"),
        *(Rule(f"attn.{name}.weight", f"attn.{name}") for name in "qkv"),
        Rule("attn.proj.weight", "attn.o"),
        *UP_DOWN,
    ),
    outside=(
        Rule("pos_embed.weight", "pos_embed"),
        Rule("patch_embed.proj.weight", None),
        Rule("embeddings.position_embedding.weight", "pos_embed"),
        *(Rule(f"merger.{name}.weight", None) for name in (
            "mlp.{layer}", "linear_fc1", "linear_fc2", "proj", "gate_proj", "up_proj", "down_proj")),
        Rule("merger_list.{layer}.mlp.{expert}.weight", None),
        Rule("deepstack_merger_list.{layer}.linear_fc1.weight", None),
        Rule("deepstack_merger_list.{layer}.linear_fc2.weight", None),
    ),
)  # fmt: skip

PIXTRAL = Architecture(
    name="pixtral",
    model_types=("pixtral",),
    layers=("transformer.layers.{layer}.", "layers.{layer}."),
    in_layer=(
        *attention("attention", "attn"),
        Rule("feed_forward.gate_proj.weight", "mlp.gate"),
        Rule("feed_forward.up_proj.weight", "mlp.up"),
        Rule("feed_forward.down_proj.weight", "mlp.down"),
    ),
    outside=(Rule("patch_conv.weight", None),),
)

WAV2VEC2 = Architecture(
    name="wav2vec2",
    model_types=(
        "wav2vec2",
        "wavlm",
        "data2vec-audio",
        "hubert",
        "sew",
        "unispeech",
        "unispeech-sat",
    ),
    layers=("encoder.layers.{layer}.",),
    in_layer=(
        *attention("attention", "attn", "out_proj"),
        Rule("feed_forward.intermediate_dense.weight", "mlp.up"),
        Rule("feed_forward.output_dense.weight", "mlp.down"),
        Rule("attention.gru_rel_pos_linear.weight", None),
        Rule("attention.rel_attn_embed.weight", None),
    ),
    outside=(
        Rule("feature_projection.projection.weight", None),
        Rule("feature_extractor.conv_layers.{layer}.conv.weight", None),
        Rule("encoder.pos_conv_embed.conv.weight", None),
        Rule("masked_spec_embed", None),
    ),
)
