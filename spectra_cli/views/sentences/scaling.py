"""How an exponent's spread grows with the size of a model, in whole sentences that are safe to print."""

from __future__ import annotations

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE
from spectra_cli.studies.scaling import PowerLaw, Scaling
from spectra_cli.views.formatting import number


def scaling_sentences(scaling: Scaling) -> list[str]:
    """Return all findings."""
    tests = f"{scaling.tests} powers were tested, each by itself: one in twenty may differ by chance."
    return [*(law_sentence(law) for law in scaling.laws), tests]


def law_sentence(law: PowerLaw) -> str:
    """Return one power law in a sentence: whether it is more than chance gives, and what it rests on."""
    low, high = law.interval
    of = f"of {law.family}, {law.of}" if law.family else law.of
    of = printable(of[:1].upper() + of[1:])
    return (
        f"{of} {_verdict(law)}: the power is {number(law.exponent, 2)} (95%: {number(low, 2)} … "
        f"{number(high, 2)}; p = {number(law.p, 2)}; R² {number(law.r2, 2)} over {law.n} models, in the sample; a "
        f"model left out is predicted within {100 * law.left_out:.0f}%)."
    )


def _verdict(law: PowerLaw) -> str:
    least, most = law.null
    if least == most == 0:
        way = "grows" if law.exponent > 0 else "falls"
        return f"{way} with {law.on}" if law.p < CHANCE else f"is not shown to change with {law.on}"
    ends = dict.fromkeys((number(least, 2), number(most, 2)))
    chance = f"chance values over as many layers, whose power is {' to '.join(ends)}"
    if law.p >= CHANCE:
        return f"is not shown to change with {law.on} otherwise than {chance}"
    return f"grows {'faster' if law.exponent > most else 'less'} with {law.on} than {chance}"
