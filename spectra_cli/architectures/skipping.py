"""Which stored tensors are no matrices, and why, decided from name, shape and dtype. Knows no family."""

from __future__ import annotations

import re

from spectra_cli.records import StoredTensor

LARGEST = 2**31 - 1  # what the table's int32 columns for rows and cols hold

# (what the name looks like, the reason). Patterns have no nested repetition: names come from files.
NAMED = (
    (r"(^|\.)(attn|attention|self_attention)\.(masked_)?bias$", "mask: a buffer of the attention"),
    (r"(^|\.)(causal_mask|attn_mask|attention_mask|mask)$", "mask: a buffer of the attention"),
    (r"inv_freq$", "buffer: frequencies of the rotary embedding"),
    (r"(^|\.)(cos_cached|sin_cached|cos|sin|freqs_cis|freqs_cos|freqs_sin|embed_positions)$",
     "buffer: tables of the position embedding"),
    (r"(^|\.)alibi$", "buffer: slopes of the position bias"),
    (r"_proj_bias$", "vectors: a bias for each expert"),
    (r"e_score_correction_bias$", "vector: a bias of the router"),
    (r"(^|\.)(exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer)(\.|$)", "optimizer state"),
    (r"^(optimizer|optim|optimizer_state_dict|optimizer_states|optim_state)\.", "optimizer state"),
    (r"(weight_scale|weight_scale_inv|input_scale|_scales|\.scales|\.qzeros|\.g_idx|\.absmax|\.quant_map)$",
     "scale of a quantised weight"),
)  # fmt: skip
NAMED_PATTERNS = tuple((re.compile(pattern), reason) for pattern, reason in NAMED)
ANY_NAMED = re.compile("|".join(f"(?:{pattern})" for pattern, _ in NAMED))
CONVOLUTION = re.compile(r"conv|patch_embed")


def reason_to_skip(stored: StoredTensor) -> str | None:
    """Return why a tensor is not a matrix; None when it may be one.

    >>> reason_to_skip(StoredTensor("h.0.attn.bias", (1, 1, 8, 8), "uint8"))
    'mask: a buffer of the attention'
    >>> reason_to_skip(StoredTensor("norm.weight", (8,), "float32"))
    'vector'
    >>> reason_to_skip(StoredTensor("w", (8, 8), "float32")) is None
    True
    """
    axes = len(stored.shape)
    if axes != 1 and ANY_NAMED.search(stored.name):  # a bias that belongs to the attention is a vector first
        for pattern, reason in NAMED_PATTERNS:
            if pattern.search(stored.name):
                return reason
    if 0 in stored.shape:
        return "empty"
    if axes < 2:
        return "vector" if axes else "scalar"
    if max(stored.shape) > LARGEST:
        return f"larger than the table can say ({LARGEST:,} rows or columns)"
    return _reason_by_dtype(stored.dtype)


def _reason_by_dtype(dtype: str) -> str | None:
    if dtype.startswith("complex"):
        return "complex"
    if dtype.startswith(("float", "bfloat")):
        return None
    if dtype.startswith(("int", "uint", "bool")):
        return "integer: a mask or packed weights, not a matrix"
    return f"dtype {dtype}: not a floating one"


def is_convolution(stored: StoredTensor) -> bool:
    """Whether a tensor of three axes or more is a convolution's kernel, [out, in, k …], by its name.

    >>> is_convolution(StoredTensor("layers.0.mixer.conv1d.weight", (64, 1, 4), "float32"))
    True
    """
    return len(stored.shape) > 2 and CONVOLUTION.search(stored.name) is not None
