"""Families beside the decoders: each matrix is what its role says, by what the forward pass brings together."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectra_cli.architectures import cut, layout
from spectra_cli.records import Layout, Matrix, StoredTensor
from spectra_cli.weights import open_weights
from tests.support.flow import Entries, flow_of
from tests.support.small_configs import TOKENS, small_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

ATTENTION = ["full_attention", "full_attention"]
MIXED = ["linear_attention", "full_attention"]
HYBRID = ["hybrid", "hybrid"]

# A few that the fast tests take; of the others, each model type has what its small config needs besides.
FAST = ("t5", "bart", "vit", "clip_vision_model", "falcon_h1")
SEVERAL: dict[str, dict[str, Any]] = {
    "t5": {}, "mt5": {}, "umt5": {}, "switch_transformers": {}, "t5gemma": {},
    "bart": {}, "bigbird_pegasus": {}, "blenderbot": {}, "blenderbot-small": {}, "fsmt": {}, "m2m_100": {},
    "marian": {}, "mbart": {}, "mvp": {}, "nllb-moe": {}, "pegasus": {}, "plbart": {},
    "whisper": {}, "speech_to_text": {"input_feat_per_channel": 16},
    "distilbert": {}, "deberta": {}, "deberta-v2": {}, "mpnet": {}, "albert": {}, "xlm": {}, "flaubert": {},
    "layoutlm": {}, "nystromformer": {}, "splinter": {}, "tapas": {}, "visual_bert": {}, "eurobert": {},
    "imagegpt": {},
    "vit": {}, "beit": {}, "data2vec-vision": {}, "deit": {}, "dinov2": {}, "dinov2_with_registers": {},
    "dinov3_vit": {}, "dpt": {}, "ijepa": {}, "internvl_vision": {}, "pixio": {}, "vit_mae": {}, "vit_msn": {},
    "yolos": {},
    "clip_text_model": {}, "clip_vision_model": {}, "siglip_vision_model": {}, "mlcd": {}, "qwen2_audio_encoder": {},
    "pixtral": {}, "wav2vec2": {}, "hubert": {}, "sew": {}, "data2vec-audio": {},
    "luke": {}, "markuplm": {}, "ultrabert": {}, "granite_docling_text": {},
    "esm": {"vocab_size": 64, "pad_token_id": 1},
    "mamba": {}, "falcon_h1": {}, "nemotron_h": {}, "mamba2": {"num_heads": 8},
    "zamba": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "hybrid"]},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1,
              "expert_layer_period": 2, "expert_layer_offset": 1},
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "qwen3_next": {"layer_types": MIXED}, "qwen3_5_text": {"layer_types": MIXED},
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def build(model_type: str, given: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    config = small_config(model_type, **given)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name:
                parameter.normal_(0.0, 0.3)
    return model


def inputs_of(model: Any) -> dict[str, Tensor]:
    tokens = torch.randint(3, TOKENS, (2, 7))
    first = {
        "pixel_values": lambda: torch.randn(2, 3, 16, 16),
        "input_features": lambda: torch.randn(2, 16, 16),
        "input_values": lambda: torch.randn(2, 4000),
    }.get(model.main_input_name, lambda: tokens)()
    if model.config.model_type == "speech_to_text":
        first = first.transpose(1, 2)
    inputs = {model.main_input_name: first}
    return inputs | ({"decoder_input_ids": tokens[:, :5]} if model.config.is_encoder_decoder else {})


def read_layout(model: Any) -> Layout:
    stored = {name: StoredTensor(name, tuple(t.shape), "float32") for name, t in model.state_dict().items()}
    return layout(model.config.to_dict(), stored)


def mask_of(matrix: Matrix, model: nn.Module) -> Tensor:
    """Which entries of its stored tensor a matrix is."""
    shape = model.get_parameter(matrix.tensor).shape
    numbers = torch.arange(shape.numel()).reshape(shape)
    mask = torch.zeros(shape.numel(), dtype=torch.bool)
    mask[cut(numbers, matrix).reshape(-1)] = True
    return mask.reshape(shape)


def blocks_of(result: Layout, model: nn.Module) -> dict[str, dict[str, Entries]]:
    """Return, for each attention, feed-forward part or mixer, the entries that each role's matrix has."""
    blocks: dict[str, dict[str, Entries]] = {}
    applied = {name for name, _ in model.named_parameters(remove_duplicate=True)}
    for matrix in result.matrices:
        block, _, part = matrix.name.rpartition(".")
        if matrix.layer is not None and part in (matrix.role, "output_gate") and matrix.tensor in applied:
            blocks.setdefault(block, {})[part] = {matrix.tensor: mask_of(matrix, model)}
    return blocks


