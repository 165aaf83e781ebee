"""The part of a tensor that one rank saved: torch's DTensor, as data. Knows no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spectra_cli.weights.formats.pickle_objects import PartOfTensor, Shell, TensorView, Unreadable


@dataclass(frozen=True)
class LocalPart:
    """Some of a tensor of shape `whole`: the ranks' parts follow each other along `axis`."""

    view: TensorView
    whole: tuple[int, ...]
    axis: int


def local_part(part: PartOfTensor) -> LocalPart | Unreadable:
    """Return what a rank holds of a tensor, which may be all of it, or why it cannot be read."""
    whole = part.args[2] if len(part.args) > 2 else ()  # class, dtype, shape …
    if not _is_shape(whole) or not whole:
        return Unreadable("it is a DTensor without a shape")
    local = _of_dtensor(part.state, whole)
    if isinstance(local, LocalPart) and len(local.view.shape) != len(whole):
        return Unreadable("it is a DTensor whose part has another number of axes")
    return local


def _of_dtensor(state: Any, whole: tuple[int, ...]) -> LocalPart | Unreadable:
    slots = _attributes(state)
    view, spec = slots.get("_local_tensor"), _attributes(slots.get("_spec"))
    placements = spec.get("placements")
    if not isinstance(view, TensorView) or not isinstance(placements, tuple):
        return Unreadable("it is a DTensor without data")
    kinds = {placement.kind.rsplit(".", 1)[-1] for placement in placements if isinstance(placement, Shell)}
    axes = [_attributes(p).get("dim") for p in placements if isinstance(p, Shell) and p.kind.endswith(".Shard")]
    if len(axes) > 1 or not kinds <= {"Shard", "Replicate"}:
        return Unreadable("several kinds of ranks cut it, along more than one axis")
    axis = axes[0] if axes else 0  # without one, every rank has a copy
    if type(axis) is not int or not 0 <= axis < len(whole):
        return Unreadable("it is a DTensor cut along an axis that it does not have")
    return LocalPart(view, whole, axis)


def _attributes(value: Any) -> Mapping[Any, Any]:
    """Return an object's attributes; those in slots are written as the second of a pair."""
    state = value.state if isinstance(value, Shell) else value
    if isinstance(state, tuple) and len(state) == 2:
        state = state[1]
    return state if isinstance(state, Mapping) else {}


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in value)
