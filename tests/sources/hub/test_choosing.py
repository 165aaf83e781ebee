"""Which revisions of a Hub are read, and what `inspect` says of them before."""

from __future__ import annotations

import json

import pytest

from tests.hub.loopback import Fault

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def inspected(spectra_process):
    def call(*arguments):
        result = spectra_process("inspect", *arguments, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return call


def chosen(inspection):
    return [checkpoint["revision"] for checkpoint in inspection["checkpoints"]]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--revisions", "step1,step4"], ["step1", "step4"]),
        (["--revisions", "step1", "--revisions", "step8,step2"], ["step1", "step2", "step8"]),
        (["--revisions", "step?", "--steps", "2:8"], ["step2", "step4", "step8"]),
        (["--steps", "1::2"], ["step1", "step4", "step16"]),
    ],
    ids=["a list", "repeated", "a pattern and steps", "every second"],
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
