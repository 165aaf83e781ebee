"""Whether a run's checkpoints lie on a line, in whole sentences that are safe to print."""

from __future__ import annotations

from spectra_cli.errors import printable
from spectra_cli.studies.rank1 import FEWEST, Beside, GroupFindings, Rank1, SequenceFindings
from spectra_cli.views.formatting import count


def rank1_sentences(findings: Rank1) -> list[str]:
    """Return the verdict with what it rests on, what raw steps are made of, and how the groups differ."""
    sentences = [verdict_sentence(findings), halves_sentence(findings.whole), steps_sentence(findings.whole)]
    others = [group for group in findings.groups if group is not findings.whole]
    return [*sentences, *([groups_sentence(others)] if others else [])]


def run_sentence(findings: Rank1) -> str:
    """Return which checkpoints were studied, and which were merged."""
    steps = [step for step in findings.numbers if step is not None]
    span = f", steps {min(steps):,}–{max(steps):,}" if steps else ""
    many = len(findings.whole.merged.points) or len(findings.revisions) - findings.window + 1
    merged = f"; merged: means of {findings.window}, {many:,} of them" if findings.window > 1 else "; nothing is merged"
    return f"{printable(findings.model)} · {count(len(findings.revisions), 'checkpoint')}{span}{merged}"


def verdict_sentence(findings: Rank1) -> str:
    """Return the verdict on the merged checkpoints, with their share and the nulls'."""
    whole, name = findings.whole, "merged" if findings.window > 1 else "raw"
    walk, persistent = (null.share for null in (whole.merged.null_walk, whole.merged.null_persistent))
    against = (
        f"{name} {share(whole.merged)} against {decimal(walk)} of a walk and {decimal(persistent)} of a persistent one"
    )
    if findings.verdict == "too few checkpoints":
        return f"Too few checkpoints for a verdict: {FEWEST} {name} ones are the least. So far {against}."
    if findings.verdict == "one-dimensional":
        return f"One-dimensional beyond drift: {against}."
    if exceeds(whole.merged):
        return (
            f"Not one-dimensional: {against}, but the second half of the run does not go on where the first one went."
        )
    return f"Not one-dimensional beyond what averaging does to any drift: {against}."


def exceeds(sequence: SequenceFindings) -> bool:
    """Whether a share lies above both nulls, beyond chance."""
    return all(null.is_exceeded(sequence.shares[0]) for null in (sequence.null_walk, sequence.null_persistent))


def halves_sentence(group: GroupFindings) -> str:
    """Return whether the run goes on in the direction in which it went."""
    halves = group.halves
    walk, persistent = (interval(null) for null in (halves.null_walk, halves.null_persistent))
    return (
        f"The displacements of the two halves have cosine {signed(halves.cosine)}; "
        f"a walk gives {walk}, a persistent one {persistent} (95%)."
    )


def steps_sentence(group: GroupFindings) -> str:
    """Return what raw steps are made of, in squares of their length."""
    steps = group.steps
    return (
        f"Of a raw step, in squares, {percent(steps.across)} go across the first direction, "
        f"{percent(steps.back_and_forth)} back and forth along it, and {percent(steps.progress)} forward."
    )


def groups_sentence(groups: list[GroupFindings]) -> str:
    """Return how many roles and layers are one-dimensional by themselves, beside how many chance alone gives."""
    judged = [group for group in groups if group.merged.verdict != "too few checkpoints"]
    lines = [group for group in judged if group.merged.verdict == "one-dimensional"]
    if not judged:
        return "No role or layer has checkpoints enough for a verdict of its own."
    named = f": {', '.join(printable(group.name) for group in lines)}" if 0 < len(lines) <= 6 else ""
    return (
        f"{len(lines)} of {len(judged)} roles and layers are one-dimensional by themselves{named}; "
        "up to one in twenty is by chance."
    )


def share(sequence: SequenceFindings) -> str:
    """Return the first component's share."""
    return decimal(sequence.shares[0]) if sequence.shares else "–"


def decimal(value: float, like: float | None = None) -> str:
    """Return a share in two decimals, in three or four near 1, where it matters. like: a share with as many decimals.

    >>> decimal(0.614), decimal(0.9312), decimal(0.99987), decimal(0.9312, 0.8)
    ('0.61', '0.931', '0.9999', '0.93')
    """
    size = value if like is None else like
    return f"{value:.{4 if size > 0.9995 else 3 if size > 0.9 else 2}f}"


def interval(null: Beside) -> str:
    """Return the 95% interval of a null for a cosine."""
    return f"{signed(null.interval[0])} … {signed(null.interval[1])}"


def signed(value: float) -> str:
    """Return a cosine with its sign.

    >>> signed(0.163), signed(-0.5)
    ('+0.16', '−0.50')
    """
    return f"{value:+.2f}".replace("-", "−")


def percent(value: float) -> str:
    """Return a share of the squares.

    >>> percent(0.968), percent(0.0042)
    ('97%', '0.4%')
    """
    return f"{100 * value:.0f}%" if abs(value) >= 0.095 else f"{100 * value:.1f}%"
