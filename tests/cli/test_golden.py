"""What commands show on terminals of 80, 120 and 200 columns is what `golden/` holds, to the letter.

A file that is not there is written, and the test fails once: look at the file before you keep it.
"""

import contextlib
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from spectra_cli.cli.app import main
from tests.support import golden_run, runs
from tests.support.terminals import TerminalText, screen_of

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 120, 200)
# Sizes are those of a machine and of the versions installed.
MEASURED = re.compile(r"\d[\d.,]*(?= (?:B|kB|MB|GB)\b)")
# Its memory is that of the process that runs all tests, its time that of the machine.
COST = re.compile(r"(?<=to read: ).*?machine", re.DOTALL)
OF_MODELS = {  # of models without training: only where their numbers stand is compared
    "report": "spectra report small.parquet --loss loss.jsonl -o made.html",
    "evaluate": "spectra evaluate model --text held-out.txt --blocks 8",
    "prune": "spectra prune model --layers 2 -o made",
}
SLOW = ("stability-compared", "plot-trajectory", *OF_MODELS)  # 2 s each
COMMANDS = {
    "inspect": "spectra inspect run",
    "scan": "spectra scan run -o again.parquet --threads 1",
    "scan-complete": "spectra scan run -o mine.parquet --threads 1",
    "diff": "spectra diff run/step0 run/step16",
    "verify": "spectra verify mine.parquet",
    "export": "spectra export mine.parquet -o mine.csv",
    "stability": "spectra stability small.parquet --loss loss.jsonl",
    "stability-compared": "spectra stability small.parquet large.parquet --label 'a small one,a large one'",
    "lifecycle": "spectra lifecycle small.parquet",
    "scaling": "spectra scaling tiny.parquet small.parquet large.parquet",
    "rank1": "spectra rank1 run --window 2 -o again.rank1.parquet",
    "merge": "spectra merge run --window 3 --dry-run",
    "metrics": "spectra metrics alpha",
    "plot-trajectory": "spectra plot small.parquet --kind trajectory --loss loss.jsonl -o -",
    "plot-heatmap": "spectra plot small.parquet --kind heatmap --metric entropy --roles q,down -o -",
    "plot-wave": "spectra plot small.parquet --kind wave -o -",
    "error": "spectra scan nowhere",
    **OF_MODELS,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small run, its table, planted tables of three sizes, and a log."""
    from spectra_cli.jobs.scan import scan_checkpoints

    folder = tmp_path_factory.mktemp("golden")
    runs.write_run(folder / "run")
    with contextlib.chdir(folder):
        scan_checkpoints("run", "mine.parquet", threads=1)
    for name, layers in (("tiny", 4), ("small", 6), ("large", 8)):
        golden_run.plant_table(folder / f"{name}.parquet", layers)
    losses = [{"step": step, "val_loss": 2 + 3 / (1 + step) ** 0.5, "lr": 1e-3} for step in golden_run.STEPS]
    (folder / "loss.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in losses))
    return folder


def shown(monkeypatch, command, width):
    """The screen after a command, which runs in this process."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")  # heat maps in shades, which a text holds
    terminal = TerminalText()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        patched.setattr(sys, "stderr", terminal)
        code = main(shlex.split(command)[1:])
    screen = COST.sub("#", screen_of(terminal.bytes.getvalue().decode()))
    numbers = re.compile(r"\d") if command in OF_MODELS.values() else MEASURED
    screen = numbers.sub(lambda found: "#" * len(found[0]), screen)
    return f"{f' {width} columns, exit code {code} ':─^{width}}\n{screen}"


@pytest.fixture
def model(place):
    """A small language model beside the others, and a text."""
    from tests.support.language_models import BYTES, TEXT, write_model

    if not (place / "model").exists():
        write_model(place / "model", "gpt_neox", BYTES | {"num_hidden_layers": 5}, 0)
        (place / "held-out.txt").write_text(TEXT)
    return place / "model"


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in COMMANDS])
def test_it_shows_what_it_showed(place, monkeypatch, request, name):
    monkeypatch.chdir(place)
    if name in OF_MODELS:
        request.getfixturevalue("model")
    screens = []
    for width in WIDTHS:
        for made in ("again.parquet", "again.rank1.parquet", "mine.csv"):
            (place / made).unlink(missing_ok=True)
        shutil.rmtree(place / "made", ignore_errors=True)
        screens.append(shown(monkeypatch, COMMANDS[name], width))
    text = "\n".join([f"$ {COMMANDS[name]}", *screens])
    kept = GOLDEN / f"{name}.txt"
    if not kept.exists():
        kept.write_text(text, encoding="utf-8")
        pytest.fail(f"{kept} is new: look at it")
    assert text == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("kept", sorted(GOLDEN.glob("*.txt")), ids=lambda kept: kept.stem)
def test_no_line_is_wider_than_its_terminal_and_no_word_is_broken(kept):
    assert kept.stem in COMMANDS
    for section in re.split(r"\n(?=─)", kept.read_text(encoding="utf-8"))[1:]:
        width = len(section.split("\n")[0])
        assert [line for line in section.split("\n") if len(line) > width and not to_be_copied(line)] == []


def to_be_copied(line):
    """Whether a line is a command, which no line end may break."""
    return re.match(r"(next:)? +spectra ", line) is not None
