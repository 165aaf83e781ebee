"""`spectra merge` as a user runs it: a folder, what was chosen and why, or two lines and nothing written."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import models_of_transformers as models


def test_a_dry_run_says_which_checkpoints_and_weights_and_writes_nothing(spectra, kept_run):
    shown = spectra("merge", kept_run, "--dry-run", "--window", 4, "--method", "ema")
    assert shown.code == 0
    assert "step16" in shown.out
    assert "nothing was written · 4 checkpoints, steps 2–16" in shown.out
    facts = json.loads(spectra("merge", kept_run, "--dry-run", "--window", 2, "--json").out)
    assert facts["checkpoints"] == [{"revision": "step8", "weight": 0.5}, {"revision": "step16", "weight": 0.5}]
    assert (facts["method"], facts["chosen"]) == ("mean", 0.0)


def test_numbers_are_averaged_and_everything_else_is_the_last_one_s(spectra, run, tmp_path):
    (run / "step16" / "tokenizer_config.json").write_text("{}")
    (run / "step16" / "optimizer.pt").write_bytes(b"not to be copied")
    merged = spectra("merge", run, "-o", tmp_path / "new", "--window", 2)
    assert merged.code == 0, merged.err
    assert "rounding to float16 lost" in merged.out
    eight, sixteen, new = (
        load_file(f / "model.safetensors") for f in (run / "step8", run / "step16", tmp_path / "new")
    )
    for name, tensor in new.items():
        exact = (eight[name].double() + sixteen[name].double()) / 2
        assert tensor.equal(exact.to(torch.float16) if tensor.is_floating_point() else sixteen[name])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "provenance.json", "tokenizer_config.json",
    ]  # fmt: skip
    said = json.loads((tmp_path / "new" / "provenance.json").read_text())
    assert [each["weight"] for each in said["checkpoints"]] == [0.5, 0.5]


def test_what_cannot_be_merged_is_two_lines_and_nothing_is_written(spectra, run, tmp_path):
    def refused(*arguments, code=1):
        result = spectra("merge", run, "-o", tmp_path / "new", *arguments)
        assert (result.code, result.out, result.err.count("\n")) == (code, "", 2)
        assert not (tmp_path / "new").exists()
        return result.err

    assert "longer than the run" in refused("--window", 7, code=2)
    assert "nothing chooses how far" in refused("--method", "extra", code=2)
    assert "absent.txt cannot be read" in refused("--text", tmp_path / "absent.txt", "--window", 2)
    tensors = load_file(run / "step8" / "model.safetensors")
    save_file(tensors | {"embed_out.weight": torch.ones(3, 16)}, run / "step8" / "model.safetensors")
    assert "embed_out.weight is [3, 16] in" in refused("--window", 2)
    tensors["gpt_neox.embed_in.weight"][1, 1] = torch.nan
    save_file(tensors, run / "step8" / "model.safetensors")
    assert "gpt_neox.embed_in.weight of" in refused("--window", 2)
    (run / "step8" / "config.json").unlink()
    assert "has no config.json" in refused("--window", 2)


def test_a_model_that_does_not_load_is_named_as_the_run_has_it(spectra, run, tmp_path):
    config = json.loads((run / "step16" / "config.json").read_text())
    (run / "step16" / "config.json").write_text(json.dumps(config | {"model_type": "no_such"}))
    text = tmp_path / "text.txt"
    text.write_text("the loss of a text that is long enough " * 100)
    result = spectra("merge", run, "-o", tmp_path / "new", "--window", 2, "--text", text)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 2)
    assert "step16, merged: transformers knows no model of type no_such" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"text.txt", run.relative_to(tmp_path).parts[0]})


@pytest.mark.slow
def test_a_coefficient_is_chosen_on_one_half_and_reported_on_the_other(spectra, tmp_path):
    """On a line that a model walks away from its best place, the least c is chosen, and no gain is claimed for it."""
    for step in range(4):
        model = models.random_model("gpt_neox", 1, vocab_size=256)
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(1 + step)  # ever surer of what is random
        models.save(model, tmp_path / "run" / f"step{step}")
    text = tmp_path / "text.bin"
    text.write_bytes(np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes())
    chosen = spectra("merge", tmp_path / "run", "-o", tmp_path / "new", "--method", "extra", "--window", 2,
                     "--text", text, "--coefficients", "-0.5,0,1", "--json")  # fmt: skip
    assert chosen.code == 0, chosen.err
    facts = json.loads(chosen.out)
    losses = [each["loss_a"] for each in facts["coefficients"]]
    assert facts["chosen"] == -0.5
    assert losses == sorted(losses)
    assert facts["coefficients"][0]["against_mean"]["difference"] < 0
    assert facts["coefficients"][1]["against_mean"] is None
