"""A callback that has transformers' Trainer keep a table of spectra. Knows the Trainer, and nothing of measuring."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Unpack

from transformers import TrainerCallback

from spectra_cli.monitor.scalars import Writer
from spectra_cli.monitor.spectral_monitor import MonitorOptions, SpectralMonitor


class SpectraCallback(TrainerCallback):
    """Measures the model while `Trainer` trains it: `Trainer(…, callbacks=[SpectraCallback(every=100)])`.

    out: the table, `spectra.parquet` in the run's folder unless given. every, budget and the other options: those of
    `SpectralMonitor`. The untrained model is step 0. A run that the Trainer resumes goes on with its table. Where the
    Trainer reports to TensorBoard, scalars go beside its own as the run `spectra`. monitor: None until training begins.
    """

    def __init__(self, out: str | Path | None = None, **options: Unpack[MonitorOptions]) -> None:
        """Keep the options until the model is there."""
        self.out, self.options = out, options
        self.monitor: SpectralMonitor | None = None
        self._board: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Open the table, and measure the model as training finds it."""
        folder = Path(args.output_dir)
        out = Path(self.out) if self.out is not None else folder / "spectra.parquet"
        if state.is_world_process_zero:
            out.parent.mkdir(parents=True, exist_ok=True)
            self._board = _summary_writer(args)
        resumed = MonitorOptions(resume=True) if state.global_step else MonitorOptions()
        writers: list[Writer] = [*self.options.get("writers", ()), *([self._board] if self._board else [])]
        options: MonitorOptions = {"name": folder.resolve().name, **self.options, **resumed, "writers": writers}
        self.monitor = SpectralMonitor(model, out=out, **options)
        self.monitor.step(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Measure the model where that is due."""
        if self.monitor is not None:
            self.monitor.step(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Wait for what is being measured, and close the table."""
        if self.monitor is not None:
            self.monitor.close()
        if self._board is not None:
            self._board.close()


def _summary_writer(args: Any) -> Any:
    """Return a writer for TensorBoard where the Trainer reports to it; None elsewhere."""
    if "tensorboard" not in (args.report_to or ()):
        return None
    from torch.utils.tensorboard import SummaryWriter

    folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or os.path.join(args.output_dir, "runs", "spectra")
    return SummaryWriter(log_dir=os.path.expanduser(folder))
