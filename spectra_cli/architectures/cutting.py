"""From a rule and a stored tensor to matrices, and from a matrix to its numbers. Knows no family and no file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np

from spectra_cli.architectures.expressions import Contradiction, Names, index, size
from spectra_cli.architectures.matching import Match
from spectra_cli.architectures.record import Rule, Split, role_of
from spectra_cli.errors import SpectraError
from spectra_cli.records import Index, Matrix, StoredTensor

Array = TypeVar("Array")

MOST_EXPERTS = 65_536  # a hostile shape must not become as many records
EXPERT = re.compile(r"\bexpert\b")
TURNED_BY_ROTARY = ("q", "k")


def cut(stored: Array, matrix: Matrix) -> Array:
    """Return one matrix of the stored tensor, as [out features, in features]; NumPy or torch alike.

    stored: the tensor in its own layout. Returns a view where the strides allow it (a transposition always,
    blocks of rows or columns always, heads that are interleaved with others not).

    >>> import numpy as np
    >>> key = Matrix("layers.0.attn.k", "k", "c_attn.weight", 2, 2, view=(2, 3, 2), index=(slice(None), 1), transposed=True)
    >>> cut(np.arange(12).reshape(2, 6), key)
    array([[2, 8],
           [3, 9]])
    """  # noqa: E501 - a doctest's line cannot be broken
    array: Any = stored
    if matrix.view is not None:
        array = array.reshape(matrix.view)
    flat = (matrix.cols, matrix.rows) if matrix.transposed else (matrix.rows, matrix.cols)
    part = array[matrix.index]
    if matrix.swapped is not None:
        part = part.swapaxes(*matrix.swapped)
    part = part.reshape(flat)
    return cast(Array, part.T if matrix.transposed else part)


def put(stored: Array, matrix: Matrix, values: Array) -> None:
    """Put one matrix, [out features, in features], where `cut` finds it; the stored tensor is changed in place.

    stored: row by row in memory. NumPy or torch alike.

    >>> import numpy as np
    >>> stored, key = np.zeros((2, 4)), Matrix("k", "k", "w", 2, 2, view=(2, 2, 2), index=(slice(None), 1), transposed=True)
    >>> put(stored, key, np.array([[1, 2], [3, 4]]))
    >>> stored
    array([[0., 0., 1., 3.],
           [0., 0., 2., 4.]])
    """  # noqa: E501 - a doctest's line cannot be broken
    array: Any = stored
    if matrix.view is not None:
        array = array.reshape(matrix.view)
    new: Any = values
    new = new.T if matrix.transposed else new
    shape = list(array[matrix.index].shape)
    if matrix.swapped is not None:
        first, second = matrix.swapped
        shape[first], shape[second] = shape[second], shape[first]
        new = new.reshape(shape).swapaxes(*matrix.swapped)
    array[matrix.index] = new.reshape(array[matrix.index].shape)


def cut_factors(b: Array, a: Array, matrix: Matrix) -> tuple[Array, Array]:
    """Return the factors of one matrix of a stored tensor B·A: rows of B, and columns of A.

    b: (stored rows, rank), a: (rank, stored cols), both with an axis of experts before these where the tensor stacks
    them; NumPy or torch alike. The result is for [out features, in features].
    Raises SpectraError for a cut that does not take whole rows and columns.

    >>> import numpy as np
    >>> key = Matrix("layers.0.attn.k", "k", "qkv.weight", 2, 2, view=(2, 3, 2), index=(slice(None), 1))
    >>> cut_factors(np.arange(6).reshape(6, 1), np.ones((1, 2)), key)[0].T
    array([[1, 4]])
    """
    left, right = cast(Any, b), cast(Any, a)
    if left.ndim == 3 and matrix.index and isinstance(matrix.index[0], int):
        expert = matrix.index[0]
        view = matrix.view[1:] if matrix.view else None
        return cut_factors(left[expert], right[expert], replace(matrix, view=view, index=matrix.index[1:]))
    stored = (left.shape[0], right.shape[1])
    view = matrix.view or stored
    between = next((axis for axis in range(1, len(view) + 1) if math.prod(view[:axis]) == stored[0]), None)
    if between is None or math.prod(view[between:]) != stored[1]:
        raise SpectraError(
            f"{matrix.tensor} is kept as factors, which the rule '{matrix.rule}' does not take apart",
            hint="merge the adapter into its model, and scan that",
        )
    order = (matrix.swapped or (0, 0), (0, 0))  # what changes places are rows
    rows, cols = (
        np.arange(length).reshape(factors)[index].swapaxes(*swapped).reshape(-1).tolist()
        for length, factors, index, swapped in zip(
            stored,
            (view[:between], view[between:]),
            (matrix.index[:between], matrix.index[between:]),
            order,
            strict=True,
        )
    )
    part, other = left[rows], right[:, cols]
    return (other.T, part.T) if matrix.transposed else (part, other)


def matrices_of(
    rule: Rule,
    stored: StoredTensor,
    matched: Match,
    names: Names,
    *,
    fused: bool,
    is_turned: Callable[[], bool] = lambda: False,
) -> Iterator[Matrix]:
    """Yield the matrices that one rule finds in one tensor.

    matched: what the tensor's name says, of its layer and expert. is_turned: whether the last two axes are the other
    way round than the rule says. Raises SpectraError, naming the tensor, both numbers and the rule, where the sizes do
    not fit.
    """
    split = rule.split or Split("transposed" if rule.transposed else "as stored", "*, *", ())
    if fused and rule.split and not split.whole and not split.swapped:
        yield _whole(replace(rule, transposed=False) if stored.outputs_first else rule, stored, matched)
        return
    parts = split.parts if split.parts and (not fused or split.swapped) else ((rule.becomes or "", split.whole),)
    try:
        turned = is_turned()
        if rule.split is None and not turned and len(stored.shape) == 2 and 0 not in stored.shape:
            yield _uncut(rule, stored, matched, split.title)
            return
        shape = _shape(split, stored, names)
        grouped = _view(split.view, _turn(shape) if turned else shape, names)
        for part, text in parts:
            for expert in _experts(text, names):
                cut_index = index(text, _with_expert(names, expert))
                own = matched if expert is None else replace(matched, expert=expert)
                full = matched.canonical(part, expert)
                if turned:
                    yield _matrix(
                        replace(rule, transposed=not rule.transposed), stored, own, f"{split.title}, turned", full,
                        _turn(grouped), _turned_index(grouped, cut_index),
                    )  # fmt: skip
                else:
                    yield _matrix(rule, stored, own, split.title, full, grouped, cut_index)
    except Contradiction as problem:
        raise SpectraError(
            f"{stored.name} {list(stored.shape)} does not fit the rule '{split.title}: {split.view}': {problem}",
            hint="check the config beside the weights, keep fused tensors whole with --fused, "
            "or describe this model with --arch FILE.toml, whose [dimensions] may give sizes",
        ) from problem


def _turn(axes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let the last two axes change places."""
    return (*axes[:-2], axes[-1], axes[-2])


