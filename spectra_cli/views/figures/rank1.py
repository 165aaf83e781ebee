"""The figure of rank 1: checkpoints in the plane of their first two components, and shares beside what walks give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.studies.rank1 import WHOLE, GroupFindings, Rank1, SequenceFindings
from spectra_cli.views.figures.colours import ACCENT, SCHEME
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.sentences.rank1 import verdict_sentence

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

MOST_LAYERS = 12  # beside the roles; more of them are left to the table
OWN, WALK, PERSISTENT = "the run", "a walk", "a persistent walk"
COLOURS = {OWN: ACCENT, WALK: "#7f7f7f", PERSISTENT: "#e69f00"}
SPREAD = {WALK: -0.18, PERSISTENT: 0.18}  # of a band's height, so that intervals do not hide each other


@dataclass(frozen=True, eq=False)
class Rank1Panels:
    """One run. paths: x, y, step and sequence of each checkpoint. shares: a line a group, sequence and series."""

    label: str
    subtitle: str
    paths: pd.DataFrame
    shares: pd.DataFrame


def prepare(runs: Sequence[StudiedRun], options: Options) -> tuple[Rank1Panels, ...]:
    """Return the findings of each run as frames. Raises SpectraError where a table holds none, or no whole model."""
    del options
    return tuple(_panels(studied) for studied in runs)


def _panels(studied: StudiedRun) -> Rank1Panels:
    import pandas as pd

    from spectra_cli.studies.rank1.rows import rank1_of

    findings = rank1_of(studied.run)
    if findings.whole.name != WHOLE:
        raise SpectraError(
            f"what was chosen of {studied.label} leaves out the whole model, which this figure shows",
            hint="leave out --roles and --match",
        )
    kinds = ("raw", "merged") if findings.window > 1 else ("raw",)
    layers = [group for group in findings.groups if group.layer is not None]
    shown = [group for group in findings.groups if group.layer is None or len(layers) <= MOST_LAYERS]
    return Rank1Panels(
        studied.label,
        verdict_sentence(findings),
        pd.DataFrame([line for kind in kinds for line in _path(findings, kind)]),
        pd.DataFrame(
            [line for kind in kinds for group in shown for line in _shares(group, _named(findings, kind), kind)]
        ),
    )


def _named(findings: Rank1, kind: str) -> str:
    return f"means of {findings.window}" if kind == "merged" else "raw checkpoints"


def _path(findings: Rank1, kind: str) -> list[dict[str, Any]]:
    sequence: SequenceFindings = getattr(findings.whole, kind)
    known = all(step is not None for step in findings.numbers)
    return [
        {
            "sequence": _named(findings, kind),
            "x": x,
            "y": y,
            "order": last,
            "step": findings.numbers[last] if known else last,
            "revision": printable(findings.revisions[last]),
        }
        for last, x, y in sequence.points
    ]


def _shares(group: GroupFindings, named: str, kind: str) -> list[dict[str, Any]]:
    sequence: SequenceFindings = getattr(group, kind)
    common = {"group": printable(group.name), "sequence": named}
    own = {**common, "series": OWN, "share": sequence.shares[0], "low": None, "high": None}
    nulls = {WALK: sequence.null_walk, PERSISTENT: sequence.null_persistent}
    return [own] + [
        {**common, "series": name, "share": null.share, "low": null.interval[0], "high": null.interval[1]}
        for name, null in nulls.items()
    ]


def chart(data: tuple[Rank1Panels, ...]) -> Chart:
    """Draw a row for each run: the paths, then the shares."""
    import altair as alt

    rows = [_row(panels) for panels in data]
    return (rows[0] if len(rows) == 1 else alt.vconcat(*rows)).resolve_scale(color="independent")


def _row(panels: Rank1Panels) -> Chart:
    import altair as alt

    sequences = list(dict.fromkeys(panels.paths["sequence"]))
    drawn = [_path_chart(panels.paths[panels.paths["sequence"] == sequence], sequence) for sequence in sequences]
    drawn += [_share_chart(panels.shares[panels.shares["sequence"] == sequence], sequence) for sequence in sequences]
    half = len(sequences)
    above, below = (
        alt.hconcat(*part, spacing=30).resolve_scale(color="shared") for part in (drawn[:half], drawn[half:])
    )
    both = alt.vconcat(above, below, spacing=24).resolve_scale(color="independent")
    return both.properties(title=alt.Title(f"{panels.label}: rank 1", subtitle=panels.subtitle))


def _path_chart(path: pd.DataFrame, sequence: str) -> Chart:
    import altair as alt

    reach = float(path[["x", "y"]].abs().to_numpy().max()) * 1.08 or 1.0
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    x = alt.X("x:Q", title="first component", scale=scale, axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title="second component", scale=scale, axis=alt.Axis(tickCount=5))
    colour = alt.Color("step:Q", title="step", scale=alt.Scale(scheme=SCHEME), legend=alt.Legend(gradientLength=120))
    tips = ["revision:N", alt.Tooltip("x:Q", format=".4~g"), alt.Tooltip("y:Q", format=".4~g")]
    line = alt.Chart(path).mark_line(color="#9aa1a9", strokeWidth=1).encode(x=x, y=y, order="order:Q")
    points = alt.Chart(path).mark_point(filled=True, size=42, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips)
    return alt.layer(line, points).properties(
        width=300, height=300, title=alt.Title(sequence, fontSize=12, anchor="middle")
    )


def _share_chart(shares: pd.DataFrame, sequence: str) -> Chart:
    import altair as alt

    groups = list(dict.fromkeys(shares["group"]))
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    colour = alt.Color(
        "series:N", title="share of the first component", scale=scale, legend=alt.Legend(orient="bottom")
    )
    y = alt.Y("group:N", title=None, sort=groups, axis=alt.Axis(grid=True, ticks=False))
    x = alt.X(
        "share:Q",
        title="share of the variance",
        scale=alt.Scale(zero=False, nice=True, padding=6),
        axis=alt.Axis(tickCount=5),
    )
    tips = ["group:N", "series:N", *(alt.Tooltip(f"{name}:Q", format=".4~f") for name in ("share", "low", "high"))]
    layers = []
    for series, shift in SPREAD.items():
        part = alt.Chart(shares[shares["series"] == series])
        beside = y.bandPosition(0.5 + shift)
        layers.append(
            part.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q"), x2="high:Q", y=beside, color=colour, tooltip=tips)
        )
        layers.append(
            part.mark_point(shape="diamond", filled=True, size=36, opacity=1).encode(
                x=x, y=beside, color=colour, tooltip=tips
            )
        )
    own = alt.Chart(shares[shares["series"] == OWN]).mark_point(filled=True, size=60, opacity=1)
    layers.append(own.encode(x=x, y=y, color=colour, tooltip=tips))
    return alt.layer(*layers).properties(
        width=300, height=alt.Step(20), title=alt.Title(sequence, fontSize=12, anchor="middle")
    )


def lines(data: tuple[Rank1Panels, ...]) -> tuple[Panel, ...]:
    """Return the terminal's panels: the path of each run's checkpoints, raw and merged."""
    return tuple(
        Panel(f"{panels.label}: {sequence}", "first component", "second component", part.assign(series=sequence))
        for panels in data
        for sequence, part in panels.paths.groupby("sequence", sort=False)
    )
