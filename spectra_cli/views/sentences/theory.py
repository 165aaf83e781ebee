"""What became of the theory's claims, a sentence each: the verdict, the numbers it rests on, and why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spectra_cli.errors import printable
from spectra_cli.studies.stability import HOLDS, OUT_OF_REACH, Judgement, Quantity
from spectra_cli.views.formatting import hundredths, number
from spectra_cli.views.sentences.finding import Finding


def theory_findings(judged: Sequence[Judgement]) -> Iterator[Finding]:
    """Yield a finding for each claim, and what no checkpoint shows; nothing where no claim was judged."""
    for judgement in judged:
        yield Finding("theory", _sentence(judgement), judgement.answer.verdict == HOLDS)
    if judged:
        yield Finding("theory", f"Out of a checkpoint's reach: {OUT_OF_REACH}.", False)


def _sentence(judgement: Judgement) -> str:
    answer = judgement.answer
    numbers = f" ({'; '.join(map(_quantity, answer.numbers))})" if answer.numbers else ""
    reason = f": {printable(answer.reason)}" if answer.reason else ""
    return f"Theory, {judgement.says}: {answer.verdict}{numbers}{reason}."


def _quantity(quantity: Quantity) -> str:
    if quantity.interval is None:
        return f"{quantity.name} {number(quantity.value, 2)}"
    low, high = map(hundredths, quantity.interval)
    return f"{quantity.name} {hundredths(quantity.value)}, 95%: {low} … {high}"
