"""Every command that is proposed next is run as it stands, on what was just written, and succeeds."""

import json

import pytest

from tests.support import runs
from tests.support.next_commands import next_commands

STABILITY, REPORT, PLOT = "stability", "report", "plot"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run in a folder whose name a shell would split, with nine checkpoints and a log."""
    run = runs.write_run(tmp_path_factory.mktemp("next") / "my run's", (0, 1, 2, 3, 4, 6, 8, 12, 16))
    lines = [{"step": step, "loss": 5 - step / 10, "lr": 1e-3} for step in range(17)]
    (run / "loss.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "proposed"),
    [
        ("", [STABILITY, REPORT]),
        ("--metrics sd_variation_rate", [STABILITY, REPORT]),
        ("--roles embed", [STABILITY, REPORT]),
        ("--steps 0:2", [STABILITY, REPORT]),
        ("--steps 0", [REPORT]),
        ("--metrics alpha", [REPORT]),
        ("--metrics cos_weights_final", [REPORT]),
        ("--metrics sd", []),
    ],
)
def test_what_scan_proposes_works(logged, tmp_path, spectra, monkeypatch, options, proposed):
    monkeypatch.chdir(tmp_path)
    said = spectra("scan", logged, "-o", "my table.parquet", *options.split())
    commands = next_commands(said.err)
    assert [words[0] for words in commands] == proposed
    for words in commands:
        result = spectra(*words)
        assert result.code == 0, result.err


@pytest.mark.slow
def test_what_rank1_proposes_works(logged, tmp_path, spectra, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = spectra("rank1", logged, "--window", 2, "-o", "my table.parquet")
    ((kind, *words),) = next_commands(said.err)
    assert kind == PLOT
    assert spectra(kind, *words).code == 0
    assert (tmp_path / "rank1.png").stat().st_size > 1000
