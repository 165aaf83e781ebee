"""The commands: parse, call one function, print. No logic, and no import that a usage error would wait for."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from spectra_cli.errors import SpectraError

app = typer.Typer(
    name="spectra",
    help="Singular value spectra of every weight matrix over a training run, as one table.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Sources = Annotated[
    list[str],
    typer.Argument(
        help="A folder of checkpoints, one checkpoint, or hf:owner/name[@revision][/subfolder], also several of these.",
        show_default=False,
    ),
]
Disk = Annotated[
    str | None,
    typer.Option("--disk", metavar="SIZE", help="Most scratch space for fetched files; 10GB or two files by default."),
]
Patience = Annotated[
    str | None,
    typer.Option("--patience", metavar="TIME", help="How long a Hub that does not answer is tried; 10m by default."),
]
Revisions = Annotated[
    list[str] | None, typer.Option("--revisions", help="Only checkpoints that match, as in 'step1*'; may be repeated.")
]
Steps = Annotated[
    str | None,
    typer.Option("--steps", metavar="A:B[:N]", help="Only steps from A to B, both included; every N-th of them."),
]
Roles = Annotated[
    str | None,
    typer.Option("--roles", metavar="ROLE,…", help="Only these: q k v o gate up down embed unembed router other."),
]
Layers = Annotated[str | None, typer.Option("--layers", metavar="0-3,7", help="Only these layers.")]
Match = Annotated[
    str | None, typer.Option("--match", metavar="REGEX", help="Only matrices whose name the expression finds.")
]
Metrics = Annotated[
    str | None, typer.Option("--metrics", metavar="NAME,…", help="Only these numbers, or 'all'; see `spectra metrics`.")
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference", metavar="NAME", help="The checkpoint compared with, by name or step; the last by default."
    ),
]
Vectors = Annotated[
    int | None, typer.Option("--vectors", metavar="K", help="Also compare the first K singular vectors.")
]
AlphaRange = Annotated[
    str | None,
    typer.Option("--alpha-range", metavar="A:B", help="Ranks, or shares of all (0.05:0.5), that the α fits use."),
]
Fused = Annotated[bool, typer.Option("--fused", help="Keep fused tensors such as q/k/v whole.")]
Arch = Annotated[
    str | None,
    typer.Option(
        "--arch", metavar="FILE", help="TOML that says what the tensors mean, or a known architecture's name."
    ),
]
MapFile = Annotated[
    str | None,
    typer.Option("--map", metavar="FILE", help="CSV of revision,step[,tokens,stage] for names that say no step."),
]
TokensPerStep = Annotated[
    int | None, typer.Option("--tokens-per-step", metavar="N", help="Fills in tokens where names do not say them.")
]
Ema = Annotated[bool, typer.Option("--ema", help="Take the average of the weights that was saved beside them.")]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Also read what links lead to outside a checkpoint's folder.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N, xpu or mps.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="Matrices computed side by side; all processors by default."),
]
Engine = Annotated[
    str,
    typer.Option("--engine", metavar="local|ray[=ADDRESS]", help="This machine, or a Ray cluster: docs/scaling.md."),
]
Losses = Annotated[
    list[str] | None,
    typer.Option("--loss", metavar="FILE", help="What the run logged, one for each table: step, loss, learning rate."),
]
LossColumns = Annotated[
    str | None, typer.Option("--loss-columns", metavar="step=…,loss=…", help="Which columns of --loss are meant.")
]
RunLabels = Annotated[
    str | None, typer.Option("--label", metavar="NAME,…", help="What to call the runs; by default the files' names.")
]
Alpha = Annotated[
    str, typer.Option("--alpha", metavar="NAME", help="Which exponent: alpha, alpha_ols, alpha_hill or alpha_tail.")
]
Labels = Annotated[str | None, typer.Option("--label", metavar="NAME,…", help="What to call each table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
STANDARD_OUTPUT = "standard output"
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from spectra_cli import __version__

        typer.echo(f"spectra {__version__}")
        raise typer.Exit


@app.command()
def scan(
    source: Sources,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The Parquet file; - for standard output; by default the model's name.",
        ),
    ] = None,
    revisions: Revisions = None,
    steps: Steps = None,
    roles: Roles = None,
    layers: Layers = None,
    match: Match = None,
    metrics: Metrics = None,
    reference: Reference = None,
    vectors: Vectors = None,
    alpha_range: AlphaRange = None,
    fused: Fused = False,
    arch: Arch = None,
    map: MapFile = None,  # noqa: A002
    tokens_per_step: TokensPerStep = None,
    ema: Ema = False,
    follow_links: FollowLinks = False,
    device: Device = "auto",
    threads: Threads = None,
    engine: Engine = "local",
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted scan of this output left.")
    ] = False,
    disk: Disk = None,
    patience: Patience = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Measure every matrix of every checkpoint and write one table; goes on where it was stopped."""
    options = dict(
        revisions=tuple(revisions or ()), steps=steps, roles=roles or (), layers=layers, match=match, metrics=metrics,
        reference=reference, vectors=vectors, alpha_range=alpha_range, fused=fused, arch=arch, map=map,
        tokens_per_step=tokens_per_step, ema=ema, follow_links=follow_links, device=device, threads=threads,
        disk=disk, patience=patience, engine=engine,
    )  # fmt: skip
    place = _one_source(source, revisions)
    if output == "-":
        return _scan_to_stdout(place, restart=restart, quiet=quiet, as_json=as_json, options=options)
    target = Path(output) if output else Path(f"{_model_name(place, options)}.parquet")
    shown = output or target.name
    return _scan(place, target, shown, restart=restart, quiet=quiet, as_json=as_json, options=options, advise=True)


