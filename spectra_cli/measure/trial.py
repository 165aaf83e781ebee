"""Measures random matrices of some shapes for a moment, by the very functions of a scan: what one takes here."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli import svd
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import measure_matrices
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, SpectrumCache
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.taken_together import ENTRIES, JOBS_PER_WORKER
from spectra_cli.records import Checkpoint, FileRange, Layout, Matrix, Skipped, StoredTensor
from spectra_cli.storage.table import to_arrow, write_table
from spectra_cli.trace import Event, Recorder
from spectra_cli.weights import LowRank

if TYPE_CHECKING:
    import torch

SHORT, LONG = 1024, 2048
"""Sides that a random matrix has at most, the longer one four times the shorter at least: what a larger one takes
follows from the number of operations."""

SHAPES = 6
"""How many shapes are tried, those on which a scan spends most."""

SECONDS = 0.6
"""How long they are tried in all; each at least once."""

ROWS = "rows"  # the step that one thread does for all
WRITTEN = 64
"""Matrices whose rows are written at once, at least: a table has far more of them than are tried."""

Steps = Mapping[str, float]
"""Seconds that one thread computes for one matrix, by step: `read`, `Gram` and what else a trace names; `other` is the
rest. What others do on the machine meanwhile is not in them."""


@dataclass(frozen=True)
class Trial:
    """What random matrices of one shape took.

    new: compared with nothing. compared: with two others. repeated: with two others, of which one is the same.
    """

    rows: int
    cols: int
    new: Steps
    compared: Steps
    repeated: Steps


@dataclass(frozen=True)
class RandomTensors:
    """Tensors that are all alike, in memory, as `TensorReader` describes: each read copies, as from a page cache."""

    tensor: torch.Tensor
    tensors: Mapping[str, StoredTensor]
    config: Mapping[str, Any]
    skipped: tuple[Skipped, ...] = ()
    unreadable: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def read(self, name: str) -> torch.Tensor:  # noqa: ARG002 - all are alike
        """Return a copy."""
        return self.tensor.clone()

    def read_together(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Return copies."""
        return {name: self.tensor.clone() for name in names}

    def factors(self, name: str) -> LowRank | None:  # noqa: ARG002
        """Return None: every tensor is kept whole."""
        return None

    def is_factored(self, name: str) -> bool:  # noqa: ARG002
        """Whether a tensor is kept as factors: none is."""
        return False

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:  # noqa: ARG002
        """Return nothing: there are no files."""
        return ()


def warm_up(plan: Plan) -> None:
    """Try a few matrices, for what is loaded when it is first needed."""
    _rounds(plan, 256, 256, "float32", plan.request.workers, seconds=0.0)


def try_matrices(plan: Plan, matrices: Sequence[Matrix], stored: Mapping[str, StoredTensor]) -> tuple[Trial, ...]:
    """Try random matrices of the shapes of these, cut down where they are large.

    plan: of the scan that is meant: its metrics, and how many run side by side. stored: tensors that they are cut of.
    """
    cost: dict[tuple[int, int, str], float] = defaultdict(float)
    count: Counter[tuple[int, int, str]] = Counter()
    for matrix in matrices:
        kind = (*_cut(matrix.rows, matrix.cols), stored[matrix.tensor].dtype)
        cost[kind] += svd.gigaflops(matrix.rows, matrix.cols)
        count[kind] += 1
    kinds = sorted(cost, key=lambda kind: -cost[kind])[:SHAPES]
    return tuple(_rounds(plan, *kind, count[kind], SECONDS / len(kinds)) for kind in kinds)


def _cut(rows: int, cols: int) -> tuple[int, int]:
    short, long = min(rows, cols, SHORT), max(rows, cols)
    long = min(long, max(LONG, 4 * short))
    return (long, short) if rows >= cols else (short, long)


def _rounds(plan: Plan, rows: int, cols: int, dtype: str, count: int, seconds: float) -> Trial:
    """Try one shape, some rounds; count: how many of it one checkpoint has."""
    workers = plan.request.workers
    together = JOBS_PER_WORKER * max(1, ENTRIES // (rows * cols)) if svd.is_small(rows, cols) else 1
    names = [str(number) for number in range(min(workers * together, max(count, workers)))]
    layout = Layout("", tuple(Matrix(name, "", name, rows, cols) for name in names), ())
    tensors, begun = _random(rows, cols, dtype), time.perf_counter()
    rounds = [_round(plan, layout, tensors)]
    while time.perf_counter() - begun < seconds:
        rounds.append(_round(plan, layout, tensors))
    new, compared, repeated = (
        {step: statistics.fmean(steps.get(step, 0.0) for steps in taken) / len(names) for step in chain(*taken)}
        for taken in zip(*rounds, strict=True)
    )
    return Trial(rows, cols, new, compared, repeated)


def _round(plan: Plan, layout: Layout, tensors: Sequence[torch.Tensor]) -> list[Steps]:
    """Return the seconds of each step for all matrices: new, compared, and repeated."""
    events: list[Event] = []
    request = replace(plan.request, device="cpu")
    checkpoints = tuple(Checkpoint("", str(step), Path(str(step)), step) for step in range(4))
    own = Plan(request, "", checkpoints, checkpoints[0], recorder=Recorder(events.append, time.thread_time_ns))
    order = (0, 1, 2, 2)
    reference, previous, current, twin = (
        _opened(own, checkpoint, layout, tensors[at]) for checkpoint, at in zip(checkpoints, order, strict=True)
    )
    taken: list[Steps] = []
    for comparison in (
        Comparison(reference, None, None),
        Comparison(current, reference, previous),
        Comparison(twin, reference, current),
    ):
        previous.spectra.update(reference.spectra)
        previous.vectors.update(reference.vectors)
        events.clear()
        results = measure_matrices(comparison, layout.matrices)
        rows = [result.rows for result in results if result.rows]
        times = -(-WRITTEN // len(results))
        with own.recorder.span(ROWS):
            table = to_arrow(times * rows)
            for _ in ("as a part", "in the table"):
                write_table(BytesIO(), [table], {})
        steps = _steps(events)
        taken.append({**steps, ROWS: steps[ROWS] / times})
    return taken


def _opened(plan: Plan, checkpoint: Checkpoint, layout: Layout, tensor: torch.Tensor) -> OpenCheckpoint:
    dtype = str(tensor.dtype).removeprefix("torch.")
    stored = {
        name: StoredTensor(name, tuple(tensor.shape), dtype) for name in (matrix.name for matrix in layout.matrices)
    }
    matrices = {matrix.name: matrix for matrix in layout.matrices}
    reader = RandomTensors(tensor, stored, {})
    return OpenCheckpoint(checkpoint, layout, reader, matrices, plan, "cpu", SpectrumCache(), ExitStack())


def _random(rows: int, cols: int, dtype: str) -> list[torch.Tensor]:
    """Return three different matrices; in float32 where nothing random is stored in the dtype."""
    import torch

    kind = getattr(torch, dtype, torch.float32)
    random = torch.Generator().manual_seed(0)
    kind = kind if isinstance(kind, torch.dtype) and kind.is_floating_point else torch.float32
    return [torch.randn(rows, cols, generator=random).to(kind) for _ in range(3)]


def _steps(events: Iterable[Event]) -> Steps:
    seconds: dict[str, float] = defaultdict(float)
    for event in events:
        seconds[event.name] += event.lasted / 1e9
    inner = sum(value for step, value in seconds.items() if step not in ("measure", ROWS))
    seconds["other"] = max(0.0, seconds.pop("measure") - inner)
    return seconds
