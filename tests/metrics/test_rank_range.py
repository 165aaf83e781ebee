"""A range of ranks, as the user writes it and as the fits read it."""

from __future__ import annotations

import math

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.metrics import RankRange, measure
from spectra_cli.metrics.power_law import alpha_n
from spectra_cli.records import Spectrum


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        (":", (1, 100)),
        ("1:", (1, 100)),
        ("2:50", (2, 50)),
        ("0.1:0.5", (10, 50)),
        ("0.101:0.509", (11, 50)),
        (":0.5", (1, 50)),
        ("3:0.5", (3, 50)),
        ("0.0:1.0", (1, 100)),
        ("5:500", (5, 100)),
        ("7:7", (7, 7)),
    ],
)
def test_ranks_and_shares_are_read(text: str, ranks: tuple[int, int]) -> None:
    assert RankRange.parse(text).of(100) == ranks


@pytest.mark.parametrize("text", ["2:50", "0.1:0.5", "3:0.5", "1:"])
def test_a_range_is_written_as_it_is_read(text: str) -> None:
    assert str(RankRange.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "5", "a:b", "0:5", "-1:5", "1:2:3", "0.5:1.5", "9:3", "0.9:0.3", "nan:1", "2:1e3"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(SpectraError, match="is not a range of ranks") as caught:
        RankRange.parse(text)
    assert caught.value.code == 2


def test_the_range_reaches_the_fits_that_take_one_and_no_other() -> None:
    bent = Spectrum.of(*[i**-0.2 if i <= 50 else 50**0.8 / i for i in range(1, 101)])
    names = ["alpha", "alpha_ols", "alpha_n", "alpha_hill"]

    def numbers(text: str) -> dict[str, float | None]:
        chosen = RankRange.parse(text)
        return {name: value for name, value, _ in measure(bent, None, None, names, alpha_range=chosen)}

    head, tail = numbers(":50"), numbers("51:")
    assert (head["alpha"], head["alpha_ols"], head["alpha_n"]) == pytest.approx((0.2, 0.2, 50.0))
    assert (tail["alpha"], tail["alpha_ols"], tail["alpha_n"]) == pytest.approx((1.0, 1.0, 50.0))
    assert head["alpha_hill"] == tail["alpha_hill"]


def test_ranks_that_a_matrix_does_not_have_leave_the_fit_undefined() -> None:
    small = Spectrum.of(3.0, 2.0, 1.0)
    [(_, value, _)] = measure(small, None, None, ["alpha"], alpha_range=RankRange(10, 20))
    assert value is not None
    assert math.isnan(value)
    assert alpha_n(small, RankRange(10, 20)) == 0.0


def test_the_range_counts_ranks_of_the_matrix_and_not_of_what_is_above_rounding() -> None:
    assert alpha_n(Spectrum.of(3.0, 2.0, 1.0, 0.0, 0.0, 0.0), RankRange(0.4, 1.0)) == 1.0
