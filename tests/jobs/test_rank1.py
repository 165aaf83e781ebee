"""Rank 1 on real checkpoints: shares that a singular value decomposition of all weights gives, and what is refused."""

import json
import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.rank1 import rank1_checkpoints
from spectra_cli.jobs.verify import verify_table
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.side_by_side import open_run
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.rank1.rows import rank1_of
from spectra_cli.views.report.report import report
from tests.support import runs
from tests.support.processes import CommandLine

COUNT = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A line with noise across it, with buffers and vectors as the family has them."""
    folder = tmp_path_factory.mktemp("rank1") / "line"
    first, towards = runs.neox_tensors(1, dtype=torch.float32), runs.neox_tensors(2, dtype=torch.float32)
    for step in range(COUNT):
        noise = runs.neox_tensors(10 + step, dtype=torch.float32)
        runs.write_checkpoint(folder / f"step{step}", {
            name: one if one.dtype == torch.bool else one + 0.3 * step * towards[name] + 0.3 * noise[name]
            for name, one in first.items()
        })  # fmt: skip
    return folder


def flattened(run, names=lambda _: True):
    """All weights of each checkpoint, one after the other, in float64."""
    files = [load_file(run / f"step{step}" / "model.safetensors") for step in range(COUNT)]
    chosen = [name for name, tensor in files[0].items() if tensor.is_floating_point() and names(name)]
    return np.stack([torch.cat([file[name].double().ravel() for name in chosen]).numpy() for file in files])


def shares(points):
    sigma = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return sigma**2 / (sigma**2).sum()


def means(points, window):
    return np.stack([points[start : start + window].mean(axis=0) for start in range(len(points) - window + 1)])


def test_shares_are_those_of_all_weights_flattened(run):
    found = rank1_checkpoints(run, window=4).findings
    points = flattened(run)
    np.testing.assert_allclose(found.whole.raw.shares[:3], shares(points)[:3], rtol=1e-9)
    np.testing.assert_allclose(found.whole.merged.shares[:2], shares(means(points, 4))[:2], rtol=1e-9)
    assert found.whole.elements == points.shape[1]
    assert found.verdict == "one-dimensional"


def test_roles_and_layers_have_the_shares_of_their_own_matrices(run):
    groups = {group.name: group for group in rank1_checkpoints(run, window=4).findings.groups}
    down = flattened(run, lambda name: "dense_4h_to_h" in name)
    np.testing.assert_allclose(groups["down"].raw.shares[:3], shares(down)[:3], rtol=1e-9)
    layer = flattened(run, lambda name: "layers.1." in name and name.endswith("weight"))
    np.testing.assert_allclose(groups["layer 1"].raw.shares[:3], shares(layer)[:3], rtol=1e-9)
    fused = "attention.query_key_value.weight"
    rows = [flattened(run, lambda name, n=n: name.endswith(f"{n}.{fused}")) for n in range(runs.LAYERS)]
    heads = [part.reshape(COUNT, runs.HEADS, 3, -1)[:, :, 1].reshape(COUNT, -1) for part in rows]
    np.testing.assert_allclose(groups["k"].raw.shares[:3], shares(np.hstack(heads))[:3], rtol=1e-9)
    assert list(groups)[:4] == ["all", "embed", "q", "k"]


def test_chosen_matrices_are_judged_without_the_others(run):
    found = rank1_checkpoints(run, window=4, roles=["down"]).findings
    np.testing.assert_allclose(found.whole.raw.shares, shares(flattened(run, lambda n: "4h_to_h" in n))[:11], rtol=1e-9)
    assert [group.name for group in found.groups] == ["all", "down", "layer 0", "layer 1"]


def test_the_table_gives_the_findings_back(run, tmp_path):
    output = tmp_path / "line.rank1.parquet"
    result = rank1_checkpoints(run, output, window=4)
    back = rank1_of(read_inputs([output], None)[0].run)
    assert back.whole == result.findings.whole
    assert [replace(g, raw=None, merged=None) for g in back.groups] == [
        replace(g, raw=None, merged=None) for g in result.findings.groups
    ]
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    again = rank1_checkpoints(run, tmp_path / "again.parquet", window=4, threads=1)
    assert again.output.read_bytes() == output.read_bytes()


def test_its_table_is_verified_but_no_sample_of_it(run, tmp_path):
    output = rank1_checkpoints(run, tmp_path / "a.parquet", window=4).output
    assert verify_table(output).findings == ()
    with pytest.raises(SpectraError, match="no sample"):
        verify_table(output, sample=1)
    with pytest.raises(SpectraError, match="`spectra rank1` wrote"):
        report([output], str(tmp_path / "a.html"))


class Stop(Exception):
    pass


def stop_at(number):
    def on_done(done, _):
        if done == number:
            raise Stop

    return on_done


def test_an_interrupted_run_is_resumed_and_gives_the_same_table(run, tmp_path):
    whole, parted = tmp_path / "whole.parquet", tmp_path / "parted.parquet"
    rank1_checkpoints(run, whole)
    seen = []
    for number in (3, 7):
        with pytest.raises(Stop):
            rank1_checkpoints(run, parted, on_done=stop_at(number))
    with pytest.raises(SpectraError, match="begun with another request"):
        rank1_checkpoints(run, parted, roles=["q"])
    rank1_checkpoints(run, parted, on_done=lambda done, _: seen.append(done))
    assert seen[0] == 7
    assert parted.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_table_whole_or_absent_and_the_same_command_ends_it(run, tmp_path):
    target, instants, killed = tmp_path / "line.parquet", random.Random(5), 0
    command = ("rank1", run, "-o", target, "-q")
    with CommandLine() as command_line:
        began = time.monotonic()
        assert command_line.run(*command).code == 0
        usual, whole = time.monotonic() - began, target.read_bytes()
        while killed < 4:
            target.unlink(missing_ok=True)
            killed += command_line.run(*command, within=instants.uniform(0, usual)).code == -9
            assert not target.exists() or target.read_bytes() == whole
            assert command_line.run(*command).code == 0
            assert target.read_bytes() == whole
            assert [path.name for path in tmp_path.iterdir()] == [target.name]


def refused(error, *words):
    assert "\n" not in error.value.message + error.value.hint
    for word in words:
        assert word in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize(("window", "words"), [
    (13, ("--window 13 is longer than the run, which has 12 checkpoints", "--window 10")),
    (11, ("leaves too few merged checkpoints for a line: 2 of 12", "--window 10")),
    (0, ("--window 0 is too few",)),
])  # fmt: skip
def test_a_window_that_does_not_fit_is_refused_before_anything_is_read(run, tmp_path, window, words):
    with pytest.raises(SpectraError) as error:
        rank1_checkpoints(run, tmp_path / "a.parquet", window=window)
    refused(error, *words)
    assert error.value.code == 2
    assert not list(tmp_path.iterdir())


def test_the_window_that_the_refusal_names_works(run):
    assert len(rank1_checkpoints(run, window=10).findings.whole.merged.points) == 3


def copied(run, folder, **changes):
    """The run with some of its checkpoints' tensors changed."""
    for step in range(COUNT):
        tensors = load_file(run / f"step{step}" / "model.safetensors")
        runs.write_checkpoint(folder / f"step{step}", changes.get(f"step{step}", lambda t: t)(tensors))
    return folder


