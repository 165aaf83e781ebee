"""`spectra evaluate` says what it read and found, and refuses what it cannot evaluate in two lines."""

import json

import pytest

from tests.support.language_models import BYTES, write_model, write_tokenizer

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bytes"
    write_model(folder, "gpt_neox", BYTES)
    return folder


def changed(model, folder, **settings):
    folder.mkdir()
    config = json.loads((model / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    (folder / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    return folder


def test_the_answer_for_machines_has_the_promised_keys(spectra, model, text):
    result = spectra("evaluate", model, "--text", text, "--context", 32, "--json")
    facts = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    (only,) = facts["models"]
    assert set(only) == {"model", "loss", "stderr", "bits_per_byte", "tokens", "context", "stride"}
    assert (only["model"], only["context"], only["stride"], facts["differences"]) == (str(model), 32, 16, [])


def test_the_answer_for_people_names_context_stride_and_the_next_line(spectra, model, text, tmp_path):
    write_tokenizer(changed(model, tmp_path / "named", vocab_size=256), begins=False, vocabulary=256)
    result = spectra("evaluate", model, tmp_path / "named", "--text", text)
    assert result.code == 0
    assert "32 blocks · context 64, stride 32 · cpu, float32" in result.out
    assert f"lm_eval --model hf --model_args pretrained={tmp_path / 'named'},dtype=float32" in result.out
    assert "paired" in result.out


def test_a_model_that_cannot_be_read_is_named_and_the_others_are_evaluated(spectra, model, text, tmp_path):
    result = spectra("evaluate", model, changed(model, tmp_path / "odd", model_type="no_such"), "--text", text)
    assert result.code == 3
    assert "transformers knows no model of type no_such" in result.err
    assert "bytes" in result.out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "no_such"}, "transformers knows no model of type no_such"),
        ({"model_type": None}, "has no config.json that names a model_type"),
        ({"model_type": "vit"}, "is a vit, which is no language model"),
        ({"num_hidden_layers": 4}, "lacks gpt_neox.layers.3."),
        ({"num_hidden_layers": 10**9}, "its config.json says 1,000,000,000 layers"),
        ({"vocab_size": 10**9}, "its config.json describes"),
        ({"vocab_size": 300}, "gpt_neox.embed_in.weight is [256, 32], and [300, 32] by it"),
        ({"num_attention_heads": 7}, "not divisible by the number of attention heads"),
        ({"vocab_size": -1}, "its config.json"),
        ({"hidden_size": "many"}, "its config.json does not load"),
        ({"auto_map": {"AutoModelForCausalLM": "evil.Model"}, "model_type": "evil"}, "knows no model of type evil"),
    ],
)
def test_a_config_that_makes_no_model_of_the_weights_is_refused_in_two_lines(
    spectra, model, text, tmp_path, settings, message
):
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    result = spectra("evaluate", changed(model, tmp_path / "odd", **settings), "--text", text)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert result.err.count("\n") == 2


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--context", 65], "--context 65 is more than the 64 tokens", 2),
        (["--context", 8, "--stride", 9], "leave nothing to predict from", 2),
        (["--blocks", 1], "errors cannot be estimated from a single block", 2),
        (["--dtype", "int8"], "--dtype int8 is none of these", 2),
        (["--blocks", 5000], "is too short", 1),
        (["--tokenizer", "."], "holds no tokenizer", 1),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_two_lines(spectra, model, text, monkeypatch, options, message, code):
    monkeypatch.chdir(model)
    result = spectra("evaluate", model, "--text", text, *options)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert result.err.count("\n") == 2


def test_texts_that_cannot_be_read_are_refused_in_two_lines(spectra, model, tmp_path):
    write_tokenizer(changed(model, tmp_path / "named"), begins=False, vocabulary=256)
    (tmp_path / "short").write_text("few")
    (tmp_path / "latin").write_bytes(b"caf\xe9 " * 100)
    for name, message in (
        ("short", "is too short: 3 bytes"), ("latin", "is not UTF-8 text (byte 3)"), ("none", "cannot be read"),
        (".", "is not a file of text"),
    ):  # fmt: skip
        result = spectra("evaluate", tmp_path / "named", "--text", tmp_path / name)
        assert (result.code, result.err.count("\n"), message in result.err) == (1, 2, True), result.err


def test_a_model_of_words_without_a_tokenizer_is_refused(spectra, text, tmp_path):
    write_model(tmp_path / "m", "gpt_neox", BYTES | {"vocab_size": 1000})
    result = spectra("evaluate", tmp_path / "m", "--text", text)
    assert "has no tokenizer, and its vocabulary of 1,000 is not one of bytes" in result.err


def test_no_code_of_a_checkpoint_is_run(spectra, model, text, tmp_path):
    custom = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.T", "evil.T"]}
    folder = changed(model, tmp_path / "m", auto_map=custom, _attn_implementation="kernels-community/evil")
    write_tokenizer(folder, begins=False, vocabulary=256)
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | {"auto_map": custom}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'run')!r}).touch()\n")
    result = spectra("evaluate", folder, "--text", text)
    assert result.code in (0, 1)
    assert result.code == 0 or result.err.count("\n") == 2
    assert not (tmp_path / "run").exists()
