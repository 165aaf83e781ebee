"""Finds a model's tensors among all that a training program saved beside them. Works on data that `unpickling` read.

Knows nothing of files. The values under a key of `LEFT_OUT` are the optimizer's or the trainer's, those under one of
`EMA` an average of the weights; the model's own are under one of `MODEL`, or at the top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from spectra_cli.budget import ITEM, spend
from spectra_cli.records import StoredTensor
from spectra_cli.weights.formats.pickle_objects import Array, PartOfTensor, Shell, TensorView, Unreadable
from spectra_cli.weights.layouts.whole_models import is_module, module_config, module_note, module_tensors
from spectra_cli.weights.plain_data import NAME_LENGTH, long_name, plain

MODEL = ("state_dict", "model_state_dict", "model", "module", "model_state", "net", "weights", "params")
EMA = ("ema_state_dict", "model_ema", "ema_model", "ema", "ema_weights", "ema_params", "state_dict_ema")
LEFT_OUT = re.compile(
    r"(optim|opt$|opt_|scheduler|lr_sched|scaler|rng|random|callbacks|loops|hooks|grad|exp_avg|amp$|sampler|"
    r"dataloader|data_loader|criterion|loss_scaler|momentum|ds_config)",
    re.IGNORECASE,
)
COMPOSER = "state"  # Composer's name for all that it saves: the model, the optimizers, the callbacks
EMA_PREFIX = re.compile(r"^(model_ema|ema_model|ema|ema_weights)\.")
BESIDE = "it lies beside the model's own weights, under a key that is not read"
DEPTH = 12
TENSORS = 200_000
Tree = dict[Any, Any] | list[Any] | tuple[Any, ...]


@dataclass(frozen=True)
class TensorKey:
    """A tensor that another file holds, under this key."""

    key: str


Leaf = TensorView | Unreadable | PartOfTensor | TensorKey | Array


@dataclass(frozen=True)
class ModelState:
    """The tensors of one model by name, what the file says of its configuration, and what was left out.

    beside: other tensors that look like weights, of no optimizer and no average: those of a second model.
    """

    tensors: Mapping[str, Leaf]
    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    beside: Mapping[str, Leaf] = field(default_factory=dict)


def find_state(content: Any, *, ema: bool = False) -> ModelState | None:
    """Find the model's tensors in the content of a file, or with `ema` their average; None when there are none.

    >>> weight = Unreadable("an example")
    >>> find_state({"model": {"w": weight}, "optimizer": {"state": {0: weight}}, "step": 5}).tensors
    {'w': Unreadable(reason='an example')}
    """
    if is_module(content):
        content = {"model": content}
    top = content.state if isinstance(content, Shell) else content
    if isinstance(top, dict) and isinstance(inner := top.get(COMPOSER), dict) and "model" in inner:
        top = inner
    if not isinstance(top, dict):
        return None
    module = next((value for value in top.values() if is_module(value)), None)
    if module is not None:
        top = {key: module_tensors(value) if is_module(value) else value for key, value in top.items()}
    state, left = _model_root(top, ema)
    tensors = dict(_flatten(state)) if state is not None else {}
    averaged = {name: leaf for name, leaf in tensors.items() if EMA_PREFIX.match(name)}
    if ema and state is not None and averaged:
        tensors = {EMA_PREFIX.sub("", name): leaf for name, leaf in averaged.items()}
    elif ema and not any(key in top for key in EMA):
        return None
    elif averaged and len(averaged) < len(tensors):
        tensors = {name: leaf for name, leaf in tensors.items() if name not in averaged}
        left.append("EMA weights (--ema takes them)")
    if not tensors:
        return None
    notes = (f"left out: {', '.join(left)}",) if left else ()
    beside = {} if ema else _second_models(top, state or {})  # with `ema` the weights are left out on purpose
    if module is not None:
        config = {**find_config(top), **module_config(module)}
        return ModelState(tensors, config, (*notes, module_note(module)), beside)
    return ModelState(tensors, find_config(top), notes, beside)


def _second_models(top: Mapping[Any, Any], own: Tree) -> dict[str, Leaf]:
    """Find what looks like weights beside the model's own, in neither an optimizer's part nor an average's."""
    read = {id(leaf) for _, leaf in _flatten(own)}
    rest = {key: value for key, value in top.items() if not _is_left_out(key) and key not in EMA}
    return {name: leaf for name, leaf in _flatten(rest) if id(leaf) not in read and _is_second_model(name, leaf)}


