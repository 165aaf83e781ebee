"""The shell completes commands and options; Typer's own scripts ask this way."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("typed", "completed"), [("spectra stab", "stability"), ("spectra plot --ki", "--kind")])
def test_a_shell_is_told_what_fits(typed, completed):
    asked = {"_SPECTRA_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    said = subprocess.run(
        [sys.executable, "-m", "spectra_cli"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert said.stdout.split() == [completed]
