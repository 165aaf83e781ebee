"""The route of a shape follows the table of rates, and where that has no row a short measurement, or none."""

import time

import pytest

from spectra_cli import svd
from spectra_cli.svd import measured_rates
from spectra_cli.svd.rates import ASSUMED, MEASURED

PROCESSOR = svd.Rates("processor", 768, gram=20.0, batched=10.0, looped=10.0)


def route(many=99, processors=8, shape=(768, 768), side=768, **rates):
    device = svd.Rates("device", side, **{"fetched": 10.0, **rates})
    return svd.choose(*shape, many, [device], [PROCESSOR], processors)[0].name


@pytest.mark.parametrize(
    ("chosen", "device"),
    [
        ("batched", {"gram": 5000.0, "batched": 500.0, "looped": 50.0}),
        ("looped", {"gram": 5000.0, "batched": 50.0, "looped": 500.0}),
        ("split", {"gram": 5000.0, "batched": 5.0, "looped": 5.0}),
        ("processors", {"gram": 0.1, "batched": 0.1, "looped": 0.1}),
        ("batched", {"gram": 5000.0, "batched": 5.0, "looped": 5.0, "fetched": 0.01}),  # to fetch a Gram takes too long
        ("split", {"gram": 5000.0, "batched": 15.0, "looped": 5.0}),
        ("batched", {"gram": 5000.0, "batched": 15.0, "looped": 5.0, "many": 1}),  # of one, both parts are waited for
        ("split", {"gram": 5000.0, "batched": 100.0, "looped": 5.0, "shape": (50304, 768), "processors": 64}),
        ("batched", {"gram": 5000.0, "batched": 100.0, "looped": 5.0, "shape": (50304, 768), "processors": 1}),
        ("batched", {"gram": 5000.0, "batched": 5.0, "looped": 500.0, "side": 64}),  # far from 768: as if not known
    ],
)
def test_the_choice_follows_the_rates(chosen, device):
    assert route(**device) == chosen


def test_what_a_device_is_taken_for_that_nothing_is_known_of():
    chosen, seconds = svd.choose(768, 3072, 9, [], [PROCESSOR], 8)
    alone = svd.seconds_alone(768, 3072, [PROCESSOR])
    assert (chosen, seconds.device, seconds.whole, seconds.rest) == (svd.BATCHED, alone, alone, 0.0)


def test_a_small_scan_measures_nothing_and_a_larger_one_within_its_time_and_once():
    assert svd.rates_of("cpu:0", [768], seconds=0.01) == ()
    begun = time.perf_counter()
    rows = svd.rates_of("cpu:0", [4, 64, 16384], seconds=2.0)
    assert time.perf_counter() - begun < 10.0
    assert [row.side for row in rows] == [16, 32, 64]
    assert {row.device for row in rows} == {svd.name_of("cpu:0")}
    assert all(min(row.gram, row.batched, row.looped, row.fetched) > 0 for row in rows)
    assert svd.rates_of("cpu:0", [4, 64, 16384], seconds=2.0) is rows


def test_a_row_of_the_table_is_taken_and_a_processor_without_one_for_another(monkeypatch):
    own = svd.Rates(svd.name_of("cpu:0"), 512, gram=1.0, batched=1.0, looped=1.0, fetched=1.0)
    monkeypatch.setattr(measured_rates, "MEASURED", (PROCESSOR, own))
    assert svd.rates_of("cpu:0", [64], seconds=9.0) == (own,)
    assert svd.rates_of("cpu", [64], seconds=0.0) == ASSUMED


def test_the_table_has_a_row_for_each_side_and_the_routes_names_of_their_own():
    assert len({(row.device, row.side) for row in MEASURED}) == len(MEASURED)
    assert len({each.name for each in svd.ROUTES}) == len(svd.ROUTES)
