"""Which parameter a pair of factors changes, where target_parameters names parameters instead of modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INNER = ("moe_intermediate_size", "intermediate_size")
TIMES_INNER = {"gate_up_proj": 2, "gate_proj": 1, "up_proj": 1, "down_proj": 1, "w1": 1, "w2": 1, "w3": 1}


def module_of(target: str) -> str:
    """Return the module of a target: PEFT nests a wrapper for each parameter of one module.

    >>> module_of("layers.0.mlp.experts.base_layer.base_layer")
    'layers.0.mlp.experts'
    """
    while target.endswith(".base_layer"):
        target = target.removesuffix(".base_layer")
    return target


def parameters_of(module: str, config: Mapping[str, Any]) -> list[str]:
    """Return the names in target_parameters that are parameters of a module, without the module's.

    >>> parameters_of("layers.0.mlp.experts", {"target_parameters": ["mlp.experts.down_proj", "norm.weight"]})
    ['down_proj']
    """
    named = config.get("target_parameters")
    pairs = [str(name).rpartition(".") for name in named] if isinstance(named, list | tuple) else []
    return [last for start, _, last in pairs if module == start or module.endswith(f".{start}")]


def parameter_of(target: str, sides: tuple[int, int], config: Mapping[str, Any]) -> str | None:
    """Return the parameter that factors of a target change; None where it is not certain which of several.

    sides: rows of B and columns of A. The order of nesting differs between versions of PEFT, so sizes decide.
    """
    names = parameters_of(module_of(target), config)
    if len(names) == 1:
        return names[0]
    fitting = [name for name in names if _fits(name, sides, config)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(name: str, sides: tuple[int, int], config: Mapping[str, Any]) -> bool:
    hidden, inner = config.get("hidden_size"), next((config[key] for key in INNER if config.get(key)), None)
    if type(hidden) is not int or type(inner) is not int or name not in TIMES_INNER:
        return False
    return sorted(sides) == sorted((hidden, TIMES_INNER[name] * inner))