def _one_source(words: list[str], revisions: list[str] | None) -> str:
    from spectra_cli.sources.address import join

    return join(words, revisions or [])


def _model_name(source: str, options: dict[str, Any]) -> str:
    from spectra_cli.measure.plan import make_plan
    from spectra_cli.measure.request import Request

    return make_plan(Request(source, **options)).model


def _scan_to_stdout(source: str, *, restart: bool, quiet: bool, as_json: bool, options: dict[str, Any]) -> int:
    if as_json or sys.stdout.isatty():
        reason = "--json also writes there" if as_json else "it is a terminal, and Parquet is binary"
        raise SpectraError(f"the table cannot go to standard output: {reason}", hint="give -o FILE", code=2)
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        target = Path(folder) / "scan.parquet"
        code = _scan(source, target, STANDARD_OUTPUT, restart=restart, quiet=quiet, as_json=False, options=options)
        with open(target, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return code


def _scan(
    source: str,
    target: Path,
    shown: str,
    *,
    restart: bool,
    quiet: bool,
    as_json: bool,
    options: dict[str, Any],
    advise: bool = False,
) -> int:
    from spectra_cli.measure.request import Request

    request = Request(source, **options)  # what can never be carried out is refused before anything heavy loads
    from spectra_cli import svd
    from spectra_cli.cli import interrupts
    from spectra_cli.jobs.scan import scan_checkpoints
    from spectra_cli.studies.summary import summarise
    from spectra_cli.views.console import screen as view
    from spectra_cli.views.formatting import show_error

    screen = view.make_console(error=True)
    silent = quiet or as_json
    beside = shown != STANDARD_OUTPUT

    def last() -> None:
        if not beside:
            shutil.rmtree(target.parent, ignore_errors=True)

    with (
        interrupts.stoppable(_how_to_go_on(beside, restart), show_error, last),
        view.ScanProgress(screen, quiet=silent).running() as progress,
    ):

        def started(plan: Any, layout: Any, device: str) -> None:
            if not silent:
                screen.print(view.headline(plan, layout, device, svd.describe(device), request.workers), soft_wrap=True)
            progress.begin(plan, layout)

        done = scan_checkpoints(
            source,
            target,
            restart=restart,
            losses=beside,
            on_done=progress,
            on_start=started,
            on_wait=progress.say,
            **options,
        )
    roles = summarise(target)
    if as_json:
        losses = str(done.losses) if done.losses else None
        problems = [asdict(one) for one in done.problems]
        facts = {"output": str(target), "losses": losses, "rows": done.rows, "problems": problems}
        typer.echo(json.dumps({**facts, "metadata": done.metadata, "roles": [asdict(role) for role in roles]}))
    elif not quiet:
        view.show_scan(screen, done, roles, shown)
        if advise:
            view.show_next(screen, done)
        view.show_problems(done.fallbacks)
    view.show_problems(done.problems)
    return 3 if done.problems else 0


def _how_to_go_on(kept: bool, restart: bool) -> str:
    if not kept:
        return "nothing is kept of a table for standard output: give -o FILE, and a stopped scan goes on"
    return f"what was finished is kept: the same command{', without --restart,' if restart else ''} goes on from there"


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="A checkpoint's folder or file.", show_default=False)],
    b: Annotated[str, typer.Argument(help="The checkpoint it is compared with.", show_default=False)],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the table to this Parquet file too.")
    ] = None,
    roles: Roles = None,
    layers: Layers = None,
    match: Match = None,
    metrics: Metrics = None,
    fused: Fused = False,
    arch: Arch = None,
    ema: Ema = False,
    follow_links: FollowLinks = False,
    device: Device = "auto",
    threads: Threads = None,
    disk: Disk = None,
    patience: Patience = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every matrix.")] = False,
    as_json: AsJson = False,
) -> int:
    """Compare two checkpoints, matrix by matrix, biggest movers first."""
    from spectra_cli.measure.request import Request

    options: dict[str, Any] = dict(
        roles=roles or (), layers=layers, match=match, metrics=metrics, fused=fused, arch=arch, ema=ema,
        follow_links=follow_links, device=device, threads=threads, disk=disk, patience=patience,
    )  # fmt: skip
    Request(a, **options)
    from spectra_cli.jobs.diff import diff_checkpoints
    from spectra_cli.views.console import screen as view
    from spectra_cli.views.console.diff import movers, show_diff

    found = diff_checkpoints(a, b, output, on_wait=view.waiting, **options)
    if as_json:
        facts = [{"matrix": name, "a": one, "b": other} for name, one, other in movers(found)]
        typer.echo(json.dumps({"matrices": facts, "problems": [asdict(problem) for problem in found.problems]}))
    else:
        show_diff(view.make_console(error=False), found, everything=everything)
    view.show_problems((*found.fallbacks, *found.problems))
    return 3 if found.problems else 0


