"""A callback that has Lightning's Trainer keep a table of spectra. Knows the Trainer, and nothing of measuring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from spectra_cli.monitor.scalars import Tracker
from spectra_cli.monitor.spectral_monitor import MonitorOptions, SpectralMonitor

if TYPE_CHECKING:
    from lightning.pytorch import Callback
else:
    try:
        from lightning.pytorch import Callback
    except ImportError:  # it is installed under its older name
        from pytorch_lightning import Callback


class SpectraLightningCallback(Callback):
    """Measures the model while Lightning trains it: `Trainer(…, callbacks=[SpectraLightningCallback(every=100)])`.

    out: the table, `spectra.parquet` in the trainer's folder unless given. every, budget and the other options: those
    of `SpectralMonitor`. The untrained model is step 0; steps are those of the optimizer. A fit that goes on from a
    checkpoint goes on with its table. Scalars go to the trainer's loggers. monitor: None until training begins.
    """

    def __init__(self, out: str | Path | None = None, **options: Unpack[MonitorOptions]) -> None:
        """Keep the options until the model is there."""
        self.out, self.options = out, options
        self.monitor: SpectralMonitor | None = None
        self._last: int | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the table, and measure the model as training finds it."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        out = Path(self.out) if self.out is not None else folder / "spectra.parquet"
        if trainer.is_global_zero:
            out.parent.mkdir(parents=True, exist_ok=True)
        resumed = MonitorOptions(resume=True) if trainer.global_step else MonitorOptions()
        writers = [*self.options.get("writers", ()), *map(_tracker, _loggers(trainer))]
        options: MonitorOptions = {**self.options, **resumed, "writers": writers}
        self.monitor = SpectralMonitor(trainer.strategy.model or pl_module, out=out, **options)
        self._step(trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Measure the model where that is due; a batch of which gradients are only added up is no step."""
        self._step(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Wait for what is being measured, and close the table."""
        if self.monitor is not None:
            self.monitor.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Close the table where training ends early."""
        if self.monitor is not None:
            self.monitor.close()

    def _step(self, trainer: Any) -> None:
        if self.monitor is not None and trainer.global_step != self._last:
            self._last = trainer.global_step
            self.monitor.step(trainer.global_step)


def _loggers(trainer: Any) -> list[Any]:
    """Return the trainer's loggers, but for that of wandb, whose run is found without it."""
    return [logger for logger in trainer.loggers if type(logger).__name__ != "WandbLogger"]


def _tracker(logger: Any) -> Tracker:
    def pass_on(scalars: Mapping[str, float], step: int) -> None:
        logger.log_metrics(dict(scalars), step=step)

    return pass_on
