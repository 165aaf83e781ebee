"""What a reader of a table must know to believe it: options, reference, layouts, what was skipped, and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata as distributions
from typing import Any

from spectra_cli import svd
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.results import CheckpointResult
from spectra_cli.records import Checkpoint, Problem, Remote
from spectra_cli.storage.manifest import CheckpointNotes, LayoutNotes

PACKAGES = ("spectra-scan", "torch", "numpy", "scipy")  # what makes the numbers
NOT_IN_NUMBERS = ("threads", "device", "source", "map", "follow_links", "disk", "patience", "engine")


def settings(plan: Plan, device: str) -> dict[str, Any]:
    """Return every option that changes numbers or rows, and what makes the numbers: device, precision, packages."""
    options = {name: value for name, value in asdict(plan.request).items() if name not in NOT_IN_NUMBERS}
    return {
        "options": {**options, "metrics": list(plan.metrics)},
        "device": device.partition(":")[0],
        "precision": svd.describe(device),
        "packages": {name: _version(name) for name in PACKAGES},
    }


@cache
def _version(package: str) -> str:
    """Return a package's version; looking it up takes milliseconds, and a table that grows asks again and again."""
    return distributions.version(package)


def notes_of(result: CheckpointResult) -> CheckpointNotes:
    """Return what the metadata will say of one checkpoint."""
    layout = result.layout
    skipped = tuple(sorted((skipped.tensor, skipped.reason) for skipped in layout.skipped))
    return CheckpointNotes(
        LayoutNotes(layout.architecture, skipped, layout.notes),
        len({row.matrix.name for row in result.rows}),
        result.duplicate_of,
        result.random,
        result.unmoved,
        result.as_reference,
        result.uncertain,
        result.problems,
        result.computed_by,
    )


def scan_metadata(
    plan: Plan,
    reference: OpenCheckpoint | None,
    device: str,
    notes: Sequence[tuple[Checkpoint, CheckpointNotes]],
    problems: Sequence[Problem],
) -> dict[str, Any]:
    """Return the metadata of a table; the same for the same request.

    reference: what the checkpoints were compared with. notes: of each that is in the table, in
    their order.
    """
    measured = dict(notes)
    layouts = [_plain_layout(layout) for layout in dict.fromkeys(note.layout for _, note in notes)]
    return {
        **settings(plan, device),
        "tool": "spectra",
        "source": plan.request.source,
        **_commits(plan),
        "model": plan.model,
        "reference": reference.checkpoint.revision if reference else None,
        "stages": {"order": list(plan.stages.stages), "by": plan.stages.by} if plan.stages.stages else None,
        "layouts": layouts,
        "skipped": layouts[-1]["skipped"],
        "duplicates": {checkpoint.revision: note.duplicate_of for checkpoint, note in notes if note.duplicate_of},
        "checkpoints": [listed(checkpoint, measured.get(checkpoint)) for checkpoint in plan.checkpoints],
        "unread": [[unread.revision, unread.reason] for unread in plan.unread],
        **_warnings(notes),
        **_computed_by(device, notes),
        "problems": [problem.message for problem in problems],
    }


def listed(checkpoint: Checkpoint, notes: CheckpointNotes | None) -> list[Any]:
    """Return a checkpoint as the metadata names it, with the number of its matrices in the table, None if it is not."""
    return [checkpoint.revision, checkpoint.stage, checkpoint.step, notes.matrices if notes else None]


def _plain_layout(layout: LayoutNotes) -> dict[str, Any]:
    return {
        "architecture": layout.architecture,
        "skipped": [list(skipped) for skipped in layout.skipped],
        "notes": list(layout.notes),
    }


def _commits(plan: Plan) -> dict[str, Any]:
    """Return the commit of every checkpoint on the Hub, and of the reference."""
    every = (*plan.checkpoints, *((plan.reference,) if plan.reference else ()))
    remote = [(checkpoint.revision, checkpoint.path) for checkpoint in every if isinstance(checkpoint.path, Remote)]
    commits = {revision: f"{path.repository}@{path.commit}" for revision, path in remote}
    return {"commits": commits} if commits else {}


def _computed_by(device: str, notes: Sequence[tuple[Checkpoint, CheckpointNotes]]) -> dict[str, Any]:
    """Return, where a GPU took part, how many spectra of the table were computed by each route."""
    if device.partition(":")[0] == "cpu":
        return {}
    counts: Counter[str] = Counter()
    for _, note in notes:
        counts.update(dict(note.computed_by))
    return {"computed_by": dict(sorted(counts.items()))}


def _warnings(notes: Sequence[tuple[Checkpoint, CheckpointNotes]]) -> dict[str, Any]:
    """Return what a reader should know before trusting a number: by checkpoint, or by metric.

    random_baseline: how many matrices have the spectrum of independent entries. equal_to_first: how many have the very
    entries of the first checkpoint. equal_to_previous, equal_to_reference: how many of the others have the entries of
    that checkpoint, where not all have. uncertain: checkpoints and matrices where the error of σ reaches the third
    digit.
    """
    counts: dict[str, dict[str, int]] = {
        name: {} for name in ("random_baseline", "equal_to_first", "equal_to_previous", "equal_to_reference")
    }
    for (checkpoint, note), unmoved in zip(notes, _never_moved(notes), strict=True):
        counts["random_baseline"][checkpoint.revision] = len(note.random)
        counts["equal_to_first"][checkpoint.revision] = len(unmoved) if checkpoint is not notes[0][0] else 0
        for name, equal in (("equal_to_previous", note.unmoved), ("equal_to_reference", note.as_reference)):
            if len(equal) < note.matrices:
                counts[name][checkpoint.revision] = len({*equal} - unmoved)
    known = {name: {revision: many for revision, many in each.items() if many} for name, each in counts.items()}
    return {**known, "uncertain": _uncertain(notes)}


def _never_moved(notes: Sequence[tuple[Checkpoint, CheckpointNotes]]) -> list[set[str]]:
    """Return, for each checkpoint, the matrices that kept the first one's entries until then; the first's, to the end.

    Such a matrix equals the previous checkpoint's and the reference's too, which is no news.
    """
    kept: list[set[str]] = []
    for _, note in notes[1:]:
        kept.append(kept[-1] & {*note.unmoved} if kept else {*note.unmoved})
    return [kept[-1] if kept else set(), *kept]


def _uncertain(notes: Sequence[tuple[Checkpoint, CheckpointNotes]]) -> dict[str, list[list[str]]]:
    """Return, by metric, the checkpoints and matrices where the error of σ reaches the third digit."""
    uncertain: dict[str, list[list[str]]] = {}
    for checkpoint, note in notes:
        for metric, matrix in note.uncertain:
            uncertain.setdefault(metric, []).append([checkpoint.revision, matrix])
    return uncertain
