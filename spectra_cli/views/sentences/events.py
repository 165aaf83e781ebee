"""One sentence an event, for the terminal and the page."""

from __future__ import annotations

from spectra_cli.studies.events import BROKEN, COLLAPSE, PHASE_TWO, Event
from spectra_cli.views.formatting import ellipsis, number

BROKE = {
    "NaN or Inf": "NaN or Inf in {names}",
    "zero": "{names}: all entries are zero",
    "unmoved": "{names}: the entries of the checkpoint before, though others moved",
}


def event_sentence(event: Event) -> str:
    """Return what happened, where, and by how much.

    >>> event_sentence(Event(BROKEN, "step40", 40, ("embed",), {"what": "zero"}))
    'step 40: broken: embed: all entries are zero'
    >>> numbers = {"onset": 3210.0, "low": 3000.0, "high": 3600.0, "phase": "floor"}
    >>> event_sentence(Event(PHASE_TWO, "step4000", 4000, (), numbers))
    'step 4,000: spectra settled (phase II since step 3,210, 3,000–3,600; floor)'
    """
    where = f"step {event.step:,}" if event.step is not None else event.revision
    return f"{where}: {_what(event)}"


def _what(event: Event) -> str:
    numbers, names = event.numbers, ellipsis(list(event.matrices))
    if event.kind == PHASE_TWO:
        onset, low, high = (f"{round(numbers[name]):,}" for name in ("onset", "low", "high"))
        return f"spectra settled (phase II since step {onset}, {low}–{high}; {numbers['phase']})"
    if event.kind == BROKEN:
        words = BROKE.get(str(numbers.get("what")))
        of = f"the numbers of step {numbers.get('repeats')} again in every matrix"
        return f"broken: {words.format(names=names) if words else of}"
    if event.kind == COLLAPSE:
        before, after = max(numbers["before"]), min(numbers["stable_rank"])
        return f"collapse: the stable rank of {names} fell from {number(before)} to {number(after)}, its role's did not"
    grown = max(numbers["growth"])
    beside = ""
    if "loss_step" in numbers:
        loss_step = numbers["loss_step"]
        when = "before" if event.step is not None and loss_step < event.step else "after"
        beside = f"; the loss spiked at step {loss_step:,}, {when} it"
    return (
        f"spike: σ₁ of {names} grew {number(grown)} times since the checkpoint before (z {max(numbers['z'])}){beside}"
    )