def _is_second_model(name: str, leaf: Leaf) -> bool:
    if any(_is_left_out(key) or key in EMA for key in name.split(".")):
        return False
    return not isinstance(leaf, TensorView) or StoredTensor(name, leaf.shape, leaf.dtype).looks_like_weight


def _model_root(top: dict[Any, Any], ema: bool) -> tuple[dict[Any, Any] | None, list[str]]:
    left = ["optimizer states"] if _holds_tensors(*(v for k, v in top.items() if _is_left_out(k))) else []
    averages = [top[key] for key in EMA if key in top and _holds_tensors(top[key])]
    if ema and averages:
        return _unwrapped(averages[0]), left
    if averages:
        left.append("EMA weights (--ema takes them)")
    rest = {k: v for k, v in top.items() if isinstance(k, str) and not _is_left_out(k) and k not in EMA}
    if any(_is_leaf(value) for value in rest.values()):
        # Tensors at the top: the file is the state dict itself, and its names are not a trainer's.
        return {k: v for k, v in top.items() if _is_leaf(v) or k in rest}, left
    return _unwrapped(rest), left


def _unwrapped(state: Any) -> dict[Any, Any] | None:
    """Step into `model`, `state_dict` and the like until the tensors are reached."""
    for _ in range(DEPTH):
        if not isinstance(state, dict) or any(_is_leaf(value) for value in state.values()):
            break
        inner = next((state[key] for key in MODEL if key in state and _holds_tensors(state[key])), None)
        if inner is None:
            break
        state = inner
    return state if isinstance(state, dict) else None


def _is_left_out(key: Any) -> bool:
    return isinstance(key, str) and "." not in key and LEFT_OUT.search(key) is not None


def _holds_tensors(*values: Any) -> bool:
    return next(_flatten(dict(enumerate(values))), None) is not None


def _is_leaf(value: Any) -> TypeGuard[Leaf]:
    """Whether it is a tensor; of arrays, which trainers keep a lot of, only one that looks like a weight."""
    return value.looks_like_weight if isinstance(value, Array) else isinstance(value, Leaf)


def _flatten(top: Tree) -> Iterator[tuple[str, Leaf]]:
    """Yield every tensor of nested dictionaries, lists and tuples under its names joined by dots.

    Each of them is visited once: it may hold itself, or a small file may hold a thousand references to a list of a
    thousand references.
    """
    seen = {id(top)}
    levels = [("", _items(top))]
    while levels:
        prefix, items = levels[-1]
        for key, value in items:
            spend(ITEM + len(prefix))
            if _is_leaf(value):
                yield _name(prefix, key), value
            elif isinstance(value, dict | list | tuple) and id(value) not in seen:
                seen.add(id(value))
                levels.append((f"{prefix}{_key(key)}.", _items(value)))
                break
        else:
            levels.pop()


def _items(tree: Tree) -> Iterator[tuple[Any, Any]]:
    return iter(tree.items() if isinstance(tree, dict) else enumerate(tree))


def _name(prefix: str, key: Any) -> str:
    name = f"{prefix}{_key(key)}"
    if len(name) > NAME_LENGTH:
        raise long_name(name)
    return name


def _key(key: Any) -> str:
    """Return what a key is called in a name; of an object, its class: its own text may have no end.

    >>> _key("layers"), _key(3), _key(("a", 1)), _key(Shell("lab.Thing"))
    ('layers', '3', 'a,1', '<lab.Thing>')
    """
    if isinstance(key, tuple):
        return ",".join(map(_key, key))  # whose parts are no tuples: `key_of` saw to that
    return str(key)


def find_config(top: Mapping[Any, Any]) -> dict[str, Any]:
    """Read the configuration that a file carries itself, as plain data.

    >>> find_config({"model_args": {"n_layer": 12, "bias": False}, "iter_num": 0})
    {'model_type': 'nanogpt', 'n_layer': 12, 'bias': False}
    """
    if isinstance(args := top.get("model_args"), dict):
        return {"model_type": "nanogpt", **plain(args)}
    for key in ("hyper_parameters", "args"):
        value = top.get(key)
        if isinstance(value, Shell):
            value = value.state if isinstance(value.state, dict) else value.items
        if isinstance(value, dict) and value:
            # Many programs save arguments; those of Megatron speak of how the model was cut.
            megatron = any("model_parallel_size" in name for name in value if isinstance(name, str))
            return {**({"model_type": "megatron"} if megatron else {}), **plain(value)}
    return {}
