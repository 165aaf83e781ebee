"""Judges whether a run's checkpoints lie on a line: one pass over their tensors, then the study of inner products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spectra_cli.engines.processors import blas_threads
from spectra_cli.errors import SpectraError
from spectra_cli.gram import distances
from spectra_cli.jobs.resume import manifest_of
from spectra_cli.measure.metadata import scan_metadata
from spectra_cli.measure.plan import OnWait, Plan, make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import Rank1Options
from spectra_cli.measure.side_by_side import OpenRun, StoredMatrices, open_run
from spectra_cli.records import Checkpoint, Matrix, Problem
from spectra_cli.storage.manifest import CheckpointNotes
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import to_arrow
from spectra_cli.studies.rank1 import DRAWS, WHOLE, Group, Rank1, study_group
from spectra_cli.studies.rank1.rows import rows_of

Array = NDArray[np.float64]
OnStart = Callable[[OpenRun], None]
OnDone = Callable[[int, int], None]

WINDOW = 5
FEWEST_MERGED = 3  # for two updates
VECTORS = "vectors"
GROUP_DRAWS = 200  # of each null, for a role or a layer
SUMS = "inner products"
SAVED_EVERY = 1 << 28  # bytes read between two savings of the sums


@dataclass(frozen=True)
class Rank1Result:
    """What `rank1` gave: the findings, the table if one was written, what could not be read, and what was left out."""

    findings: Rank1
    output: Path | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Sums:
    """Gram matrices by group. done: tensors so far. broken: by checkpoint's index, its first tensor with NaN or Inf."""

    done: int = 0
    grams: dict[str, Array] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)

    def add(self, item: StoredMatrices, products: dict[str, Array]) -> None:
        """Add the inner products of one tensor."""
        self.done += 1
        for name, gram in products.items():
            self.grams[name] = self.grams.get(name, 0.0) + gram
        for index in np.flatnonzero(np.isnan(np.diagonal(products[WHOLE]))):
            self.broken.setdefault(int(index), item.tensor.name)


def rank1_checkpoints(
    source: str | Path,
    output: str | Path | None = None,
    *,
    window: int = WINDOW,
    restart: bool = False,
    on_start: OnStart = lambda *_: None,
    on_done: OnDone = lambda *_: None,
    on_wait: OnWait = lambda _: None,
    **options: Unpack[Rank1Options],
) -> Rank1Result:
    """Study whether the checkpoints of a source, raw and averaged, lie on a line: what `spectra rank1` does.

    source: as for `scan`. output: also write the findings to this Parquet file, and resume what an
    interrupted run left beside it. window: how many neighbouring checkpoints are averaged. restart: discard what an
    interrupted run left. on_start: called once, with the open run. on_done: called after each tensor, with how many
    are done and how many there are. options: those of ScanOptions that choose checkpoints and
    matrices, such as `steps="600:900"`. Memory is a few of the largest tensor, however many checkpoints
    there are. Raises SpectraError where nothing can be judged: a window longer than the run, checkpoints of two models.

    >>> import tempfile, torch
    >>> from safetensors.torch import save_file
    >>> run, noise = Path(tempfile.mkdtemp()), torch.Generator().manual_seed(0)
    >>> for step in range(10):  # a line, with noise across it
    ...     weight = step + torch.randn(16, 16, generator=noise)
    ...     save_file({"layers.0.up.weight": weight}, run / f"step{step}.safetensors")
    >>> found = rank1_checkpoints(run, window=3).findings
    >>> round(found.whole.raw.shares[0], 2), found.verdict
    (0.91, 'one-dimensional')
    """
    plan = make_plan(Request.of(source, **options), on_wait)
    _check_window(window, len(plan.checkpoints))
    keeping = Parts(Path(output), manifest_of(plan, "cpu"), restart) if output is not None else nullcontext()
    with keeping as parts, open_run(plan) as run:
        _check_window(window, len(run.checkpoints), run.problems)
        on_start(run)
        sums = _sum_up(run, parts, plan.request.workers, on_done)
        kept, problems, notes = _sound(run, sums)
        _check_window(window, len(kept), (*run.problems, *problems))
        with blas_threads(1):
            findings, left_out = _study(plan.model, run, sums, kept, window)
        problems = (*run.problems, *problems)
        if parts is not None:
            _write(parts, plan, findings, [run.checkpoints[index] for index in kept], problems)
    return Rank1Result(findings, Path(output) if output is not None else None, problems, (*notes, *left_out))


def _check_window(window: int, count: int, problems: Sequence[Problem] = ()) -> None:
    """Raise SpectraError where so many checkpoints are too few. problems: why there are not more."""
    most = count - FEWEST_MERGED + 1
    if window < 1:
        raise SpectraError(f"--window {window} is too few", hint="give 1 or more", code=2)
    if window > most and problems:
        raise SpectraError(problems[0].message, hint=f"without it and the like {count} checkpoints are left, too few")
    if most < 2:
        raise SpectraError(
            f"{count} checkpoints are too few for a line: there must be {FEWEST_MERGED + 1} or more",
            hint="choose more with --steps or --revisions",
            code=2,
        )
    if window > most:
        longer = f"--window {window} is longer than the run, which has {count} checkpoints"
        left = f"--window {window} leaves too few merged checkpoints for a line: {count - window + 1} of {count}"
        raise SpectraError(longer if window > count else left, hint=f"give --window {most} or fewer", code=2)


def _groups_of(matrix: Matrix | None) -> tuple[str, ...]:
    """Return the groups that a matrix counts in; None stands for a vector."""
    if matrix is None:
        return (WHOLE, VECTORS)
    return (WHOLE, matrix.role, *((_layer(matrix.layer),) if matrix.layer is not None else ()))