@app.command()
def verify(
    table: Annotated[Path, typer.Argument(help="A table that scan or diff wrote.", show_default=False)],
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Also compute N random matrices again, and compare.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which N are drawn.")] = 0,
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="Where the checkpoints lie now, for --sample.")
    ] = None,
    map: MapFile = None,  # noqa: A002
    as_json: AsJson = False,
) -> int:
    """Check a table: schema, checksums, completeness, ranges, inequalities; exit code 1 where something is wrong."""
    from spectra_cli.jobs.verify import verify_table
    from spectra_cli.views.console.screen import make_console, show_problems
    from spectra_cli.views.console.verify import show_verified

    found = verify_table(table, sample=sample, seed=seed, source=source, map=map)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "path": str(table)}))
    else:
        show_verified(make_console(error=False), found)
    show_problems(found.findings)
    return 1 if found.findings else 0


@app.command()
def inspect(
    source: Sources,
    revisions: Revisions = None,
    steps: Steps = None,
    roles: Roles = None,
    layers: Layers = None,
    match: Match = None,
    fused: Fused = False,
    arch: Arch = None,
    map: MapFile = None,  # noqa: A002
    tokens_per_step: TokensPerStep = None,
    ema: Ema = False,
    follow_links: FollowLinks = False,
    device: Device = "auto",
    disk: Disk = None,
    patience: Patience = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every checkpoint.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Print only the architecture's record, as TOML for --arch.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show what a scan would read, split, skip and cost; computes no spectrum."""
    from spectra_cli.measure.request import Request

    options: dict[str, Any] = dict(
        revisions=tuple(revisions or ()), steps=steps, roles=roles or (), layers=layers, match=match, fused=fused,
        arch=arch, map=map, tokens_per_step=tokens_per_step, ema=ema, follow_links=follow_links, device=device,
        disk=disk, patience=patience,
    )  # fmt: skip
    place = _one_source(source, revisions)
    Request(place, **options)
    if record and arch:  # whether it fits the source or not: it may be there to be edited
        typer.echo(_record(arch))
        return 0
    from spectra_cli.jobs.inspect import inspect_source
    from spectra_cli.views.console.inspect import inspection_json, show_inspection
    from spectra_cli.views.console.screen import make_console, waiting
    from spectra_cli.views.formatting import show_error

    found = inspect_source(place, on_wait=waiting, **options)
    if record:
        typer.echo(_record(found.layout.architecture))
    elif as_json:
        typer.echo(json.dumps(inspection_json(found)))
    else:
        show_inspection(make_console(error=False), found, everything=everything)
    unreadable = [fact.problem for fact in found.facts if fact.problem]
    for problem in unreadable:
        show_error(problem.message, problem.hint)
    return 3 if unreadable else 0


def _record(name: str) -> str:
    from spectra_cli.architectures import ARCHITECTURES, load, to_toml

    known = {one.name for one in ARCHITECTURES}
    if name not in known and not Path(name).exists():
        raise SpectraError(
            "there is no record of this family", hint="start from a near one, such as --arch llama --record", code=2
        )
    return to_toml(load(name))


@app.command()
def stability(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE", help="Tables that scan wrote, one a run.", show_default=False)
    ],
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            metavar="FILE",
            help="What the run logged: JSONL, CSV, Parquet or trainer_state.json; one for each table, - for none.",
        ),
    ] = None,
    loss_columns: Annotated[
        str | None,
        typer.Option(
            "--loss-columns", metavar="step=…,loss=…,lr=…", help="The log's names, where they are not recognised."
        ),
    ] = None,
    label: RunLabels = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every layer.")] = False,
    as_json: AsJson = False,
) -> int:
    """Find the two phases of a run: where its spectra settle, and whether the loss settles with them."""
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels
    from spectra_cli.studies.stability import compare_tables
    from spectra_cli.views.console.screen import make_console
    from spectra_cli.views.console.stability import show_stability, stability_json

    found = compare_tables(tables, loss or (), parse_columns(loss_columns), parse_labels(label))
    if as_json:
        typer.echo(json.dumps(stability_json(found), allow_nan=False))
    else:
        show_stability(make_console(error=False), found, everything=everything)
    return 0


