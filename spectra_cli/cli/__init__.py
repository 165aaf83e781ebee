"""The command line: parse, call one job, show. `main` runs one command."""

import os
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; two lines also where there is no memory even to load it."""
    try:
        from spectra_cli.cli.app import main as run

        return run(arguments)
    except MemoryError:
        os.write(2, b"spectra: there is not enough memory to begin\n  raise the limit on memory (ulimit -v)\n")
        os._exit(1)  # libraries that are half loaded crash when the interpreter unloads them
