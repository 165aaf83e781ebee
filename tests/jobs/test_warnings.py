"""What a scan says of numbers not to be taken at their face: still random, unmoved, open in the third digit."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_metadata

SIZE = 48


def write(folder, **matrices):
    folder.mkdir(parents=True)
    tensors = {f"layers.0.{name}.weight": torch.from_numpy(value) for name, value in matrices.items()}
    save_file(tensors, folder / "model.safetensors")


def entries(seed):
    return np.random.default_rng(seed).standard_normal((SIZE, SIZE))


def learned(seed):
    matrix = entries(seed)
    matrix[:, 0] *= 40
    return matrix


def test_matrices_on_their_random_baseline_are_counted_by_checkpoint(tmp_path, spectra):
    write(tmp_path / "run" / "step0", a=entries(0), b=entries(1))
    write(tmp_path / "run" / "step1", a=entries(2), b=entries(3))
    write(tmp_path / "run" / "step2", a=learned(4), b=entries(8))
    write(tmp_path / "run" / "step3", a=learned(6), b=learned(7))
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert "no different from random entries: 2 matrices at step0 … step1, 1 at step2\n" in said.err
    assert read_metadata(tmp_path / "a.parquet")["random_baseline"] == {"step0": 2, "step1": 2, "step2": 1}


def test_matrices_that_never_moved_are_counted_until_they_do(tmp_path, spectra):
    write(tmp_path / "run" / "step0", a=learned(0), b=learned(1))
    write(tmp_path / "run" / "step1", a=learned(0), b=learned(1))
    write(tmp_path / "run" / "step2", a=learned(0), b=learned(2))
    write(tmp_path / "run" / "step3", a=learned(3), b=learned(2))
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert "unchanged since the first checkpoint: 2 matrices at step1, 1 at step2\n" in said.err
    assert read_metadata(tmp_path / "a.parquet")["equal_to_first"] == {"step1": 2, "step2": 1}


def test_a_number_that_the_error_could_change_is_named(tmp_path, spectra):
    left, right = (np.linalg.qr(entries(seed))[0] for seed in (0, 1))
    write(tmp_path / "run" / "step0", a=left * np.geomspace(1, 1e-13, SIZE) @ right, b=learned(2))
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert "uncertain in the third digit: condition_number" in said.err
    assert "of layers.0.a at step0\n" in said.err
    kept = read_metadata(tmp_path / "a.parquet")["uncertain"]
    assert kept["condition_number"] == [["step0", "layers.0.a"]]
    assert "stable_rank" not in kept


def test_an_ordinary_run_has_no_uncertain_number(run, tmp_path, spectra):
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "--json")
    assert json.loads(said.out)["metadata"]["uncertain"] == {}
    assert "uncertain" not in said.err


def sequence(folder, **seeds):
    """Write a checkpoint for each step; seeds: of each matrix, one a step, the same where its entries are the same."""
    steps = len(next(iter(seeds.values())))
    for step in range(steps):
        write(folder / f"step{step}", **{name: learned(100 * ord(name) + seeds[name][step]) for name in seeds})
    return folder


def stored(folder):
    """The matrices of each checkpoint as they lie on the disk, by its name."""
    paths = sorted(folder.glob("step*/model.safetensors"))
    return {path.parent.name: load_file(path) for path in paths}


def equal_entries(folder):
    """What the metadata should count, from the files themselves: of others than those that never moved."""
    every = stored(folder)
    names, matrices = list(every), list(next(iter(every.values())))
    wanted = {"equal_to_previous": {}, "equal_to_reference": {}}
    frozen = {m for m in matrices if all(np.array_equal(every[name][m], every[names[0]][m]) for name in names)}
    never = set(matrices)
    for index, name in enumerate(names):
        never &= {m for m in matrices if np.array_equal(every[name][m], every[names[0]][m])}
        pairs = {"equal_to_reference": names[-1]} | ({"equal_to_previous": names[index - 1]} if index else {})
        for key, other in pairs.items():
            same = {m for m in matrices if other != name and np.array_equal(every[name][m], every[other][m])}
            counted = same - (never if index else frozen)
            if len(same) < len(matrices) and counted:
                wanted[key][name] = len(counted)
    return wanted


COPIES = {
    "a shard of the last step": ({"a": [0, 1, 9, 3, 9], "b": [0, 1, 9, 3, 9], "c": [0, 1, 2, 3, 9]}, 2, None),
    "a shard of the step before": ({"a": [0, 1, 1, 3, 4], "b": [0, 1, 2, 3, 4], "c": [0, 1, 2, 3, 4]}, None, 1),
    "a layer that is frozen on the way": ({"a": [0, 1, 2, 2, 2], "b": [0, 1, 2, 3, 4]}, 1, 1),
    "a layer that never moved": ({"a": [0, 0, 0, 0, 0], "b": [0, 1, 2, 3, 4]}, None, None),
    "a whole copy": ({"a": [0, 1, 1, 3, 4], "b": [0, 1, 1, 3, 4]}, None, None),
    "frozen, and a shard of the last step": ({"a": [0] * 5, "b": [0, 4, 2, 3, 4], "c": [0, 1, 2, 3, 4]}, 1, None),
}


@pytest.mark.parametrize(("seeds", "reference", "previous"), COPIES.values(), ids=COPIES)
def test_matrices_that_are_copies_are_counted(tmp_path, spectra, seeds, reference, previous):
    folder = sequence(tmp_path / "run", **seeds)
    result = spectra("scan", folder, "-o", tmp_path / "a.parquet")
    metadata = read_metadata(tmp_path / "a.parquet")
    assert {key: metadata[key] for key in ("equal_to_previous", "equal_to_reference")} == equal_entries(folder)
    for line, many in (("entries equal to step4:", reference), ("entries equal to the previous", previous)):
        assert (f"{line} " in result.err) == (many is not None)
        if many:
            assert re.search(f"{line}.*: {many} matri", result.err) or re.search(f"{line} {many} matri", result.err)


@pytest.mark.parametrize(("seeds", "reference", "previous"), COPIES.values(), ids=COPIES)
def test_a_study_of_phases_warns_of_copies(tmp_path, spectra, seeds, reference, previous):
    folder = sequence(tmp_path / "run", **seeds)
    spectra("scan", folder, "-o", tmp_path / "a.parquet", "-q")
    notes = json.loads(spectra("stability", tmp_path / "a.parquet", "--json").out)["runs"][0]["notes"]
    said = [note for note in notes if "frozen layers" in note]
    frozen = any(len(set(values)) == 1 for values in seeds.values())
    assert len(said) == sum((reference is not None, previous is not None, frozen))
    assert any("step4" in note for note in said) >= (reference is not None)


def test_copies_are_still_counted_where_a_scan_was_resumed(tmp_path, spectra):
    folder = sequence(tmp_path / "run", **COPIES["a shard of the last step"][0])
    whole = tmp_path / "whole.parquet"
    spectra("scan", folder, "-o", whole, "-q")

    class StopError(Exception):
        pass

    def stop(checkpoint, matrix):
        if matrix is None and checkpoint.step == 3:
            raise StopError

    with pytest.raises(StopError):
        scan_checkpoints(folder, tmp_path / "b.parquet", on_done=stop)
    spectra("scan", folder, "-o", tmp_path / "b.parquet", "-q")
    assert (tmp_path / "b.parquet").read_bytes() == whole.read_bytes()
