"""Language models on the Hub are evaluated and pruned as those on this disk, with their tokenizers."""

import json

import pytest

from tests.support.language_models import BYTES, TEXT, write_model, write_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture
def words(hub, tmp_path):
    """A model with a tokenizer as revision step1 of own/words, and its folder here."""
    folder = tmp_path / "run" / "step1"
    write_model(folder, "llama", BYTES | {"vocab_size": 300, "num_key_value_heads": 2})
    write_tokenizer(folder, begins=True)
    hub.add("own/words", tmp_path / "run")
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture
def model_process(spectra_process, workplace):
    """A process that runs a model, and leaves nothing but torch's own empty cache."""

    def call(*arguments):
        result = spectra_process(*arguments, clean=False)
        assert {path.name.split("_")[0] for path in workplace.scratch.iterdir()} <= {"torchinductor"}
        return result

    return call


def test_a_model_on_the_hub_has_the_loss_of_the_same_files_here(model_process, words):
    result = model_process("evaluate", words, "hf:own/words@step1", "--text", "text.txt", "--json")
    assert result.code == 0, result.err
    here, there = json.loads(result.out)["models"]
    assert {**here, "model": ""} == {**there, "model": ""}
    assert json.loads(result.out)["differences"][0]["difference"] == 0.0
    shown = model_process("evaluate", "hf:own/words@step1", "--text", "text.txt")
    assert "lm_eval --model hf --model_args pretrained=own/words,revision=" in shown.out
    assert "Every window begins with the tokenizer's own mark" in shown.out


def test_a_model_on_the_hub_is_pruned_with_its_tokenizer(model_process, words, tmp_path):
    result = model_process("prune", "hf:own/words@step1", "-o", "small", "--layers", 1)
    assert result.code == 0, result.err
    small = tmp_path / "small"
    assert json.loads((small / "config.json").read_text())["num_hidden_layers"] == 2
    assert (small / "tokenizer.json").read_bytes() == (words / "tokenizer.json").read_bytes()
    assert model_process("evaluate", "small", "--text", "text.txt").code == 0
