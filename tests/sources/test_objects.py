"""Checkpoints in object storage, read through a real S3 server on this machine: listed, pinned, read by ranges."""

import os
import subprocess
import sys

import pytest

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.diff import diff_checkpoints
from spectra_cli.jobs.inspect import inspect_source
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.sources.hub import store
from spectra_cli.storage.table import read_metadata
from tests.support import runs

buckets = pytest.importorskip("tests.support.buckets")


@pytest.fixture(scope="module")
def server():
    with buckets.served() as bucket:
        yield bucket


@pytest.fixture
def bucket(server, monkeypatch):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    server.failing, server.refusing, server.before = 0, False, None
    return server


@pytest.fixture
def source(bucket, kept_run):
    return bucket.upload(kept_run, kept_run.name)


def assert_same_rows(scanned, table_path):
    """The same numbers of the same checkpoints; only where they lie is told differently."""
    assert read_table(scanned.output, vectors=True).arrow == read_table(table_path, vectors=True).arrow


def test_a_scan_gives_the_rows_of_the_folder_that_was_uploaded_and_pins_what_it_read(source, table_path, tmp_path):
    scanned = scan_checkpoints(source, tmp_path / "a.parquet")
    assert_same_rows(scanned, table_path)
    commits = read_metadata(scanned.output)["commits"]
    assert sorted(commits, key=lambda name: int(name[4:])) == [f"step{step}" for step in runs.STEPS]
    assert len(set(commits.values())) == len(runs.STEPS)
    assert all(commit.startswith(f"{source}@") for commit in commits.values())


@pytest.mark.slow
def test_only_the_ranges_that_are_wanted_are_read(bucket, source, kept_run, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SMALL", 0)
    monkeypatch.setattr(store, "FIRST_BYTES", 4096)
    scan_checkpoints(source, tmp_path / "a.parquet", roles="q", layers="0", steps="0:0", match="q")
    asked = [text for method, path, text in bucket.asked if method == "GET" and path.endswith(".safetensors")]
    ends = [text.removeprefix("bytes=").split("-") for text in asked]
    read = sum(int(last) + 1 - int(first) for first, last in ends)
    assert 4096 < read < 0.5 * (kept_run / "step0" / "model.safetensors").stat().st_size


@pytest.mark.slow
def test_inspect_and_diff_take_it_too(source):
    inspected = inspect_source(source)
    assert [checkpoint.step for checkpoint in inspected.plan.checkpoints] == list(runs.STEPS)
    assert (inspected.fetching.calls, inspected.fetching.in_parts) == (1, False)
    assert diff_checkpoints(f"{source}/step0", f"{source}/step16").rows_of_a > 0


@pytest.mark.slow
def test_a_server_that_fails_for_a_while_is_waited_for(bucket, source, table_path, tmp_path):
    told, bucket.failing = [], 3
    scanned = scan_checkpoints(source, tmp_path / "a.parquet", on_wait=told.append)
    assert_same_rows(scanned, table_path)
    assert any("for s3" in sentence for sentence in told)


@pytest.mark.slow
def test_an_object_that_is_written_anew_meanwhile_is_never_taken_for_the_old_one(bucket, run, tmp_path):
    source = bucket.upload(run, "moving")
    other = (run / "step16" / "model.safetensors").read_bytes()

    def replace():
        bucket.before = None
        bucket.files.pipe("bucket/moving/step2/model.safetensors", other)

    bucket.before = replace
    scanned = scan_checkpoints(source, tmp_path / "a.parquet")
    (problem,) = scanned.problems
    assert problem.message == f"{source}/step2/model.safetensors was written anew since it was listed"
    assert set(read_table(scanned.output)["step"].to_pylist()) == {0, 1, 4, 8, 16}


@pytest.mark.slow
def test_a_scan_is_not_resumed_after_a_checkpoint_was_replaced(bucket, run, tmp_path):
    def stop(checkpoint, matrix):
        if matrix is None and checkpoint.step == 2:
            raise KeyboardInterrupt

    source = bucket.upload(run, "resumed")
    with pytest.raises(KeyboardInterrupt):
        scan_checkpoints(source, tmp_path / "a.parquet", on_done=stop)
    bucket.files.pipe("bucket/resumed/step0/model.safetensors", (run / "step1" / "model.safetensors").read_bytes())
    with pytest.raises(SpectraError, match="step0"):
        scan_checkpoints(source, tmp_path / "a.parquet")


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("source", ["s3://bucket/none", "s3://nobucket/run"])
def test_what_is_not_there_is_two_lines(source, tmp_path):
    with pytest.raises(SpectraError, match=f"{source} is not there") as caught:
        scan_checkpoints(source, tmp_path / "a.parquet")
    assert "s3://bucket/folder" in caught.value.hint


@pytest.mark.slow
def test_credentials_that_are_refused_end_the_scan_at_once(bucket, source, tmp_path):
    bucket.refusing = True
    with pytest.raises(SpectraError, match="may not be read with the credentials"):
        scan_checkpoints(source, tmp_path / "a.parquet")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_two_lines_that_name_the_extra(scheme, package):
    script = (
        f"import sys; sys.modules[{package!r}] = None; from spectra_cli.cli import main;"
        f" raise SystemExit(main(['inspect', '{scheme}://bucket/run']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{scheme}:// needs {package}, which is not installed" in done.stderr.splitlines()[0]
    assert f"pip install 'spectra-scan[{scheme}]'" in done.stderr.splitlines()[1]


def test_an_address_that_is_set_anew_counts_in_the_same_process(bucket, source, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SpectraError):
        inspect_source(source, patience="1s")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    assert inspect_source(source).layout.matrices