UP = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"


def test_checkpoints_of_other_shapes_are_refused_with_the_tensor(run, tmp_path):
    other = copied(run, tmp_path / "run", step3=lambda tensors: {**tensors, UP: torch.ones(8, 16)})
    with pytest.raises(SpectraError) as error:
        rank1_checkpoints(other, tmp_path / "a.parquet")
    refused(error, UP, "8×16 in step3", "64×16 in step11", "--steps")
    assert not (tmp_path / "a.parquet").exists()
    assert not (tmp_path / "a.parquet.parts").exists()


def test_checkpoints_that_lack_a_tensor_are_refused(run, tmp_path):
    other = copied(run, tmp_path / "run", step3=lambda tensors: {k: v for k, v in tensors.items() if k != UP})
    with pytest.raises(SpectraError) as error:
        rank1_checkpoints(other)
    refused(error, UP, "is not stored in step3")


@pytest.mark.parametrize("step", [0, 4])
def test_a_checkpoint_with_nan_is_named_and_the_others_are_judged(run, tmp_path, step):
    def spoil(tensors):
        tensors[UP][0, 0] = float("nan")
        return tensors

    other = copied(run, tmp_path / "run", **{f"step{step}": spoil})
    result = rank1_checkpoints(other, window=4)
    assert [problem.message for problem in result.problems] == [f"step{step} is left out: {UP} holds NaN or Inf"]
    kept = [index for index in range(COUNT) if index != step]
    np.testing.assert_allclose(result.findings.whole.raw.shares[:3], shares(flattened(run)[kept])[:3], rtol=1e-6)


