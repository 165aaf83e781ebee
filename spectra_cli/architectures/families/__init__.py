"""Every family's record, in modules by kinship; ARCHITECTURES is the literal list of them all."""

from __future__ import annotations

from spectra_cli.architectures.families.encoder_decoder import BART, PROPHETNET, T5, T5_GEMMA
from spectra_cli.architectures.families.encoders import ALBERT, DEBERTA, DISTILBERT, MPNET, XLM
from spectra_cli.architectures.families.gpt2 import GPT2, GPT_BIGCODE, MODDED_NANOGPT, NANOCHAT, NANOGPT
from spectra_cli.architectures.families.gptj import BERT, CODEGEN, GPT_NEO, GPTJ, MODERNBERT
from spectra_cli.architectures.families.llama import (
    GEMMA,
    GLM,
    LFM2,
    LLAMA,
    MPT,
    OLMO_CORE,
    OLMO_NATIVE,
    OPT,
    PHI,
    PHI3,
    STARCODER2,
)
from spectra_cli.architectures.families.mixers import GRANITE_HYBRID, JAMBA, MAMBA, NEMOTRON_H, QWEN3_NEXT, ZAMBA
from spectra_cli.architectures.families.moe import DBRX, DEEPSEEK, GPT_OSS, GRANITE_MOE, LLAMA4, MIXTRAL, QWEN_MOE
from spectra_cli.architectures.families.neox import BLOOM, FALCON, GPT_NEOX, PERSIMMON
from spectra_cli.architectures.families.trainers import LITGPT, MEGATRON, META_LLAMA, NANOTRON, TORCHTUNE
from spectra_cli.architectures.families.vision import CLIP, PIXTRAL, VISION_BLOCKS, VIT, WAV2VEC2

ARCHITECTURES = (
    GPT_NEOX, BLOOM, FALCON, PERSIMMON,
    GPT2, NANOGPT, GPT_BIGCODE, NANOCHAT, MODDED_NANOGPT,
    LLAMA, GEMMA, GLM, PHI, PHI3, STARCODER2, OPT, OLMO_NATIVE, OLMO_CORE, MPT, LFM2,
    GPTJ, GPT_NEO, CODEGEN, BERT, MODERNBERT,
    MIXTRAL, QWEN_MOE, DEEPSEEK, GPT_OSS, LLAMA4, GRANITE_MOE, DBRX,
    MAMBA, JAMBA, ZAMBA, GRANITE_HYBRID, QWEN3_NEXT, NEMOTRON_H,
    T5, T5_GEMMA, BART, PROPHETNET,
    DISTILBERT, DEBERTA, MPNET, ALBERT, XLM,
    VIT, CLIP, VISION_BLOCKS, PIXTRAL, WAV2VEC2,
    MEGATRON, META_LLAMA, LITGPT, NANOTRON, TORCHTUNE,
)  # fmt: skip
