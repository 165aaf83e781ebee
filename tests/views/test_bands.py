"""Runs that differ by seed alone are drawn as one: their median, and a band from the least to the greatest."""

import numpy as np
import pandas as pd
import pytest

from spectra_cli import figures
from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import read_run
from spectra_cli.views.figures.bands import over_seeds
from spectra_cli.views.figures.kinds import KINDS, kind_of
from spectra_cli.views.figures.plot import Choice, read_runs
from tests.support.planted_runs import plant_table

RATE = "sd_variation_rate"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Three tables of the same steps, at heights of 1, 2 and 4."""
    folder = tmp_path_factory.mktemp("seeds")
    return [plant_table(folder / f"run-{height}.parquet", lower=height, checkpoints=12) for height in (1, 2, 4)]


def drawn(chart, value):
    """Return the lines of the chart's data that have a value and a band."""
    return [
        line for lines in chart.to_dict()["datasets"].values() for line in lines if {value, "low", "high"} <= {*line}
    ]


def test_a_band_spans_the_runs_and_its_line_is_their_median(tables):
    lines = [line for line in drawn(figures.roles(tables, metric=RATE, seeds=True), "mean") if line["role"] == "q"]
    single = read_run(tables[1], [RATE]).numbers
    rates = single[(single["role"] == "q") & (single[RATE] > 0)][RATE].to_numpy()
    assert {line["run"] for line in lines} == {"run"}
    assert np.array([line["mean"] for line in lines]) == pytest.approx(rates)
    assert np.array([line["low"] for line in lines]) == pytest.approx(rates / 2)
    assert np.array([line["high"] for line in lines]) == pytest.approx(rates * 2)


def test_pools_of_one_label_have_a_band_each_by_part(tables):
    chart = figures.trajectory(tables, labels=["a", "b", "b"], seeds=True)
    lines = drawn(chart, RATE)
    assert {(line["run"], line["part"]) for line in lines} == {
        (run, part) for run in "ab" for part in ("attention", "mlp")
    }
    assert all(line["low"] == line["high"] for line in lines if line["run"] == "a")
    assert all(line["high"] == pytest.approx(2 * line["low"]) for line in lines if line["run"] == "b")
    area = chart.to_dict()["vconcat"][0]["layer"][0]["layer"][0]
    assert area["mark"]["type"] == "area"
    assert area["encoding"]["detail"] == [{"field": "part", "type": "nominal"}]


def test_gradients_of_a_pool_are_one_column_with_the_range_of_their_slopes(deep_table, tmp_path):
    copy = tmp_path / "deep-again.parquet"
    copy.write_bytes(deep_table.read_bytes())
    single = figures.gradients([deep_table]).to_dict()["datasets"].values()
    slopes = [line["slope"] for lines in single for line in lines if "slope" in line]
    pooled = drawn(figures.gradients([deep_table, copy], seeds=True), "slope")
    assert [line["slope"] for line in pooled] == pytest.approx(slopes)
    assert all(line["low"] == line["high"] == line["slope"] for line in pooled)


def test_runs_without_a_step_in_common_are_refused(tables):
    first, second = read_runs(tables[:2], kind_of("roles"), Choice(RATE, seeds=True))
    frame = pd.DataFrame({"run": [first.label, second.label], "step": [1, 2], "mean": [1.0, 2.0]})
    with pytest.raises(SpectraError, match="no step in common") as error:
        over_seeds(frame, [first, second], "mean")
    assert "--seeds" in error.value.hint


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if not kind.pools])
def test_kinds_without_bands_say_which_have_them(kind, tables):
    with pytest.raises(SpectraError, match="draws no bands") as error:
        getattr(figures, kind)(tables, seeds=True)
    assert "trajectory" in error.value.hint
