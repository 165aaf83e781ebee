"""What trackers show of a table: means over the matrices of a role by step, as each keeps its runs on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from spectra_cli.errors import SpectraError, printable

Tracker = Callable[[Mapping[str, float], int], object]
Opener = Callable[[Path], AbstractContextManager[Tracker]]
STEP = "spectra/step"


def write_scalars(parts: Iterator[pa.Table], tracker: Tracker) -> int:
    """Pass the mean of each metric over the matrices of a role to a tracker, as `spectra/METRIC/ROLE`, step by step.

    Returns how many. Raises SpectraError for a checkpoint that has no step.
    """
    count = 0
    for part in parts:
        step, stage = part["step"][0].as_py(), part["stage"][0].as_py()
        if step is None:
            what = f"{printable(part['revision'][0].as_py())} has no step, by which trackers have their numbers"
            raise SpectraError(what, hint="scan with --map, which gives steps; other forms need none")
        known = part.filter(pc.is_finite(part["value"])).group_by(["metric", "role"])
        scalars = {
            "/".join(filter(None, ("spectra", row["metric"], row["role"], stage))): row["value_mean"]
            for row in known.aggregate([("value", "mean")]).to_pylist()
        }
        tracker(scalars, step)
        count += len(scalars)
    return count


@contextmanager
def tensorboard(folder: Path) -> Iterator[Tracker]:
    """Open a folder of events."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise _not_installed("TensorBoard", "tensorboard") from None
    with SummaryWriter(str(folder)) as writer:
        yield lambda scalars, step: [writer.add_scalar(name, value, step) for name, value in scalars.items()]


@contextmanager
def wandb(folder: Path) -> Iterator[Tracker]:
    """Open a run that Weights & Biases keeps offline, for `wandb sync`; nothing is sent."""
    try:
        import wandb as module
    except ImportError:
        raise _not_installed("Weights & Biases", "wandb") from None
    settings = module.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    with module.init(project="spectra", mode="offline", dir=str(folder), settings=settings) as run:
        run.define_metric("spectra/*", step_metric=STEP)
        yield lambda scalars, step: run.log({**scalars, STEP: step})


@contextmanager
def mlflow(folder: Path) -> Iterator[Tracker]:
    """Open a run in a database of MLflow's own, for `mlflow ui --backend-store-uri sqlite:///…/mlflow.db`."""
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric
    except ImportError:
        raise _not_installed("MLflow", "mlflow") from None
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("spectra", "artifacts")).info.run_id

    def log(scalars: Mapping[str, float], step: int) -> None:
        metrics = [Metric(name, value, 0, step) for name, value in scalars.items()]
        for start in range(0, len(metrics), 1000):  # the most that it takes at once
            client.log_batch(run, metrics[start : start + 1000])

    yield log
    client.set_terminated(run)


def _not_installed(name: str, package: str) -> SpectraError:
    return SpectraError(f"{name} is not installed, which reads this form", hint=f"pip install {package}")