@app.command()
def metrics(name: Annotated[str | None, typer.Argument(help="One number's name.", show_default=False)] = None) -> None:
    """Show the catalogue of numbers, or one of them with its formula, range and source."""
    from spectra_cli.views.console.catalogue import one_metric, overview

    typer.echo(one_metric(name) if name else overview())


@app.command()
def lifecycle(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE", help="Tables that scan wrote, one a run.", show_default=False)
    ],
    alpha: Alpha = "alpha",
    label: RunLabels = None,
    as_json: AsJson = False,
) -> int:
    """Find waves of compression, gradients over depth, Q/K-V asymmetry and two timescales in a run."""
    from spectra_cli.studies.inputs.parse import parse_labels
    from spectra_cli.studies.lifecycle import lifecycle_tables
    from spectra_cli.views.console.lifecycle import lifecycle_json, show_lifecycle
    from spectra_cli.views.console.screen import make_console

    found = lifecycle_tables(tables, parse_labels(label), alpha)
    if as_json:
        typer.echo(json.dumps(lifecycle_json(found), allow_nan=False))
    else:
        show_lifecycle(make_console(error=False), found)
    return 0


@app.command()
def scaling(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE", help="Tables that scan wrote, one a model.", show_default=False)
    ],
    alpha: Alpha = "alpha",
    label: RunLabels = None,
    as_json: AsJson = False,
) -> int:
    """Fit how the spread of an exponent over depth grows with the size of the model; takes three models or more."""
    from spectra_cli.studies.inputs.parse import parse_labels
    from spectra_cli.studies.scaling import scaling as study
    from spectra_cli.views.console.scaling import scaling_json, show_scaling
    from spectra_cli.views.console.screen import make_console

    found = study(tables, parse_labels(label), alpha)
    if as_json:
        typer.echo(json.dumps(scaling_json(found), allow_nan=False))
    else:
        show_scaling(make_console(error=False), found)
    return 0


