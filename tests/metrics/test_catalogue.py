"""METRICS is a catalogue: what is asked for by name comes in its order, and every entry documents itself."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Any

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.metrics import METRICS, Metric, measure, select
from spectra_cli.records import Spectrum
from tests.support.docs_scripts import docs_script
from tests.support.spectra import PAIRS, SPECTRA

NAMES = tuple(metric.name for metric in METRICS)
PAIR = PAIRS["gaussian"]
ALIASES = docs_script("metrics_page")["ALIASES"]
SHUFFLED = SPECTRA["with its shuffle"]


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_none_selects_the_defaults() -> None:
    assert select(None) == tuple(metric.name for metric in METRICS if metric.default)


def test_all_selects_everything() -> None:
    assert select(["all"]) == NAMES


def test_the_order_is_the_catalogues_whatever_was_asked() -> None:
    assert select(["alpha", "sd", "alpha"]) == ("sd", "alpha")


def test_nothing_selects_nothing() -> None:
    assert select([]) == ()


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(SpectraError, match="there is no metric 'stablerank'; the closest are stable_rank") as caught:
        select(["alpha", "stablerank"])
    assert caught.value.hint == "`spectra metrics` lists them"
    assert caught.value.code == 2


def test_a_name_like_no_other_is_answered_without_a_guess() -> None:
    with pytest.raises(SpectraError) as caught:
        select(["zzzzzz"])
    assert str(caught.value) == "there is no metric 'zzzzzz'"


def test_rows_come_in_the_catalogues_order() -> None:
    assert tuple(name for name, _, _ in measure(SHUFFLED, PAIR, PAIR, set(NAMES))) == NAMES


def test_only_what_is_named_is_measured() -> None:
    assert list(measure(SPECTRA["diagonal"], None, None, ["spectral_norm"])) == [("spectral_norm", 10.0, None)]


def test_without_a_pair_there_are_no_comparisons() -> None:
    names = [name for name, _, _ in measure(SHUFFLED, None, None, NAMES)]
    assert names == [metric.name for metric in METRICS if metric.against is None]


def test_with_one_pair_there_are_only_its_comparisons() -> None:
    names = [name for name, _, _ in measure(SHUFFLED, None, PAIR, NAMES)]
    assert names == [metric.name for metric in METRICS if metric.against in (None, "prev")]


@pytest.mark.parametrize("spectrum", [Spectrum.of(0.0, 0.0), Spectrum.of(rows=4)], ids=["zero", "empty"])
def test_a_matrix_of_nothing_has_norms_and_counts_and_nothing_else(spectrum: Spectrum) -> None:
    rows = {name: value for name, value, _ in measure(spectrum, None, None, NAMES[1:]) if value is not None}
    norms = {"nuclear_norm", "frobenius_norm", "spectral_norm", "sigma_error"}
    assert {name for name, value in rows.items() if value == 0} == norms | {"numerical_rank", "alpha_n"}
    assert all(value == 0 or math.isnan(value) for value in rows.values())


def test_what_takes_a_second_decomposition_or_vectors_is_off_unless_asked_for() -> None:
    assert all(metric.default == (metric.needs not in ("shuffled", "vectors")) for metric in METRICS)


def test_what_was_not_prepared_has_no_row() -> None:
    unprepared = {metric.name for metric in METRICS if metric.needs and metric.name != "numerical_rank"}
    pair = PAIRS["scaled"]
    assert list(measure(SPECTRA["diagonal"], pair, pair, unprepared)) == []


def test_a_norm_beyond_float64_is_infinite_without_a_warning() -> None:
    spectrum = Spectrum.of(1.7e308, 1.7e308)
    assert list(measure(spectrum, None, None, ["nuclear_norm"])) == [("nuclear_norm", float("inf"), None)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_every_entry_documents_itself(metric: Metric) -> None:
    text = metric.documentation
    assert metric.summary.endswith((".", ":"))
    assert "Formula: " in text
    assert ">>> " in text
    assert ("No degree:" if metric.degree is None else f"Degree {metric.degree}") in text
    assert "NaN" in text
    assert metric.source


def test_the_catalogue_needs_no_heavy_import() -> None:
    heavy = "('torch', 'scipy', 'pyarrow', 'transformers', 'pandas')"
    code = f"import sys, spectra_cli.metrics; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.theirs)
def test_names_of_other_tools_lead_to_metrics(alias: Any) -> None:
    named = re.findall(r"[a-z_]{5,}", alias.ours)
    known = [re.sub("_(final|prev)$", "", metric.name) for metric in METRICS]
    assert named
    assert set(named) <= set(known)
