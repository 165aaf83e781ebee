"""Changes of an exponent that come with a change of the tail are told from those that do not."""

import numpy as np
import pandas as pd
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import Run
from tests.support.alpha_jumps import changes


def run_of(**columns):
    count = len(next(iter(columns.values())))
    lines = {"matrix": "m", "role": "q", "order": range(count), "step": range(0, 10 * count, 10), **columns}
    return Run("planted", pd.DataFrame(lines), {})


def test_a_change_with_the_tail_is_marked_and_one_without_is_not():
    run = run_of(alpha_clauset=[2.0, 3.5, 2.0], alpha_clauset_n=[100.0, 10.0, 11.0])
    found = changes(run, "alpha_clauset")
    assert found["of_tail"].tolist() == [True, False]
    assert found[["before", "after", "step"]].to_numpy().tolist() == [[2.0, 3.5, 10], [3.5, 2.0, 20]]


def test_an_estimator_of_a_fixed_number_of_values_never_changes_with_its_tail():
    assert not changes(run_of(alpha_hill=[2.0, 4.0]), "alpha_hill")["of_tail"].any()


def test_changes_never_go_from_one_matrix_to_another():
    run = run_of(alpha_hill=[1.5, 2.5, 5.0], matrix=["a", "b", "a"])
    assert changes(run, "alpha_hill")[["matrix", "before", "after"]].to_numpy().tolist() == [["a", 1.5, 5.0]]


def test_undefined_values_are_left_out():
    assert len(changes(run_of(alpha_hill=[2.0, np.nan, 3.0]), "alpha_hill")) == 0


def test_a_run_read_without_the_tail_is_refused():
    with pytest.raises(SpectraError, match="without alpha_tail_n"):
        changes(run_of(alpha_tail=[2.0, 3.0]), "alpha_tail")
