"""The checkpoints of a plan in order: opens each beside the reference and the previous one, and closes what is past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from spectra_cli import weights
from spectra_cli.errors import SpectraError
from spectra_cli.kept_memory import reusing_memory
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.layouts import open_weights
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, SpectrumCache
from spectra_cli.measure.plan import Plan
from spectra_cli.records import Checkpoint, Layout, Problem, Remote
from spectra_cli.sources import CheckpointFiles, recurring


@dataclass(frozen=True)
class Upcoming:
    """A checkpoint that will be measured later: it can be fetched meanwhile, or looked into."""

    checkpoint: Checkpoint
    plan: Plan
    checkpoint_files: CheckpointFiles

    @property
    def is_remote(self) -> bool:
        """Whether its files have to be fetched."""
        return isinstance(self.checkpoint.path, Remote)

    def prefetch(self) -> None:
        """Fetch its files in the background; does nothing for one on this machine."""
        look = partial(open_weights, self.checkpoint, self.plan.request, self.checkpoint_files, ahead=True)
        self.checkpoint_files.prepare(self.checkpoint, look)

    def open(self) -> AbstractContextManager[tuple[weights.Weights, Layout]]:
        """Open it for a look; raises SpectraError where it cannot be read."""
        return open_weights(self.checkpoint, self.plan.request, self.checkpoint_files)


@dataclass
class Trajectory:
    """Holds open only the reference and the previous checkpoint while the current one is measured.

    device: where spectra are computed. hold: keep the files of what is open, so that another program may delete them
    meanwhile. reads: whether matrices are read through it, or elsewhere. problems: what stood in the way of the
    reference that was wanted. Use it in a `with` block, which opens the reference. A reference that the user named must
    be readable; of the others, the last readable one serves.
    """

    plan: Plan
    device: str
    reference: OpenCheckpoint | None = None
    previous: OpenCheckpoint | None = None
    problems: list[Problem] = field(default_factory=list)
    hold: bool = False
    reads: bool = True
    _passed_over: Checkpoint | None = None
    _only: OpenCheckpoint | None = None

    def __enter__(self) -> Trajectory:
        """Open the reference."""
        self._closing = ExitStack()
        self._closing.enter_context(reusing_memory())
        self.checkpoint_files = self._closing.enter_context(self.plan.checkpoint_files(headers_only=not self.reads))
        self.checkpoint_files.compares = True  # so that it is read as it is where its matrices are
        self._spectrum_cache = SpectrumCache(recurring(self.plan.checkpoints))
        try:
            self._open_reference()
        except BaseException:
            self._closing.close()
            raise
        return self

    def _open_reference(self) -> None:
        wanted = self.plan.reference
        if wanted is None:
            return
        named = self.plan.request.reference is not None
        for checkpoint in [wanted] if named else reversed(self.plan.checkpoints):
            try:
                self.reference = self._open(checkpoint)
                break
            except SpectraError as error:
                if error.stops or named or checkpoint is self.plan.checkpoints[0]:
                    raise
        if self.reference and self.reference.checkpoint is not wanted:
            message = f"{wanted.revision} cannot be read, so it is not the reference"
            self.problems.append(Problem(message, f"compared with {self.reference.checkpoint.revision} instead"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        for checkpoint in dict.fromkeys((self.reference, self.previous, self._only)):
            if checkpoint is not None:
                checkpoint.close()
        self._closing.close()

    def first_layout(self) -> Layout:
        """Return the layout of the reference, or of the only checkpoint. Raises SpectraError if it cannot be read."""
        if self.reference is not None:
            return self.reference.layout
        self._only = self._only or self._open(self.plan.checkpoints[0])  # to be measured as it is
        return self._only.layout

    def upcoming(self, checkpoint: Checkpoint) -> Upcoming:
        """Return a checkpoint that will be measured later."""
        return Upcoming(checkpoint, self.plan, self.checkpoint_files)

    def pass_over(self, checkpoint: Checkpoint) -> None:
        """Do not open a checkpoint that was measured before, unless the next one is compared with it."""
        self._passed_over = checkpoint

    def catch_up(self) -> None:
        """Open the checkpoint that was passed over last, as the previous one."""
        if self._passed_over is None:
            return
        try:
            previous = self._open_or_reference(self._passed_over)
        except SpectraError as error:  # its own rows are kept, so that only those of all after it would be wrong
            raise SpectraError(error.message, hint=error.hint, code=error.code, stops=True) from None
        self._passed_over = None
        self._advance_to(previous)

    @contextmanager
    def compare(self, checkpoint: Checkpoint) -> Iterator[Comparison]:
        """Open a checkpoint for comparison; once the block is done, it is the previous one.

        Raises SpectraError where it cannot be opened.
        """
        self.catch_up()
        current = self._open_or_reference(checkpoint)
        try:
            yield Comparison(current, self.reference, self.previous)
        except BaseException:
            if current is not self.reference:
                current.close()
            raise
        self._advance_to(current)

    def forget_previous(self) -> None:
        """Compare nothing with the checkpoint measured last: its files are not what they were."""
        if self.previous is not self.reference:
            self._advance_to(None)

    def _open(self, checkpoint: Checkpoint) -> OpenCheckpoint:
        return OpenCheckpoint.open(
            checkpoint, self.plan, self.device, self.checkpoint_files, self._spectrum_cache, hold=self.hold
        )

    def _open_or_reference(self, checkpoint: Checkpoint) -> OpenCheckpoint:
        if self.reference is not None and checkpoint == self.reference.checkpoint:
            return self.reference
        opened, self._only = self._only, None
        return opened or self._open(checkpoint)

    def _advance_to(self, checkpoint: OpenCheckpoint | None) -> None:
        if self.previous is not None and self.previous is not self.reference:
            self.previous.close()
        self.previous = checkpoint
