"""The options that several commands share, each declared once: as a field of one of these groups.

A field's annotation is what Typer shows; `flat.py` makes options of them, and `request_of` a Request. What only one
command takes is a parameter of that command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from spectra_cli.errors import SpectraError, printable

if TYPE_CHECKING:
    from spectra_cli.measure.request import Request

OTHER_FORMS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".feather", ".arrow", ".html", ".npz", ".h5", ".pkl"}

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="A folder of checkpoints, one checkpoint, s3://bucket/folder, gs://…, or one or several of"
        " hf:owner/name[@revision][/subfolder].",
        show_default=False,
    ),
]
RunTables = Annotated[
    list[str], typer.Argument(metavar="TABLE", help="Tables that scan wrote, one a run.", show_default=False)
]
Tables = Annotated[list[str], typer.Argument(metavar="TABLE", help="Tables that `scan` wrote.", show_default=False)]


@dataclass(frozen=True)
class Selection:
    """Which checkpoints, matrices and metrics are wanted."""

    GROUP: ClassVar[str] = "Choose checkpoints, matrices, metrics"

    revisions: Annotated[
        list[str] | None,
        typer.Option(
            "--revisions", metavar="PATTERN", help="Only checkpoints that match, as in 'step1*'; may be repeated."
        ),
    ] = None
    steps: Annotated[
        str | None,
        typer.Option("--steps", metavar="A:B[:N]", help="Only steps from A to B, both included; every N-th of them."),
    ] = None
    roles: Annotated[
        str | None,
        typer.Option(
            "--roles",
            metavar="ROLE,…",
            help="Only these: q k v o gate up down embed unembed router in_proj x_proj dt_proj out_proj other.",
        ),
    ] = None
    layers: Annotated[str | None, typer.Option("--layers", metavar="0-3,7", help="Only these layers.")] = None
    match: Annotated[
        str | None, typer.Option("--match", metavar="REGEX", help="Only matrices whose name the expression finds.")
    ] = None
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="NAME,…", help="Only these numbers, or 'all'; see `spectra metrics`."),
    ] = None


@dataclass(frozen=True)
class Measuring:
    """What a checkpoint is compared with, and what the metrics are given."""

    GROUP: ClassVar[str] = "Compare and fit"

    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="NAME", help="The checkpoint compared with, by name or step; the last by default."
        ),
    ] = None
    vectors: Annotated[
        int | None, typer.Option("--vectors", metavar="K", help="Also compare the first K singular vectors.")
    ] = None
    alpha_range: Annotated[
        str | None,
        typer.Option("--alpha-range", metavar="A:B", help="Ranks, or shares of all (0.05:0.5), that the α fits use."),
    ] = None


@dataclass(frozen=True)
class Reading:
    """How names and files are read."""

    GROUP: ClassVar[str] = "Read names and files"

    fused: Annotated[bool, typer.Option("--fused", help="Keep fused tensors such as q/k/v whole.")] = False
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch", metavar="FILE", help="TOML that says what the tensors mean, or a known architecture's name."
        ),
    ] = None
    map: Annotated[
        str | None,
        typer.Option("--map", metavar="FILE", help="CSV of revision,step[,tokens,stage] for names that say no step."),
    ] = None
    tokens_per_step: Annotated[
        int | None,
        typer.Option("--tokens-per-step", metavar="N", help="Fills in tokens where names do not say them."),
    ] = None
    ema: Annotated[bool, typer.Option("--ema", help="Take the average of the weights that was saved beside them.")] = (
        False
    )
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links lead to outside a checkpoint's folder.")
    ] = False


@dataclass(frozen=True)
class Compute:
    """What computes, and how much of it."""

    GROUP: ClassVar[str] = "Compute"

    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N, xpu or mps.")] = (
        "auto"
    )
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Matrices computed side by side; all processors by default."),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="local|ray[=ADDRESS]", help="This machine, or a Ray cluster: docs/scaling.md."
        ),
    ] = "local"


@dataclass(frozen=True)
class Pricing:
    """What other checkpoints and machines there would be."""

    GROUP: ClassVar[str] = "Estimate for more checkpoints and machines"

    checkpoints: Annotated[
        int | None,
        typer.Option("--checkpoints", min=1, metavar="N", help="Price N like the last one, not those there are."),
    ] = None
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Estimate for N machines like this one too.")
    ] = None
    processors_per_worker: Annotated[
        int | None,
        typer.Option("--processors-per-worker", min=1, metavar="N", help="Of each; as many as here by default."),
    ] = None
    gpus_per_worker: Annotated[int, typer.Option("--gpus-per-worker", min=0, metavar="N", help="GPUs of each.")] = 0
    bandwidth: Annotated[
        str | None, typer.Option("--bandwidth", metavar="SIZE", help="What each reads in a second, such as 1GB.")
    ] = None


@dataclass(frozen=True)
class HubAccess:
    """What fetching from the Hub may take."""

    GROUP: ClassVar[str] = "Fetch from the Hub"

    disk: Annotated[
        str | None,
        typer.Option(
            "--disk", metavar="SIZE", help="Most scratch space for fetched files; 10GB or two files by default."
        ),
    ] = None
    patience: Annotated[
        str | None,
        typer.Option(
            "--patience", metavar="TIME", help="How long a Hub that does not answer is tried; 10m by default."
        ),
    ] = None


@dataclass(frozen=True)
class Answer:
    """How a result is shown."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False


