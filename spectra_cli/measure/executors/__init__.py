"""What measures the matrices of a checkpoint: this machine, or a cluster. Neither knows of other checkpoints' order."""

from spectra_cli.measure.executors.choose import executor_for as executor_for
from spectra_cli.measure.executors.executor import Executor as Executor
from spectra_cli.measure.executors.executor import measure_checkpoint as measure_checkpoint
from spectra_cli.measure.executors.local import LocalExecutor as LocalExecutor
