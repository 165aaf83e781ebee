"""The first screen: its sentence and its numbers are those of the table, and agree with the findings beneath."""

import re

import numpy as np
import pytest

from spectra_cli.studies.inputs.runs import read_run
from spectra_cli.studies.lifecycle import compare_lifecycles
from spectra_cli.studies.stability import RATE, compare_tables
from spectra_cli.views.sentences.headline import headlines, verdict
from tests.support.planted_runs import plant_table
from tests.views.test_stability_sentences import INTERVAL, NUMBER, plain, value


def test_the_numbers_at_the_top_are_those_of_the_table(tmp_path):
    table = plant_table(tmp_path / "a.parquet")
    rates = read_run(table, [RATE]).numbers.groupby("step")[RATE].mean().dropna()
    studied = compare_tables([table]).runs[0]
    cards = {card.claim: card for card in headlines(studied, None)}
    said = plain(verdict(studied, None, ""))
    assert f"peaks at step {rates.idxmax()}" in said
    assert plain(cards["peak"].value) == f"step {rates.idxmax()}"
    assert value(re.match(NUMBER, cards["peak"].span)[0]) == pytest.approx(rates.max(), rel=0.05)
    beside = rates.index[rates.index.get_loc(rates.idxmax()) + np.array([-1, 1])]
    assert plain(cards["peak"].span).endswith("beside it: {} and {}".format(*beside))
    last = rates.iloc[-(len(rates) // 4) :]
    assert value(re.match(NUMBER, cards["floor"].value)[0]) == pytest.approx(last.median(), rel=0.1)
    low, high = map(value, re.search(INTERVAL, cards["floor"].span).groups())
    assert low <= last.median() <= high


def test_the_loss_of_stable_rank_at_the_top_is_that_of_the_table(deep_table):
    numbers = read_run(deep_table, ["stable_rank"]).numbers
    first, last = (numbers[numbers["step"] == step].set_index("matrix") for step in (0, numbers["step"].max()))
    lost = 100 * (1 - last["stable_rank"] / first["stable_rank"])
    by_layer = lost.groupby(first["layer"]).mean()
    study = compare_lifecycles([deep_table], None, "alpha").runs[0]
    (card,) = [card for card in headlines(None, study) if card.claim == "compression"]
    assert value(card.value.rstrip("%")) == pytest.approx(-by_layer.mean(), abs=0.51)
    ends = [value(end) for end in re.findall(rf"({NUMBER})%", card.span)]
    assert ends == pytest.approx([-by_layer.min(), -by_layer.max()], abs=0.51)
    assert f"fell by {by_layer.mean():.0f}%, as a wave from the first layer to the last" in verdict(None, study, "none")
