"""Power laws over models: planted exponents are found, and too few models are refused."""

import json

import numpy as np
import pytest

from spectra_cli.studies.lifecycle import CHANCE
from spectra_cli.studies.scaling import Model, _quantities, power_law
from tests.support.planted_runs import plant_wave

LAYERS = np.array([4.0, 8.0, 12.0, 24.0, 48.0])


@pytest.mark.parametrize("models", [3, 5])
def test_a_planted_exponent_is_found_within_a_tenth_and_its_interval_holds_it(models):
    found, layers = [], LAYERS[:: 2 if models == 3 else 1]
    for seed in range(100):
        noise = np.exp(0.01 * np.random.default_rng(seed).standard_normal(models))
        found.append(power_law(layers, 0.1 * layers**0.26 * noise, "Δα", "layers"))
    assert sum(abs(one.exponent / 0.26 - 1) < 0.1 for one in found) >= 95
    assert sum(one.interval[0] <= 0.26 <= one.interval[1] for one in found) >= 90
    assert sum(one.p < CHANCE for one in found) >= (95 if models == 5 else 50), (
        "three models leave one degree of freedom"
    )
    assert max(one.left_out for one in found) < 0.2


@pytest.mark.parametrize("models", [3, 5])
def test_values_that_do_not_grow_raise_few_false_alarms(models):
    alarms = 0
    for seed in range(400):
        values = np.exp(0.05 * np.random.default_rng(seed).standard_normal(models))
        alarms += power_law(LAYERS[:models], values, "Δα", "layers").p < CHANCE
    assert alarms <= 28, "7 of 100"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    from spectra_cli.jobs.scan import scan_checkpoints

    folder = tmp_path_factory.mktemp("depths")
    return [
        scan_checkpoints(plant_wave(folder / f"run{layers}", layers), folder / f"depth{layers}.parquet").output
        for layers in (4, 5, 7)
    ]


def test_three_models_are_compared_by_the_command_line(tables, spectra):
    said = spectra("scaling", *tables)
    assert said.code == 0, said.err
    assert "depth7" in said.out
    assert "over 3 models, in the sample" in said.out
    found = json.loads(spectra("scaling", *tables, "--json").out)
    assert [one["layers"] for one in found["models"]] == [4, 5, 7]
    assert [one["parameters"] for one in found["models"]] == [24 * 24 * 4 * layers for layers in (4, 5, 7)]
    assert [law["on"] for law in found["laws"]][:2] == ["layers", "parameters"]
    assert found["tests"] == len(found["laws"])


def test_too_few_models_or_depths_are_refused(tables, spectra):
    said = spectra("scaling", *tables[:2])
    assert (said.code, said.err.count("\n")) == (2, 2)
    said = spectra("scaling", tables[0], tables[1], tables[1], "--label", "a,b,c")
    assert (said.code, said.err.count("\n")) == (1, 2)
    assert "different" in said.err


def test_the_depth_of_the_peak_is_fitted_where_three_models_have_one():
    models = [Model(f"m{layers}", layers, 100 * layers, 0.1 * layers**0.26, 2 / layers) for layers in (4, 8, 16)]
    (_, _, spreads), (named, kept, peaks) = _quantities([*models, Model("flat", 32, 3200, 0.2, None)], "alpha")
    assert (len(spreads), named, len(kept)) == (4, "the depth of the peak", 3)
    law = power_law(np.array([one.layers for one in kept], float), np.array(peaks), named, "layers")
    assert law.exponent == pytest.approx(-1)
