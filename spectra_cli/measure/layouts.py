"""The layout of a checkpoint: what its tensors mean, and which of its matrices were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from spectra_cli import architectures, sources, svd, weights
from spectra_cli.errors import SpectraError
from spectra_cli.measure.left_out import lost
from spectra_cli.measure.request import Request
from spectra_cli.measure.tensor_reader import TensorReader
from spectra_cli.records import Checkpoint, Layout, Matrix, Remote, Skipped

NO_MATRIX = "scan a checkpoint with the model's own weights, in floating numbers"


@contextmanager
def open_weights(
    checkpoint: Checkpoint,
    request: Request,
    checkpoint_files: sources.CheckpointFiles,
    *,
    ahead: bool = False,
    vectors: bool = False,
    hold: bool = False,
    names: frozenset[str] | None = None,
) -> Iterator[tuple[weights.Weights, Layout]]:
    """Open one checkpoint's weights and say what its tensors mean, only the chosen matrices left in the layout.

    checkpoint_files: materializes them. ahead: it is opened for later, so that it is fetched without haste. vectors:
    those of the weights are read too. hold: as of `weights.open_weights`. names: of the matrices that are read; None
    for all. Raises SpectraError where the files cannot be read or contradict their config.
    """
    with (
        checkpoint_files.materialize(checkpoint, ahead=ahead) as files,
        weights.open_weights(
            files.path,
            follow_links=request.follow_links or files.view is not None,
            ema=request.ema,
            provider=files.view,
            label=files.called,
            run=files.path.parent if checkpoint.step is not None and files.view is None else None,
            hold=hold,
        ) as opened,
    ):
        equal = partial(_equal, opened, reads=checkpoint_files.compares and not ahead)
        layout = chosen_layout(checkpoint, opened, request, equal)
        if files.view is not None:
            wanted = [matrix for matrix in layout.matrices if names is None or matrix.name in names]
            tensors = dict.fromkeys(matrix.tensor for matrix in wanted)
            tensors |= dict.fromkeys(vectors_of(opened, layout) if vectors else ())
            files.view.expect([file_range for name in tensors for file_range in opened.file_ranges(name)])
        yield opened, layout


def chosen_layout(
    checkpoint: Checkpoint, opened: TensorReader, request: Request, equal: Callable[[Matrix, Matrix], bool]
) -> Layout:
    """Return what the tensors of a checkpoint mean, only the matrices that are asked for left among them.

    equal: whether two matrices have the same entries. Raises SpectraError where there is no such matrix, or where
    tensors and configuration contradict each other.
    """
    layout = architectures.layout(
        opened.config, opened.tensors, fused=request.fused, architecture=request.architecture, equal=equal
    )
    skipped = (*opened.skipped, *layout.skipped)
    chosen = tuple(matrix for matrix in layout.matrices if request.chooses(matrix))
    if not layout.matrices:
        raise _no_matrix(checkpoint, (*opened.unreadable, *skipped))
    if not chosen:
        raise SpectraError(
            f"{checkpoint.revision} has no matrix that was asked for",
            hint="`spectra inspect` lists its matrices; see --roles, --layers and --match",
        )
    unread = weights.not_fetched(checkpoint.path.beside) if isinstance(checkpoint.path, Remote) else ()
    notes = (*opened.notes, *unread, *layout.notes)
    left_out = lost(layout.skipped, opened.unreadable, opened.tensors)
    return replace(layout, matrices=chosen, skipped=skipped, notes=notes, lost=left_out)


def vectors_of(opened: weights.Weights, layout: Layout) -> list[str]:
    """Return the stored vectors and scalars of floating numbers: norms and biases, which a scan leaves out."""
    kept = [skip.tensor for skip in layout.skipped if skip.reason.startswith(("vector", "scalar"))]
    floating = ("float", "bfloat")
    return [name for name in kept if name in opened.tensors and opened.tensors[name].dtype.startswith(floating)]


def _equal(opened: weights.Weights, first: Matrix, second: Matrix, *, reads: bool) -> bool:
    """Whether two matrices of one shape hold the same entries.

    reads: whether files that have to be fetched are to be read for it; they are taken to be equal otherwise.
    """
    if opened.file_ranges(first.tensor) == opened.file_ranges(second.tensor) or (opened.is_fetched and not reads):
        return True
    try:
        arrays = [architectures.cut(opened.read(matrix.tensor), matrix) for matrix in (first, second)]
    except SpectraError:
        return False  # to be measured apart, where the error is met again and named
    return svd.compare_each(arrays[0], arrays[1:])[0][1] == 0.0


def _no_matrix(checkpoint: Checkpoint, skipped: Sequence[Skipped]) -> SpectraError:
    first = f": {skipped[0].tensor} is left out: {skipped[0].reason}" if skipped else ""
    more = f", and so are {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return SpectraError(f"{checkpoint.revision} holds no matrix that can be read{first}{more}", hint=NO_MATRIX)
