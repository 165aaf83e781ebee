"""Which stored tensors are no matrices, and why, decided from name, shape and dtype. Knows no family."""

from __future__ import annotations

import re
from collections.abc import Container

from spectra_cli.records import Skipped, StoredTensor

LARGEST = 2**31 - 1  # what the table's int32 columns for rows and cols hold

# (what the name looks like, the reason): such are no weights. No nested repetition: names come from files.
NAMED = (
    (r"(^|\.)(attn|attention|self_attention)\.(masked_)?bias$", "mask: a buffer of the attention"),
    (r"(^|\.)(causal_mask|attn_mask|attention_mask|mask)$", "mask: a buffer of the attention"),
    (r"inv_freq$", "buffer: frequencies of the rotary embedding"),
    (r"(^|\.)(cos_cached|sin_cached|cos|sin|freqs_cis|freqs_cos|freqs_sin|embed_positions)$",
     "buffer: tables of the position embedding"),
    (r"(^|\.)alibi$", "buffer: slopes of the position bias"),
    (r"e_score_correction_bias$", "vector: a bias of the router"),
    (r"(^|\.)(exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer)(\.|$)", "optimizer state"),
    (r"^(optimizer|optim|optimizer_state_dict|optimizer_states|optim_state)\.", "optimizer state"),
)  # fmt: skip
SCALE = re.compile(
    r"(weight_scale|weight_scale_inv|scale_weight|(in|out)put_scale|scale_input|_scales|\.scales|\.SCB|\.absmax|\.quant_map)$"
)
EXPERT_BIAS = "_bias"  # of a stack of experts: their biases are rows, beside a stack of that name without this end
INDICES = re.compile(r"(^|[._])(mask|bias|index|indices|ids|idx|tril|bucket|buckets|num_batches_tracked)$")
NAMED_PATTERNS = tuple((re.compile(pattern), reason) for pattern, reason in NAMED)
ANY_NAMED = re.compile("|".join(f"(?:{pattern})" for pattern, _ in NAMED))
CONVOLUTION = re.compile(r"conv|patch_embed")


def skip(stored: StoredTensor, names: Container[str] = ()) -> Skipped | None:
    """Return that a tensor is not a matrix, and why; None when it may be one.

    names: of all tensors that are stored with it.

    >>> skip(StoredTensor("h.0.attn.bias", (1, 1, 8, 8), "uint8"))
    Skipped(tensor='h.0.attn.bias', reason='mask: a buffer of the attention', harmless=True)
    >>> skip(StoredTensor("packed", (8, 8), "uint8"))
    Skipped(tensor='packed', reason='integer: a mask or packed weights, not a matrix', harmless=False)
    >>> skip(StoredTensor("w", (8, 8), "float32")) is None
    True
    """
    axes = len(stored.shape)
    if axes != 1 and ANY_NAMED.search(stored.name):  # a bias that belongs to the attention is a vector first
        for pattern, reason in NAMED_PATTERNS:
            if pattern.search(stored.name):
                return Skipped(stored.name, reason, harmless=True)
    if stored.name.endswith(EXPERT_BIAS) and axes == 2 and stored.name.removesuffix(EXPERT_BIAS) in names:
        return Skipped(stored.name, "vectors: a bias for each expert", harmless=True)
    if axes < 2 and 0 not in stored.shape:
        return Skipped(stored.name, "vector" if axes else "scalar", harmless=True)
    if stored.dtype.startswith(("int", "uint", "bool")):
        return _integers(stored)
    return Skipped(stored.name, why) if (why := _reason(stored)) else None


def _integers(stored: StoredTensor) -> Skipped:
    harmless = INDICES.search(stored.name) is not None or not stored.looks_like_weight
    return Skipped(stored.name, "integer: a mask or packed weights, not a matrix", harmless)


def _reason(stored: StoredTensor) -> str | None:
    if 0 in stored.shape:
        return "empty"
    if SCALE.search(stored.name) or stored.dtype == "float8_e8m0fnu":  # which has powers of two alone
        return "scale of a quantised weight"
    if max(stored.shape) > LARGEST:
        return f"larger than the table can say ({LARGEST:,} rows or columns)"
    if stored.dtype.startswith("complex"):
        return "complex"
    return None if stored.dtype.startswith(("float", "bfloat")) else f"dtype {stored.dtype}: not a floating one"


def is_convolution(stored: StoredTensor) -> bool:
    """Whether a tensor of three axes or more is a convolution's kernel, [out, in, k …], by its name.

    >>> is_convolution(StoredTensor("layers.0.mixer.conv1d.weight", (64, 1, 4), "float32"))
    True
    """
    return len(stored.shape) > 2 and CONVOLUTION.search(stored.name) is not None
