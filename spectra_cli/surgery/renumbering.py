"""A checkpoint without some of its layers: what remains is renumbered, in the weights and in the configuration.

Rules are data. What no rule covers is left as it is: whoever writes the checkpoint compares the layers that
transformers makes of the new configuration with those of the old one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.surgery.original import Original
from spectra_cli.surgery.writing import TensorToWrite

COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")

# Lists and texts that may happen to be as long as the model is deep, and have no entry for each layer.
NO_LAYERS = frozenset((
    "architectures", "eos_token_id", "bos_token_id", "pad_token_id", "suppress_tokens", "begin_suppress_tokens",
    "keys_to_ignore_at_inference", "mrope_section",
))  # fmt: skip
PATTERNS = ("hybrid_override_pattern",)  # a text with a letter for each layer
INDICES = (  # lists of the numbers of some layers
    "mlp_only_layers", "attn_layer_indices", "full_attn_idxs", "hybrid_layer_ids", "cross_attention_layers",
    "global_attn_idx", "moe_layers",
)  # fmt: skip
LEADING = (  # how many of the first layers are of one kind
    "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "max_window_layers", "dense_layers",
)  # fmt: skip
STRICT = ("moe_layer_end_index",)  # the number of a layer, of which −1 is the last
QUANTIZED = ("quantization_config", "compression_config")

# What depends on a layer's number beyond a list: (key, whether its value does, why the family cannot be renumbered).
REFUSED = (
    ("scale_attn_by_inverse_layer_idx", bool, "it scales attention by the number of the layer"),
    ("num_kv_shared_layers", bool, "its last layers take keys and values from others, by their numbers"),
    ("hidden_size_per_layer_input", bool, "one embedding holds a part for each layer"),
    ("is_encoder_decoder", bool, "it has an encoder and a decoder"),
    ("num_mem_blocks", bool, "several layers share one block of weights"),
    ("use_cla", bool, "its layers share keys and values, by their numbers"),
)
OTHER_MODEL = "prune a model whose layers stand by themselves, such as llama's or gpt_neox's"


def layer_prefix(names: Iterable[str], layers: int, called: str) -> str:
    """Return what stands before the number of a layer in the names of its tensors.

    Raises SpectraError where it is not one prefix with the numbers from 0 to layers − 1.

    >>> layer_prefix(["embed.weight", "model.layers.0.q.weight", "model.layers.1.q.weight"], 2, "m")
    'model.layers.'
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if match := re.match(r"((?:.*?\.)??)(\d{1,6})\.", name):
            numbers[match[1]].add(int(match[2]))
    whole = [prefix for prefix, some in numbers.items() if some == set(range(layers))]
    if not whole and any(some > set(range(layers)) for some in numbers.values()):
        raise SpectraError(
            f"{called}: its files hold more layers than the {layers} of its config.json", hint=OTHER_MODEL
        )
    text = [prefix for prefix in whole if not re.search(r"vision|visual|audio|vit|encoder", prefix)] or whole
    if len(text) != 1:
        raise SpectraError(
            f"{called}: the tensors of its {layers} layers are not named by one list of numbers", hint=OTHER_MODEL
        )
    return text[0]


def pruned_tensors(original: Original, prefix: str, kept: Sequence[int]) -> list[TensorToWrite]:
    """Return the tensors of a checkpoint of which only some layers are kept, under their new numbers."""
    tensors = []
    for name in original.stored.tensors:
        if (renamed := renumbered(name, prefix, kept)) is not None:
            tensors.append(replace(original.tensor(name), name=renamed))
    return tensors


def renumbered(name: str, prefix: str, kept: Sequence[int]) -> str | None:
    """Return what a tensor or module is called in the smaller model; None where it is gone.

    >>> [renumbered(name, "h.", (0, 2)) for name in ("wte", "h.1.attn", "h.2.attn", "h.2")]
    ['wte', None, 'h.1.attn', 'h.1']
    """
    match = re.match(rf"({re.escape(prefix)})(\d+)(?=\.|$)", name)
    if not match:
        return name
    number = int(match[2])
    return f"{match[1]}{kept.index(number)}{name[match.end() :]}" if number in kept else None


def pruned_config(
    config: Mapping[str, Any], resolved: Mapping[str, Any], nested: str | None, prefix: str, kept: Sequence[int]
) -> dict[str, Any]:
    """Return config.json of a checkpoint of which only some layers are kept.

    resolved: the language model's configuration as transformers completes it, with a list of every kind that it
    derives. nested: the key under which config.json has it; None where it is the whole of it. Raises SpectraError for a
    family that cannot be renumbered.
    """
    for key, depends, why in REFUSED:
        if depends(resolved.get(key) or (config.get(key) if nested is None else None)):
            raise SpectraError(f"{_family(resolved)} cannot be renumbered: {why} ({key})", hint=OTHER_MODEL)
    own = dict(config) if nested is None else dict(config.get(nested) or {})
    own |= _changed(resolved, kept)
    changed = own if nested is None else {**config, nested: own}
    for key in QUANTIZED:
        if isinstance(changed.get(key), Mapping):
            changed[key] = _renamed(changed[key], prefix, kept)
    return changed


def _changed(resolved: Mapping[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """Return the entries of a language model's configuration that depend on which layers there are."""
    layers = max(count for key in COUNTS if isinstance(count := resolved.get(key), int))
    changed: dict[str, Any] = {key: len(kept) for key in COUNTS if resolved.get(key) == layers}
    for key, value in resolved.items():
        if key in INDICES and isinstance(value, list):
            changed[key] = [kept.index(number) for number in value if number in kept]
        elif key in LEADING and isinstance(value, int) and not isinstance(value, bool):
            changed[key] = sum(number < value for number in kept) + max(0, value - layers)
        elif key in STRICT and isinstance(value, int) and value >= 0:
            changed[key] = max((new for new, old in enumerate(kept) if old <= value), default=0)
        elif isinstance(value, list) and len(value) == layers and key not in NO_LAYERS:
            changed[key] = [value[number] for number in kept]
        elif key in PATTERNS and isinstance(value, str) and len(value) == layers:
            changed[key] = "".join(value[number] for number in kept)
    if "attention_types" in resolved and "attention_layers" in changed:  # GPT-Neo derives the one from the other
        changed["attention_types"] = [[[kind], 1] for kind in changed["attention_layers"]]
    return changed


def _renamed(value: Any, prefix: str, kept: Sequence[int]) -> Any:
    """Return a description of quantisation with the names of its modules as they are in the smaller model."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner, prefix, kept) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    names = [renumbered(name, prefix, kept) if isinstance(name, str) else name for name in value]
    return [_renamed(name, prefix, kept) for name in names if name is not None]


def _family(resolved: Mapping[str, Any]) -> str:
    return printable(resolved.get("model_type", "this model"))