def _layer(number: int) -> str:
    return f"layer {number}"


def _sum_up(run: OpenRun, parts: Parts | None, threads: int, on_done: OnDone) -> _Sums:
    """Add up the inner products of all tensors, from where an interrupted run was."""
    sums = _load(parts, run) if parts is not None else _Sums()
    waiting, unsaved = run.tensors[sums.done :], 0
    on_done(sums.done, len(run.tensors))
    try:
        for item, products in zip(waiting, run.inner_products(waiting, _groups_of, threads), strict=True):
            sums.add(item, products)
            unsaved += item.tensor.nbytes * len(run.checkpoints)
            if parts is not None and unsaved > SAVED_EVERY:
                _save(parts, sums)
                unsaved = 0
            on_done(sums.done, len(run.tensors))
    except BaseException:
        if parts is not None and sums.done:
            _save(parts, sums)
        raise
    return sums


def _elements(run: OpenRun) -> dict[str, int]:
    """Return how many weights each group has."""
    elements: dict[str, int] = {}
    for item in run.tensors:
        for matrix in item.matrices or (None,):
            size = matrix.rows * matrix.cols if matrix else item.size
            for name in _groups_of(matrix):
                elements[name] = elements.get(name, 0) + size
    return elements


def _save(parts: Parts, sums: _Sums) -> None:
    names = list(sums.grams)
    grams = [sums.grams[name].ravel() for name in names]
    broken = [[str(index), name] for index, name in sums.broken.items()]
    columns = {"group": names, "gram": grams, "done": [sums.done] * len(names), "broken": [broken] * len(names)}
    parts.write(SUMS, pa.table(columns), CheckpointNotes())


def _load(parts: Parts, run: OpenRun) -> _Sums:
    """Return what an interrupted run added up; nothing where it could read other checkpoints than this one can."""
    if parts.notes(SUMS) is None:
        return _Sums()
    lines = parts.read(SUMS).to_pylist()
    grams = {line["group"]: np.array(line["gram"]).reshape(round(len(line["gram"]) ** 0.5), -1) for line in lines}
    if any(len(gram) != len(run.checkpoints) for gram in grams.values()):
        return _Sums()
    return _Sums(lines[0]["done"], grams, {int(index): name for index, name in lines[0]["broken"]})


def _sound(run: OpenRun, sums: _Sums) -> tuple[list[int], tuple[Problem, ...], tuple[str, ...]]:
    """Return the checkpoints that can be judged, and those left out: broken ones, and repetitions of the one before."""
    kept: list[int] = []
    problems, notes = [], []
    apart = distances(sums.grams[WHOLE])
    for index, checkpoint in enumerate(run.checkpoints):
        if index in sums.broken:
            message = f"{checkpoint.revision} is left out: {sums.broken[index]} holds NaN or Inf"
            problems.append(Problem(message, "the other checkpoints are judged"))
        elif kept and apart[kept[-1], index] == 0:
            notes.append(f"{checkpoint.revision} has the weights of {run.checkpoints[kept[-1]].revision}: left out")
        else:
            kept.append(index)
    return kept, tuple(problems), tuple(notes)


def _study(model: str, run: OpenRun, sums: _Sums, kept: Sequence[int], window: int) -> tuple[Rank1, tuple[str, ...]]:
    """Study the whole model, its roles and its layers; groups that stand still between two checkpoints are named."""
    groups, still = [], []
    for group in _ordered(run, sums):
        gram = group.gram[np.ix_(kept, kept)]
        if (np.diagonal(distances(gram), 1) > 0).all():
            draws = DRAWS if group.name == WHOLE else GROUP_DRAWS
            groups.append(study_group(replace(group, gram=gram), window, draws=draws))
        else:
            still.append(f"{group.name}: no change between two of the checkpoints, so it is not judged by itself")
    checkpoints = [run.checkpoints[index] for index in kept]
    revisions, steps = zip(*((checkpoint.revision, checkpoint.step) for checkpoint in checkpoints), strict=True)
    return Rank1(model, window, revisions, steps, tuple(groups)), tuple(still)


def _ordered(run: OpenRun, sums: _Sums) -> list[Group]:
    """Return the groups: the whole model, the roles as the layout has them, vectors, and the layers by depth."""
    roles = dict.fromkeys(matrix.role for matrix in run.layout.matrices)
    layers = sorted({matrix.layer for matrix in run.layout.matrices if matrix.layer is not None})
    names: list[tuple[str, str | None, int | None]] = [(WHOLE, None, None)]
    names += [(role, role, None) for role in (*roles, *((VECTORS,) if VECTORS in sums.grams else ()))]
    names += [(_layer(layer), None, layer) for layer in layers]
    elements = _elements(run)
    return [Group(name, sums.grams[name], elements[name], role, layer) for name, role, layer in names]


def _write(
    parts: Parts, plan: Plan, findings: Rank1, checkpoints: Sequence[Checkpoint], problems: Sequence[Problem]
) -> None:
    """Write the findings as a table of the usual form."""
    noted = []
    for checkpoint, rows in zip(checkpoints, rows_of(findings, checkpoints), strict=True):
        noted.append((checkpoint, CheckpointNotes(matrices=len({row.matrix.name for row in rows}))))
        parts.write(checkpoint.key, to_arrow(rows), noted[-1][1])
    metadata = {**scan_metadata(plan, None, "cpu", noted, problems), "rank1": {"window": findings.window}}
    parts.assemble([checkpoint.key for checkpoint in checkpoints], metadata)
