"""Scans of a Hub, as a user starts them: the rows are those of the same files on this disk, whatever goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_metadata
from tests.hub.loopback import Fault, served
from tests.support import runs
from tests.support.adapter_runs import write_adapters
from tests.support.hub_runs import COMMAND, TOKEN, bytes_on_disk, write_wide_run

pytestmark = pytest.mark.usefixtures("tiny")


def rows(path: Path):
    return pq.read_table(path).replace_schema_metadata(None)


def first_difference(made, local):
    """Return the first rows that differ, or how many rows there are of either."""
    pairs = zip(made.to_pylist(), local.to_pylist(), strict=False)
    return next(((one, other) for one, other in pairs if one != other), (len(made), len(local)))


@pytest.fixture(scope="module")
def local(kept_run, tmp_path_factory):
    return rows(scan_checkpoints(kept_run, tmp_path_factory.mktemp("local") / "a.parquet").output)


@pytest.fixture
def scanned(spectra_process, workplace, local):
    """Scan own/small, check that its rows are the local ones, and return the result."""

    def call(*arguments, code=0, **environment):
        result = spectra_process(
            "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet", *arguments, **environment
        )
        assert result.code == code, result.err
        made = rows(workplace.folder / "a.parquet")
        assert made.equals(local), first_difference(made, local)
        return result

    return call


@pytest.mark.slow
def test_the_rows_are_the_local_ones_and_the_commits_are_kept(scanned, workplace, tiny):
    scanned()
    facts = read_metadata(workplace.folder / "a.parquet")
    assert facts["commits"]["step4"] == f"own/small@{tiny.branches['step4']}"
    assert facts["source"] == "hf:own/small"


@pytest.mark.slow
def test_few_calls_are_made_and_every_file_is_sent_once(scanned, hub):
    scanned()
    listings = [request for request in hub.calls() if request.path.startswith("/api/models")]
    assert len(listings) <= 3 + 3 * len(runs.STEPS)
    resolved = [request.path for request in hub.asked if "/resolve/" in request.path]
    assert len(resolved) <= 3 * len(runs.STEPS)
    weights = [request.path for request in hub.asked if request.origin == 2]
    assert sorted(weights) == sorted(set(weights))
    assert len(weights) == len(runs.STEPS)


@pytest.mark.slow
def test_a_listing_in_pages_is_read_to_its_end(scanned, hub):
    hub.page = 1
    scanned()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("/refs", status=503), id="503"),
        pytest.param(Fault("/tree/", status=429, headers={"Retry-After": "1"}, times=2), id="429"),
        pytest.param(Fault("/resolve/", status=500), id="500"),
        pytest.param(Fault("^2/", status=504), id="504"),
        pytest.param(Fault("^2/", cut=5000, times=3), id="cut"),
        pytest.param(Fault("^2/", cut=0), id="cut at once"),
        pytest.param(Fault("^2/", whole=True, times=100), id="range ignored"),
        pytest.param(Fault("^2/", other=True), id="other bytes"),
        pytest.param(Fault("/resolve/", delay=1.0), id="slow"),
    ],
)
def test_what_passes_costs_nothing_but_time(fault, scanned, hub):
    hub.faults.append(fault)
    scanned()


@pytest.mark.slow
def test_the_server_s_wish_to_wait_is_granted_and_reported(scanned, hub):
    hub.faults.append(Fault("/refs", status=429, headers={"Retry-After": "2"}))
    began = time.monotonic()
    result = scanned()
    assert time.monotonic() - began > 2
    assert "waiting 2 s for the Hub: it answers 429" in result.err


@pytest.mark.slow
def test_a_branch_that_moves_in_mid_scan_changes_nothing(scanned, hub, tiny):
    def move():
        tiny.branches["step16"] = tiny.branches["step0"]

    hub.after.append((9, move))
    scanned()


@pytest.mark.slow
def test_a_commit_that_moved_between_two_runs_is_refused_by_name(spectra_process, workplace, hub, tiny, kept_run):
    hub.faults.append(Fault("^2/.*step8", status=404, times=100))
    result = spectra_process("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet")
    assert result.code == 3
    assert "step8" in result.err
    (workplace.folder / "a.parquet").unlink()
    start = ("scan", "hf:own/small", "--revisions", "step*", "-o", "b.parquet")
    kill_after(workplace, start, hub, requests=16)
    tiny.branches["step1"] = hub.commit(tiny, kept_run / "step2")
    result = spectra_process(*start, clean=False)
    assert result.code == 1
    assert "step1" in result.err
    assert "--restart" in result.err


def kill_after(workplace, arguments, hub, requests):
    """Start a scan and kill it once the Hub has been asked so often."""
    done = threading.Event()
    hub.after.append((len(hub.asked) + requests, done.set))
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=workplace.folder, env=workplace.environment, stderr=subprocess.DEVNULL
    )
    assert done.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_killed_scan_resumes_and_sweeps_what_it_left(scanned, workplace, hub):
    start = ("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet")
    kill_after(workplace, start, hub, requests=17)
    assert list(workplace.scratch.iterdir())
    assert not (workplace.folder / "a.parquet").exists()
    scanned()


@pytest.mark.slow
def test_ctrl_c_ends_in_two_seconds_and_leaves_no_file(workplace, hub):
    hub.faults.append(Fault("^2/.*step4", delay=30.0))
    process = subprocess.Popen(
        [*COMMAND, "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet"],
        cwd=workplace.folder, env=workplace.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        files = [request.path for request in hub.asked if request.origin == 2]
        if len(files) >= 3 or any("step4" in path for path in files):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, error = process.communicate(timeout=20)
    assert time.monotonic() - began < 2.5
    assert process.returncode not in (0, None)
    assert "Traceback" not in error
    assert list(workplace.scratch.iterdir()) == []


def test_ctrl_c_while_the_hub_asks_to_wait_ends_at_once(workplace, hub):
    hub.faults.append(Fault("/refs", status=429, headers={"Retry-After": "60"}, times=100))
    process = subprocess.Popen(
        [*COMMAND, "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet"],
        cwd=workplace.folder, env=workplace.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "waiting 60 s for the Hub" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=5)
    assert process.returncode == 1
    assert "stopped" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_the_user_s_own_cache_stays_as_it_was(scanned, workplace):
    scanned()
    assert not list((workplace.folder / "hf").glob("hub/models--*"))


@pytest.mark.slow
def test_files_in_the_user_s_own_cache_are_not_fetched(scanned, workplace, hub):
    fetch = "from huggingface_hub import snapshot_download as s; s('own/small', revision='step4')"
    subprocess.run([COMMAND[0].replace("spectra", "python"), "-c", fetch], env=workplace.environment, check=True)
    hub.asked.clear()
    scanned()
    assert not [request for request in hub.asked if "step4/model" in request.path and request.origin == 2]


@pytest.mark.slow
def test_offline_the_cache_alone_is_read(scanned, workplace, hub):
    fetch = "from huggingface_hub import snapshot_download as s; [s('own/small', revision=f'step{n}') for n in (%s)]"
    steps = ",".join(map(str, runs.STEPS))
    subprocess.run(
        [COMMAND[0].replace("spectra", "python"), "-c", fetch % steps], env=workplace.environment, check=True
    )
    hub.asked.clear()
    scanned(HF_HUB_OFFLINE="1")
    assert hub.asked == []


@pytest.mark.slow
def test_equal_files_are_fetched_and_computed_once(spectra_process, workplace, hub, tmp_path):
    run = runs.write_run(tmp_path / "twins", steps=(0, 1, 2))
    shutil.copy(run / "step1" / "model.safetensors", run / "step2" / "model.safetensors")
    hub.add("own/twins", run)
    assert spectra_process("scan", "hf:own/twins", "-o", "a.parquet", "-q").code == 0
    assert len([request for request in hub.asked if request.origin == 2]) == 2
    assert read_metadata(workplace.folder / "a.parquet")["duplicates"] == {"step2": "step1"}
    assert rows(workplace.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


@pytest.mark.slow
def test_the_token_goes_to_the_hub_and_to_no_other_origin(scanned, hub):
    scanned()
    assert any(request.token == f"Bearer {TOKEN}" for request in hub.asked if request.origin == 1)
    assert not any(request.token for request in hub.asked if request.origin == 2)


@pytest.mark.slow
def test_the_token_is_in_no_file(scanned, workplace):
    scanned()
    assert TOKEN.encode() not in (workplace.folder / "a.parquet").read_bytes()


@pytest.mark.slow
def test_few_roles_are_read_by_ranges_of_few_bytes(spectra_process, workplace, hub, wide_run, tmp_path):
    hub.add("own/run", wide_run)
    assert spectra_process("scan", "hf:own/run", "--roles", "q", "-o", "a.parquet", "-q").code == 0
    tensors = load_file(wide_run / "step0" / "model.safetensors")
    needed = 3 * sum(value.nbytes for name, value in tensors.items() if "query_key_value" in name)
    assert hub.fetched() <= 1.1 * needed
    assert all(request.status == 206 for request in hub.asked if request.origin == 2)
    expected = scan_checkpoints(wide_run, tmp_path / "b.parquet", roles=["q"]).output
    assert rows(workplace.folder / "a.parquet").equals(rows(expected))


@pytest.mark.slow
def test_adapters_of_equal_factors_but_other_scales_are_told_apart(spectra_process, workplace, hub, tmp_path):
    run = tmp_path / "adapters"
    write_adapters(run, {"model.layers.0.self_attn.q_proj": (16, 16)})
    first, last = sorted(run.iterdir())
    shutil.copy(first / "adapter_model.safetensors", last / "adapter_model.safetensors")
    settings = json.loads((last / "adapter_config.json").read_text())
    (last / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 48}))
    hub.add("own/adapters", run)
    result = spectra_process("scan", "hf:own/adapters", "-o", "a.parquet", "-q")
    assert result.code == 0, result.err
    local = rows(scan_checkpoints(run, tmp_path / "b.parquet").output).to_pandas()  # where NaN equals NaN
    assert rows(workplace.folder / "a.parquet").to_pandas().equals(local)
    scales = local[local.metric == "spectral_norm"].groupby("step").value.max()
    assert scales[20] == pytest.approx(4 * scales[100])


@pytest.mark.slow
def test_torch_files_and_shards_are_read_too(spectra_process, workplace, hub, kept_run, tmp_path):
    import torch

    run = tmp_path / "bins"
    for step in (0, 1):
        tensors = load_file(kept_run / f"step{step}" / "model.safetensors")
        names = sorted(tensors)
        (run / f"step{step}").mkdir(parents=True)
        shutil.copy(kept_run / f"step{step}" / "config.json", run / f"step{step}")
        parts = {"a": names[::2], "b": names[1::2]}
        for part, own in parts.items():
            name = f"pytorch_model-0000{1 if part == 'a' else 2}-of-00002.bin"
            torch.save({name: tensors[name] for name in own}, run / f"step{step}" / name)
        index = {n: f"pytorch_model-0000{1 if p == 'a' else 2}-of-00002.bin" for p, own in parts.items() for n in own}
        (run / f"step{step}" / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    hub.add("own/bins", run)
    result = spectra_process("scan", "hf:own/bins", "-o", "a.parquet", "-q")
    assert result.code == 0, result.err
    assert rows(workplace.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


@pytest.mark.slow
def test_a_second_set_of_weights_is_named_and_not_fetched(spectra_process, hub, kept_run, tmp_path):
    run = tmp_path / "twice"
    shutil.copytree(kept_run / "step0", run / "step0")
    (run / "step0" / "pytorch_model.bin").write_bytes(b"not looked into")
    hub.add("own/twice", run)
    result = spectra_process("scan", "hf:own/twice", "-o", "a.parquet")
    assert result.code == 0, result.err
    note = "note: pytorch_model.bin lies beside the weights on the Hub, is not read, and was not compared"
    assert note in result.err
    assert not [request.path for request in hub.asked if "pytorch_model.bin" in request.path]


@pytest.mark.slow
def test_scratch_space_stays_within_its_bound_however_long_the_run(spectra_process, workplace, tmp_path):
    run = write_wide_run(tmp_path / "run", tuple(range(0, 200, 10)))
    largest = (run / "step0" / "model.safetensors").stat().st_size
    bound, most, over = 2 * largest, 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.005):
            most = max(most, bytes_on_disk(workplace.scratch))

    watching = threading.Thread(target=watch)
    watching.start()
    with served() as hub:
        hub.add("own/run", run)
        result = spectra_process(
            "scan", "hf:own/run", "-o", "a.parquet", "-q", "--disk", str(bound), HF_ENDPOINT=hub.endpoint
        )
    over.set()
    watching.join()
    assert result.code == 0, result.err
    assert 0 < most <= bound
    assert rows(workplace.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


@pytest.mark.slow
def test_checkpoints_are_subfolders_of_one_revision_or_repositories_one_after_another(
    spectra_process, workplace, hub, kept_run, local
):
    repository = hub.add("own/folders", kept_run)
    repository.branches["main"] = hub.commit(repository, kept_run)
    assert spectra_process("scan", "hf:own/folders@main", "-o", "a.parquet", "-q").code == 0
    assert rows(workplace.folder / "a.parquet").drop(["model"]).equals(local.drop(["model"]))
    for step in (1, 2):
        single = hub.add(f"own/small-step{step}", kept_run)
        single.branches = {"main": hub.commit(single, kept_run / f"step{step}")}
    result = spectra_process("scan", "hf:own/small-step1", "hf:own/small-step2", "-o", "b.parquet", "-q")
    assert result.code == 0, result.err
    table = rows(workplace.folder / "b.parquet").to_pandas()
    assert set(table.step) == {1, 2}


@pytest.mark.slow
def test_one_subfolder_is_one_checkpoint_and_diff_takes_either_side(spectra_process, hub, kept_run):
    repository = hub.add("own/small", kept_run)
    repository.branches["main"] = hub.commit(repository, kept_run)
    first, second = kept_run / "step1", kept_run / "step4"
    expected = spectra_process("diff", first, second, "--json").out
    assert spectra_process("diff", "hf:own/small@step1", "hf:own/small@step4", "--json").out == expected
    assert spectra_process("diff", first, "hf:own/small@main/step4", "--json").out == expected


@pytest.mark.slow
def test_a_renamed_repository_is_followed(spectra_process, hub, kept_run):
    hub.add("old/name", kept_run, renamed_to="own/small")
    result = spectra_process("scan", "hf:old/name", "-o", "a.parquet", "-q", "--revisions", "step1,step2")
    assert result.code == 0, result.err