def test_a_checkpoint_that_repeats_the_one_before_is_left_out_with_a_note(run, tmp_path):
    fourth = load_file(run / "step4" / "model.safetensors")
    other = copied(run, tmp_path / "run", step5=lambda _: fourth)
    result = rank1_checkpoints(other, window=4)
    assert result.notes[0] == "step5 has the weights of step4: left out"
    assert len(result.findings.revisions) == COUNT - 1


def test_frozen_matrices_are_not_judged_by_themselves(run, tmp_path):
    name = "embed_out.weight"
    frozen = load_file(run / "step0" / "model.safetensors")[name]
    changes = {f"step{step}": lambda tensors: {**tensors, name: frozen} for step in range(COUNT)}
    result = rank1_checkpoints(copied(run, tmp_path / "run", **changes), window=4)
    assert any(note.startswith("unembed: no change") for note in result.notes)
    assert "unembed" not in [group.name for group in result.findings.groups]


def test_an_unreadable_checkpoint_is_named_and_the_others_are_judged(run, tmp_path):
    other = copied(run, tmp_path / "run")
    (other / "step2" / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    result = rank1_checkpoints(other, window=4)
    assert len(result.problems) == 1
    assert "step2" in result.problems[0].message
    assert len(result.findings.revisions) == COUNT - 1


def test_where_too_few_are_left_the_reason_is_named(run, tmp_path):
    other = copied(run, tmp_path / "run")
    for step in range(8):
        (other / f"step{step}" / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(SpectraError) as error:
        rank1_checkpoints(other, window=4)
    refused(error, "step0", "4 checkpoints are left, too few")


def test_the_command_shows_the_verdict_and_gives_json_without_nan(run, tmp_path, spectra):
    output = tmp_path / "line.parquet"
    said = spectra("rank1", run, "--window", "4", "-o", output)
    assert said.code == 0, said.err
    assert "One-dimensional beyond drift" in said.out
    assert "with these steps" in said.out
    said = spectra("rank1", run, "--window", "4", "-o", output, "--json")
    found = json.loads(said.out, parse_constant=pytest.fail)
    assert {"checkpoints", "window", "raw", "merged", "halves_cosine", "verdict", "groups"} <= set(found)
    assert set(found["raw"]) >= {"shares", "null_walk", "null_persistent", "update_cosine"}
    assert set(found["raw"]["null_walk"]) >= {"share", "interval"}
    assert (found["checkpoints"], found["window"], found["verdict"]) == (COUNT, 4, "one-dimensional")


MEASURE = """
import resource, sys
from spectra_cli.jobs.rank1 import rank1_checkpoints
rank1_checkpoints(sys.argv[1] + "/small", window=1, threads=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rank1_checkpoints(sys.argv[1] + "/large", window=1, threads=1)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.slow
def test_memory_is_a_few_of_the_largest_tensor_whatever_the_number_of_checkpoints(tmp_path):
    rows, cols, count = 4000, 4000, 16
    for step in range(count):
        for size in (1, 1000):
            folder = tmp_path / ("small" if size == 1 else "large")
            folder.mkdir(exist_ok=True)
            weight = torch.full((rows // 1000 * size, cols), float(step), dtype=torch.float16)
            weight[0] = torch.arange(cols) * step**2 / 1000
            save_file({"layers.0.up.weight": weight}, folder / f"step{step}.safetensors")
    printed = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    assert int(printed) < 3 * rows * cols * 2


def test_all_tensors_are_read_once_in_the_order_of_their_files(run):
    with open_run(make_plan(Request(str(run)))) as opened:
        starts = [opened.weights[0].file_ranges(item.tensor.name)[0].start for item in opened.tensors]
    assert starts == sorted(starts)
    assert len(opened.tensors) == 2 + runs.LAYERS * 5
