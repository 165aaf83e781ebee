"""All checkpoints of a plan open beside each other, and one pass over their tensors: the inner products of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spectra_cli import architectures, gram, weights
from spectra_cli.engines import processors
from spectra_cli.errors import SpectraError, printable
from spectra_cli.measure.layouts import open_weights, vectors_of
from spectra_cli.measure.left_out import left_out_problem
from spectra_cli.measure.plan import Plan
from spectra_cli.records import Checkpoint, Layout, Matrix, Problem, Remote, StoredTensor

Array = NDArray[np.float64]
VECTORS = -1  # the group of what is no matrix
OTHER_MODEL = "leave it out with --steps or --revisions: checkpoints of one model have the same tensors"


@dataclass(frozen=True)
class StoredMatrices:
    """A tensor that every checkpoint stores, and the matrices that are cut out of it; none for a vector."""

    tensor: StoredTensor
    matrices: tuple[Matrix, ...]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.tensor.shape)


@dataclass(frozen=True)
class OpenRun:
    """The checkpoints that can be read, in order, open beside each other.

    tensors: what all of them store, in the order of the last one's files. layout: of the last. problems: what could
    not be read while the rest was.
    """

    checkpoints: tuple[Checkpoint, ...]
    weights: tuple[weights.Weights, ...]
    layout: Layout
    tensors: tuple[StoredMatrices, ...]
    problems: tuple[Problem, ...]

    @property
    def block_bytes(self) -> int:
        """The bytes of a block of all checkpoints: of the largest tensor, in the widest dtype that any of them has."""
        largest = max(opened.tensors[item.tensor.name].nbytes for opened in self.weights for item in self.tensors)
        return gram.block_bytes(largest)

    def inner_products(
        self, items: Sequence[StoredMatrices], group_of: Callable[[Matrix | None], Sequence[str]], threads: int
    ) -> Iterator[dict[str, Array]]:
        """Yield the Gram matrices of each tensor, in order, by group, about the first checkpoint: (N, N) each.

        group_of: the groups that a matrix belongs to, and those of a vector for None. threads: tensors side by side.
        """
        remote = any(isinstance(checkpoint.path, Remote) for checkpoint in self.checkpoints)
        threads = 1 if remote else threads  # files that are fetched are read in their order
        work = partial(self._products, group_of=group_of, most_bytes=self.block_bytes // threads)
        memory = 2 * self.block_bytes // threads
        yield from processors.run(work, items, threads=threads, memory=lambda item: min(memory, 9 * item.size))

    def _products(
        self, item: StoredMatrices, group_of: Callable[[Matrix | None], Sequence[str]], most_bytes: int
    ) -> dict[str, Array]:
        readers = [partial(opened.read_elements, item.tensor.name) for opened in self.weights]
        owners, numbers = None, {0: group_of(item.matrices[0] if item.matrices else None)}
        if len(item.matrices) > 1 or any(matrix.index for matrix in item.matrices):
            named = [tuple(group_of(matrix)) for matrix in item.matrices]
            distinct = list(dict.fromkeys(named))
            numbers = dict(enumerate(distinct))
            groups = [(matrix, distinct.index(name)) for matrix, name in zip(item.matrices, named, strict=True)]
            owners = gram.Owners(*architectures.element_owners(item.tensor.shape, groups))
        grams = gram.tensor_grams(readers, item.size, most_bytes, owners)
        sums: dict[str, Array] = {}
        for number, products in grams.items():
            for name in numbers[number]:
                sums[name] = sums.get(name, 0.0) + products
        return sums


@contextmanager
def open_run(plan: Plan) -> Iterator[OpenRun]:
    """Open all checkpoints of a plan that can be read. Raises SpectraError where two of them are of other models.

    Vectors, which a scan leaves out, are among the tensors unless only some matrices were asked for.
    """
    vectors = not plan.request.selective
    with ExitStack() as closing:
        files = closing.enter_context(plan.checkpoint_files(side_by_side=True))
        opened: list[tuple[Checkpoint, weights.Weights, Layout]] = []
        problems = list(plan.problems)
        for checkpoint in plan.checkpoints:
            try:
                each = closing.enter_context(open_weights(checkpoint, plan.request, files, vectors=vectors))
            except SpectraError as error:
                if error.stops or len(plan.checkpoints) == 1:
                    raise
                problems.append(Problem(error.message, error.hint))
                continue
            opened.append((checkpoint, *each))
            problems += [left_out_problem(checkpoint, lost) for lost in each[1].lost]
        if not opened:
            raise SpectraError(problems[-1].message, hint=problems[-1].hint)
        shapes = [_shapes(weights_of, layout, vectors=vectors) for _, weights_of, layout in opened]
        for (checkpoint, _, _), own in zip(opened, shapes, strict=True):
            _refuse_other(checkpoint, own, opened[-1][0], shapes[-1])
        _, last, layout = opened[-1]
        yield OpenRun(
            tuple(checkpoint for checkpoint, _, _ in opened),
            tuple(weights_of for _, weights_of, _ in opened),
            layout,
            _tensors(last, layout, shapes[-1]),
            tuple(problems),
        )


def _shapes(opened: weights.Weights, layout: Layout, *, vectors: bool) -> dict[str, tuple[int, ...]]:
    names = dict.fromkeys(matrix.tensor for matrix in layout.matrices)
    names |= dict.fromkeys(vectors_of(opened, layout) if vectors else ())
    return {name: opened.tensors[name].shape for name in names}


def _tensors(
    opened: weights.Weights, layout: Layout, names: Mapping[str, tuple[int, ...]]
) -> tuple[StoredMatrices, ...]:
    """Return what is read, in the order in which it lies in the files."""
    of_tensor: dict[str, list[Matrix]] = {name: [] for name in names}
    for matrix in layout.matrices:
        of_tensor[matrix.tensor].append(matrix)
    ordered = sorted(names, key=lambda name: [(str(r.path), r.start) for r in opened.file_ranges(name)])
    return tuple(StoredMatrices(opened.tensors[name], tuple(of_tensor[name])) for name in ordered)


def _refuse_other(
    checkpoint: Checkpoint, own: Mapping[str, tuple[int, ...]], last: Checkpoint, others: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise SpectraError where a checkpoint does not store the tensors of the last one, in their shapes."""
    for name in [*others, *own]:
        if own.get(name) == others.get(name):
            continue
        own_shape, other_shape = (_shape_in(shapes.get(name)) for shapes in (own, others))
        message = f"{printable(name)} {own_shape} in {checkpoint.revision} and {other_shape} in {last.revision}"
        raise SpectraError(message, hint=OTHER_MODEL)


def _shape_in(shape: tuple[int, ...] | None) -> str:
    return "is not stored" if shape is None else f"is {'×'.join(map(str, shape)) or 'a scalar'}"
