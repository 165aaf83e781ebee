"""Power laws over models: planted exponents are found, and too few models are refused."""

import json

import numpy as np
import pytest

from spectra_cli.studies.lifecycle import CHANCE, compare_lifecycles
from spectra_cli.studies.null_exponents import deviation, largest, null_exponents, smallest, spread_range
from spectra_cli.studies.regression import correlated
from spectra_cli.studies.scaling import power_law
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


@pytest.mark.parametrize("models", [3, pytest.param(5, marks=pytest.mark.slow)])
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


@pytest.mark.slow
def test_three_models_are_compared_by_the_command_line(tables, spectra):
    said = spectra("scaling", *tables)
    assert said.code == 0, said.err
    assert "depth7" in said.out
    assert "over 3 models, in the sample" in said.out
    found = json.loads(spectra("scaling", *tables, "--json").out)
    assert [one["layers"] for one in found["models"]] == [4, 5, 7]
    assert [one["parameters"] for one in found["models"]] == [24 * 24 * 4 * layers for layers in (4, 5, 7)]
    assert [(law["of"], law["on"]) for law in found["laws"]][:2] == [
        ("Δalpha", "layers"), ("the deviation of alpha", "layers"),
    ]  # fmt: skip
    for model in found["models"]:
        assert model["spread"] == pytest.approx(np.ptp(model["profile"]))
        assert model["deviation"] == pytest.approx(np.std(model["profile"], ddof=1))
    for law in found["laws"][:2]:
        low, high = law["interval"]
        assert (law["p"] >= CHANCE) == (low <= law["null"][1] and law["null"][0] <= high)
    assert found["tests"] == len(found["laws"])


def test_too_few_models_or_depths_are_refused(tables, spectra):
    said = spectra("scaling", *tables[:2])
    assert (said.code, said.err.count("\n")) == (2, 2)
    said = spectra("scaling", tables[0], tables[1], tables[1], "--label", "a,b,c")
    assert (said.code, said.err.count("\n")) == (1, 2)
    assert "different" in said.err


@pytest.mark.parametrize(("depths", "power"), [((8, 12, 16), 0.32), ((8, 12, 16, 24, 36), 0.26)])
def test_the_range_of_independent_values_has_the_papers_power(depths, power):
    random = np.random.default_rng(3)
    profiles = [random.standard_normal(layers) for layers in depths]
    least, most = null_exponents(profiles, np.array(depths, float), spread_range)
    assert least - 0.06 < power < most + 0.06
    small = null_exponents(profiles, np.array(depths, float), deviation)
    assert max(small) < 0.3


def test_a_profile_that_grows_by_more_than_chance_is_told():
    depths, claimed = np.array([6.0, 8.0, 12.0, 16.0, 24.0]), 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        profiles = [
            0.4 - (layers / 6) ** 0.8 * (np.linspace(0, 1, int(layers)) - 0.6) ** 2
            + 0.01 * random.standard_normal(int(layers))
            for layers in depths
        ]  # fmt: skip
        values = np.array([deviation(profile) for profile in profiles])
        law = power_law(depths, values, "σα", "layers", null=null_exponents(profiles, depths, deviation))
        claimed += law.p < CHANCE and law.exponent > law.null[1]
    assert claimed >= 18


@pytest.mark.slow
@pytest.mark.parametrize("depths", [(8, 12, 16), (4, 6, 8, 12, 16), (12, 24, 16, 24, 36, 12, 8, 16, 30)])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_extremes_of_chance_values_are_no_law(depths, correlation):
    layers, claimed = np.array(depths, float), np.zeros(2)
    for seed in range(200):
        random = np.random.default_rng(seed)
        profiles = []
        for count in depths:
            values = correlated(random.standard_normal((count, 1)), correlation)[:, 0]
            profiles.append(np.log(0.6 + 0.01 * random.standard_normal() + 0.03 * values))
        for index, extreme in enumerate((largest, smallest)):
            values = np.array([extreme(profile) for profile in profiles])
            null = null_exponents(profiles, layers, extreme)
            claimed[index] += power_law(layers, values, "", "", null=null).p < CHANCE
    print(depths, correlation, claimed)
    assert (claimed <= 14).all(), "7 of 100"


@pytest.mark.slow  # 5 s: hundreds of fits
def test_extremes_that_grow_with_depth_are_told():
    claimed = np.zeros(2)
    for seed in range(100):
        random = np.random.default_rng(seed)
        profiles = [
            np.log(0.4 * layers**0.2 * (1 + 0.01 * random.standard_normal(int(layers)))) for layers in LAYERS
        ]  # fmt: skip
        for index, extreme in enumerate((largest, smallest)):
            values = np.array([extreme(profile) for profile in profiles])
            null = null_exponents(profiles, LAYERS, extreme)
            law = power_law(LAYERS, values, "", "", null=null)
            claimed[index] += law.p < CHANCE and law.exponent > null[1]
    assert (claimed >= 95).all()


@pytest.mark.slow
def test_families_that_have_depths_enough_have_laws_of_their_own(tables, tmp_path, spectra):
    from spectra_cli.jobs.scan import scan_checkpoints

    others = []
    for layers in (4, 6, 8):
        run = plant_wave(tmp_path / f"run{layers}", layers)
        for config in run.glob("*/config.json"):
            config.write_text(config.read_text().replace('"llama"', '"gemma"'))
        others.append(scan_checkpoints(run, tmp_path / f"other{layers}.parquet").output)
    found = json.loads(spectra("scaling", *tables, *others, "--json").out)
    assert [model["family"] for model in found["models"]] == ["llama"] * 3 + ["gemma"] * 3
    spread = [law for law in found["laws"] if (law["of"], law["on"]) == ("Δalpha", "layers")]
    assert [(law["family"], law["n"]) for law in spread] == [("", 6), ("llama", 3), ("gemma", 3)]
    assert any(sentence.startswith("Of gemma, Δalpha ") for sentence in found["findings"])
    drawn = spectra("plot", *tables, *others, "--kind", "depth", "-o", tmp_path / "a.svg")
    assert drawn.code == 0
    assert "q, gemma" in (tmp_path / "a.svg").read_text()


def test_waves_have_a_speed_in_shares_of_the_depth(tables, spectra):
    found = json.loads(spectra("scaling", *tables, "--json").out)
    with_a_wave = [model for model in found["models"] if model["velocity"] is not None]
    assert with_a_wave
    for model in with_a_wave:
        (run,) = compare_lifecycles([tables[found["models"].index(model)]], None, "alpha").runs
        assert model["velocity"] == pytest.approx(run.wave.velocity / (model["layers"] - 1))
