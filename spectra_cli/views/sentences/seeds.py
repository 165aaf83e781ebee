"""What runs that differ by seed alone show together, in sentences that are safe to print."""

from __future__ import annotations

from collections.abc import Sequence

from spectra_cli.errors import printable
from spectra_cli.studies.pools import Agreement, Contrast, OverSeeds, Pool
from spectra_cli.views.formatting import count, number

NAMES = {
    "peak_step": "step of the peak",
    "onset_per_lr": "onset per unit of learning rate",
    "loss": "last loss",
    "loss_onset": "onset of the loss",
    "attention_over_mlp": "attention's peak over the MLP's",
}


def pool_sentences(pool: Pool) -> list[str]:
    """Return what the runs of a pool agree on, and the numbers of the whole model with their intervals over seeds."""
    lines = [_agreement(agreement, len(pool.runs)) for agreement in pool.agreements]
    lines += [f"{_name(each)}: {spread(each, len(pool.runs))}." for each in pool.numbers if each.group == "all"]
    return [printable(line[0].upper() + line[1:] if line[0].isascii() else line) for line in lines]


def pool_head(pool: Pool) -> str:
    """Return which runs a pool holds."""
    if len(pool.runs) == 1:
        return f"{printable(pool.label)} · a single run"
    return f"{printable(pool.label)} · {count(len(pool.runs), 'run')} that differ by seed alone"


def spread(number_of: OverSeeds, runs: int) -> str:
    """Return a number's mean with its interval, how far the runs lie apart, and how many have it."""
    known = [value for value in number_of.values if value is not None]
    text = number(number_of.mean)
    if number_of.interval is not None:
        low, high = (number(end) for end in number_of.interval)
        text += f" (95% over seeds: {low} … {high}; runs {number(min(known))} … {number(max(known))})"
    return text if len(known) == runs else f"{text}, in {len(known)} of {runs}"


def contrast_sentences(contrasts: Sequence[Contrast], *, groups: Sequence[str] = ("all",)) -> list[str]:
    """Return a sentence a pool: how its numbers compare with the first pool's."""
    sentences = []
    for label in dict.fromkeys(each.label for each in contrasts):
        of_pool = [each for each in contrasts if each.label == label and each.group in groups]
        if not of_pool:
            continue
        parts = "; ".join(f"{NAMES.get(each.quantity, each.quantity)} {contrast(each)}" for each in of_pool)
        counts = tuple(max(each.counts[side] for each in of_pool) for side in (0, 1))
        sentences.append(
            f"{printable(label)} against {printable(of_pool[0].against)}, {counts[0]} and {count(counts[1], 'run')}: "
            f"{printable(parts)}; the intervals hold {_held(counts)}."
        )
    return sentences


def contrast(each: Contrast, digits: int = 3) -> str:
    """Return a ratio or a difference with its interval."""
    sign = "× " if each.geometric else "+" if each.value >= 0 else ""
    value = f"{sign}{number(each.value, digits)}"
    if each.interval is None:
        return f"{value} (no interval: one run each)"
    low, high = (number(end, digits) for end in each.interval)
    return f"{value} (95%: {low} … {high}{'' if each.clear else ', so no clear difference'})"


def _held(counts: Sequence[int]) -> str:
    if min(counts) > 1:
        return "what another seed would change"
    if max(counts) > 1:
        return "what another seed would change, a single run taken to vary as those of the other pool"
    return "nothing of what another seed would change"


def _agreement(agreement: Agreement, runs: int) -> str:
    shown = "; ".join(f"{verdict} in {times} of {runs}" for verdict, times in agreement.counts.items())
    return f"{agreement.claim}: {shown}."


def _name(each: OverSeeds) -> str:
    return NAMES.get(each.quantity, each.quantity)
