"""A run read from a table: one line per checkpoint and matrix, as the studies want it."""

import numpy as np
import pandas as pd
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import groups, read_run
from tests.support import runs


def test_a_run_has_a_line_per_checkpoint_and_matrix_and_the_table_s_values(table_path):
    run = read_run(table_path, ["alpha", "sd_variation_prev"])
    table = pd.read_parquet(table_path)
    assert run.label == "small"
    assert list(run.checkpoints["step"]) == list(runs.STEPS)
    assert len(run.numbers) == len(table[table.metric == "alpha"])
    for _, line in run.numbers.iloc[::7].iterrows():
        rows = table[(table.step == line.step) & (table.matrix == line.matrix)]
        assert line.alpha == rows[rows.metric == "alpha"].value.item()
        found = rows[rows.metric == "sd_variation_prev"].value
        assert found.item() == line.sd_variation_prev if len(found) else np.isnan(line.sd_variation_prev)


def test_groups_hold_every_matrix_of_their_roles(table_path):
    run = read_run(table_path, ["alpha"])
    found = {name: set(lines.role.astype(str)) for name, lines in groups(run.numbers)}
    assert found["attention"] == {"q", "k", "v", "o"}
    assert found["mlp"] == {"up", "down"}
    assert found["q"] == {"q"}
    assert len(dict(groups(run.numbers))["all"]) == len(run.numbers)


def test_a_table_without_the_metrics_says_so(table_path):
    with pytest.raises(SpectraError, match="holds none of"):
        read_run(table_path, ["mp_outliers_of_nothing"])
