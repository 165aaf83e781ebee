"""Every family's record, in modules by kinship; ARCHITECTURES is the literal list of them all."""

from __future__ import annotations

from spectra_cli.architectures.families.gpt2 import GPT2, NANOGPT
from spectra_cli.architectures.families.llama import LLAMA
from spectra_cli.architectures.families.neox import GPT_NEOX

ARCHITECTURES = (
    GPT_NEOX,
    GPT2,
    NANOGPT,
    LLAMA,
)
