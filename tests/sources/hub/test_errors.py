"""What a Hub, or a user of it, can do wrong: two lines, an exit code, no file left."""

from __future__ import annotations

import resource
import shlex
import subprocess
import sys

import pytest

from tests.hub.loopback import Fault
from tests.support.hub_runs import COMMAND

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def fails(spectra_process, workplace):
    def call(*arguments, code=1, **environment):
        result = spectra_process("scan", *arguments, "-o", "a.parquet", **environment)
        assert result.code == code, result.err
        lines = [line for line in result.err.splitlines() if line]
        assert lines[-2].startswith("spectra: ")
        assert lines[-1].startswith("  ")
        assert not (workplace.folder / "a.parquet").exists()
        return result.err

    return call


def test_a_repository_that_is_not_there_names_the_nearest(fails):
    assert "own/small" in fails("hf:own/smal")


def test_a_revision_that_is_not_there_names_the_nearest(fails):
    error = fails("hf:own/small@step17")
    assert "step1" in error
    assert "step16" in error


def test_a_pattern_that_matches_nothing_lists_examples(fails):
    error = fails("hf:own/small", "--revisions", "ckpt*", code=2)
    assert "step0" in error


def test_names_that_the_shell_put_in_the_place_of_a_pattern_are_refused(fails):
    error = fails("hf:own/small", "--revisions", "step0.txt", "step1.txt", code=2)
    assert "quotes" in error


@pytest.mark.slow
def test_an_unquoted_pattern_that_matched_nothing_here_works(workplace):
    line = f"{shlex.quote(COMMAND[0])} scan hf:own/small --revisions step* -o a.parquet -q"
    done = subprocess.run(["sh", "-c", line], cwd=workplace.folder, env=workplace.environment, check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_a_gated_repository_says_where_to_accept_its_licence(fails, tiny, hub):
    tiny.gated = True
    error = fails("hf:own/small")
    assert f"{hub.endpoint}/own/small" in error
    assert "hf auth login" in error


def test_a_private_repository_says_how_to_log_in(fails, tiny):
    tiny.private = True
    error = fails("hf:own/small")
    assert "or it is private" in error
    assert "hf auth login" in error


@pytest.mark.slow
def test_a_full_disk_says_what_is_needed_and_leaves_nothing(workplace):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

    done = subprocess.run(
        [*COMMAND, "scan", "hf:own/small", "-o", "a.parquet"],
        cwd=workplace.folder, env=workplace.environment, preexec_fn=small_files,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "model.safetensors cannot be kept in the scratch folder" in done.stderr
    assert "bytes are needed for it" in done.stderr
    assert "TMPDIR" in done.stderr
    assert list(workplace.scratch.iterdir()) == []


@pytest.mark.slow
def test_a_range_that_the_server_refuses_is_named_for_its_checkpoint(spectra_process, hub, wide_run):
    hub.add("own/run", wide_run)
    hub.faults.append(Fault("^2/.*step10/model", status=416, times=100))
    result = spectra_process("scan", "hf:own/run", "--roles", "q", "-o", "a.parquet")
    assert result.code == 3
    assert "416" in result.err


@pytest.mark.slow
def test_bytes_that_never_match_their_hash_are_named_and_the_rest_is_measured(spectra_process, hub):
    hub.faults.append(Fault("^2/.*step4/model", other=True, times=100))
    result = spectra_process("scan", "hf:own/small", "-o", "a.parquet")
    assert result.code == 3
    assert "does not match its hash, fetched twice" in result.err
    assert len([request for request in hub.asked if request.origin == 2 and "step4/" in request.path]) == 2


LOOK_TWICE = """
from spectra_cli.errors import SpectraError
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.layouts import open_weights
plan = make_plan(Request.of("hf:own/small", revisions="step4"))
with plan.checkpoint_files() as checkpoint_files:
    for ahead in (True, False):
        try:
            with open_weights(plan.checkpoints[0], plan.request, checkpoint_files, ahead=ahead):
                pass
        except SpectraError as error:
            print(error)
"""


def test_a_damaged_file_found_by_looking_ahead_is_not_fetched_again(workplace, hub):
    hub.faults.append(Fault("^2/.*step4/model", other=True, times=100))
    done = subprocess.run(
        [sys.executable, "-c", LOOK_TWICE], env=workplace.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("does not match its hash, fetched twice") == 2
    assert len([request for request in hub.asked if request.origin == 2]) == 2


def test_offline_with_nothing_cached(fails):
    assert "HF_HUB_OFFLINE" in fails("hf:own/small", HF_HUB_OFFLINE="1")


@pytest.mark.slow
def test_a_hub_that_stays_down_ends_the_patience_and_keeps_what_is_done(spectra_process, workplace, hub):
    hub.faults.append(Fault("^2/.*step4/model", status=503, times=10_000))
    result = spectra_process("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet", "--patience", "2s")
    assert result.code == 1
    assert "could not be reached for 2 s" in result.err
    assert (workplace.folder / "a.parquet.parts").is_dir()
    hub.faults.clear()
    assert spectra_process("scan", "hf:own/small", "--revisions", "step*", "-o", "a.parquet").code == 0


def test_a_repository_without_weights_names_what_it_holds(fails, hub, tmp_path):
    folder = tmp_path / "none" / "step1"
    folder.mkdir(parents=True)
    (folder / "tf_model.h5").write_bytes(b"x")
    (folder / "README.md").write_text("x")
    hub.add("own/none", tmp_path / "none")
    error = fails("hf:own/none")
    assert ".h5" in error


@pytest.mark.slow
def test_a_bound_smaller_than_any_tensor_says_what_is_needed(fails):
    assert "--disk" in fails("hf:own/small", "--disk", "1kB")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hf:"], "owner/name"),
        (["hf:own/small", "--disk", "much"], "10GB"),
        (["hf:own/small", "--patience", "long"], "10m"),
        (["hf:own/small", "here"], "one source too many"),
    ],
)
def test_words_that_mean_nothing(arguments, says, fails):
    assert says in fails(*arguments, code=2)


def test_no_connection_at_all(fails):
    error = fails("hf:own/small", "--patience", "1s", HF_ENDPOINT="http://127.0.0.1:9")
    assert "no connection" in error
