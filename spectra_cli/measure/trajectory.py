"""Goes through checkpoints in order and measures each against the reference and the one before. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from spectra_cli import svd
from spectra_cli.errors import SpectraError
from spectra_cli.measure.matrices import One, run, side_by_side
from spectra_cli.measure.open_checkpoint import Known, Side
from spectra_cli.measure.plan import Plan, open_checkpoint, twin_of
from spectra_cli.records import Checkpoint, Layout, Matrix, Problem, Remote, Row, Skipped
from spectra_cli.sources import recurring

Progress = Callable[[Checkpoint, Matrix | None], None]


@dataclass(frozen=True)
class Measured:
    """One checkpoint's rows, the layout they rest on, which checkpoint it repeats, and what went wrong.

    random: the matrices on their random baseline. unmoved: those with the very entries of the checkpoint before.
    uncertain: metric and matrix of every number whose third digit the error of σ could change.
    """

    rows: tuple[Row, ...]
    layout: Layout
    duplicate_of: str | None
    problems: tuple[Problem, ...]
    random: tuple[str, ...] = ()
    unmoved: tuple[str, ...] = ()
    uncertain: tuple[tuple[str, str], ...] = ()


@dataclass
class Walk:
    """Measures checkpoints one after the other; holds open only the reference and the previous one.

    plan: what to measure. device: where. progress: called after each matrix, and with None after each
    checkpoint. each: what measures a checkpoint's matrices, this machine's processors by default. Use it in a `with`
    block, which opens the reference. A reference that the user named must be readable; of the others, the last
    readable one serves.
    """

    plan: Plan
    device: str
    progress: Progress | None = None
    reference: Side | None = None
    previous: Side | None = None
    problems: list[Problem] = field(default_factory=list)
    fallbacks: list[Problem] = field(default_factory=list)
    passed: Checkpoint | None = None
    begun: bool = False
    each: Each = field(default_factory=lambda: _on_this_machine)

    def __enter__(self) -> Walk:
        """Open the reference."""
        self._closing = ExitStack()
        self.supply = self._closing.enter_context(self.plan.supply())
        self.known = Known(recurring(self.plan.checkpoints))
        try:
            return self._open_reference()
        except BaseException:
            self._closing.close()
            raise

    def _open_reference(self) -> Walk:
        wanted = self.plan.reference
        if wanted is None:
            return self
        named = self.plan.request.reference is not None
        for one in [wanted] if named else reversed(self.plan.checkpoints):
            try:
                self.reference = self._open(one)
                break
            except SpectraError as error:
                if error.stops or named or one is self.plan.checkpoints[0]:
                    raise
        if self.reference and self.reference.checkpoint is not wanted:
            served = self.reference.checkpoint.revision
            self.problems.append(
                Problem(
                    f"{wanted.revision} cannot be read, so it is not the reference", f"compared with {served} instead"
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        for side in {id(side): side for side in (self.reference, self.previous) if side}.values():
            side.closing.close()
        self._closing.close()

    def _open(self, checkpoint: Checkpoint) -> Side:
        return Side.open(checkpoint, self.plan, self.device, self.supply, self.known)

    def first_layout(self) -> Layout:
        """Give the layout of the reference, or of the only checkpoint. Raises SpectraError where it cannot be read."""
        if self.reference is not None:
            return self.reference.layout
        with open_checkpoint(self.plan.checkpoints[0], self.plan.request, self.supply) as (_, layout):
            return layout

    def skip(self, checkpoint: Checkpoint) -> None:
        """Pass over a checkpoint that was measured before: one measured next is still compared with it."""
        self.passed = checkpoint
        if self.progress:
            self.progress(checkpoint, None)

    def measure(self, checkpoint: Checkpoint, then: Checkpoint | None = None) -> Measured:
        """Measure every matrix of a checkpoint. Raises SpectraError where the checkpoint cannot be opened.

        then: the one that is measured next, so that it can be fetched meanwhile.
        """
        self._catch_up()
        self._use_the_wait(checkpoint)
        here = self._side(checkpoint)
        if then is not None:
            self._fetch_ahead(then)
        ones = self.each(self, here, then)
        self.fallbacks = list(dict.fromkeys((*self.fallbacks, *(told for one in ones for told in one.fallbacks))))
        problems = [
            *(_unreadable(checkpoint, one) for one in here.weights.unreadable),
            *_differences(here, self.reference),
            *(one.problem for one in ones if one.problem),
        ]
        same = frozenset.intersection(*(one.same for one in ones)) if ones else frozenset()
        rows = tuple(row for one in ones for row in one.rows)
        later = self.plan.checkpoints[self.plan.checkpoints.index(checkpoint) + 1 :]
        reference = self.reference if self.reference and self.reference.checkpoint not in later else None
        twin = _twin(same, self.previous, reference) or twin_of(checkpoint, self.plan)
        named = list(zip((matrix.name for matrix in here.layout.matrices), ones, strict=True))
        measured = Measured(
            rows,
            here.layout,
            twin,
            tuple(problems),
            random=tuple(name for name, one in named if one.random),
            unmoved=tuple(name for name, one in named if one.unmoved),
            uncertain=tuple((metric, name) for name, one in named for metric in one.uncertain),
        )
        self._step_to(here)
        if self.progress:
            self.progress(checkpoint, None)
        return measured

    def _fetch_ahead(self, checkpoint: Checkpoint) -> None:
        self.supply.prepare(
            checkpoint, partial(open_checkpoint, checkpoint, self.plan.request, self.supply, ahead=True)
        )

    def _use_the_wait(self, checkpoint: Checkpoint) -> None:
        """While the first checkpoint is fetched, compute the spectra of the one that all are compared with."""
        reference = self.reference
        if self.begun or reference is None or reference.checkpoint == checkpoint:
            return
        self.begun = True
        if not isinstance(checkpoint.path, Remote):
            return
        self._fetch_ahead(checkpoint)

        def work(matrix: Matrix) -> None:
            try:
                reference.spectrum(matrix.name)
            except (SpectraError, MemoryError, RuntimeError) as error:
                if not isinstance(error, SpectraError) and not svd.is_out_of_memory(error):
                    raise
                # met again, and told, where a matrix is compared with it

        run(work, [reference], reference.layout.matrices)

    def forget(self) -> None:
        """Compare nothing with the checkpoint measured last: its files are not what they were."""
        if self.previous is not self.reference:
            self._step_to(None)

    def _side(self, checkpoint: Checkpoint) -> Side:
        if self.reference is not None and checkpoint == self.reference.checkpoint:
            return self.reference
        return self._open(checkpoint)

    def _catch_up(self) -> None:
        """Open the checkpoint that was passed over last, as the previous one."""
        if self.passed is None:
            return
        try:
            before = self._side(self.passed)
        except SpectraError as error:  # its own rows are kept, so that only those of all after it would be wrong
            raise SpectraError(error.message, hint=error.hint, code=error.code, stops=True) from None
        self.passed = None
        self._step_to(before)

    def _step_to(self, here: Side | None) -> None:
        if self.previous is not None and self.previous is not self.reference:
            self.previous.closing.close()
        self.previous = here


Each = Callable[[Walk, Side, Checkpoint | None], list[One]]
"""Gives a result for each matrix of a checkpoint, in their order, where it wants; the last is the one measured next."""


def _on_this_machine(walk: Walk, here: Side, _: Checkpoint | None) -> list[One]:
    def told(matrix: Matrix) -> None:
        if walk.progress:
            walk.progress(here.checkpoint, matrix)

    return side_by_side(here, walk.reference, walk.previous, here.layout.matrices, told)


def _unreadable(checkpoint: Checkpoint, one: Skipped) -> Problem:
    return Problem(f"{checkpoint.revision}: {one.tensor} is left out: {one.reason}", "the other tensors are measured")


def _differences(here: Side, reference: Side | None) -> list[Problem]:
    """Name the matrices that the reference has and this checkpoint lacks, or has in another shape."""
    if reference is None or here is reference:
        return []
    named, other = here.checkpoint.revision, reference.checkpoint.revision
    missing = [name for name in reference.matrices if name not in here.matrices]
    extra = [name for name in here.matrices if name not in reference.matrices]
    reshaped = [
        (mine, theirs)
        for name, mine in here.matrices.items()
        if (theirs := reference.matrices.get(name)) and (mine.rows, mine.cols) != (theirs.rows, theirs.cols)
    ]
    problems = []
    if missing:
        problems.append(
            Problem(
                f"{named} has no {_some(missing)}, which {other} has", "there are no rows for it at this checkpoint"
            )
        )
    if extra:
        problems.append(
            Problem(f"{named} has {_some(extra)}, which {other} has not", "it is measured, but not compared")
        )
    for mine, theirs in reshaped[:3]:
        shapes = f"{mine.rows}×{mine.cols} in {named} and {theirs.rows}×{theirs.cols} in {other}"
        problems.append(Problem(f"{mine.name} ({mine.tensor}) is {shapes}", "it is measured, but not compared"))
    return problems


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _twin(same: frozenset[str], *sides: Side | None) -> str | None:
    return next((side.checkpoint.revision for side in sides if side and side.checkpoint.revision in same), None)
