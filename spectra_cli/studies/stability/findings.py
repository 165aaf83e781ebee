"""What `spectra stability` finds, as frozen records: numbers, and where there is none the reason. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.records import Summarised, span_of
from spectra_cli.studies.pools import Contrast, Pool
from spectra_cli.studies.stability.judgements import Judgement

Interval = tuple[float, float]

RATE = "sd_variation_rate"  # the metric that all of this is about
BY_NOISE = 0.02  # how often, at most, a constant rate varies as much as one that has a course


@dataclass(frozen=True)
class Peak:
    """The largest `sd_variation_rate` (per step) and the step it was seen at."""

    step: int
    value: float


@dataclass(frozen=True)
class Floor:
    """The median of `sd_variation_rate` over the last quarter of the checkpoints, with its quartiles."""

    value: float
    iqr: Interval
    checkpoints: int


@dataclass(frozen=True, eq=False)
class Onset:
    """Where a series settles: the last breakpoint of its fit that flattens it.

    step: of that breakpoint; None where none is supported, and then reason says why in words. interval: 90% bootstrap
    interval of step. phase: after the breakpoint, `slow decline` where the slope is below zero, `rise` where it is
    above, `floor` where it is zero or near, `flatter` where it may be any of these. slope, slope_interval: of the
    series (ln rate, or the loss) on ln step after it, with its 95% interval. until: the next breakpoint, where the
    series steepens again. hint: where no breakpoint is supported, the one that the uncorrected criterion would take.
    breakpoints, slopes: all of the chosen fit. line: its vertices as (step, value), for drawing. draws: the steps that
    the bootstrap gave.
    """

    step: float | None
    interval: Interval | None = None
    reason: str | None = None
    phase: str | None = None
    slope: float | None = None
    slope_interval: Interval | None = None
    until: float | None = None
    hint: float | None = None
    breakpoints: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()
    line: tuple[tuple[float, float], ...] = ()
    draws: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Decoupling:
    """When the group's mean `cos_weights_final` and `cos_spectrum_final` reach a threshold for good.

    None where one does so only at the checkpoint that all are compared with. ratio: weights_step over spectrum_step.
    """

    threshold: float
    weights_step: int | None
    spectrum_step: int | None
    ratio: float | None


@dataclass(frozen=True, eq=False)
class RateSeries:
    """A group's `sd_variation_rate` (mean over its matrices, per step) at each checkpoint that has one.

    per_lr: the same per unit of the learning rate, mean over the steps since the last checkpoint; None without one.
    """

    steps: NDArray[np.int64]
    rates: NDArray[np.float64]
    per_lr: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class GroupStability:
    """One group of matrices: the whole model (`all`), `attention`, `mlp`, a role, or a layer (`layer 3`).

    settled: the first step from which the rate stays below the geometric mean of peak and floor. onset_per_lr: the
    onset of the rate per unit of learning rate. tightness: the median of `sd_variation_prev`/`stability_bound_prev`
    over the group's pairs. pairs: how many there are, over_bound: how many violate the bound.
    """

    group: str
    matrices: int
    series: RateSeries
    peak: Peak
    floor: Floor
    settled: int | None
    onset: Onset
    onset_per_lr: Onset | None
    decoupling: tuple[Decoupling, ...]
    tightness: float | None
    pairs: int
    over_bound: int


@dataclass(frozen=True, eq=False)
class LossStability:
    """The loss beside the variation of the whole model.

    kind: `validation` or `training`. last: the loss at the last checkpoint, None where none was logged there.
    onset: the last breakpoint of the loss against ln step. fastest: the steps between which it falls fastest.
    synchrony: the onset of the variation's second phase over the loss's, and synchrony_of whose it is: that of the
    `rate`, or of the `rate per lr` where the rate has none. spearman: rank correlation of what is new at each
    checkpoint in `sd_variation_rate` and in the loss's decrease per step, beyond their trends and what the
    checkpoint before foretells, and its p-value; None with too few checkpoints after the peak.
    """

    kind: str
    last: float | None
    onset: Onset
    fastest: Interval | None
    synchrony: float | None
    synchrony_of: str | None
    spearman: float | None
    spearman_p: float | None


@dataclass(frozen=True)
class RateResponse:
    """What one lowering of the learning rate did to the variation of the whole model.

    kind: `drop` (at once) or `decay` (gradual, from step to end_step). floor_before, floor_after: median rates of
    the nearest three checkpoints on either side (of a decay that fills the run, the rates at its ends); None where no
    checkpoint shows them. elasticity: d ln rate / d ln lr beside what time does, with its 95% interval; None where
    the checkpoints cannot separate the two.
    """

    kind: str
    step: int
    end_step: int
    lr_before: float
    lr_after: float
    floor_before: float | None
    floor_after: float | None
    elasticity: float | None
    interval: Interval | None


@dataclass(frozen=True)
class ShapeContrast:
    """Attention's peak over the MLP's, and the ratio that equal relative updates of matrices of their shapes give.

    beyond: whether the first is further from the second than other matrices of the same kind would make it.
    """

    value: float
    of_shapes: float
    beyond: bool


@dataclass(frozen=True, eq=False, repr=False)
class RunStability(Summarised):
    """The findings on one run. steps: of all checkpoints. groups: `all` first, layers last. notes: what limits them.

    constant: how often a constant rate with such noise varies as much as the whole model's; None with too few
    checkpoints. attention_over_mlp: None where the run has not both. theory: the paper's claims, judged.
    """

    label: str
    steps: tuple[int, ...]
    groups: tuple[GroupStability, ...]
    loss: LossStability | None
    lr_response: tuple[RateResponse, ...]
    notes: tuple[str, ...]
    constant: float | None = None
    attention_over_mlp: ShapeContrast | None = None
    theory: tuple[Judgement, ...] = ()

    def summary(self) -> dict[str, object]:
        """Return where the whole model's variation peaks and settles, and where the loss bends."""
        whole = self.groups[0]
        facts = {
            "label": self.label, "checkpoints": span_of(self.steps), "groups": len(self.groups),
            "peak": None if self.is_constant else whole.peak.step, "onset": _rounded(whole.onset),
        }  # fmt: skip
        return facts | ({"loss_onset": _rounded(self.loss.onset)} if self.loss else {})

    @property
    def is_constant(self) -> bool:
        """Whether a constant rate varies as much too often for the run to have a peak."""
        return self.constant is not None and self.constant > BY_NOISE

    def group(self, name: str) -> GroupStability | None:
        """Return one group by its name, None where the run has no such matrices."""
        return next((group for group in self.groups if group.group == name), None)


@dataclass(frozen=True)
class Ratio:
    """A quantity of one run over that of the first one, with its 90% interval; None where it has none.

    quantity: `peak`, `floor`, `onset` or `onset_per_lr` of a group of matrices, or the `loss` at the end, of `all`.
    """

    label: str
    against: str
    group: str
    quantity: str
    value: float
    interval: Interval | None


@dataclass(frozen=True, eq=False, repr=False)
class RunComparison(Summarised):
    """Several runs, and each against the first.

    Where runs of one label differ by seed alone they are pools, contrasts are each pool against the first, and ratios
    between single runs are none.
    """

    runs: tuple[RunStability, ...]
    ratios: tuple[Ratio, ...]
    pools: tuple[Pool, ...] = ()
    contrasts: tuple[Contrast, ...] = ()

    def summary(self) -> dict[str, object]:
        """Return which runs are compared."""
        return {"runs": [run.label for run in self.runs], "ratios": len(self.ratios), "pools": len(self.pools)}


def _rounded(onset: Onset) -> int | None:
    return None if onset.step is None else round(onset.step)
