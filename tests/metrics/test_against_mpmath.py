"""Every metric agrees with 50-digit arithmetic on the same singular values, and is undefined just where that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from spectra_cli.metrics import METRICS, Metric, measure
from spectra_cli.metrics.stacks import Vectors
from spectra_cli.records import Pair
from tests.support.metric_oracles import ONE_MATRIX, numbers
from tests.support.pair_oracles import TWO_MATRICES
from tests.support.spectra import PAIRS, SPECTRA

Rows = Sequence[tuple[str, float | None, Vectors | None]]


def test_every_metric_has_an_oracle() -> None:
    assert {metric.name for metric in METRICS} == {*ONE_MATRIX, *TWO_MATRICES}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("metric", [m for m in METRICS if m.against is None], ids=lambda m: m.name)
def test_one_matrix(metric: Metric, name: str) -> None:
    spectrum = SPECTRA[name]
    with np.errstate(all="raise", under="ignore"):
        rows = list(measure(spectrum, None, None, {metric.name}))
    agree(rows, metric.name, ONE_MATRIX[metric.name](numbers(spectrum.sigma), spectrum))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("metric", [m for m in METRICS if m.against], ids=lambda m: m.name)
def test_two_matrices(metric: Metric, name: str) -> None:
    pairs: dict[str, Pair | None] = {"final": None, "prev": None, str(metric.against): PAIRS[name]}
    with np.errstate(all="raise", under="ignore"):
        rows = list(measure(PAIRS[name].a, pairs["final"], pairs["prev"], {metric.name}))
    agree(rows, metric.name, TWO_MATRICES[metric.name](PAIRS[name]))


def agree(rows: Rows, name: str, expected: object) -> None:
    if expected is None:
        assert rows == []
        return
    [(metric, value, vector)] = rows
    assert metric == name
    assert (value is None) != (vector is None)
    if isinstance(expected, list):
        assert vector == pytest.approx([float(x) for x in expected], rel=1e-7, abs=1e-44, nan_ok=True)
        return
    wanted = float(expected)
    # The absolute part is the rounding of numbers near 1 that are subtracted: 1 − R², the shares of `sd_variation`.
    limit = 0.0 if 0 < wanted < 1e-20 else 1e-15
    assert value == pytest.approx(wanted, rel=1e-11, abs=limit, nan_ok=True), f"{value} is not {wanted}"
