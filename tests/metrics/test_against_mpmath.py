"""Every metric agrees with 50-digit arithmetic on the same singular values, and is undefined just where that is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra_cli.metrics import METRICS, Metric, measure
from spectra_cli.records import Pair
from tests.metrics.oracles import ONE_MATRIX, TWO_MATRICES, larger_side, numbers
from tests.metrics.planted import PAIRS, SPECTRA


def test_every_metric_has_an_oracle() -> None:
    assert [metric.name for metric in METRICS] == [*ONE_MATRIX, *TWO_MATRICES]


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("metric", [m for m in METRICS if m.against is None], ids=lambda m: m.name)
def test_one_matrix(metric: Metric, name: str) -> None:
    spectrum = SPECTRA[name]
    with np.errstate(all="raise", under="ignore"):
        rows = list(measure(spectrum, None, None, {metric.name}))
    expected = ONE_MATRIX[metric.name](numbers(spectrum), larger_side(spectrum))
    if isinstance(expected, list):
        assert rows[0][:2] == (metric.name, None)
        assert rows[0][2] == pytest.approx([float(x) for x in expected], rel=1e-7, abs=1e-44, nan_ok=True)
    else:
        agree(rows, metric.name, expected)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("metric", [m for m in METRICS if m.against], ids=lambda m: m.name)
def test_two_matrices(metric: Metric, name: str) -> None:
    sides: dict[str, Pair | None] = {"final": None, "prev": None, str(metric.against): PAIRS[name]}
    with np.errstate(all="raise", under="ignore"):
        rows = list(measure(PAIRS[name].a, sides["final"], sides["prev"], {metric.name}))
    agree(rows, metric.name, TWO_MATRICES[metric.name](PAIRS[name]))


def agree(rows: list[tuple[str, float | None, object]], name: str, expected: object) -> None:
    if expected is None:
        assert rows == []
        return
    [(metric, value, vector)] = rows
    assert (metric, vector) == (name, None)
    assert value is not None
    # The absolute part is the rounding of numbers near 1 that are subtracted: 1 − R², the shares of `sd_variation`.
    limit = 1e-15 if value > 1e-20 or value == 0 else 0.0
    wanted = float(expected)  # type: ignore[arg-type]
    assert value == pytest.approx(wanted, rel=1e-11, abs=limit, nan_ok=True), f"{value} is not {wanted}"
    assert math.isnan(value) == math.isnan(wanted)
