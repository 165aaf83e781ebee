"""The commands that make the page, its tables and its figures again, word for word as a shell takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.studies.inputs.runs import Run
from spectra_cli.views.report.figure_list import PageFigure

OPTIONS = ("revisions", "steps", "roles", "layers", "match", "reference", "vectors", "alpha_range", "arch")


@dataclass(frozen=True)
class PageInputs:
    """What `spectra report` was given. losses, labels: none, or one a table. rank1: tables of `spectra rank1`."""

    tables: Sequence[str | Path]
    output: str
    losses: Sequence[str] = ()
    loss_columns: Mapping[str, str] | None = None
    labels: Sequence[str] | None = None
    rank1: Sequence[str] = ()

    @property
    def _shared(self) -> list[str]:
        words = [word for log in self.losses for word in ("--loss", log)]
        if self.loss_columns:
            words += ["--loss-columns", ",".join(f"{name}={column}" for name, column in self.loss_columns.items())]
        return words + (["--label", ",".join(self.labels)] if self.labels else [])

    def report_command(self) -> str:
        """Return the command that made the page."""
        on_lines = [word for table in self.rank1 for word in ("--rank1", table)]
        return shlex.join(["spectra", "report", *map(str, self.tables), *self._shared, *on_lines, "-o", self.output])

    def plot_command(self, figure: PageFigure) -> str:
        """Return the command that draws a figure of the page into a file, up to what is chosen on the page."""
        if figure.kind == "rank1":
            return shlex.join(["spectra", "plot", *self.rank1, "--kind", "rank1"])
        return shlex.join(["spectra", "plot", *map(str, self.tables), "--kind", figure.kind, *self._shared])


def scan_command(run: Run, table: str | Path) -> str:
    """Return the command that made a table, with the options that change numbers."""
    words = ["spectra", "scan", str(run.metadata.get("source")), "-o", str(table)]
    options = run.metadata.get("options", {})
    for name in OPTIONS:
        value = options.get(name)
        for part in (value or ()) if name == "revisions" else (value,):
            if part:
                shown = ",".join(map(str, part)) if isinstance(part, list) else str(part)
                words += [f"--{name.replace('_', '-')}", shown]
    return shlex.join([*words, *(["--fused"] if options.get("fused") else [])])
