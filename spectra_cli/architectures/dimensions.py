"""Named sizes out of a config's plain data: heads, head_dim, hidden … Knows nothing of tensors or families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spectra_cli.architectures.expressions import Contradiction, UnknownSizeError, size

LARGEST = 2**31 - 1  # what the table's int32 columns hold


@dataclass(frozen=True)
class Dimension:
    """A size, the config keys that families give it by, and what it equals where no key is present."""

    name: str
    keys: tuple[str, ...]
    otherwise: str | None = None


DIMENSIONS = (
    Dimension("hidden", ("hidden_size", "n_embd", "d_model", "model_dim")),
    Dimension("heads", ("num_attention_heads", "n_head", "n_heads", "num_heads")),
    Dimension(
        "kv_heads",
        ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_head", "n_kv_heads", "num_query_groups",
         "multi_query_group_num", "attn_config.kv_n_heads"),
        "heads",
    ),
    Dimension("head_dim", ("head_dim", "kv_channels", "attention_head_size"), "hidden//heads"),
    Dimension(
        "experts",
        ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "ffn_config.moe_num_experts"),
    ),
)  # fmt: skip

# Where models of several kinds of input keep the language model's own config.
NESTED = ("text_config", "llm_config", "language_config", "thinker_config", "decoder_config")


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with a nested language model's laid over the outer one.

    >>> text_config({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 8}})
    {'model_type': 'gemma3_text', 'hidden_size': 8}
    """
    merged = {key: value for key, value in config.items() if key not in NESTED}
    for key in NESTED:
        if isinstance(nested := config.get(key), Mapping):
            merged.update(text_config(nested))
    return merged


def config_value(config: Mapping[str, Any], dotted: str) -> Any:
    """Return a value, through nested mappings where the key has dots; None where there is none.

    >>> config_value({"attn_config": {"kv_n_heads": 8}}, "attn_config.kv_n_heads")
    8
    """
    value: Any = config
    for key in dotted.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key, value.get(key.replace("_", "-")))  # GPT-NeoX writes hidden-size
    return value


def named_sizes(config: Mapping[str, Any], given: tuple[tuple[str, str | int], ...] = ()) -> Callable[[str], int]:
    """Return the function from a name to its size: from what is given, or the config, or other sizes.

    Raises Contradiction for a name that has no size, or one that is not a whole number above zero.

    >>> sizes = named_sizes({"hidden_size": 128, "num_attention_heads": 4})
    >>> sizes("head_dim"), sizes("kv_heads")
    (32, 4)
    """
    own = dict(given)
    table = {dimension.name: dimension for dimension in DIMENSIONS}

    def lookup(name: str) -> int:
        keys: tuple[str, ...] = table[name].keys if name in table else ()
        chosen = own.get(name)
        if isinstance(chosen, int):
            return _whole(name, chosen)
        if chosen is not None:
            keys = (chosen, *keys)
        for key in keys:
            if (value := config_value(config, key)) is not None:
                return _whole(key, value)
        if name in table and (otherwise := table[name].otherwise):
            return size(otherwise, lookup)
        looked_for = f" (looked for {', '.join(keys)})" if keys else ""
        raise UnknownSizeError(f"the config does not give {name}{looked_for}")

    return lookup


def _whole(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST:
        raise Contradiction(f"{key} is {str(value)[:40]!r}, not a whole number above zero")
    return value
