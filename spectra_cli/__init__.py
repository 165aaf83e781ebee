"""Spectra of weight matrices over a training run: what the commands do, as functions. Importing it costs nothing.

A name loads what it needs when it is first used. What cannot be done raises `SpectraError`, which says what and what to
do.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from spectra_cli import figures as figures
    from spectra_cli import metrics as metrics
    from spectra_cli import monitor as monitor
    from spectra_cli.arrow_table import Table as Table
    from spectra_cli.arrow_table import read_table as read_table
    from spectra_cli.errors import SpectraError as SpectraError
    from spectra_cli.jobs.ablate import ablate_layers as ablate
    from spectra_cli.jobs.diff import diff_checkpoints as diff
    from spectra_cli.jobs.evaluate import EvaluationOptions as EvaluationOptions
    from spectra_cli.jobs.evaluate import evaluate_models as evaluate
    from spectra_cli.jobs.export import export_table as export
    from spectra_cli.jobs.inspect import inspect_source as inspect
    from spectra_cli.jobs.merge import merge_checkpoints as merge
    from spectra_cli.jobs.prune import PruneOptions as PruneOptions
    from spectra_cli.jobs.prune import prune_layers as prune
    from spectra_cli.jobs.scan import scan_checkpoints as scan
    from spectra_cli.jobs.verify import verify_table as verify
    from spectra_cli.jobs.warmup import WarmupOptions as WarmupOptions
    from spectra_cli.jobs.warmup import warm_start as warmup
    from spectra_cli.measure.scan_options import ScanOptions as ScanOptions
    from spectra_cli.study_findings import Findings as Findings
    from spectra_cli.study_findings import lifecycle as lifecycle
    from spectra_cli.study_findings import rank1 as rank1
    from spectra_cli.study_findings import scaling as scaling
    from spectra_cli.study_findings import stability as stability
    from spectra_cli.surgery.recipes import MergeOptions as MergeOptions
    from spectra_cli.svd.of_array import singular_values as singular_values

__all__ = [
    "EvaluationOptions", "Findings", "MergeOptions", "PruneOptions", "ScanOptions", "SpectraError", "Table",
    "WarmupOptions", "__version__", "ablate", "diff", "evaluate", "export", "figures", "inspect", "lifecycle",
    "merge", "metrics", "monitor", "prune", "rank1", "read_table", "scaling", "scan", "singular_values",
    "stability", "verify", "warmup",
]  # fmt: skip

_HOMES = {
    "EvaluationOptions": "jobs.evaluate.EvaluationOptions",
    "Findings": "study_findings.Findings",
    "MergeOptions": "surgery.recipes.MergeOptions",
    "PruneOptions": "jobs.prune.PruneOptions",
    "ScanOptions": "measure.scan_options.ScanOptions",
    "SpectraError": "errors.SpectraError",
    "Table": "arrow_table.Table",
    "WarmupOptions": "jobs.warmup.WarmupOptions",
    "ablate": "jobs.ablate.ablate_layers",
    "diff": "jobs.diff.diff_checkpoints",
    "evaluate": "jobs.evaluate.evaluate_models",
    "export": "jobs.export.export_table",
    "inspect": "jobs.inspect.inspect_source",
    "lifecycle": "study_findings.lifecycle",
    "merge": "jobs.merge.merge_checkpoints",
    "prune": "jobs.prune.prune_layers",
    "rank1": "study_findings.rank1",
    "read_table": "arrow_table.read_table",
    "scaling": "study_findings.scaling",
    "scan": "jobs.scan.scan_checkpoints",
    "singular_values": "svd.of_array.singular_values",
    "stability": "study_findings.stability",
    "verify": "jobs.verify.verify_table",
    "warmup": "jobs.warmup.warm_start",
}  # what a public name is, and where
_MODULES = ("figures", "metrics", "monitor")


if not TYPE_CHECKING:  # so that programs that check types know a name that is none

    def __getattr__(name: str) -> Any:
        """Load a public name from its home when it is first asked for (PEP 562)."""
        if name == "__version__":
            return metadata.version("spectra-scan")
        if name in _MODULES:
            return import_module(f"spectra_cli.{name}")
        if name in _HOMES:
            home, _, definition = _HOMES[name].rpartition(".")
            return getattr(import_module(f"spectra_cli.{home}"), definition)
        raise AttributeError(f"module 'spectra_cli' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
