"""The program: its commands, its exit codes and the two lines of an error. Imports nothing a usage error waits for."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from spectra_cli.budget import has_limited_addresses
from spectra_cli.cli.checking import inspect, metrics, verify
from spectra_cli.cli.demo import demo
from spectra_cli.cli.exporting import export
from spectra_cli.cli.flat import flat
from spectra_cli.cli.help import HelpfulCommand, HelpfulGroup
from spectra_cli.cli.looking import plot, report, study
from spectra_cli.cli.models import ablate, evaluate, prune
from spectra_cli.cli.rank1 import rank1
from spectra_cli.cli.scanning import diff, scan
from spectra_cli.cli.studies import lifecycle, scaling, stability
from spectra_cli.cli.surgery import merge, warmup
from spectra_cli.cli.watching import watch
from spectra_cli.errors import SpectraError
from spectra_cli.views.console.problems import show_error

# What the loader of libraries and the threads of Python say where the system refuses them something.
REFUSED = (
    "start new thread",
    "launch worker thread",
    "failed to map segment",
    "annot allocate memory",
    "bad_alloc",
    "shared object",
)
COMMANDS = (
    (
        "Begin",
        (
            demo,
            inspect,
        ),
    ),
    (
        "Measure",
        (
            scan,
            watch,
            diff,
            verify,
            export,
        ),
    ),
    (
        "Study and show",
        (
            stability,
            lifecycle,
            scaling,
            rank1,
            plot,
            report,
            study,
        ),
    ),
    (
        "Models, and text",
        (
            evaluate,
            ablate,
            prune,
            merge,
            warmup,
        ),
    ),
    ("Look up", (metrics,)),
)  # in the order of their use

app = typer.Typer(
    name="spectra",
    cls=HelpfulGroup,
    help="Singular value spectra of every weight matrix over a training run, as one table.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group, commands in COMMANDS:
    for command in commands:
        app.command(cls=HelpfulCommand, rich_help_panel=group)(flat(command))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from spectra_cli import __version__

        typer.echo(f"spectra {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 usage, 3 done but something could not be read."""
    _print_any_name()
    _spare_addresses()
    try:
        given = None if arguments is None else list(arguments)
        code = _command()(args=given, standalone_mode=False, prog_name="spectra")
        sys.stdout.flush()
        return int(code or 0)
    except SpectraError as error:
        return _fail(error.message, error.hint, error.code)
    except typer.TyperException as error:
        return _fail(error.format_message(), _where_to_look(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("stopped", "nothing was written: give the command again", 1)
    except OSError as error:  # files are named where they are read and written: what is left is standard output
        return _refused(MemoryError()) if error.errno == errno.ENOMEM else _output_lost(error)
    except Exception as error:  # libraries have their own types for a refusal, which no base of theirs tells
        return _refused(error)


@cache
def _command() -> Any:
    """Return what the commands above come to: a process may give several, as tests and notebooks do."""
    return typer.main.get_command(app)


def _where_to_look(error: typer.TyperException) -> str:
    command = getattr(getattr(error, "ctx", None), "command_path", "spectra")
    if command == "spectra":
        return "spectra -h lists the commands"
    return f"{command} -h shows its options, with an example"


def _refused(error: Exception) -> int:
    """Show that there is no memory or no thread for something; raise what means anything else."""
    if isinstance(error, MemoryError):
        code = _out_of_memory(error)
        if has_limited_addresses():
            os._exit(code)  # libraries that are half loaded crash when the interpreter unloads them
        return code
    if not any(sign in str(error) for sign in REFUSED):
        raise error
    hint = "raise the limits on memory and processes (ulimit -v, -u), or give --threads 1; what is finished is kept"
    return _fail("the system refuses this process more memory or threads", hint, 1)


def _out_of_memory(error: MemoryError) -> int:
    is_ours = type(error) is MemoryError and error.args  # a library's text says less
    what = f"there is not enough memory for {error}" if is_ours else "there is not enough memory"
    hint = (
        "raise the limit on memory (ulimit -v), or free some; "
        "a scan takes less with --threads 1 or --match, and goes on from what it finished"
    )
    return _fail(what, hint, 1)


def _spare_addresses() -> None:
    """Let Arrow do without its own allocator under a limit of addresses: it takes 1 GiB of them, and leaves too few."""
    if has_limited_addresses():
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        warnings.simplefilter("ignore")  # of libraries that find less than they looked for


def _print_any_name() -> None:
    """Let the streams spell out what their encoding lacks, as in Python: names from files may hold anything.

    A stream that was closed is one that nobody reads: a file that is opened later must not take its number.
    """
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            while (null := os.open(os.devnull, os.O_RDWR)) < number:
                pass  # each lower number that is free is taken too
            setattr(sys, name, open(null, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _output_lost(error: OSError) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's last flush is quiet
    if isinstance(error, BrokenPipeError):
        return 1
    what = "standard output cannot be written" if error.filename is None else str(error.filename)
    return _fail(f"{what}: {error.strerror or error}", "look at where it goes, its permissions and its free space", 1)


def _fail(message: str, hint: str, code: int) -> int:
    show_error(message, hint)
    return code
