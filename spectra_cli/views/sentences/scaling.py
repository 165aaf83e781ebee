"""How an exponent's spread grows with the size of a model, in whole sentences that are safe to print."""

from __future__ import annotations

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE
from spectra_cli.studies.scaling import PowerLaw, Scaling
from spectra_cli.views.formatting import number


def scaling_sentences(scaling: Scaling) -> list[str]:
    """Return all findings."""
    tests = f"{scaling.tests} tests were made; every p is corrected for the others (Benjamini–Hochberg)."
    return [*(law_sentence(law) for law in scaling.laws), tests]


def law_sentence(law: PowerLaw) -> str:
    """Return one power law in a sentence: whether it is sure, and what it rests on."""
    low, high = law.interval
    of = printable(law.of[:1].upper() + law.of[1:])
    way = "grows" if law.exponent > 0 else "falls"
    verdict = f"{way} with {law.on}" if law.p < CHANCE else f"is not shown to change with {law.on}"
    return (
        f"{of} {verdict}: the power is {number(law.exponent, 2)} (95%: {number(low, 2)} … "
        f"{number(high, 2)}; p = {number(law.p, 2)}; R² {number(law.r2, 2)} over {law.n} models, in the sample; a "
        f"model left out is predicted within {100 * law.left_out:.0f}%)."
    )
