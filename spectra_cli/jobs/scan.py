"""Carries out a scan: walks the checkpoints of a plan and keeps their rows safe until they are one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata as distributions
from pathlib import Path
from typing import Any

from spectra_cli import sources, svd
from spectra_cli.errors import SpectraError
from spectra_cli.jobs import training_log
from spectra_cli.measure.executors import engine
from spectra_cli.measure.plan import Plan, Request, Say, make_plan
from spectra_cli.measure.trajectory import Measured, Progress, Walk
from spectra_cli.records import Checkpoint, Layout, Problem, Remote
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import to_arrow

PACKAGES = ("spectra-scan", "torch", "numpy", "scipy", "safetensors", "pyarrow")
NOT_IN_NUMBERS = ("threads", "device", "source", "map", "follow_links", "disk", "patience", "engine")
Started = Callable[[Plan, Layout, str], None]


@dataclass(frozen=True)
class Scan:
    """What a scan gave: where the table is, how many rows it holds, its metadata, and what could not be read.

    steps: how many different steps the run was found to have. fallbacks: what a GPU had no memory for, and who
    computed it then.
    losses: the file beside the table with the run's loss and learning rate, where the training program kept them.
    """

    output: Path
    rows: int
    metadata: Mapping[str, Any]
    problems: tuple[Problem, ...]
    steps: int
    losses: Path | None = None
    fallbacks: tuple[Problem, ...] = ()


def scan_checkpoints(
    source: str | Path,
    output: str | Path,
    *,
    restart: bool = False,
    losses: bool = True,
    progress: Progress | None = None,
    started: Started | None = None,
    say: Say = lambda _: None,
    **options: Any,
) -> Scan:
    """Measure every matrix of every checkpoint in a source and write the table: what `spectra scan` does.

    source: a folder of checkpoints, one checkpoint, or a place on the Hub. output: the Parquet file. restart: discard
    what an interrupted scan of the same output left; otherwise that is continued. losses: leave the loss and learning
    rate beside the table, as `FILE.loss.jsonl`, where the run has them. progress: called after each matrix, and with
    None after each checkpoint. started: called once, with the plan, the layout of one checkpoint and the device. say:
    told what is waited for, when the Hub does not answer. options: the fields of
    `spectra_cli.measure.plan.Request`, such as `metrics=("sd", "alpha")`. Raises SpectraError where nothing can be read or
    written; what could not be read among the rest is in the result's `problems`.
    """
    plan = make_plan(Request(str(source), **options), say)
    with (
        engine(plan.request) as (device, engaged),
        Parts(Path(output), _manifest(plan, device), restart) as parts,
        Walk(plan, device, progress, **engaged) as walk,
    ):
        if started:
            started(plan, walk.first_layout(), device)
        notes, problems = _measure_all(plan, walk, parts)
        facts = describe_scan(plan, walk, device, notes, problems)
        # Before the parts go: a kill between the two files must leave something to go on from.
        kept = _losses(Path(output), plan, problems) if losses else None
        rows = parts.assemble(list(notes), facts)
    steps = len({one.step for one in plan.checkpoints if one.step is not None})
    return Scan(Path(output), rows, facts, tuple(problems), steps, kept, tuple(walk.fallbacks))


def _losses(output: Path, plan: Plan, problems: list[Problem]) -> Path | None:
    """Leave the history beside the table; the table stands without it, so that what is wrong with it is but told."""
    try:
        return training_log.leave_beside(output, plan)
    except SpectraError as error:
        problems.append(Problem(error.message, error.hint))
        return None


def _measure_all(plan: Plan, walk: Walk, parts: Parts) -> tuple[dict[str, Any], list[Problem]]:
    """Measure what no earlier run has measured; give the notes of every checkpoint in the table, and the problems."""
    problems, notes = list(walk.problems), {}
    for place, checkpoint in enumerate(plan.checkpoints):
        key = key_of(checkpoint)
        kept = parts.done(key)
        try:
            if kept is None:
                then = next((one for one in plan.checkpoints[place + 1 :] if parts.done(key_of(one)) is None), None)
                measured = walk.measure(checkpoint, then)
                _refuse_changed(checkpoint, parts, walk)
                _refuse_empty(measured)
            else:
                walk.skip(checkpoint)
        except SpectraError as error:
            if len(plan.checkpoints) == 1 or kept is not None or error.stops:
                raise
            problems.append(Problem(error.message, error.hint))
            if walk.progress:
                walk.progress(checkpoint, None)
            continue
        if plan.reference and sources.fingerprint(plan.reference.path) != parts.request["reference"][1]:
            raise _changed(plan.reference)
        if kept is None:
            kept = notes_of(measured)
            parts.write(key, to_arrow(measured.rows), kept)
        notes[key] = kept
        problems += [Problem(message, hint) for message, hint in kept["problems"]]
    if not notes:
        raise SpectraError(problems[0].message, hint=problems[0].hint)
    return notes, list(dict.fromkeys(problems))


def _refuse_changed(checkpoint: Checkpoint, parts: Parts, walk: Walk) -> None:
    """Take nothing from files that are no longer those that the manifest names: they may be half old and half new."""
    if sources.fingerprint(checkpoint.path) != parts.request["checkpoints"][key_of(checkpoint)][2]:
        walk.forget()
        raise _changed(checkpoint)


def _refuse_empty(measured: Measured) -> None:
    """Take a checkpoint of which no matrix could be read for one that cannot be read."""
    if measured.problems and not measured.rows:
        raise SpectraError(measured.problems[0].message, hint=measured.problems[0].hint)


def _changed(checkpoint: Checkpoint) -> SpectraError:
    return SpectraError(
        f"the files of {checkpoint.revision} changed while the scan ran",
        hint="wait until the program that writes them is done, then give the same command with --restart",
    )


def key_of(checkpoint: Checkpoint) -> str:
    """Name a checkpoint within its source."""
    return f"{checkpoint.stage or ''}/{checkpoint.revision}"


def notes_of(measured: Measured) -> dict[str, Any]:
    """Give what the metadata will say of one checkpoint, as plain data that survives in the manifest."""
    layout = measured.layout
    return {
        "layout": {
            "architecture": layout.architecture,
            "skipped": sorted([one.tensor, one.reason] for one in layout.skipped),
            "notes": list(layout.notes),
        },
        "matrices": len({row.matrix.name for row in measured.rows}),
        "duplicate_of": measured.duplicate_of,
        "random": list(measured.random),
        "unmoved": list(measured.unmoved),
        "open": [list(one) for one in measured.uncertain],
        "problems": [[one.message, one.hint] for one in measured.problems],
    }


def _commits(plan: Plan) -> dict[str, Any]:
    """Give the commit of every checkpoint on the Hub, and of the reference."""
    every = (*plan.checkpoints, *((plan.reference,) if plan.reference else ()))
    found = {one.revision: f"{one.path.repository}@{one.path.commit}" for one in every if isinstance(one.path, Remote)}
    return {"commits": found} if found else {}


def asked(checkpoint: Checkpoint, notes: Mapping[str, Any] | None) -> list[Any]:
    """Give a checkpoint that was asked for as the metadata names it: its matrices in the table, None if it is not."""
    matrices = notes["matrices"] if notes else None
    return [checkpoint.revision, checkpoint.stage, checkpoint.step, matrices]


def _manifest(plan: Plan, device: str) -> dict[str, Any]:
    """Give all that must be the same for an interrupted scan to be continued."""
    checkpoints = {key_of(one): [one.step, one.tokens, sources.fingerprint(one.path)] for one in plan.checkpoints}
    reference = [plan.reference.revision, sources.fingerprint(plan.reference.path)] if plan.reference else None
    return {**_options(plan, device), "checkpoints": checkpoints, "reference": reference}


def _options(plan: Plan, device: str) -> dict[str, Any]:
    """Give every option that changes numbers or rows, with what made them."""
    asked = {name: value for name, value in asdict(plan.request).items() if name not in NOT_IN_NUMBERS}
    return {
        "options": {**asked, "metrics": list(plan.metrics)},
        "device": device.partition(":")[0],
        "precision": svd.describe(device),
        "packages": {name: distributions.version(name) for name in PACKAGES},
    }


def _warnings(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a reader should know before trusting a number: by checkpoint, or by metric.

    random_baseline: how many matrices have the spectrum of independent entries. equal_to_first: how many have the very
    entries of the first checkpoint. uncertain: checkpoints and matrices where the error of σ reaches the third digit.
    """
    equal: dict[str, int] = {}
    random: dict[str, int] = {}
    uncertain: dict[str, list[list[str]]] = {}
    still: set[str] = set()
    for place, (key, one) in enumerate(notes.items()):
        revision = key.partition("/")[2]
        still = set(one["unmoved"]) if place == 1 else still & set(one["unmoved"])
        if still:
            equal[revision] = len(still)
        if one["random"]:
            random[revision] = len(one["random"])
        for metric, matrix in one["open"]:
            uncertain.setdefault(metric, []).append([revision, matrix])
    return {"random_baseline": random, "equal_to_first": equal, "uncertain": uncertain}


def describe_scan(
    plan: Plan, walk: Walk, device: str, notes: Mapping[str, Any], problems: Sequence[Problem]
) -> dict[str, Any]:
    """Give what a reader of the table must know to believe it; the same for the same request."""
    layouts: list[dict[str, Any]] = []
    for one in notes.values():
        if one["layout"] not in layouts:
            layouts.append(one["layout"])
    return {
        **_options(plan, device),
        "tool": "spectra",
        "source": plan.request.source,
        **_commits(plan),
        "model": plan.model,
        "reference": walk.reference.checkpoint.revision if walk.reference else None,
        "layouts": layouts,
        "skipped": layouts[-1]["skipped"],
        "duplicates": {key.partition("/")[2]: one["duplicate_of"] for key, one in notes.items() if one["duplicate_of"]},
        "checkpoints": [asked(one, notes.get(key_of(one))) for one in plan.checkpoints],
        "unread": [[one.revision, one.reason] for one in plan.unread],
        **_warnings(notes),
        "problems": [one.message for one in problems],
    }
