"""A start has the spectra of a trained model in every matrix that it applies; all else starts as usual."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.warmup import WarmupOptions, warm_start
from spectra_cli.metrics.random_matrix import marchenko_pastur
from spectra_cli.surgery.spectral import generator_for, random_matrix
from tests.support import models_of_transformers as models
from tests.support.small_configs import HEADS, WIDTH

# What one layer applies, of its state dict, as transformers' own forward pass takes it apart.
PARTS = {
    "gpt_neox": lambda layer: [
        *layer["attention.query_key_value.weight"].view(HEADS, 3, -1, WIDTH).transpose(0, 1).reshape(3, -1, WIDTH),
        layer["attention.dense.weight"], layer["mlp.dense_h_to_4h.weight"], layer["mlp.dense_4h_to_h.weight"],
    ],
    "gpt2": lambda layer: [
        *layer["attn.c_attn.weight"].T.chunk(3),
        layer["attn.c_proj.weight"].T, layer["mlp.c_fc.weight"].T, layer["mlp.c_proj.weight"].T,
    ],
    "llama": lambda layer: [tensor for name, tensor in layer.items() if name.endswith("_proj.weight")],
    "gemma3": lambda layer: [tensor for name, tensor in layer.items() if name.endswith("_proj.weight")],
    "qwen3_moe": lambda layer: [
        *(tensor for name, tensor in layer.items() if name.endswith(("_proj.weight", "mlp.gate.weight"))),
        *(half for expert in layer["mlp.experts.gate_up_proj"] for half in expert.chunk(2)),
        *layer["mlp.experts.down_proj"],
    ],
}  # fmt: skip
PARTS["llama, tied"] = PARTS["llama"]


def layer_of(model, number):
    marks = (f"layers.{number}.", f"h.{number}.")
    state = model.state_dict().items()
    return {name.split(mark, 1)[1]: tensor for name, tensor in state for mark in marks if mark in name}


def sigma(matrix):
    return np.linalg.svd(matrix.double().numpy(), compute_uv=False)


@pytest.mark.parametrize(
    "kind", ["gpt_neox", *(pytest.param(kind, marks=pytest.mark.slow) for kind in PARTS if kind != "gpt_neox")]
)
def test_every_matrix_that_a_layer_applies_has_the_trained_spectrum_and_all_else_starts_as_usual(tmp_path, kind):
    trained = models.random_model(kind, 3)
    models.save(trained, tmp_path / "trained")
    made = warm_start(tmp_path / "trained", tmp_path / "new", WarmupOptions(scale=2.0, seed=5))
    new = models.load(tmp_path / "new")
    for number in range(2):
        for old, fresh in zip(*(PARTS[kind](layer_of(model, number)) for model in (trained, new)), strict=True):
            np.testing.assert_allclose(sigma(fresh), 2 * sigma(old), atol=1e-6 * 2 * sigma(old)[0])
            assert abs(float((old * fresh).sum() / old.norm() / fresh.norm())) < 0.5
    usual = models.usual_start(trained.config, 5)
    for name, tensor in new.state_dict().items():
        if tensor.ndim < 2 or "embed" in name or "wte" in name or "lm_head" in name:
            assert tensor.equal(usual[name]), name
    assert max(made.errors.values()) <= 1e-6


def test_each_head_can_have_its_own_spectrum(tmp_path):
    trained = models.random_model("llama", 3)
    models.save(trained, tmp_path / "trained")
    warm_start(tmp_path / "trained", tmp_path / "new", WarmupOptions(per_head=True))
    new = load_file(tmp_path / "new" / "model.safetensors")
    for name, count, axis in (("q_proj", HEADS, 0), ("k_proj", 2, 0), ("v_proj", 2, 0), ("o_proj", HEADS, 1)):
        full = f"model.layers.1.self_attn.{name}.weight"
        for old, fresh in zip(*(t.chunk(count, axis) for t in (trained.state_dict()[full], new[full])), strict=True):
            np.testing.assert_allclose(sigma(fresh), sigma(old.detach()), atol=1e-6 * sigma(old)[0])


@pytest.mark.parametrize("spectrum", ["flat", "mp"])
def test_a_control_has_the_norms_and_another_shape(tmp_path, spectrum):
    trained = models.random_model("llama", 3)
    models.save(trained, tmp_path / "trained")
    warm_start(tmp_path / "trained", tmp_path / "new", WarmupOptions(spectrum))
    new = load_file(tmp_path / "new" / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert float(new[name].norm()) == pytest.approx(float(trained.state_dict()[name].norm()), rel=1e-6)
    wide = sigma(new[name])
    assert (wide[0] / wide[-1] < 1 + 1e-5) == (spectrum == "flat")


def test_the_law_of_random_matrices_is_what_random_matrices_have():
    random = np.random.default_rng(0)
    drawn = [np.linalg.svd(random.standard_normal((48, 160)), compute_uv=False) for _ in range(60)]
    mean = np.mean([sigma / np.linalg.norm(sigma) for sigma in drawn], axis=0)
    np.testing.assert_allclose(marchenko_pastur(160, 48), mean, rtol=0.02)


def test_singular_vectors_are_drawn_from_all_directions_alike_and_by_seed():
    first = [random_matrix(np.array([1.0, 0.0]), 2, 3, generator_for(seed, "w")) for seed in range(2000)]
    left = np.array([np.linalg.svd(matrix)[0][:, 0] for matrix in first])
    angles = np.arctan2(left[:, 1], left[:, 0]) % np.pi
    assert np.abs(np.sort(angles) / np.pi - np.linspace(0, 1, 2000)).max() < 1.63 / np.sqrt(2000)  # 1 in 100
    same = random_matrix(np.array([1.0, 0.0]), 2, 3, generator_for(7, "w"))
    np.testing.assert_array_equal(same, first[7])
    assert not np.allclose(same, random_matrix(np.array([1.0, 0.0]), 2, 3, generator_for(7, "v")))


def test_what_bfloat16_rounds_off_is_told_and_8_bit_weights_start_in_16(tmp_path):
    models.to_fp8(models.save(models.random_model("llama", 3), tmp_path / "trained"))
    made = warm_start(tmp_path / "trained", tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["dtype"], "quantization_config" in config) == ("bfloat16", False)
    means = models.from_fp8(tmp_path / "trained")
    name = "model.layers.0.mlp.down_proj.weight"
    new = load_file(tmp_path / "new" / "model.safetensors")[name]
    assert new.dtype == torch.bfloat16
    error = np.abs(sigma(new.float()) - sigma(means[name])).max() / sigma(means[name])[0]
    assert made.errors["layers.0.mlp.down"] == pytest.approx(error, rel=1e-3)
    assert 1e-6 < error < 1e-2


def test_what_cannot_be_started_is_two_lines_and_nothing_is_written(spectra, tmp_path, kept_run):
    def refused(*arguments, code=1):
        result = spectra("warmup", *arguments, "-o", tmp_path / "new")
        assert (result.code, result.out, result.err.count("\n")) == (code, "", 2), result.err
        assert list(tmp_path.iterdir()) == [tmp_path / "run"]
        return result.err

    folder = models.save(models.random_model("llama", 3), tmp_path / "run" / "step1")
    assert "holds 6 checkpoints" in refused(kept_run, code=2)
    assert "--spectrum steep is none of these" in refused(folder, "--spectrum", "steep", code=2)
    assert "--scale -1.0 is no scale" in refused(folder, "--scale", "-1", code=2)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    assert "has no counterpart" in refused(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine"}))
    assert "transformers knows no model of type mine" in refused(folder)
    with pytest.raises(SpectraError, match="is not empty"):
        warm_start(folder, tmp_path / "run")


def test_a_start_is_told_in_words_and_as_one_object(spectra, tmp_path):
    folder = models.save(models.random_model("gpt2", 3), tmp_path / "step1")
    shown = spectra("warmup", folder, "-o", tmp_path / "new")
    assert shown.code == 0, shown.err
    assert "12 matrices, spectrum trained, scale 1, seed 0" in shown.out
    facts = json.loads(spectra("warmup", folder, "-o", tmp_path / "other", "--spectrum", "mp", "--json").out)
    assert (facts["spectrum"], facts["scale"], facts["seed"]) == ("mp", 1.0, 0)
    assert len(facts["matrices"]) == 12
    assert max(matrix["largest_error"] for matrix in facts["matrices"]) < 1e-6
