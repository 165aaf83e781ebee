"""A monitor in a training loop: copies steps that are due, has them measured beside, passes on what they gave."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from spectra_cli.errors import SpectraError
from spectra_cli.measure.layouts import chosen_layout
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import MetricOptions
from spectra_cli.monitor import distributed
from spectra_cli.monitor.live_model import LiveModel
from spectra_cli.monitor.pace import Cost, Pace
from spectra_cli.monitor.recorder import Measurement, copy_failure, open_recorder
from spectra_cli.monitor.scalars import Writer, active_trackers, as_tracker, scalars_of
from spectra_cli.monitor.snapshot import Snapshot
from spectra_cli.records import Checkpoint
from spectra_cli.studies.events import PHASE_TWO, Event

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("spectra_cli.monitor")
DEFAULTS = MetricOptions(device="cpu", threads=1)  # what trains has the rest
SOURCE = "a model in training"
MOST_FAILURES = 3  # in a row: a disk may be full for a while


class MonitorOptions(MetricOptions, total=False):
    """What a SpectralMonitor takes beside the model and the table, for callbacks that make one."""

    every: int
    budget: float | None
    name: str | None
    config: Any
    resume: bool
    restart: bool
    strict: bool
    writers: Iterable[Writer]
    on_event: Callable[[Event], object]


class SpectralMonitor:
    """Writes the rows of `spectra scan` while a model trains, from its parameters as they are.

    model: as it is trained, wrapped or not. every: steps between measurements. out: the table. budget: the most that
    measuring may take of the run's time, such as 0.02; None measures every step that is due, and training waits where
    the last one is not done by then. name: the run's, for the column `model`; from `out` unless given. config: where
    the model has none of transformers: a dictionary like config.json. resume: go on with a table that is there, without
    what it holds of later steps. restart: begin it anew. strict: raise what goes wrong in a step, which is only said
    otherwise. writers: what takes scalars: TensorBoard's SummaryWriter, or a function of names with numbers and the
    step; wandb, MLflow and trackio are found where they are in use. on_event: called in `step`, by the first process,
    with each event of the run; what it raises is not held back. options: those of ScanOptions that choose matrices and
    metrics.

    Make it on every process, once the model is wrapped. Raises SpectraError where the model cannot be monitored or the
    output cannot be written.

    >>> import tempfile, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 8))
    >>> table = Path(tempfile.mkdtemp()) / "run.parquet"
    >>> with SpectralMonitor(model, every=10, out=table) as monitor:
    ...     for step in range(21):
    ...         monitor.step(step)
    >>> monitor.cost.measured
    3
    """

    def __init__(  # noqa: PLR0913 - one for each thing that a user may want
        self,
        model: nn.Module,
        *,
        every: int = 25,
        out: str | Path = "spectra.parquet",
        budget: float | None = None,
        name: str | None = None,
        config: Any = None,
        resume: bool = False,
        restart: bool = False,
        strict: bool = False,
        writers: Iterable[Writer] = (),
        on_event: Callable[[Event], object] = lambda _: None,
        **options: Unpack[MetricOptions],
    ) -> None:
        """Look at the model, and on the first process open the table."""
        _check(every, budget, options)
        self.output, self.strict = Path(out), strict
        self._live = LiveModel.of(model, config)
        chosen: MetricOptions = {**DEFAULTS, **options}
        plan = Plan(Request.of(SOURCE, **chosen), name or self.output.stem, (), None)
        begun = Checkpoint(plan.model, "the model", self.output)
        self._layout = chosen_layout(begun, self._empty_copy(), plan.request, self._live.shares)
        self._pace, self._writers = Pace(every, budget), [as_tracker(writer) for writer in writers]
        self._running: Future[Measurement] | None = None
        self._failures, self._reported, self._resumes = 0, set[str](), resume
        self._on_event = on_event
        self._recorder = None
        with distributed.failing_together(self._live.sharded_on):
            if distributed.rank() == 0:
                self._recorder = open_recorder(plan, self._layout, self.output, resume=resume, restart=restart)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="spectra")

    @property
    def cost(self) -> Cost:
        """What measuring has taken of the run's time so far; on the first process."""
        return self._pace.cost

    def step(self, step: int) -> None:
        """Measure the model as it is after this step, if that is due. Call it on every process, after each update."""
        self._pass_on()
        if not self._pace.is_due(step):
            return
        began = time.perf_counter()
        if distributed.decided_by_first(self._wants_another, self._live.sharded_on):
            self._measure(step)
        self._pace.wait(time.perf_counter() - began)

    def close(self) -> None:
        """Wait for the measurement that runs, and let go of the table. A closed monitor measures nothing more."""
        if self._running is not None:
            self._running.exception()
        try:
            self._pass_on()
        finally:
            self._stop()

    def __enter__(self) -> SpectralMonitor:
        """Return itself: it is ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _wants_another(self) -> bool:
        """Whether the first process measures now. Without a budget it waits for the measurement before."""
        if self._recorder is None or not self._pace.allows():
            return False
        if self._running is not None:
            if self._pace.budget is not None:
                return False
            self._running.exception()
            self._pass_on()
        return self._recorder is not None

    def _measure(self, step: int) -> None:
        """Copy the weights; every process takes part where they are sharded, and the first one keeps them."""
        if self._recorder is not None and self._resumes:
            self._drop_after(step)
        copy, failure = self._copy(step)
        if failure is not None:
            copy.close()
            self._fail(failure)
        elif self._recorder is not None:
            self._running = self._beside.submit(self._recorder.measure, step, copy)

    def _empty_copy(self) -> Snapshot:
        return Snapshot(self.output.parent, self._live.config, self._live.stored)

    def _copy(self, step: int) -> tuple[Snapshot, SpectraError | None]:
        import torch

        tensors, copy, failure = self._live.tensors(), self._empty_copy(), None
        if tensors is None:
            message = f"step {step} was not measured: the model has other tensors than when the monitor was made"
            return copy, SpectraError(message, hint="make the monitor once the model is as it is trained")
        for name in dict.fromkeys(matrix.tensor for matrix in self._layout.matrices):
            with torch.no_grad():
                tensor = distributed.whole(tensors[name])
            if self._recorder is None or failure is not None:
                continue  # the others wait for this process in the next gathering
            try:
                copy.add(name, tensor)
            except (OSError, MemoryError, RuntimeError) as error:
                failure = copy_failure(step, self.output, error)
        return copy, failure

    def _drop_after(self, step: int) -> None:
        """Of a table that is gone on with, drop what the run that was stopped had measured after this step."""
        self._resumes = False
        try:
            dropped = self._recorder.drop_after(step) if self._recorder is not None else 0
        except SpectraError as error:
            self._fail(error)
            return
        if dropped:
            log.warning("%s: %d steps after step %d are dropped: they come again", self.output, dropped, step)

    def _pass_on(self) -> None:
        """Pass on what a finished measurement gave: scalars to the trackers, and what went wrong to the user."""
        if self._running is None or not self._running.done():
            return
        measurement, self._running = self._running.result(), None
        self._pace.finish(measurement.beside)
        if measurement.failure is not None:
            self._fail(measurement.failure)
            return
        self._failures = 0
        if measurement.problems:
            first, more = measurement.problems[0], len(measurement.problems) - 1
            others = f", and {more} more like it" if more else ""
            self._report("problems", f"{first.message}{others}", f"{first.hint}; the table's metadata name all of them")
        self._track(measurement)
        for event in measurement.events:
            log.log(logging.INFO if event.kind == PHASE_TWO else logging.WARNING, "spectra: %s", _sentence(event))
            self._on_event(event)

    def _track(self, measurement: Measurement) -> None:
        scalars = scalars_of(measurement.rows)
        if not scalars:
            return
        for track in (*self._writers, *active_trackers()):
            try:
                track(scalars, measurement.step)
            except Exception as error:  # of a library that is not ours: training goes on without it
                what = f"a tracker refuses the scalars: {type(error).__name__}"
                self._report("tracker", what, "the table has them; look at the tracker's own log")

    def _fail(self, failure: SpectraError) -> None:
        """Report what went wrong, once, and stop where it goes on so; raise it where the user wants that."""
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self._stop()
        if self.strict:
            raise failure
        self._report(failure.hint, failure.message, failure.hint)
        if self._recorder is None:
            self._report(
                "stopped", "the monitor measures nothing more; training goes on", "give strict=True to stop both"
            )

    def _report(self, what: str, message: str, hint: str) -> None:
        """Report something in two lines, once."""
        if what not in self._reported:
            self._reported.add(what)
            log.warning("spectra: %s\n  %s", message, hint)

    def _stop(self) -> None:
        self._beside.shutdown()
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None


def _check(every: int, budget: float | None, options: Mapping[str, Any]) -> None:
    """Raise SpectraError for what can never be carried out."""
    if every < 1:
        raise SpectraError(f"every={every} is too few steps", hint="give 1 or more", code=2)
    if budget is not None and not 0 < budget <= 1:
        raise SpectraError(f"budget={budget} is no share of the time", hint="give 0.02, say, or leave it out", code=2)
    known = MetricOptions.__optional_keys__
    for name in options.keys() - known:
        raise SpectraError(f"there is no option {name}", hint=f"there are {', '.join(sorted(known))}", code=2)


def _sentence(event: Event) -> str:
    """Return what happened, where and when.

    >>> _sentence(Event("collapse", "step50", 50, ("layers.0.attn.q", "layers.1.attn.q")))
    'collapse at step 50: layers.0.attn.q and 1 more'
    """
    more = f" and {len(event.matrices) - 1} more" if len(event.matrices) > 1 else ""
    where = f": {event.matrices[0]}{more}" if event.matrices else ""
    what = f" ({event.numbers['what']})" if "what" in event.numbers else ""
    return f"{event.kind} at step {event.step}{where}{what}"
