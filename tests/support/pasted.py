"""Where commands of the docs run as pasted: `spectra` is on the path, and is the one that is tested."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def with_spectra(folder: Path) -> dict[str, str]:
    """An environment in which `spectra` is this tree's. folder: where the command is put."""
    command = folder / "bin" / "spectra"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m spectra_cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
