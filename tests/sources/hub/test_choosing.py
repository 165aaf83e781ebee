"""Which revisions of a Hub are read, and what `inspect` says of them before."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.hub.loopback import Fault

pytestmark = pytest.mark.usefixtures("tiny")
SLOW = pytest.mark.slow


@pytest.fixture
def inspected(spectra_process):
    def call(*arguments):
        result = spectra_process("inspect", *arguments, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return call


def chosen(inspection):
    return [checkpoint["revision"] for checkpoint in inspection["checkpoints"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param(["--revisions", "step1,step4"], ["step1", "step4"], id="a list", marks=SLOW),
        pytest.param(
            ["--revisions", "step1", "--revisions", "step8,step2"],
            ["step1", "step2", "step8"],
            id="repeated",
            marks=SLOW,
        ),
        pytest.param(["--revisions", "step?", "--steps", "2:8"], ["step2", "step4", "step8"], id="a pattern and steps"),
        pytest.param(["--steps", "1::2"], ["step1", "step4", "step16"], id="every second", marks=SLOW),
    ],
)
def test_revisions_and_steps_choose(inspected, options, names):
    assert chosen(inspected("hf:own/small", *options)) == names


@pytest.mark.slow
def test_a_tag_is_a_revision_too(inspected, tiny):
    tiny.tags["step32"] = tiny.branches["step16"]
    assert chosen(inspected("hf:own/small", "--revisions", "step*"))[-1] == "step32"


@pytest.mark.slow
def test_a_branch_without_a_step_is_left_out_with_the_reason_unless_it_is_named(inspected, tiny):
    tiny.branches["main"] = tiny.branches["step16"]
    unread = inspected("hf:own/small")["unread"]
    assert [item["reason"].partition(":")[0] for item in unread if item["revision"] == "main"] == [
        "no step in its name"
    ]
    assert chosen(inspected("hf:own/small", "--revisions", "main")) == ["main"]


@pytest.fixture
def staged(hub, kept_run):
    """A run whose stages have names that say no order: two checkpoints of each, with the dates of their commits."""
    repository = hub.add("own/staged", kept_run)
    steps = list(repository.branches)
    commits = [repository.branches.pop(step) for step in steps]
    names = ("code-step10", "code-step20", "math-step5", "math-step9")
    repository.branches.update(zip(names, commits, strict=False))

    def dated(**dates):
        for name, day in dates.items():
            commit = repository.branches[name.replace("_", "-")]
            repository.dates[commit] = f"2024-01-{day:02}T00:00:00.000Z"

    return dated


@pytest.mark.slow
def test_dates_of_commits_order_stages_that_names_do_not(inspected, staged):
    staged(math_step5=1, math_step9=2, code_step10=3, code_step20=5)
    assert chosen(inspected("hf:own/staged")) == ["math-step5", "math-step9", "code-step10", "code-step20"]
    staged(math_step5=6, math_step9=7)
    assert chosen(inspected("hf:own/staged")) == ["code-step10", "code-step20", "math-step5", "math-step9"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "days",
    [
        pytest.param((1, 3, 2, 4), id="mixed"),
        pytest.param((1, 1, 1, 1), id="all at once", marks=SLOW),
        pytest.param((1, 2, 2, 3), id="touching", marks=SLOW),
    ],
)
def test_stages_whose_dates_overlap_are_refused(spectra_process, staged, days):
    staged(**dict(zip(("math_step5", "math_step9", "code_step10", "code_step20"), days, strict=True)))
    result = spectra_process("inspect", "hf:own/staged")
    assert result.code == 1
    assert "nothing says which came first" in result.err
    assert "--revisions 'code-step*'" in result.err
    assert spectra_process("inspect", "hf:own/staged", "--revisions", "code-step*").code == 0


@pytest.mark.slow
def test_two_revisions_without_a_step_are_in_the_order_of_their_dates_or_refused(inspected, spectra_process, tiny):
    tiny.branches["it-sft"], tiny.branches["it-mid"] = tiny.branches["step16"], tiny.branches["step8"]
    tiny.branches["it-rl"] = tiny.branches["step4"]
    words = ("hf:own/small", "--revisions", "it-sft,it-mid,it-rl")
    refusal = spectra_process("inspect", *words)
    assert refusal.code == 1
    assert "say no step" in refusal.err
    for day, name in enumerate(("it-mid", "it-sft", "it-rl"), 1):
        tiny.dates[tiny.branches[name]] = f"2024-02-{day:02}T00:00:00.000Z"
    assert chosen(inspected(*words)) == ["it-mid", "it-sft", "it-rl"]


@pytest.mark.slow
def test_one_revision_without_a_step_comes_last(inspected, tiny):
    tiny.branches["main"] = tiny.branches["step16"]
    assert chosen(inspected("hf:own/small", "--revisions", "step4,main,step8")) == ["step4", "step8", "main"]


@pytest.mark.slow
def test_repositories_of_several_seeds_are_no_trajectory(hub, kept_run, spectra_process):
    for seed in (1, 2):
        hub.add(f"own/small-seed{seed}", kept_run)
    words = ("inspect", "hf:own/small-seed1", "hf:own/small-seed2")
    result = spectra_process(*words)
    assert result.code == 1
    assert "of two runs, by their seeds" in result.err
    pattern = re.search(r"--revisions '([^']+)'", result.err)[1]
    assert "small-seed1" in spectra_process(*words, "--revisions", pattern).err  # whose main has no weights


@pytest.mark.slow
def test_inspect_fetches_no_tensor_and_says_what_a_scan_would_fetch(spectra_process, hub, wide_run):
    hub.add("own/run", wide_run)
    result = spectra_process("inspect", "hf:own/run")
    size = (wide_run / "step0" / "model.safetensors").stat().st_size
    assert result.code == 0, result.err
    assert "whole files" in result.out
    assert "4 listings" in result.out
    assert sum(request.sent for request in hub.asked if request.origin == 2) < size / 10
    chosen_roles = spectra_process("inspect", "hf:own/run", "--roles", "q").out
    assert "byte ranges of the tensors asked for" in chosen_roles


@pytest.mark.slow
def test_inspect_marks_revisions_of_the_same_files(inspected, tiny):
    tiny.branches["step32"] = tiny.branches["step16"]
    checkpoints = inspected("hf:own/small")["checkpoints"]
    facts = {checkpoint["revision"]: checkpoint["duplicate_of"] for checkpoint in checkpoints}
    assert facts["step32"] == "step16"
    assert facts["step8"] is None


@pytest.mark.slow
def test_inspect_waits_for_the_hub_and_says_so(spectra_process, hub):
    hub.faults.append(Fault("/refs", status=503))
    result = spectra_process("inspect", "hf:own/small")
    assert result.code == 0
    assert "it answers 503" in result.err


@pytest.mark.slow
def test_weights_that_lie_deeper_in_a_folder_of_a_revision_are_its_checkpoint(hub, inspected, kept_run, tmp_path):
    for step, name in ((10, "step1"), (20, "step16")):
        shutil.copytree(kept_run / name, tmp_path / "deep" / f"global_step_{step}" / "actor" / "huggingface")
    repository = hub.add("own/deep", kept_run)
    repository.branches = {"main": hub.commit(repository, tmp_path / "deep")}
    inspection = inspected("hf:own/deep@main")
    assert chosen(inspection) == ["global_step_10", "global_step_20"]
    assert [checkpoint["step"] for checkpoint in inspection["checkpoints"]] == [10, 20]