@app.command()
def plot(
    tables: Annotated[list[str], typer.Argument(help="Tables that `scan` wrote.", show_default=False)],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="NAME",
            help="trajectory, alignment, spectrum, heatmap, profile, roles; over depth: wave, gradients, depth, "
            "asymmetry, timescales: docs/figures.md.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="A .png, .svg, .html or .pdf; - draws on the terminal."),
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="The number drawn: any for heatmap, profile, roles; sd or sigma; an exponent over depth.",
        ),
    ] = None,
    roles: Roles = None,
    match: Match = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="N,…", help="The checkpoints shown, for spectrum and profile.")
    ] = None,
    loss: Losses = None,
    loss_columns: LossColumns = None,
    label: Labels = None,
) -> int:
    """Draw one figure of one or more tables."""
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels
    from spectra_cli.views.figures.kinds import Choice, plot, whole_numbers

    kept = tuple(roles.split(",")) if roles else ()
    logs, columns = tuple(loss or ()), parse_columns(loss_columns)
    choice = Choice(metric, kept, match, whole_numbers(steps), logs, columns, parse_labels(label))
    drawn = plot(tables, kind, output, choice)
    if drawn is not None:
        typer.echo(drawn)
    return 0


@app.command()
def report(
    tables: Annotated[list[str], typer.Argument(help="Tables that `scan` wrote.", show_default=False)],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = "report.html",
    loss: Losses = None,
    loss_columns: LossColumns = None,
    label: Labels = None,
) -> int:
    """Write one page that stands alone: findings, figures to explore, the table of matrices, how it was made."""
    from spectra_cli.errors import printable
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels
    from spectra_cli.views.formatting import size
    from spectra_cli.views.report.report import report as write_report

    columns, labels = parse_columns(loss_columns), parse_labels(label)
    written = write_report(tables, output, losses=tuple(loss or ()), loss_columns=columns, labels=labels)
    typer.echo(f"{printable(output)} · {size(written)} · opens in any browser, without a network", err=True)
    return 0


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where the run and its table go; must not exist yet, or be empty.")
    ] = Path("spectra-demo"),
) -> int:
    """Train a tiny model on Python's own sources, scan its checkpoints, and say what was found."""
    from spectra_cli.jobs import demo as training
    from spectra_cli.views.console.screen import make_console

    screen = make_console(error=True)
    table = folder / "demo.parquet"
    run = training.train(folder, on_progress=lambda line: screen.print(line, soft_wrap=True))
    code = _scan(str(run), table, str(table), restart=False, quiet=False, as_json=False, options={})
    page = folder / "demo.html"
    report([str(table)], str(page), loss=[str(run / "loss.jsonl")])
    screen.print(training.what_next(folder), soft_wrap=True)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 failed, 2 usage, 3 done but something could not be read."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False, prog_name="spectra")
        sys.stdout.flush()
        return int(code or 0)
    except SpectraError as error:
        return _fail(error.message, error.hint, error.code)
    except typer.TyperException as error:
        return _fail(
            error.format_message(), "spectra --help lists the commands, spectra COMMAND --help their options", 2
        )
    except (typer.Abort, KeyboardInterrupt):
        return _fail("stopped", "nothing was written: give the command again", 1)
    except MemoryError as error:
        what = str(error) if type(error) is MemoryError and error.args else "this matrix"  # a library's text says less
        hint = "give --threads 1, or leave it out with --match; the same scan goes on from what it finished"
        return _fail(f"there is not enough memory for {what}", hint, 1)
    except OSError as error:  # files are named where they are read and written: what is left is standard output
        return _output_lost(error)


def _output_lost(error: OSError) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's last flush is quiet
    if isinstance(error, BrokenPipeError):
        return 1
    what = "standard output cannot be written" if error.filename is None else str(error.filename)
    return _fail(f"{what}: {error.strerror or error}", "look at where it goes, its permissions and its free space", 1)


def _fail(message: str, hint: str, code: int) -> int:
    from spectra_cli.views.formatting import show_error

    show_error(message, hint)
    return code
