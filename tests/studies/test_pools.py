"""Runs that differ by seed alone: what they agree on, how far apart they are, and pools against each other."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.pools import Pool, contrasts, over_seeds
from spectra_cli.studies.stability import RATE, stability
from spectra_cli.studies.stability.compare import QUANTITIES
from spectra_cli.studies.stability.seeds import pooled
from spectra_cli.views.sentences.seeds import contrast_sentences
from tests.support.planted_runs import Planted, plant, plant_table, plant_wave


def pool(label, values, *, geometric=True):
    return Pool(label, tuple(map(str, values)), (over_seeds("all", "peak", values, geometric=geometric),), ())


def contrast(first, second, *, geometric=True):
    (result,) = contrasts([pool("a", first, geometric=geometric), pool("b", second, geometric=geometric)])
    return result


@pytest.mark.parametrize("sizes", [(3, 3), (2, 5), (4, 2)])
def test_a_contrast_is_welch_s(sizes):
    first, second = (np.exp(np.random.default_rng(size).standard_normal(size)) for size in sizes)
    theirs = stats.ttest_ind(np.log(second), np.log(first), equal_var=False).confidence_interval(0.95)
    assert contrast(tuple(first), tuple(second)).interval == pytest.approx(np.exp([theirs.low, theirs.high]))
    plain = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert contrast(tuple(first), tuple(second), geometric=False).interval == pytest.approx([plain.low, plain.high])


def test_a_single_run_is_taken_to_vary_as_the_other_pool():
    many = np.log([1.0, 1.2, 1.5])
    reach = stats.t.ppf(0.975, 2) * many.std(ddof=1) * math.sqrt(1 + 1 / 3)
    result = contrast((1.0, 1.2, 1.5), (3.0,))
    assert result.interval == pytest.approx(np.exp(np.log(3) - many.mean() + np.array([-reach, reach])))
    assert "a single run taken to vary" in contrast_sentences([result])[0]


def test_two_single_runs_have_no_interval_and_equal_ones_no_difference():
    assert contrast((1.0,), (3.0,)).interval is None
    assert not contrast((0.3, 0.3, 0.3), (0.1 + 0.2, 0.3, 0.3)).clear


def test_runs_without_the_number_are_left_out_and_counted():
    result = contrast((1.0, 1.1, None), (None, 2.0, 2.2))
    assert (result.counts, result.value) == ((2, 2), pytest.approx(2.0))


def test_of_pools_whose_seeds_alone_differ_few_are_clear():
    random = np.random.default_rng(0)
    draws = [contrast(*(tuple(np.exp(0.2 * random.standard_normal(3))) for _ in range(2))) for _ in range(500)]
    assert np.mean([each.clear for each in draws]) <= 0.05
    assert np.mean([each.interval[0] <= 1 <= each.interval[1] for each in draws]) <= 0.99


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two seeds of a recipe, and two of one whose rates are a quarter."""
    folder = tmp_path_factory.mktemp("seeds")
    lower = (0.98, 1.02, 0.255, 0.25)
    return [
        plant_table(folder / f"r{seed}.parquet", lower=at, seed=seed, checkpoints=14) for seed, at in enumerate(lower)
    ]


def test_tables_of_one_label_are_a_pool(tables):
    inputs = read_inputs(tables, ["alpha"], labels=["a", "a", "b", "c"], seeds=True)
    assert [given.pool for given in inputs] == ["a", "a", "b", "c"]
    assert [given.run.label for given in inputs] == ["a (1)", "a (2)", "b", "c"]
    assert {given.pool for given in read_inputs(tables, ["alpha"], seeds=True)} == {"r"}
    with pytest.raises(SpectraError, match="no two runs of one label"):
        read_inputs(tables[:2], ["alpha"], labels=["a", "b"], seeds=True)


@pytest.mark.slow  # 2 s: four tables studied twice
def test_pools_are_compared_by_the_command_line(tables, spectra):
    given = ["stability", *tables, "--label", "slow,slow,fast,fast"]
    refused = spectra(*given)
    assert (refused.code, "--seeds" in refused.err) == (2, True)
    facts = json.loads(spectra(*given, "--seeds", "--json").out)
    assert [len(entry["runs"]) for entry in facts["pools"]] == [2, 2]
    whole = {each["quantity"]: each for each in facts["contrasts"] if each["group"] == "all"}
    for quantity, ratio in (("floor", 0.25), ("onset", 1.0)):
        low, high = whole[quantity]["interval"]
        assert low < ratio < high
        assert whole[quantity]["clear"] == (ratio != 1.0)
    floors = [run["groups"][0]["floor"]["value"] for run in facts["runs"]]
    assert whole["floor"]["value"] == pytest.approx(stats.gmean(floors[2:]) / stats.gmean(floors[:2]))


def test_what_runs_agree_on_is_said(tables, spectra):
    shown = spectra("stability", *tables[:2], "--seeds")
    assert shown.code == 0, shown.err
    assert "r · 2 runs that differ by seed alone" in shown.out
    assert "Phase II: floor in 2 of 2." in shown.out


def test_waves_of_several_seeds_are_pooled_by_the_command_line(tmp_path, spectra):
    table = scan_checkpoints(plant_wave(tmp_path / "run"), tmp_path / "a.parquet").output
    shown = spectra("lifecycle", table, table, "--seeds")
    assert "a · 2 runs that differ by seed alone" in shown.out
    assert "A wave of compression: from the first layer to the last in 2 of 2." in shown.out


@pytest.mark.slow
def test_few_intervals_leave_out_one_between_pools_that_differ_by_seed_alone():
    random, scatter = np.random.default_rng(0), 0.15
    runs = []
    for seed in range(40):
        fall = -1.2 + 0.05 * random.standard_normal()
        run = plant(Planted("seed", 1.0, fall, 0.0), checkpoints=25, noise=0.1, seed=seed)
        rates = run.numbers[RATE] * np.exp(scatter * random.standard_normal())
        runs.append(stability(replace(run, label=str(seed), numbers=run.numbers.assign(**{RATE: rates}))))
    clear = dict.fromkeys(QUANTITIES[:3], 0)
    for _ in range(200):
        chosen = [runs[index] for index in random.permutation(40)[:6]]
        for each in contrasts(pooled(["a"] * 3 + ["b"] * 3, chosen), QUANTITIES[:3]):
            clear[each.quantity] += each.group == "all" and each.clear
    assert max(clear.values()) <= 0.07 * 200
