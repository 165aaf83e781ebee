"""Judges merged checkpoints by the loss on a text: chosen on one half of it, reported on the other, paired by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spectra_cli.evaluation.estimates import Estimate, loss_per_token, paired_difference
from spectra_cli.evaluation.model import most_context
from spectra_cli.evaluation.text import Text, read_text
from spectra_cli.evaluation.windowed_loss import BlockLosses, block_losses, choose_windows
from spectra_cli.jobs.evaluate import EvaluationOptions
from spectra_cli.surgery import Description, Original, scratch_beside, write_checkpoint
from spectra_cli.surgery.averaging import adding_up
from spectra_cli.surgery.recipes import Candidate
from spectra_cli.svd import choose_device

OnDone = Callable[[str], None]
GAIN = 2.0  # standard errors of a paired difference, below which no gain is claimed


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate's loss per token on both halves of the text, and against the mean on half B; None for the mean."""

    candidate: Candidate
    loss_a: Estimate
    loss_b: Estimate
    against_mean: Estimate | None


@dataclass(frozen=True, eq=False)
class Judgement:
    """How the candidates did. chosen: the best on half A; over_last, over_mean: its differences on half B, paired."""

    text: str
    blocks: int
    judged: tuple[Judged, ...]
    chosen: Candidate
    over_last: Estimate
    over_mean: Estimate | None

    @property
    def gains_over_mean(self) -> bool:
        """Whether what was chosen is better than the mean by more than its errors allow."""
        return self.over_mean is not None and self.over_mean.value < 0 and self.over_mean.beyond(GAIN)

    def facts(self) -> dict[str, Any]:
        """Return what provenance.json says of it."""
        means = None if self.over_mean is None else vars(self.over_mean)
        return {"blocks": self.blocks, "against_last": vars(self.over_last), "against_mean": means}


@dataclass(frozen=True, eq=False)
class Judging:
    """Open checkpoints whose sums are judged. output: beside which each is written for it, and removed."""

    originals: Sequence[Original]
    output: Path
    threads: int
    options: EvaluationOptions
    on_done: OnDone

    def judge(self, candidates: Sequence[Candidate], mean: Candidate, text: str | Path) -> Judgement:
        """Choose the candidate of the least loss on half A of a text, and compare it on half B.

        mean: of the window, with which they are compared. Raises SpectraError where the text or a model cannot be read.
        """
        read = read_text(text, self.options.blocks)
        last = Candidate(0.0, 0.0, (*(0.0 for _ in self.originals[1:]), 1.0))
        losses: dict[tuple[float, ...], BlockLosses] = {}
        for candidate in (last, mean, *candidates):
            if candidate.coefficients not in losses:
                losses[candidate.coefficients] = self._losses(candidate, read)
        middle = read.blocks // 2
        half_a, half_b = slice(0, middle), slice(middle, read.blocks)

        def on(half: slice, candidate: Candidate) -> BlockLosses:
            return losses[candidate.coefficients].of(half)

        def difference(candidate: Candidate, against: Candidate) -> Estimate | None:
            if candidate.coefficients == against.coefficients:
                return None
            return paired_difference(on(half_b, candidate), on(half_b, against))

        judged = tuple(
            Judged(c, loss_per_token(on(half_a, c)), loss_per_token(on(half_b, c)), difference(c, mean))
            for c in candidates
        )
        best = min(judged, key=lambda each: each.loss_a.value).candidate
        over_last = difference(best, last) or Estimate(0.0, 0.0)
        return Judgement(read.name, read.blocks, judged, best, over_last, difference(best, mean))

    def _losses(self, candidate: Candidate, text: Text) -> BlockLosses:
        """Write a candidate as it would be kept, rounding and all, and evaluate that."""
        last = self.originals[-1]
        with scratch_beside(self.output, "candidate") as path:
            with adding_up(self.originals, candidate.coefficients, self.threads) as total:
                write_checkpoint(path, total.tensors(), Description(last.config, dict, "", last.companions))
            with self.options.open(str(path), lambda _: None) as opened:
                files = replace(opened, called=f"{last.called}, merged")
                windows = choose_windows(most_context(files.config()), self.options.context, self.options.stride)
                model = files.load(choose_device(self.options.device), self.options.dtype)
                losses = block_losses(model, files.tokens(text, model), windows)
        self.on_done(f"c = {candidate.c:g}")
        return losses
