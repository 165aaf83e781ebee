"""What is said where the extra `report` is not installed, and what does not need it."""

import subprocess
import sys

import pytest

from spectra_cli.errors import REPORT

WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({REPORT})); "
COMMAND = WITHOUT + "from spectra_cli.cli import main; sys.exit(main(sys.argv[1:]))"


def run(code, folder, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("plot", "{table}", "--kind", "roles", "-o", "a.png"), ("report", "{table}", "-o", "a.html"), ("demo",)],
    ids=lambda arguments: arguments[0],
)
def test_two_lines_name_the_extra_and_nothing_is_left(arguments, table_path, tmp_path):
    done = run(COMMAND, tmp_path, *(argument.format(table=table_path) for argument in arguments))
    what, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not installed" in what
    assert "pip install '.[report]'" in hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_measuring_and_its_studies_do_without(kept_run, table_path, tmp_path):
    done = run(COMMAND, tmp_path, "scan", kept_run, "-o", "a.parquet", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    script = "import spectra_cli; print(spectra_cli.stability(sys.argv[1]).sentences()[0]); "
    script += "spectra_cli.figures.roles(sys.argv[1])"
    done = run(WITHOUT + script, tmp_path, table_path)
    assert done.stdout.startswith("Phase I")
    assert done.stderr.splitlines()[-1].startswith("spectra_cli.errors.SpectraError: altair is not installed")
