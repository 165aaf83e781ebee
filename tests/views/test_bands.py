"""Runs that differ by seed alone are drawn as one: their median, and a band from the least to the greatest."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_gradients_of_a_pool_are_one_column_with_the_range_of_their_slopes(deep_table, tmp_path):
    copy = tmp_path / "deep-again.parquet"
    copy.write_bytes(deep_table.read_bytes())
    single = figures.gradients([deep_table]).to_dict()["datasets"].values()
    slopes = [line["slope"] for lines in single for line in lines if "slope" in line]
    pooled = drawn(figures.gradients([deep_table, copy], seeds=True), "slope")
    assert [line["slope"] for line in pooled] == pytest.approx(slopes)
    assert all(line["low"] == line["high"] == line["slope"] for line in pooled)


@pytest.fixture(scope="module")
def seeds(deep_table, tmp_path_factory):
    """Three tables with a wave: the planted one, and two that lose their stable rank by other powers of it."""
    folder, table = tmp_path_factory.mktemp("waves"), parquet.read_table(deep_table)
    frame = table.to_pandas()
    ranks = frame["metric"] == "stable_rank"
    first = frame[ranks & (frame["step"] == 0)]
    first = pd.Series(first["value"].to_numpy(), first["matrix"].astype(str))
    starts = frame["matrix"].astype(str).map(first)
    for power in (1, 2, 3):
        values = np.where(ranks, starts * (frame["value"] / starts) ** power, frame["value"])
        column = table.schema.get_field_index("value")
        parquet.write_table(table.set_column(column, "value", pa.array(values)), folder / f"wave-{power}.parquet")
    return sorted(folder.iterdir())


def held(chart, keys, value):
    """Return a value by keys in each of the chart's sets of data that have them."""
    sets = ([line for line in lines if {value, *keys} <= {*line}] for lines in chart.to_dict()["datasets"].values())
    return [{tuple(line[key] for key in keys): line[value] for line in lines} for lines in sets if lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "keys", "value"),
    [
        ("wave", ("layer", "at"), "value"),
        ("timescales", ("quantity", "step"), "left"),
        ("asymmetry", ("role", "layer"), "value"),
    ],
)
def test_studies_over_depth_are_drawn_as_medians_over_seeds(kind, keys, value, seeds):
    single = [held(getattr(figures, kind)(table), keys, value) for table in seeds]
    pooled = held(getattr(figures, kind)(seeds, seeds=True), keys, value)
    assert pooled
    for together, *each in zip(pooled, *single, strict=False):  # behind the points of one run lies its fit
        for key, median in together.items():
            assert median == pytest.approx(np.median([one[key] for one in each]))


@pytest.mark.slow
def test_the_half_of_each_layer_has_the_range_of_its_steps(seeds):
    runs = read_runs(seeds, kind_of("wave"), Choice(seeds=True))
    steps = np.array([run.lifecycle().wave.half_steps for run in runs])
    chart = figures.wave(seeds, seeds=True)
    for name, of in (("low", np.min), ("step", np.median), ("high", np.max)):
        (halves,) = held(chart, ("layer", "runs"), name)
        assert list(halves.values()) == pytest.approx(of(steps, axis=0))


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
