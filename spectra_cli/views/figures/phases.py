"""The phases as the trajectory marks them: what is shaded, the steps with a name, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.colours import ACCENT, run_colour
from spectra_cli.views.figures.figure import Chart

if TYPE_CHECKING:
    from spectra_cli.studies.stability import Onset, RunStability

NEXT_ROW = 15  # pixels between the names of two steps, which stand above the picture


def phases_sentence(phases: RunStability | None) -> str:
    """Return what is shaded, or why nothing is."""
    if phases is None:
        return "no phases are marked: there is no course over steps to find them in"
    whole = phases.groups[0]
    onset, of = _onset_of(phases)
    if onset is not None and onset.step is not None:
        interval = f", 90% {onset.interval[0]:,.0f} … {onset.interval[1]:,.0f}" if onset.interval else ""
        end = f"the onset at step {onset.step:,.0f}{interval}{of}"
        return f"shaded: phase I, up to {end}; dashed: the peak, step {whole.peak.step:,}"
    settled = (
        f" and step {whole.settled:,}, from which it stays below √(peak · floor)" if whole.settled is not None else ""
    )
    return f"no bend is supported, so no phase is shaded; dashed: the peak, step {whole.peak.step:,}{settled}"


def _onset_of(phases: RunStability) -> tuple[Onset | None, str]:
    from spectra_cli.views.sentences.headline import shown_onset

    return shown_onset(phases.groups[0])


def shading(phases: RunStability, low: float, high: float, x: Any) -> list[Chart]:
    """Return what lies behind the lines: phase I, and the interval of its end."""
    import altair as alt
    import pandas as pd

    onset, _ = _onset_of(phases)
    if onset is None or onset.step is None:
        return []
    shaded = [(float(low), onset.step)]
    if onset.interval:
        shaded.append((max(low, onset.interval[0]), min(high, onset.interval[1])))
    frame = pd.DataFrame({"step": [start for start, _ in shaded], "end": [end for _, end in shaded]}, dtype=float)
    return [alt.Chart(frame).mark_rect(color=ACCENT, opacity=0.1).encode(x=x, x2="end:Q")]


def named_steps(phases: RunStability) -> list[tuple[float, str]]:
    """Return the steps that have a name: peak, bend, settling, bend of the loss, drops of the learning rate."""
    whole = phases.groups[0]
    onset, of = _onset_of(phases)
    named = [(float(whole.peak.step), "peak")]
    if onset is not None and onset.step is not None:
        named.append((onset.step, "bend" + (" (per unit of lr)" if of else "")))
    elif whole.settled is not None:
        named.append((float(whole.settled), "below √(peak · floor)"))
    if phases.loss is not None and phases.loss.onset.step is not None:
        named.append((phases.loss.onset.step, "loss bends"))
    named += [(float(response.step), "lr drops") for response in phases.lr_response if response.kind == "drop"]
    return sorted(named)


def events(phases: RunStability, low: float, high: float, x: Any) -> list[Chart]:
    """Return a dashed line with its name at each named step within the picture, one name a row above it."""
    import altair as alt
    import numpy as np
    import pandas as pd

    def is_near_the_end(step: float) -> bool:
        return bool(np.log1p(step) - np.log1p(low) > 0.8 * (np.log1p(high) - np.log1p(low)))

    named = [(step, name) for step, name in named_steps(phases) if low <= step <= high]
    marks = []
    for row, (step, name) in enumerate(sorted(named, key=lambda event: (not is_near_the_end(event[0]), event[0]))):
        side: dict[str, Any] = {"align": "right", "dx": -5} if is_near_the_end(step) else {"align": "left", "dx": 5}
        base = alt.Chart(pd.DataFrame({"step": [step], "name": [f"{name}, step {step:,.0f}"]})).encode(x=x)
        top = alt.value(NEXT_ROW * (row - len(named)))
        rule = base.mark_rule(strokeDash=[4, 4], strokeWidth=1.2, clip=False)
        marks.append(rule.encode(y=top, y2=alt.value("height")))
        marks.append(base.mark_text(**side, baseline="top", clip=False).encode(y=top, text="name:N"))
    return marks


def standing(phases: Sequence[RunStability | None], labels: Sequence[str], x: Any) -> list[Chart]:
    """Return for several runs a dashed line at each one's bend, or its peak where it has none, in its colour."""
    import altair as alt
    import pandas as pd

    rows = []
    for label, run in zip(labels, phases, strict=True):
        if run is None:
            continue
        onset, _ = _onset_of(run)
        bend = onset.step if onset is not None else None
        step, name = (bend, "bend") if bend is not None else (float(run.groups[0].peak.step), "peak")
        rows.append({"run": label, "step": step, "name": name})
    if not rows:
        return []
    rule = alt.Chart(pd.DataFrame(rows)).mark_rule(strokeDash=[4, 4], strokeWidth=1.4)
    return [rule.encode(x=x, color=run_colour(labels), tooltip=["run:N", "name:N", "step:Q"])]
