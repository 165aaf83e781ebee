"""A merged checkpoint, loaded by transformers, is the model of the averaged weights, in every family it is held to."""

import pytest
import torch
from safetensors.torch import load_file

from spectra_cli.jobs.merge import merge_checkpoints
from spectra_cli.surgery.recipes import MergeOptions
from tests.support import models_of_transformers as models

SEEDS = (1, 2, 3)


def averaged(kind, coefficients):
    """The model whose every weight is the sum, computed by torch alone."""
    parts = [models.random_model(kind, seed).double().state_dict() for seed in SEEDS]
    whole = models.random_model(kind, 0).double()
    whole.load_state_dict({
        name: sum(c * part[name] for c, part in zip(coefficients, parts, strict=True))
        if tensor.is_floating_point() else tensor
        for name, tensor in parts[-1].items()
    })  # fmt: skip
    return whole.float()


@pytest.mark.slow
@pytest.mark.parametrize("kind", models.KINDS)
def test_the_merged_model_gives_the_logits_of_the_averaged_weights(tmp_path, kind):
    for seed in SEEDS:
        models.save(models.random_model(kind, seed), tmp_path / "run" / f"step{seed}")
    merge_checkpoints(tmp_path / "run", tmp_path / "mean", MergeOptions(window="3"))
    expected = models.logits(averaged(kind, (1 / 3, 1 / 3, 1 / 3)))
    torch.testing.assert_close(models.logits(models.load(tmp_path / "mean")), expected, rtol=1e-5, atol=1e-5)


def test_an_extrapolation_of_gpt2_gives_the_logits_of_its_sum(tmp_path):
    for seed in SEEDS:
        models.save(models.random_model("gpt2", seed), tmp_path / "run" / f"step{seed}")
    options = MergeOptions("extra", window="2", coefficients="1.5")
    merge_checkpoints(tmp_path / "run", tmp_path / "new", options)
    expected = models.logits(averaged("gpt2", (-0.75, 0.5, 1.25)))
    torch.testing.assert_close(models.logits(models.load(tmp_path / "new")), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_8_bit_weights_are_averaged_for_what_they_mean_and_keep_the_last_scales(tmp_path):
    for seed in (1, 2):
        models.to_fp8(models.save(models.random_model("llama", seed), tmp_path / "run" / f"step{seed}"))
    merged = merge_checkpoints(tmp_path / "run", tmp_path / "mean", MergeOptions(window="2"))
    first, last = (models.from_fp8(tmp_path / "run" / name) for name in ("step1", "step2"))
    stored, stored_last = (load_file(tmp_path / name / "model.safetensors") for name in ("mean", "run/step2"))
    expected = {name: (first[name] + last[name]) / 2 for name in first}
    for name in [name for name in expected if f"{name}_scale_inv" in stored]:
        assert stored[f"{name}_scale_inv"].equal(stored_last[f"{name}_scale_inv"])
        assert stored[name].dtype == torch.float8_e4m3fn
        scales = stored_last[f"{name}_scale_inv"].repeat_interleave(models.SIDE, 0).repeat_interleave(models.SIDE, 1)
        nearest = (expected[name] / scales).clamp(-448, 448).to(torch.float8_e4m3fn)
        expected[name] = nearest.float() * scales
    assert 0.01 < merged.rounding["float8_e4m3fn"] < 0.2
    exact = models.random_model("llama", 1)
    exact.load_state_dict(expected)
    loaded = models.logits(models.load(tmp_path / "mean"))
    torch.testing.assert_close(loaded, models.logits(exact), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_of_one_checkpoint_or_of_equal_ones_is_the_identity_to_the_bit(tmp_path, dtype):
    for step in (1, 2, 3):
        models.save(models.random_model("llama, tied", 7), tmp_path / "run" / f"step{step}", dtype)
    stored = load_file(tmp_path / "run" / "step3" / "model.safetensors")
    for window in ("1", "3"):
        merged = merge_checkpoints(tmp_path / "run", tmp_path / window, MergeOptions(window=window))
        assert merged.rounding == {}
        new = load_file(tmp_path / window / "model.safetensors")
        assert new.keys() == stored.keys()
        assert all(new[name].dtype == dtype and new[name].equal(stored[name]) for name in stored)
