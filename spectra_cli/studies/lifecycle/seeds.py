"""What runs that differ by seed alone show together over depth and training: numbers and verdicts of each, by pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spectra_cli.records import Summarised
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.lifecycle.gradients import FIRST, Gradient
from spectra_cli.studies.lifecycle.significance import CHANCE
from spectra_cli.studies.lifecycle.study import ENTROPY, RANK, Lifecycle, lifecycle
from spectra_cli.studies.pools import Agreement, Contrast, OverSeeds, Pool, contrasts, members, over_seeds

NOT_SHOWN = "not shown"


@dataclass(frozen=True, eq=False, repr=False)
class LifecycleComparison(Summarised):
    """Several runs. pools: those that differ by seed alone, and contrasts each pool against the first; else none."""

    runs: tuple[Lifecycle, ...]
    pools: tuple[Pool, ...] = ()
    contrasts: tuple[Contrast, ...] = ()

    def summary(self) -> dict[str, object]:
        """Return which runs are compared."""
        return {"runs": [run.label for run in self.runs], "pools": len(self.pools)}


def compare_lifecycles(
    tables: Sequence[str | Path],
    labels: Sequence[str] | None,
    alpha: str,
    *,
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    seeds: bool = False,
) -> LifecycleComparison:
    """Study one table or several; seeds: pool runs of one label. Arguments and errors: of `read_inputs`."""
    inputs = read_inputs(
        tables, (RANK, ENTROPY, alpha), losses=losses, columns=columns, labels=labels, seeds=seeds
    )  # fmt: skip
    runs = tuple(lifecycle(given.run, alpha, given.losses) for given in inputs)
    if not seeds:
        return LifecycleComparison(runs)
    pools = pooled([given.pool or given.run.label for given in inputs], runs)
    return LifecycleComparison(runs, pools, contrasts(pools))


def pooled(labels: Sequence[str], runs: Sequence[Lifecycle]) -> tuple[Pool, ...]:
    """Return a pool for each label. labels: one a run."""
    return tuple(_pool(label, [runs[index] for index in indices]) for label, indices in members(labels).items())


def _pool(label: str, runs: Sequence[Lifecycle]) -> Pool:
    judged = [Agreement(claim, tuple(of(run) for run in runs)) for claim, of in _claims(runs[0])]
    return Pool(
        label,
        tuple(run.label for run in runs),
        tuple(_numbers(runs)),
        tuple(agreement for agreement in judged if agreement.counts),
    )


def _numbers(runs: Sequence[Lifecycle]) -> Iterator[OverSeeds]:
    for geometric, quantities in ((False, _of_level(runs[0])), (True, _of_scale(runs[0]))):
        for quantity, of in quantities:
            number = over_seeds("all", quantity, [of(run) for run in runs], geometric=geometric)
            if number is not None:
                yield number
    for role in runs[0].by_role:
        ends = [float(run.by_role[role][-1]) if role in run.by_role else None for run in runs]
        number = over_seeds(role, "compression", ends)
        if number is not None:
            yield number


Number = Callable[[Lifecycle], float | None]


def _of_level(run: Lifecycle) -> tuple[tuple[str, Number], ...]:
    """Return the numbers whose differences are told, with what they are called in this run."""
    return (
        ("compression", lambda run: float(np.nanmean(run.compressed[:, -1]))),
        ("slope of compression over depth", lambda run: _slope(run.gradient)),
        (f"slope of {run.alpha} over depth", lambda run: _slope(run.alpha_gradient)),
        (f"curvature of {run.alpha} over depth", lambda run: _curvature(run.alpha_gradient)),
        (f"slope of {run.alpha} of {FIRST} over depth", lambda run: _slope(run.alpha_by_role.get(FIRST))),
        (f"curvature of {run.alpha} of {FIRST} over depth", lambda run: _curvature(run.alpha_by_role.get(FIRST))),
        ("slope of entropy over depth", lambda run: _slope(run.entropy_gradient)),
    )


def _of_scale(run: Lifecycle) -> tuple[tuple[str, Number], ...]:
    """Return the numbers whose ratios are told."""
    return (
        *(
            (f"spread of {test.quantity}, q and k over v and o", partial(_spread, at=at))
            for at, test in enumerate(run.asymmetry)
        ),
        ("τ of the stable rank", lambda run: run.timescales.rank.tau if run.timescales.rank else None),
        (f"τ of {run.alpha}", lambda run: run.timescales.alpha.tau if run.timescales.alpha else None),
        ("ratio of both τ", lambda run: run.timescales.ratio),
    )


def _claims(run: Lifecycle) -> tuple[tuple[str, Callable[[Lifecycle], str | None]], ...]:
    return (
        ("a wave of compression", _wave),
        ("compression over depth", lambda run: _way(run.gradient)),
        (f"{run.alpha} over depth", lambda run: _way(run.alpha_gradient)),
        (f"{run.alpha} of {FIRST} over depth", lambda run: _way(run.alpha_by_role.get(FIRST))),
        (f"an inverted U of {run.alpha} of {FIRST}", lambda run: _inverted(run.alpha_by_role.get(FIRST))),
        ("entropy over depth", lambda run: _way(run.entropy_gradient)),
        *(
            (f"{test.quantity} of q and k against v and o", partial(_farther, at=at))
            for at, test in enumerate(run.asymmetry)
        ),
        ("rank and shape part over depth", _part),
        ("two clocks", lambda run: "claimed" if run.timescales.two_clocks else NOT_SHOWN),
        (f"{run.alpha} and the loss", _with_loss),
    )


def _slope(gradient: Gradient | None) -> float | None:
    return gradient.last.slope if gradient and gradient.last else None


def _curvature(gradient: Gradient | None) -> float | None:
    return gradient.last.curvature if gradient and gradient.last else None


def _spread(run: Lifecycle, at: int) -> float | None:
    return run.asymmetry[at].spread.ratio if at < len(run.asymmetry) else None


def _wave(run: Lifecycle) -> str | None:
    if not np.isfinite(run.wave.p):
        return None
    if run.wave.p >= CHANCE:
        return NOT_SHOWN
    return "from the first layer to the last" if run.wave.rho > 0 else "from the last layer to the first"


def _way(gradient: Gradient | None) -> str | None:
    fit = gradient.last if gradient else None
    if fit is None:
        return None
    if fit.slope_p >= CHANCE:
        return "not significant"
    return "rises" if fit.slope > 0 else "falls"


def _inverted(gradient: Gradient | None) -> str | None:
    if gradient is None or gradient.inverted_u is None:
        return None
    return "claimed" if gradient.inverted_u else NOT_SHOWN


def _part(run: Lifecycle) -> str | None:
    if run.dissociation is None:
        return None
    return "claimed" if run.dissociation.claimed else NOT_SHOWN


def _with_loss(run: Lifecycle) -> str | None:
    if run.loss is None or run.loss.p is None:
        return None
    return "go together" if run.loss.claimed else "not seen to go together"


def _farther(run: Lifecycle, at: int) -> str | None:
    if at >= len(run.asymmetry) or not np.isfinite(run.asymmetry[at].spread.p):
        return None
    if run.asymmetry[at].spread.p >= CHANCE:
        return "no significant difference"
    return "farther apart" if run.asymmetry[at].spread.ratio > 1 else "closer together"