def _turned_index(axes: tuple[tuple[int, ...], ...], cut_index: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return the index into a view whose last two axes, each of several factors, change places."""
    rest = iter(cut_index)
    by_axis = tuple(tuple(next(rest, slice(None)) for _ in factors) for factors in axes)
    return tuple(position for positions in _turn(by_axis) for position in positions)


def _uncut(rule: Rule, stored: StoredTensor, matched: Match, title: str) -> Matrix:
    """Return a tensor of two axes that is one matrix, as most are."""
    name = matched.canonical(rule.becomes or "", None)
    rows, cols = stored.shape[::-1] if rule.transposed else stored.shape
    return Matrix(
        name, role_of(name), stored.name, rows, cols, matched.layer, matched.expert,
        transposed=rule.transposed, rule=title,
    )  # fmt: skip


def _whole(rule: Rule, stored: StoredTensor, matched: Match) -> Matrix:
    """Return the fused tensor as one matrix, whatever the config says; stacked matrices one below the other."""
    name = matched.canonical(rule.becomes or "", None)
    first, second = math.prod(stored.shape[:-1]), stored.shape[-1]
    rows, cols = (second, first) if rule.transposed else (first, second)
    view = None if len(stored.shape) == 2 else (first, second)
    return Matrix(
        name, role_of(name), stored.name, rows, cols, matched.layer, matched.expert,
        view=view, transposed=rule.transposed, rule="fused, kept whole",
    )  # fmt: skip


def _experts(text: str, names: Names) -> Iterator[int | None]:
    if not EXPERT.search(text):
        yield None
        return
    count = names("experts")
    if count > MOST_EXPERTS:
        raise Contradiction(f"{count} experts are more than {MOST_EXPERTS}")
    yield from range(count)


def _with_expert(names: Names, expert: int | None) -> Names:
    return lambda name: expert if name == "expert" and expert is not None else names(name)


def _shape(split: Split, stored: StoredTensor, names: Names) -> tuple[int, ...]:
    if not split.reshape:
        return stored.shape
    rows, cols = stored.shape[0], math.prod(stored.shape[1:])
    own = {"rows": rows, "cols": cols}
    shape = tuple(
        size(axis, lambda name: own[name] if name in own else names(name)) for axis in split.reshape.split(",")
    )
    if math.prod(shape) != rows * cols:
        raise Contradiction(f"{split.reshape} holds {math.prod(shape)} numbers, the tensor {rows * cols}")
    return shape


def _view(text: str, shape: tuple[int, ...], names: Names) -> tuple[tuple[int, ...], ...]:
    axes = text.split(",")
    if len(axes) != len(shape):
        raise Contradiction(f"the rule has {len(axes)} axes, the tensor {len(shape)}")
    return tuple(_axis(axis, length, names) for axis, length in zip(axes, shape, strict=True))


def _axis(text: str, length: int, names: Names) -> tuple[int, ...]:
    factors = [None if factor == "*" else size(factor, names) for factor in text.split()]
    product = math.prod(factor for factor in factors if factor is not None)
    if factors.count(None) > 1 or product <= 0:
        raise Contradiction(f"{text.strip()!r} has more than one '*', or a size that is not above zero")
    if None not in factors and product != length:
        raise Contradiction(f"{text.strip()} is {product}, the axis {length}")
    if length % product:
        raise Contradiction(f"{text.strip()}: {length} does not divide by {product}")
    return tuple(length // product if factor is None else factor for factor in factors)


def _lengths_after(axes: tuple[tuple[int, ...], ...], cut_index: tuple[Index, ...]) -> list[int]:
    """Return the length of each axis after the index, without those that the index removes."""
    taken = iter(cut_index)
    lengths = []
    for axis in axes:
        counts = [_selected(factor, next(taken, slice(None))) for factor in axis]
        if any(count is not None for count in counts):
            lengths.append(math.prod(count for count in counts if count is not None))
    if next(taken, None) is not None or len(lengths) != 2:
        raise Contradiction(f"an index of {len(cut_index)} places does not leave a matrix")
    return lengths


def _selected(factor: int, position: Index) -> int | None:
    """Return how many of `factor` a slice selects; None for a number, which removes the factor."""
    if isinstance(position, slice):
        count = len(range(*position.indices(factor)))
        asked_for_none = position.stop is not None and position.stop > factor
        if count == 0 or asked_for_none:
            raise Contradiction(f"the index {position.start}:{position.stop} is outside of {factor}")
        return count
    if not -factor <= position < factor:
        raise Contradiction(f"the index {position} is outside of {factor}")
    return None


def _matrix(
    rule: Rule,
    stored: StoredTensor,
    matched: Match,
    title: str,
    name: str,
    axes: tuple[tuple[int, ...], ...],
    cut_index: tuple[Index, ...],
) -> Matrix:
    first, second = _lengths_after(axes, cut_index)
    view = tuple(factor for axis in axes for factor in axis)
    return Matrix(
        name=name,
        role=role_of(name),
        tensor=stored.name,
        rows=second if rule.transposed else first,
        cols=first if rule.transposed else second,
        layer=matched.layer,
        expert=matched.expert,
        view=None if view == stored.shape else view,
        index=cut_index,
        transposed=rule.transposed,
        swapped=rule.split.swapped if rule.split and role_of(name) in TURNED_BY_ROTARY else None,
        rule=title if rule.split is None else f"{title}: {list(view)}",
    )