def of_the_layer(entries: Entries) -> Entries:
    """Leave out the low-rank additions with which Zamba 2 tells the uses of its one shared layer apart."""
    return {name: mask for name, mask in entries.items() if "adapter_list" not in name}


def same(one: Entries, other: Entries) -> bool:
    return one.keys() == other.keys() and all(torch.equal(mask, other[name]) for name, mask in one.items())


def within(part: Entries, whole: Entries) -> bool:
    """Whether entries lie inside others, and are most of them: a unit that no input activates shows none."""
    inside = part.keys() == whole.keys() and not any((mask & ~whole[name]).any() for name, mask in part.items())
    return inside and sum(int(m.sum()) for m in part.values()) * 2 > sum(int(m.sum()) for m in whole.values())


def both(*entries: Entries) -> Entries:
    joined: Entries = {}
    for each in entries:
        for name, mask in each.items():
            joined[name] = joined[name] | mask if name in joined else mask
    return joined


@pytest.mark.parametrize(
    "model_type", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in SEVERAL]
)
def test_roles_are_what_the_forward_pass_makes_of_them(model_type: str, tmp_path: Path) -> None:
    model = build(model_type, SEVERAL[model_type])
    flow = flow_of(model, **inputs_of(model))
    result = read_layout(model)
    blocks = blocks_of(result, model)
    assert blocks
    for name, block in blocks.items():
        if "q" in block:
            q, k, v, o = (block[role] for role in "qkvo")
            assert any(same(left, q) and same(right, k) for left, right in flow.products), name
            assert any(same(right, v) for _, right in flow.products), name
            (output,) = o
            assert within(flow.fed[output], both(q, k, v, block.get("output_gate", {}))), name
        if "down" in block and all(t in flow.fed for t in block["down"]):
            (output,) = block["down"]
            assert within(of_the_layer(flow.fed[output]), both(block["up"], block.get("gate", {}))), name
            first = block.get("gate", block["up"])
            assert any(same(of_the_layer(seen), first) for seen in flow.activated), name
        if "in_proj" in block and "x_proj" in block:
            (inner,) = block["x_proj"]
            assert flow.fed[inner].keys() == block["in_proj"].keys(), name
        if "out_proj" in block:
            (output,) = block["out_proj"]
            assert block.get("in_proj", {}).keys() <= flow.fed[output].keys(), name
    check_saved(model, result, tmp_path)


def check_saved(model: Any, result: Layout, folder: Path) -> None:
    """The file that transformers saves, whose names may be older ones, has the same matrices of the same names."""
    state = model.state_dict()
    ours = {m.name: cut(state[m.tensor], m) for m in result.matrices if m.role != "other"}
    model.save_pretrained(folder)
    with open_weights(folder) as weights:
        saved = layout(weights.config, weights.tensors)
        for matrix in saved.matrices:
            if matrix.role != "other":
                assert torch.equal(ours[matrix.name], cut(weights.read(matrix.tensor), matrix)), matrix.name
        named = {matrix.name for matrix in saved.matrices}
    once = {name for name, _ in model.named_parameters()}  # a matrix that layers share is saved once
    assert {m.name for m in result.matrices if m.name in ours and m.layer is not None and m.tensor in once} <= named
