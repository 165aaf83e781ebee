"""What runs that differ by seed alone show together: numbers and verdicts of each, by pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spectra_cli.studies.pools import Agreement, OverSeeds, Pool, members, over_seeds
from spectra_cli.studies.stability.findings import GroupStability, Onset, RunStability

CHANCE = 0.05
NONE = "none seen"
PARTS = ("all", "attention", "mlp")  # of the groups, those whose verdicts are counted; all have their numbers

Number = Callable[[GroupStability], float | None]

OF_GROUPS: tuple[tuple[str, Number], ...] = (
    ("peak", lambda group: group.peak.value),
    ("peak_step", lambda group: group.peak.step or None),
    ("floor", lambda group: group.floor.value),
    ("onset", lambda group: group.onset.step),
    ("onset_per_lr", lambda group: group.onset_per_lr.step if group.onset_per_lr else None),
    ("settled", lambda group: group.settled),
)
OF_RUNS: tuple[tuple[str, Callable[[RunStability], float | None]], ...] = (
    ("loss", lambda run: run.loss.last if run.loss else None),
    ("loss_onset", lambda run: run.loss.onset.step if run.loss else None),
    ("synchrony", lambda run: run.loss.synchrony if run.loss else None),
    ("attention_over_mlp", lambda run: run.attention_over_mlp.value if run.attention_over_mlp else None),
)


def pooled(labels: Sequence[str], runs: Sequence[RunStability]) -> tuple[Pool, ...]:
    """Return a pool for each label. labels: one a run."""
    return tuple(_pool(label, [runs[index] for index in indices]) for label, indices in members(labels).items())


def _pool(label: str, runs: Sequence[RunStability]) -> Pool:
    names = dict.fromkeys(group.group for run in runs for group in run.groups if not group.group.startswith("layer "))
    numbers = [number for name in names for number in _numbers(name, [run.group(name) for run in runs])]
    whole = (
        *(over_seeds("all", name, [of(run) for run in runs], geometric=True) for name, of in OF_RUNS),
        *(over_seeds("all", name, values) for name, values in _exponents(runs).items()),
    )
    agreements = [Agreement(claim, tuple(of(run) for run in runs)) for claim, of in _CLAIMS]
    parts = [name for name in names if name in PARTS]
    phases = [agreement for name in parts for agreement in _phases(name, [run.group(name) for run in runs])]
    judged = [agreement for agreement in (*agreements, *phases, *_theory(runs)) if agreement.counts]
    known = (*numbers, *(number for number in whole if number is not None))
    return Pool(label, tuple(run.label for run in runs), known, tuple(judged))


def _numbers(name: str, groups: Sequence[GroupStability | None]) -> Iterator[OverSeeds]:
    for quantity, of in OF_GROUPS:
        number = over_seeds(name, quantity, [of(group) if group else None for group in groups], geometric=True)
        if number is not None:
            yield number


def _phases(name: str, groups: Sequence[GroupStability | None]) -> Iterator[Agreement]:
    beside = "" if name == "all" else f", {name}"
    yield Agreement(f"Phase II{beside}", tuple(_phase(group.onset) if group else None for group in groups))
    yield Agreement(
        f"Phase II per unit of learning rate{beside}",
        tuple(_phase(group.onset_per_lr) if group else None for group in groups),
    )


def _phase(onset: Onset | None) -> str | None:
    return None if onset is None else onset.phase or NONE


def _theory(runs: Sequence[RunStability]) -> Iterator[Agreement]:
    for claims in zip(*(run.theory for run in runs), strict=True):
        yield Agreement(f"theory, {claims[0].says}", tuple(claim.answer.verdict for claim in claims))


def _exponents(runs: Sequence[RunStability]) -> dict[str, list[float | None]]:
    """Return each run's values of the quantities that verdicts on the theory rest on, those that have an interval."""
    values = [
        {each.name: each.value for claim in run.theory for each in claim.answer.numbers if each.interval}
        for run in runs
    ]
    names = dict.fromkeys(name for each in values for name in each)
    return {name: [each.get(name) for each in values] for name in names}


def _beyond(run: RunStability) -> str | None:
    contrast = run.attention_over_mlp
    if contrast is None:
        return None
    if not contrast.beyond:
        return "no more than their shapes give"
    return "more than their shapes give" if contrast.value > contrast.of_shapes else "less than their shapes give"


def _bends(onset: Onset) -> str:
    return "bends" if onset.step is not None and onset.phase != "rise" else "no bend seen"


def _together(run: RunStability) -> str | None:
    if run.loss is None or run.loss.spearman is None or run.loss.spearman_p is None:
        return None
    if run.loss.spearman_p >= CHANCE:
        return "not seen to go together"
    return "go together" if run.loss.spearman > 0 else "go against each other"


_CLAIMS: tuple[tuple[str, Callable[[RunStability], str | None]], ...] = (
    ("Phase I", lambda run: "no course is seen" if run.is_constant else "the variation peaks"),
    ("attention over MLP", _beyond),
    ("the loss", lambda run: _bends(run.loss.onset) if run.loss else None),
    ("variation and fall of the loss", _together),
)
