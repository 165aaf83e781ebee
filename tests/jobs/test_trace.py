"""A trace of a scan: what ran when, on which worker; written on the way, and nothing of it where nobody asked."""

import json

import pytest
import torch

from spectra_cli.cli import main
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.trace_file import recorded
from spectra_cli.trace import Event
from tests.support import runs


def traced(path):
    """The events of a file in Chrome's trace format, and the names of its workers."""
    events = json.loads(path.read_text())["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return [event for event in events if event["ph"] == "X"], names


def end(event):
    return event["ts"] + event["dur"]


def test_reads_products_eigenvalues_and_writes_of_every_worker_are_events(kept_run, table_path, tmp_path):
    trace = tmp_path / "scan.json"
    scanned = scan_checkpoints(kept_run, tmp_path / "a.parquet", trace=trace, threads=2)
    assert scanned.output.read_bytes() == table_path.read_bytes()
    events, workers = traced(trace)
    assert {"measure", "read", "Gram", "eigenvalues", "compare", "metrics", "write"} <= {e["name"] for e in events}
    assert {"processor_0", "processor_1"} <= set(workers.values()) <= {"processor_0", "processor_1", "MainThread"}
    assert [e["args"]["checkpoint"] for e in events if e["name"] == "write"] == [f"step{step}" for step in runs.STEPS]
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "scan.json"}


def test_at_the_end_no_worker_idles_for_longer_than_the_longest_matrix_takes(tmp_path):
    random = torch.Generator().manual_seed(0)
    sides = {f"layers.{layer}.weight": 150 + 20 * (layer % 8) for layer in range(32)}
    tensors = {name: torch.randn(side, 400, generator=random) for name, side in sides.items()}
    checkpoint = runs.write_checkpoint(tmp_path / "step0", tensors, {"model_type": "unknown"})
    scan_checkpoints(checkpoint, tmp_path / "a.parquet", trace=tmp_path / "t.json", threads=2)
    of_worker = {"processor_0": [], "processor_1": []}
    events, workers = traced(tmp_path / "t.json")
    for event in (event for event in events if event["name"] == "measure"):
        of_worker[workers[event["pid"], event["tid"]]].append(event)
    last = [max(map(end, some)) for some in of_worker.values()]
    assert max(last) - min(last) <= max(event["dur"] for some in of_worker.values() for event in some)


def test_names_from_files_are_quoted(tmp_path):
    folder = runs.write_checkpoint(tmp_path / "step3\x1b[31m", runs.neox_tensors(0))
    scan_checkpoints(folder, tmp_path / "a.parquet", trace=tmp_path / "t.json")
    (shown,) = {event["args"].get("checkpoint", "step3\\x1b[31m") for event in traced(tmp_path / "t.json")[0]}
    assert shown == "step3\\x1b[31m"


def test_a_scan_that_is_stopped_leaves_a_whole_trace_of_what_it_did(kept_run, tmp_path):
    def stop(_, matrix):
        if matrix is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_checkpoints(kept_run, tmp_path / "a.parquet", trace=tmp_path / "t.json", on_done=stop)
    assert {event["args"].get("checkpoint") for event in traced(tmp_path / "t.json")[0]} >= {"step0"}


def test_a_trace_that_cannot_be_written_is_two_lines_before_anything_is_computed(kept_run, tmp_path, capsys):
    with pytest.raises(SpectraError, match="No such file"):
        scan_checkpoints(kept_run, tmp_path / "a.parquet", trace=tmp_path / "none" / "t.json")
    assert main(["scan", str(kept_run), "-o", str(tmp_path / "a.parquet"), "--trace", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 2
    assert not (tmp_path / "a.parquet").exists()


def test_what_another_machine_did_is_placed_by_when_it_is_heard_of(tmp_path):
    def elsewhere(name, begun, lasted):
        return Event(name, begun, lasted, "another", 1, "processor_0")

    with recorded(tmp_path / "t.json") as recorder:
        with recorder.span("here"):
            pass
        recorder.keep_all([elsewhere("Gram", 500_000, 2_000_000), elsewhere("measure", 0, 3_000_000)])
    (here, measure, gram), _ = traced(tmp_path / "t.json")
    assert (here["pid"], measure["pid"]) == (1, 2)
    assert 0 <= end(measure) - end(here) < 1e6
    assert gram["ts"] - measure["ts"] == pytest.approx(500)
