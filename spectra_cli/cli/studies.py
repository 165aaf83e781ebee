"""The commands that study tables: stability, lifecycle and scaling."""

from __future__ import annotations

from typing import Annotated

import typer

from spectra_cli.cli.options import Answer, Exponent, RunLabels, RunTables, Seeds, TrainingLogs
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError


def stability(
    tables: RunTables,
    *,
    logs: TrainingLogs,
    labels: RunLabels,
    pooled: Seeds,
    everything: Annotated[bool, typer.Option("--all", help="Show every layer.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Show only how runs compare with the first one.")] = False,
    answer: Answer,
) -> int:
    """Find the two phases of a run: where its spectra settle, and whether the loss settles with them."""
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels
    from spectra_cli.studies.stability import compare_tables
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.stability import show_stability, stability_json

    columns, names = parse_columns(logs.loss_columns), parse_labels(labels.label)
    compared = compare_tables(tables, logs.loss or (), columns, names, seeds=pooled.seeds)
    if compare and not (compared.ratios or compared.contrasts):
        hint = "name the one to compare with first and others after it; with --seeds, give two labels or more"
        raise SpectraError("--compare finds nothing to compare with", hint=hint, code=2)
    show_result(
        answer,
        text=lambda: show_stability(make_console(error=False), compared, everything=everything, ratios_only=compare),
        facts=lambda: stability_json(compared),
        allow_nan=False,
    )
    return 0


def lifecycle(
    tables: RunTables, *, exponent: Exponent, logs: TrainingLogs, labels: RunLabels, pooled: Seeds, answer: Answer
) -> int:
    """Find waves of compression, gradients over depth, Q/K-V asymmetry and two timescales in a run."""
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels
    from spectra_cli.studies.lifecycle import compare_lifecycles
    from spectra_cli.views.console.lifecycle import lifecycle_json, show_lifecycle
    from spectra_cli.views.console.output import make_console

    columns, names = parse_columns(logs.loss_columns), parse_labels(labels.label)
    compared = compare_lifecycles(
        tables, names, exponent.alpha, losses=logs.loss or (), columns=columns, seeds=pooled.seeds
    )
    show_result(
        answer,
        text=lambda: show_lifecycle(make_console(error=False), compared),
        facts=lambda: lifecycle_json(compared),
        allow_nan=False,
    )
    return 0


def scaling(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE", help="Tables that scan wrote, one a model.", show_default=False)
    ],
    *,
    exponent: Exponent,
    labels: RunLabels,
    answer: Answer,
) -> int:
    """Fit how the spread of an exponent over depth grows with the size of the model; takes three models or more."""
    from spectra_cli.studies.inputs.parse import parse_labels
    from spectra_cli.studies.scaling import scaling as study
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.scaling import scaling_json, show_scaling

    fitted = study(tables, parse_labels(labels.label), exponent.alpha)
    show_result(
        answer,
        text=lambda: show_scaling(make_console(error=False), fitted),
        facts=lambda: scaling_json(fitted),
        allow_nan=False,
    )
    return 0
