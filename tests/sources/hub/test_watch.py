"""A run on the Hub, watched as its revisions appear: the rows of a scan of the same files on this disk, each once."""

import threading
import time

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from spectra_cli.storage.table import read_metadata
from tests.support import runs

pytestmark = pytest.mark.slow
WATCH = ("watch", "hf:own/small", "--revisions", "step*", "-o", "a.parquet", "--every", "0.2s", "-q")


def rows(path):
    table = pq.read_table(path).replace_schema_metadata(None)
    return table.filter(pc.invert(pc.ends_with(table["metric"].cast("string"), "_final"))).to_pylist()


def test_revisions_that_appear_are_measured_once(hub, kept_run, table_path, workplace, spectra_process):
    repository, output, results = hub.add("own/small", kept_run), workplace.folder / "a.parquet", []
    later = {step: repository.branches.pop(f"step{step}") for step in runs.STEPS[2:]}

    def publish(*steps):
        for step in steps:
            repository.branches[f"step{step}"] = later[step]
            wanted = runs.STEPS.index(step) + 1
            while not output.exists() or pq.read_metadata(output).num_row_groups < wanted:
                assert watching.is_alive(), results
                time.sleep(0.02)

    watching = threading.Thread(target=lambda: results.append(spectra_process(*WATCH, "--idle", "3s")))
    watching.start()
    publish(2, 4)
    watching.join()
    assert results[0].code == 0
    assert [line[0] for line in read_metadata(output)["checkpoints"]] == ["step0", "step1", "step2", "step4"]
    watching = threading.Thread(target=lambda: results.append(spectra_process(*WATCH, "--idle", "3s")))
    watching.start()
    publish(8, 16)
    watching.join()
    assert results[1].code == 0
    assert rows(output) == rows(table_path)
    fetched = hub.fetched
    assert spectra_process(*WATCH, "--idle", "0.5s").code == 0
    assert hub.fetched == fetched


def test_a_hub_that_is_away_for_a_while_is_asked_again(hub, tiny, table_path, workplace, spectra_process):
    from tests.hub.loopback import Fault

    hub.faults.append(Fault("/refs", times=4, status=503))
    assert spectra_process(*WATCH, "--idle", "2s", "--patience", "0.1s").code == 0
    assert rows(workplace.folder / "a.parquet") == rows(table_path)
    assert tiny.branches
