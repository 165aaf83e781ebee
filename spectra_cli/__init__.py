"""Spectra: singular values of every weight matrix over a training run. Importing it costs nothing.

`scan_checkpoints`, `diff_checkpoints`, `rank1_checkpoints`, `evaluate_models`, `ablate_layers`, `prune_layers`,
`export_table` and `read_table` do what the commands do; they load when first used.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectra_cli.jobs.ablate import ablate_layers as ablate_layers
    from spectra_cli.jobs.diff import diff_checkpoints as diff_checkpoints
    from spectra_cli.jobs.evaluate import evaluate_models as evaluate_models
    from spectra_cli.jobs.export import export_table as export_table
    from spectra_cli.jobs.prune import prune_layers as prune_layers
    from spectra_cli.jobs.rank1 import rank1_checkpoints as rank1_checkpoints
    from spectra_cli.jobs.scan import scan_checkpoints as scan_checkpoints
    from spectra_cli.storage.table import read_table as read_table

__all__ = [
    "__version__", "ablate_layers", "diff_checkpoints", "evaluate_models", "export_table", "prune_layers",
    "rank1_checkpoints", "read_table", "scan_checkpoints",
]  # fmt: skip

_HOMES = {
    "ablate_layers": "jobs.ablate",
    "evaluate_models": "jobs.evaluate",
    "export_table": "jobs.export",
    "prune_layers": "jobs.prune",
    "scan_checkpoints": "jobs.scan",
    "diff_checkpoints": "jobs.diff",
    "rank1_checkpoints": "jobs.rank1",
    "read_table": "storage.table",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first asked for (PEP 562)."""
    if name == "__version__":
        return metadata.version("spectra-scan")
    if name in _HOMES:
        return getattr(import_module(f"spectra_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'spectra_cli' has no attribute {name!r}")