@dataclass(frozen=True)
class TrainingLogs:
    """What the runs of a study logged."""

    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            metavar="FILE",
            help="What the run logged: JSONL, CSV, Parquet or trainer_state.json; one for each table, - for none.",
        ),
    ] = None
    loss_columns: Annotated[
        str | None,
        typer.Option(
            "--loss-columns", metavar="step=…,loss=…,lr=…", help="The log's names, where they are not recognised."
        ),
    ] = None


@dataclass(frozen=True)
class RunLabels:
    """What the runs of a study are called."""

    label: Annotated[
        str | None,
        typer.Option("--label", metavar="NAME,…", help="What to call the runs; by default the files' names."),
    ] = None


@dataclass(frozen=True)
class Seeds:
    """Whether runs of one label are told of together."""

    seeds: Annotated[
        bool,
        typer.Option(
            "--seeds", help="Pool runs that differ by seed alone: those of one --label, as in a,a,b,b; without it, all."
        ),
    ] = False


@dataclass(frozen=True)
class Exponent:
    """Which exponent a study over depth reads."""

    alpha: Annotated[
        str,
        typer.Option("--alpha", metavar="NAME", help="Which exponent: alpha, alpha_ols, alpha_hill or alpha_tail."),
    ] = "alpha"


@dataclass(frozen=True)
class RunInputs:
    """What a figure or a page is given beside its tables."""

    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss", metavar="FILE", help="What the run logged, one for each table: step, loss, learning rate."
        ),
    ] = None
    loss_columns: Annotated[
        str | None,
        typer.Option("--loss-columns", metavar="step=…,loss=…", help="Which columns of --loss are meant."),
    ] = None
    label: Annotated[str | None, typer.Option("--label", metavar="NAME,…", help="What to call each table.")] = None


def options_of(*groups: object) -> dict[str, Any]:
    """Return the groups' fields by name, without those that were not given: a Request has defaults of its own."""
    return {name: value for group in groups for name, value in vars(group).items() if value is not None}


def request_of(source: str, *groups: object) -> Request:
    """Return what is asked of a scan. Raises SpectraError, code 2, where it can never be carried out."""
    from spectra_cli.measure.request import Request

    return Request.of(source, **options_of(*groups))


def parquet_name(name: str) -> Path:
    """Return where a table goes. Raises SpectraError, code 2, for a name that promises another form than Parquet."""
    path = Path(name)
    promised = OTHER_FORMS.intersection(suffix.lower() for suffix in path.suffixes)
    if promised:
        stem = name[: len(name) - len("".join(path.suffixes))]
        raise SpectraError(
            f"{name} would not be what its name says: a table is Parquet",
            hint=f"give -o {stem}.parquet; pandas.read_parquet reads it, and its to_csv writes another form",
            code=2,
        )
    return path


def reading_words(source: str) -> str:
    """Return what is shown while a source is listed."""
    return f"reading {printable(source, 200)}"
