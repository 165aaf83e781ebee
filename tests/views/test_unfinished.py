"""What the page says of a run that goes on."""

import pyarrow.compute as pc
import pytest

from spectra_cli.jobs.watch import Conditions, watch_run
from spectra_cli.storage.table import read_rows
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.report.unfinished import cosines_to_last, unfinished


def studied(path):
    return StudiedRun(read_inputs([path], ["stable_rank"])[0])


def test_spectra_are_compared_with_the_last_checkpoint_seen_as_a_scan_compares_them(kept_run, table_path, tmp_path):
    watch_run(kept_run, tmp_path / "a.parquet", conditions=Conditions(quiet=0.01, poll=0.01, idle=0.1))
    table = read_rows(table_path)
    cosines = table.filter(pc.equal(table["metric"].cast("string"), "cos_spectrum_final")).to_pandas()
    expected = cosines.groupby("step")["value"].mean()
    seen = dict(cosines_to_last(tmp_path / "a.parquet"))
    assert list(seen) == [f"step {step}" for step in expected.index]
    assert list(seen.values()) == pytest.approx(expected.to_list(), abs=1e-6)
    said = unfinished(studied(tmp_path / "a.parquet"))
    first = next(step for step in expected.index if (expected[expected.index >= step] >= 0.99).all())
    assert f"0.99 or more from step {first} on" in said


def test_of_a_run_that_is_over_nothing_is_said(table_path):
    assert unfinished(studied(table_path)) is None
