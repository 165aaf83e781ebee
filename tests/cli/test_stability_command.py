"""`spectra stability` as people use it: sentences, tables, JSON, and two lines where it cannot."""

import json
from pathlib import Path

import pandas as pd
import pytest

from spectra_cli.records import Checkpoint, MatrixRows
from spectra_cli.storage.table import to_arrow, write_table
from tests.support.planted_runs import ATTENTION, plant_table


@pytest.fixture(scope="module")
def planted_table(tmp_path_factory):
    return plant_table(tmp_path_factory.mktemp("stability") / "planted.parquet")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    steps = [1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000]
    losses = [6 - 0.5 * min(i, 11) - 0.01 * i for i in range(len(steps))]
    pd.DataFrame({"n": steps, "loss": losses, "rate": 1e-3}).to_csv(path, index=False)
    return path


def test_it_says_the_phases_in_sentences_and_then_a_line_a_group(spectra, planted_table):
    result = spectra("stability", planted_table)
    assert result.code == 0
    assert result.err == ""
    assert "Phase I: the variation of the spectra peaks at step" in result.out
    assert "Phase II: from step" in result.out
    assert "attention's peak is 2.0 times the MLP's, where equal relative updates of matrices of these" in result.out
    assert [
        line.split()[0] for line in result.out.splitlines() if line.startswith(("all", "attention", "mlp", "layer"))
    ]


@pytest.mark.slow
def test_json_has_the_documented_keys(spectra, planted_table, log):
    result = spectra("stability", planted_table, "--loss", log, "--loss-columns", "step=n,lr=rate", "--json")
    assert result.code == 0, result.err
    (run,) = json.loads(result.out)["runs"]
    whole = run["groups"][0]
    assert [group["group"] for group in run["groups"]] == ["all", "attention", "mlp", "q", "up", "layer 0"]
    assert {"group", "peak", "floor", "onset", "decoupling", "tightness"} <= set(whole)
    assert set(whole["peak"]) == {"step", "value"}
    assert {"value", "iqr"} <= set(whole["floor"])
    assert {"step", "interval", "reason"} <= set(whole["onset"])
    assert {"onset", "synchrony", "spearman"} <= set(run["loss"])
    assert run["lr_response"] == []


def test_without_a_log_the_loss_is_null(spectra, planted_table):
    (run,) = json.loads(spectra("stability", planted_table, "--json").out)["runs"]
    assert run["loss"] is None


@pytest.mark.slow
def test_two_tables_are_compared_under_their_labels(spectra, planted_table, tmp_path):
    lower = plant_table(tmp_path / "lower.parquet", lower=0.1, seed=2)
    result = spectra("stability", planted_table, lower, "--label", "adam,muon", "--json")
    ratios = {(ratio["group"], ratio["quantity"]): ratio for ratio in json.loads(result.out)["ratios"]}
    assert ratios["all", "floor"]["label"] == "muon"
    assert ratios["all", "floor"]["against"] == "adam"
    assert ratios["all", "floor"]["value"] == pytest.approx(0.1, rel=0.1)
    assert "muon against adam: peak × 0.0" in spectra("stability", planted_table, lower, "--label", "adam,muon").out


def test_a_label_cannot_act_on_the_terminal(spectra, planted_table):
    assert "\x1b[31m" not in spectra("stability", planted_table, "--label", "\x1b[31mred").out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--label", "a,b"], 2, "--label gives 2 names for 1 tables"),
        (["--loss", "a", "--loss", "b"], 2, "--loss names 2 files for 1 tables"),
        (["--loss-columns", "steps"], 2, "--loss-columns does not understand"),
        (["--loss", "nowhere.jsonl"], 1, "nowhere.jsonl is not there"),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines(spectra, planted_table, arguments, code, says):
    result = spectra("stability", planted_table, *arguments)
    assert result.code == code
    assert says in result.err
    assert len(result.err.splitlines()) == 2


def test_a_table_scanned_without_the_variation_says_what_to_scan(spectra, tmp_path):
    rows = [MatrixRows(Checkpoint("m", "step1", Path(), 1), ATTENTION, {"alpha": 1.0})]
    write_table(tmp_path / "alpha.parquet", [to_arrow(rows)], {})
    result = spectra("stability", tmp_path / "alpha.parquet")
    assert result.code == 1
    assert "holds none of sd_variation_rate" in result.err


@pytest.mark.slow
def test_compare_shows_ratios_alone_with_the_last_loss(spectra, planted_table, log, tmp_path):
    lower = plant_table(tmp_path / "lower.parquet", lower=0.1, seed=2)
    better = tmp_path / "better.csv"
    pd.read_csv(log).assign(loss=lambda table: 0.5 * table["loss"]).to_csv(better, index=False)
    logs = ("--loss", log, "--loss", better, "--loss-columns", "step=n,lr=rate")
    result = spectra("stability", planted_table, lower, *logs, "--compare")
    assert result.code == 0, result.err
    assert result.out.startswith("against planted, with 90% intervals\n")
    assert "last loss × 0.500" in result.out
    assert "Phase" not in result.out


def test_compare_of_one_run_says_what_it_takes(spectra, planted_table):
    result = spectra("stability", planted_table, "--compare")
    assert result.code == 2
    assert "nothing to compare with" in result.err
