"""Scans of a Hub, as a user starts them: the rows are those of the same files on this disk, whatever goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_metadata
from tests.hub.loopback import Fault, served
from tests.sources.hub.conftest import COMMAND, TOKEN, write_wide_run
from tests.support import runs
from tests.support.adapter_runs import write_adapters

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]


def rows(path: Path):
    return pq.read_table(path).replace_schema_metadata(None)


@pytest.fixture(scope="module")
def local(kept_run, tmp_path_factory):
    return rows(scan_checkpoints(kept_run, tmp_path_factory.mktemp("local") / "a.parquet").output)


@pytest.fixture
def scanned(spectra_process, place, local):
    """Scan own/small and see that its rows are the local ones; give what was said."""

    def call(*arguments, code=0, **environment):
        said = spectra_process(
            "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet", *arguments, **environment
        )
        assert said.code == code, said.err
        assert rows(place.folder / "a.parquet").equals(local)
        return said

    return call


def test_the_rows_are_the_local_ones_and_the_commits_are_kept(scanned, place, tiny):
    scanned()
    facts = read_metadata(place.folder / "a.parquet")
    assert facts["commits"]["step4"] == f"own/small@{tiny.branches['step4']}"
    assert facts["source"] == "hf:own/small"


def test_few_calls_are_made_and_every_file_is_sent_once(scanned, hub):
    scanned()
    listings = [one for one in hub.calls() if one.path.startswith("/api/models")]
    assert len(listings) <= 3 + 3 * len(runs.STEPS)
    resolved = [one.path for one in hub.asked if "/resolve/" in one.path]
    assert len(resolved) <= 3 * len(runs.STEPS)
    weights = [one.path for one in hub.asked if one.origin == 2]
    assert sorted(weights) == sorted(set(weights))
    assert len(weights) == len(runs.STEPS)


def test_a_listing_in_pages_is_read_to_its_end(scanned, hub):
    hub.page = 1
    scanned()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/refs", status=503),
        Fault("/tree/", status=429, headers={"Retry-After": "1"}, times=2),
        Fault("/resolve/", status=500),
        Fault("^2/", status=504),
        Fault("^2/", cut=5000, times=3),
        Fault("^2/", cut=0),
        Fault("^2/", whole=True, times=100),
        Fault("^2/", other=True),
        Fault("/resolve/", delay=1.0),
    ],
    ids=["503", "429", "500", "504", "cut", "cut at once", "range ignored", "other bytes", "slow"],
)
def test_what_passes_costs_nothing_but_time(fault, scanned, hub):
    hub.faults.append(fault)
    scanned()


def test_the_server_s_wish_to_wait_is_granted_and_said(scanned, hub):
    hub.faults.append(Fault("/refs", status=429, headers={"Retry-After": "2"}))
    began = time.monotonic()
    said = scanned()
    assert time.monotonic() - began > 2
    assert "waiting 2 s for the Hub: it answers 429" in said.err


def test_a_branch_that_moves_in_mid_scan_changes_nothing(scanned, hub, tiny):
    def move():
        tiny.branches["step16"] = tiny.branches["step0"]

    hub.after.append((9, move))
    scanned()


def test_a_commit_that_moved_between_two_runs_is_refused_by_name(spectra_process, place, hub, tiny, kept_run):
    hub.faults.append(Fault("^2/.*step8", status=404, times=100))
    said = spectra_process("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet")
    assert said.code == 3
    assert "step8" in said.err
    (place.folder / "a.parquet").unlink()
    start = ("scan", "hf:own/small", "--revisions", "step*", "-o", "b.parquet")
    kill_after(place, start, hub, requests=16)
    tiny.branches["step1"] = hub.commit(tiny, kept_run / "step2")
    said = spectra_process(*start, clean=False)
    assert said.code == 1
    assert "step1" in said.err
    assert "--restart" in said.err


def kill_after(place, arguments, hub, requests):
    """Start a scan and kill it once the Hub has been asked so often."""
    done = threading.Event()
    hub.after.append((len(hub.asked) + requests, done.set))
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=place.folder, env=place.environment, stderr=subprocess.DEVNULL
    )
    assert done.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_scan_goes_on_and_sweeps_what_it_left(scanned, place, hub):
    start = ("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet")
    kill_after(place, start, hub, requests=17)
    assert list(place.scratch.iterdir())
    assert not (place.folder / "a.parquet").exists()
    scanned()


def test_ctrl_c_ends_in_two_seconds_and_leaves_no_file(place, hub):
    hub.faults.append(Fault("^2/.*step4", delay=30.0))
    process = subprocess.Popen(
        [*COMMAND, "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet"],
        cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any("step4" in one.path for one in hub.asked if one.origin == 2) and time.monotonic() < deadline:
        if len([one for one in hub.asked if one.origin == 2]) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - began < 2.5
    assert process.returncode not in (0, None)
    assert "Traceback" not in said
    assert list(place.scratch.iterdir()) == []


def test_ctrl_c_while_the_hub_asks_to_wait_ends_at_once(place, hub):
    hub.faults.append(Fault("/refs", status=429, headers={"Retry-After": "60"}, times=100))
    process = subprocess.Popen(
        [*COMMAND, "scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet"],
        cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "waiting 60 s for the Hub" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=5)
    assert process.returncode == 1
    assert "stopped" in said
    assert "Traceback" not in said


def test_the_user_s_own_cache_stays_as_it_was(scanned, place):
    scanned()
    assert not list((place.folder / "hf").glob("hub/models--*"))


def test_files_in_the_user_s_own_cache_are_not_fetched(scanned, place, hub):
    fetch = "from huggingface_hub import snapshot_download as s; s('own/small', revision='step4')"
    subprocess.run([COMMAND[0].replace("spectra", "python"), "-c", fetch], env=place.environment, check=True)
    hub.asked.clear()
    scanned()
    assert not [one for one in hub.asked if "step4/model" in one.path and one.origin == 2]


def test_offline_the_cache_alone_is_read(scanned, place, hub):
    fetch = "from huggingface_hub import snapshot_download as s; [s('own/small', revision=f'step{n}') for n in (%s)]"
    steps = ",".join(map(str, runs.STEPS))
    subprocess.run([COMMAND[0].replace("spectra", "python"), "-c", fetch % steps], env=place.environment, check=True)
    hub.asked.clear()
    scanned(HF_HUB_OFFLINE="1")
    assert hub.asked == []


def test_equal_files_are_fetched_and_computed_once(spectra_process, place, hub, tmp_path):
    run = runs.write_run(tmp_path / "twins", steps=(0, 1, 2))
    shutil.copy(run / "step1" / "model.safetensors", run / "step2" / "model.safetensors")
    hub.add("own/twins", run)
    assert spectra_process("scan", "hf:own/twins", "-o", "a.parquet", "-q").code == 0
    assert len([one for one in hub.asked if one.origin == 2]) == 2
    assert read_metadata(place.folder / "a.parquet")["duplicates"] == {"step2": "step1"}
    assert rows(place.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


def test_the_token_goes_to_the_hub_and_to_no_other_origin(scanned, hub):
    scanned()
    assert any(one.token == f"Bearer {TOKEN}" for one in hub.asked if one.origin == 1)
    assert not any(one.token for one in hub.asked if one.origin == 2)


def test_the_token_is_in_no_file(scanned, place):
    scanned()
    assert TOKEN.encode() not in (place.folder / "a.parquet").read_bytes()


def test_few_roles_are_read_by_ranges_of_few_bytes(spectra_process, place, hub, wide_run, tmp_path):
    hub.add("own/run", wide_run)
    assert spectra_process("scan", "hf:own/run", "--roles", "q", "-o", "a.parquet", "-q").code == 0
    one = load_file(wide_run / "step0" / "model.safetensors")
    needed = 3 * sum(value.nbytes for name, value in one.items() if "query_key_value" in name)
    assert hub.fetched() <= 1.1 * needed
    assert all(one.status == 206 for one in hub.asked if one.origin == 2)
    expected = scan_checkpoints(wide_run, tmp_path / "b.parquet", roles=["q"]).output
    assert rows(place.folder / "a.parquet").equals(rows(expected))


def test_adapters_of_equal_factors_but_other_scales_are_told_apart(spectra_process, place, hub, tmp_path):
    run = tmp_path / "adapters"
    write_adapters(run, {"model.layers.0.self_attn.q_proj": (16, 16)})
    first, last = sorted(run.iterdir())
    shutil.copy(first / "adapter_model.safetensors", last / "adapter_model.safetensors")
    settings = json.loads((last / "adapter_config.json").read_text())
    (last / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 48}))
    hub.add("own/adapters", run)
    said = spectra_process("scan", "hf:own/adapters", "-o", "a.parquet", "-q")
    assert said.code == 0, said.err
    local = rows(scan_checkpoints(run, tmp_path / "b.parquet").output).to_pandas()  # where NaN equals NaN
    assert rows(place.folder / "a.parquet").to_pandas().equals(local)
    scales = local[local.metric == "spectral_norm"].groupby("step").value.max()
    assert scales[20] == pytest.approx(4 * scales[100])


def test_torch_files_and_shards_are_read_too(spectra_process, place, hub, kept_run, tmp_path):
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
    said = spectra_process("scan", "hf:own/bins", "-o", "a.parquet", "-q")
    assert said.code == 0, said.err
    assert rows(place.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


def test_scratch_space_stays_within_its_bound_however_long_the_run(spectra_process, place, tmp_path):
    run = write_wide_run(tmp_path / "run", tuple(range(0, 200, 10)))
    largest = (run / "step0" / "model.safetensors").stat().st_size
    bound, most, over = 2 * largest, 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.005):
            taken = 0
            for folder, _, names in os.walk(place.scratch):
                for name in names:
                    with suppress(OSError):
                        facts = os.lstat(os.path.join(folder, name))
                        taken += facts.st_blocks * 512 if stat.S_ISREG(facts.st_mode) else 0
            most = max(most, taken)

    watching = threading.Thread(target=watch)
    watching.start()
    with served() as hub:
        hub.add("own/run", run)
        said = spectra_process(
            "scan", "hf:own/run", "-o", "a.parquet", "-q", "--disk", str(bound), HF_ENDPOINT=hub.endpoint
        )
    over.set()
    watching.join()
    assert said.code == 0, said.err
    assert 0 < most <= bound
    assert rows(place.folder / "a.parquet").equals(rows(scan_checkpoints(run, tmp_path / "b.parquet").output))


def test_checkpoints_are_subfolders_of_one_revision_or_repositories_one_after_another(
    spectra_process, place, hub, kept_run, local
):
    repository = hub.add("own/folders", kept_run)
    repository.branches["main"] = hub.commit(repository, kept_run)
    assert spectra_process("scan", "hf:own/folders@main", "-o", "a.parquet", "-q").code == 0
    assert rows(place.folder / "a.parquet").drop(["model"]).equals(local.drop(["model"]))
    for step in (1, 2):
        one = hub.add(f"own/small-step{step}", kept_run)
        one.branches = {"main": hub.commit(one, kept_run / f"step{step}")}
    said = spectra_process("scan", "hf:own/small-step1", "hf:own/small-step2", "-o", "b.parquet", "-q")
    assert said.code == 0, said.err
    table = rows(place.folder / "b.parquet").to_pandas()
    assert set(table.step) == {1, 2}


def test_one_subfolder_is_one_checkpoint_and_diff_takes_either_side(spectra_process, hub, kept_run):
    repository = hub.add("own/small", kept_run)
    repository.branches["main"] = hub.commit(repository, kept_run)
    here, there = kept_run / "step1", kept_run / "step4"
    expected = spectra_process("diff", here, there, "--json").out
    assert spectra_process("diff", "hf:own/small@step1", "hf:own/small@step4", "--json").out == expected
    assert spectra_process("diff", here, "hf:own/small@main/step4", "--json").out == expected


def test_a_renamed_repository_is_followed(spectra_process, hub, kept_run):
    hub.add("old/name", kept_run, renamed_to="own/small")
    said = spectra_process("scan", "hf:old/name", "-o", "a.parquet", "-q", "--revisions", "step1,step2")
    assert said.code == 0, said.err
