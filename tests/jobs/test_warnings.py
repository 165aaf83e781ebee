"""What a scan says of numbers not to be taken at their face: still random, unmoved, open in the third digit."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

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
    write(tmp_path / "run" / "step2", a=learned(4), b=entries(5))
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
