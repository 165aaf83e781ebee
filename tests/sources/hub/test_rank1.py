"""Rank 1 of a Hub: the findings are those of the same files on this disk, and scratch space stays within its bound."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.support.hub_runs import bytes_on_disk, write_wide_run

STEPS = tuple(range(0, 80, 10))


@pytest.fixture
def wide(hub, tmp_path):
    run = write_wide_run(tmp_path / "wide", STEPS)
    hub.add("own/wide", run)
    return run


def findings(result):
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    return {name: facts[name] for name in ("raw", "merged", "halves", "verdict", "groups", "steps")}


@pytest.fixture
def local(spectra_process, wide):
    return findings(spectra_process("rank1", wide, "--window", "3", "-o", "local.parquet", "--json"))


@pytest.mark.slow
def test_findings_are_the_local_ones_and_every_file_is_sent_once(spectra_process, hub, local):
    given = ("--revisions", "step*", "--window", "3", "-o", "a.parquet", "--json")
    assert findings(spectra_process("rank1", "hf:own/wide", *given)) == local
    weights = [request.path for request in hub.asked if request.origin == 2]
    assert len(weights) == len(set(weights)) == len(STEPS)


@pytest.mark.slow
def test_where_files_do_not_fit_they_are_fetched_a_few_tensors_at_a_time(spectra_process, hub, local, wide, workplace):
    size = (wide / "step0" / "model.safetensors").stat().st_size
    bound = 2 * size
    largest, over = [0], threading.Event()

    def watch():
        while not over.is_set():
            largest[0] = max(largest[0], bytes_on_disk(workplace.scratch))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        given = ("--revisions", "step*", "--window", "3", "-o", "a.parquet", "--json", "--disk", str(bound))
        assert findings(spectra_process("rank1", "hf:own/wide", *given)) == local
    finally:
        over.set()
        watcher.join()
    assert 0 < largest[0] <= bound
    assert hub.fetched() < 1.3 * len(STEPS) * size
