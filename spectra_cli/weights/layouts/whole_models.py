"""A model that `torch.save(model)` wrote whole: its modules' tensors, read as data. Nothing of it is built or run.

A module is known by what every one of torch's has: `_parameters`, `_buffers` and `_modules` among its attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from spectra_cli.budget import ITEM, spend
from spectra_cli.errors import printable
from spectra_cli.weights.formats.pickle_objects import Shell, TensorView, Unreadable
from spectra_cli.weights.plain_data import plain

DEPTH = 60
TRANSFORMERS = re.compile(r"transformers\.models\.(?P<type>\w+)\.configuration_\w+\.\w+")


def is_module(value: Any) -> bool:
    """Whether an object of a file is one of torch's modules.

    >>> is_module(Shell("a.Net", state={"_parameters": {}, "_buffers": {}, "_modules": {}})), is_module({})
    (True, False)
    """
    state = value.state if isinstance(value, Shell) else None
    return isinstance(state, dict) and {"_parameters", "_modules"} <= state.keys()


def module_tensors(module: Shell) -> dict[str, TensorView | Unreadable]:
    """Return the tensors that the module's state_dict would hold, by the names they would have there."""
    tensors: dict[str, TensorView | Unreadable] = {}
    for prefix, state in _modules(module, "", ()):
        left_out = _set(state.get("_non_persistent_buffers_set"))
        for group in ("_parameters", "_buffers"):
            own = state.get(group)
            for name, leaf in own.items() if isinstance(own, dict) else ():
                if isinstance(leaf, TensorView | Unreadable) and isinstance(name, str) and name not in left_out:
                    spend(ITEM + len(prefix) + len(name))
                    tensors[f"{prefix}{name}"] = leaf
    return tensors


def _set(value: Any) -> frozenset[str]:
    """Return the names in a set, which older pickles write as a call with a list."""
    items = value.args[0] if isinstance(value, Shell) and value.args else value
    return frozenset(item for item in items if isinstance(item, str)) if isinstance(items, set | list) else frozenset()


def _modules(module: Shell, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield every module's name and attributes; one that holds itself is not entered again.

    A file may refer to one module from many others, each of those from many: the budget bounds how often.
    """
    spend(ITEM + len(prefix))
    yield prefix, module.state
    inner = module.state["_modules"]
    if id(module) in above or len(above) > DEPTH or not isinstance(inner, dict):
        return
    for name, child in inner.items():
        if is_module(child) and id(child) not in (*above, id(module)):
            yield from _modules(child, f"{prefix}{name}.", (*above, id(module)))


def module_config(module: Shell) -> dict[str, Any]:
    """Return the configuration that a model of transformers keeps among its attributes; empty for any other."""
    config = module.state.get("config")
    if not isinstance(config, Shell) or not isinstance(config.state, dict):
        return {}
    match = TRANSFORMERS.fullmatch(config.kind)
    return {**({"model_type": match["type"]} if match else {}), **plain(config.state)}


def module_note(module: Shell) -> str:
    """Return what a user should know: that the file holds more than tensors, and that none of it was run."""
    return f"a whole model, {printable(module.kind)}, saved by torch.save(model): its tensors were read as data"
