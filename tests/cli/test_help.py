"""Help says all there is to say: whole sentences, options in groups, and an example of each command, which works."""

import json
import re
import shlex

import pytest

from spectra_cli.cli.app import COMMANDS
from spectra_cli.cli.examples import EXAMPLES

NAMES = [command.__name__ for _, commands in COMMANDS for command in commands]
SIZES = {"small": (4, 16), "medium": (5, 32), "large": (6, 48)}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_list_of_commands_has_their_whole_first_sentences(spectra, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = spectra().out
    flowed = " ".join(shown.split())
    for _, commands in COMMANDS:
        for command in commands:
            assert f"{command.__name__} {' '.join(command.__doc__.split())}" in flowed
    assert max(map(len, shown.splitlines())) <= min(width, 100)
    assert "\\n" not in shown


def test_the_commands_stand_in_the_order_of_their_use(spectra):
    listed = re.findall(r"^  ([a-z]\w+)  ", spectra("-h").out, re.MULTILINE)
    assert listed == NAMES
    assert listed[0] == "demo"


@pytest.mark.parametrize("name", NAMES)
def test_a_command_s_help_has_an_example_and_no_name_of_a_type(spectra, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    result = spectra(name, "-h")
    assert result.code == 0
    assert f"Example:\n  {EXAMPLES[name][0]}\n" in result.out
    assert not re.search(r"<\w+[\[>]", result.out)
    assert max(map(len, result.out.splitlines())) <= 80
    assert spectra(name, "--help").out == result.out


def test_options_stand_under_the_heading_of_their_group(spectra):
    parts = dict(part.split(":\n", 1) for part in spectra("scan", "-h").out.split("\n\n") if ":\n" in part)
    assert "--steps" in parts["Choose checkpoints, matrices, metrics"]
    assert "--patience" in parts["Fetch from the Hub"]
    assert "--output" in parts["Options"]


def test_a_wrong_option_is_told_where_the_right_ones_are(spectra):
    result = spectra("scan", "x", "--revison", "3")
    assert result.code == 2
    assert result.err.endswith("spectra scan -h shows its options, with an example\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the examples name: a run with its log, its table, a text, and models of three sizes."""
    from spectra_cli.jobs.scan import scan_checkpoints
    from tests.support.language_models import BYTES, TEXT, write_model

    folder = tmp_path_factory.mktemp("examples")
    run = folder / "runs" / "mine"
    for seed, step in enumerate((0, 1, 2, 4, 8, 16)):
        write_model(run / f"step{step}", "gpt_neox", BYTES | {"num_hidden_layers": 5}, seed)
    lines = [{"step": step, "loss": 5 - step / 10, "lr": 1e-3} for step in range(17)]
    (run / "loss.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "held-out.txt").write_text(TEXT)
    scan_checkpoints(run, folder / "mine.parquet")
    for name, (layers, width) in SIZES.items():
        settings = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 2 * width}
        for step in range(4):
            write_model(folder / name / f"step{step}", "gpt_neox", BYTES | settings, step)
        scan_checkpoints(folder / name, folder / f"{name}.parquet")
    return folder


@pytest.mark.slow  # 20 s: a model is read for each of some
@pytest.mark.parametrize(
    "example", [line for lines in EXAMPLES.values() for line in lines if "hf:" not in line and line != "spectra demo"]
)
def test_every_example_works(place, spectra, monkeypatch, example):
    monkeypatch.chdir(place)
    result = spectra(*shlex.split(example.replace("--idle 1h", "--idle 15s"))[1:])  # this run does not go on
    assert result.code == 0, result.err
