"""A pruned checkpoint is what transformers makes of the model without these layers, or it is not written."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from spectra_cli.jobs.prune import PruneOptions, prune_layers
from tests.support.language_models import BYTES, write_model
from tests.support.tiny_models import FAMILIES

COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
GPT2 = {"n_embd": 32, "n_layer": 6, "n_head": 4, "n_positions": 64, "vocab_size": 256}
SIX = BYTES | {"num_hidden_layers": 6}
SPARSE = SIX | {"num_key_value_heads": 2, "head_dim": 8, "num_experts": 3, "moe_intermediate_size": 24,
                "num_experts_per_tok": 2}  # fmt: skip
GEMMA = SIX | {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8, "pad_token_id": 0}
SHARED = GEMMA | {"num_kv_shared_layers": 2, "global_head_dim": 8, "hidden_size_per_layer_input": 0,
                  "layer_types": ["sliding_attention", "full_attention"] * 3}  # fmt: skip
SIGHT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "image_size": 8,
         "patch_size": 4}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def without(model, removed):
    """The same model with its list of layers made anew, and no layer's number changed: nothing else is touched."""
    lists = [(name, inner) for name, inner in model.named_modules() if isinstance(inner, torch.nn.ModuleList)]
    count = model.config.get_text_config(decoder=True).num_hidden_layers
    name, layers = min((pair for pair in lists if len(pair[1]) == count and "vision" not in pair[0]),
                       key=lambda pair: pair[0].count("."))  # fmt: skip
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, torch.nn.ModuleList(
        layer for number, layer in enumerate(layers) if number not in removed))  # fmt: skip
    text = model.config.get_text_config(decoder=True)
    if getattr(text, "layer_types", None):
        text.layer_types = [kind for number, kind in enumerate(text.layer_types) if number not in removed]
    text.num_hidden_layers = count - len(removed)
    return model


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.float()


IDS = torch.randint(1, 250, (2, 30), generator=torch.Generator().manual_seed(3))


def load(folder, **given):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32", **given).eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("gpt_neox", SIX),
        ("gpt2", GPT2),
        ("llama", SIX | {"num_key_value_heads": 2}),
        ("llama", SIX | {"tie_word_embeddings": True}),
        ("gemma3_text", GEMMA),
        ("gemma3", {"text_config": GEMMA, "vision_config": SIGHT, "mm_tokens_per_image": 4}),
        ("qwen3_moe", SPARSE | {"decoder_sparse_step": 1, "mlp_only_layers": [3]}),
    ],
)
def test_transformers_loads_what_the_model_is_without_these_layers(tmp_path, model_type, settings):
    write_model(tmp_path / "m", model_type, settings)
    pruning = prune_layers(tmp_path / "m", tmp_path / "small", PruneOptions(2, protect="1:1"))
    small, stored = load(tmp_path / "small"), load_file(tmp_path / "small" / "model.safetensors")
    assert len(pruning.removed) == 2
    assert set(pruning.removed) <= set(range(1, 5))
    expected = logits(without(load(tmp_path / "m"), pruning.removed), IDS)
    assert torch.allclose(logits(small, IDS), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    assert {str(t.dtype) for t in stored.values()} == {"torch.float32"}
    assert small.config.get_text_config().num_hidden_layers == 4
    assert json.loads((tmp_path / "small" / "provenance.json").read_text())["removed"] == list(pruning.removed)


def test_lists_of_layers_are_cut_and_numbers_of_layers_follow(tmp_path):
    write_model(tmp_path / "g", "gemma3_text", GEMMA)
    kinds = load(tmp_path / "g").config.layer_types
    gone = prune_layers(tmp_path / "g", tmp_path / "small", PruneOptions(2, protect="1:0")).removed
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["layer_types"] == [kind for number, kind in enumerate(kinds) if number not in gone]
    write_model(tmp_path / "q", "qwen3_moe", SPARSE | {"decoder_sparse_step": 1, "mlp_only_layers": [0, 4]})
    gone = prune_layers(tmp_path / "q", tmp_path / "few", PruneOptions(2, protect="1:2")).removed
    config = json.loads((tmp_path / "few" / "config.json").read_text())
    assert config["mlp_only_layers"] == [0, 4 - sum(number < 4 for number in gone)]


def to_fp8(folder):
    """Store the layers' matrices as fp8 in blocks of 16×16 with their scales, as DeepSeek does."""
    stored = load_file(folder / "model.safetensors")
    for name, tensor in list(stored.items()):
        if ".layers." in name and tensor.ndim == 2:
            blocks = tensor.reshape(tensor.shape[0] // 16, 16, tensor.shape[1] // 16, 16)
            scale = blocks.abs().amax((1, 3), keepdim=True) / 448
            stored[name] = (blocks / scale).to(torch.float8_e4m3fn).reshape(tensor.shape)
            stored[f"{name}_scale_inv"] = scale[:, 0, :, 0].contiguous()
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16],
        "modules_to_not_convert": ["model.layers.2.mlp.none", "model.layers.5.mlp.none", "lm_head"],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return stored


def from_fp8(stored):
    """The matrices whole, without transformers."""
    whole = {name: tensor for name, tensor in stored.items() if not name.endswith("_scale_inv")}
    for name in [name for name in whole if f"{name}_scale_inv" in stored]:
        scale = stored[f"{name}_scale_inv"].repeat_interleave(16, 0).repeat_interleave(16, 1)
        whole[name] = whole[name].float() * scale
    return whole


@pytest.mark.slow
def test_fp8_stays_fp8_and_its_description_is_renumbered(tmp_path):
    model = write_model(tmp_path / "m", "llama", SIX | {"num_key_value_heads": 2})
    before = to_fp8(tmp_path / "m")
    model.load_state_dict(from_fp8(before))
    gone = prune_layers(tmp_path / "m", tmp_path / "small", PruneOptions(2, protect="1:1")).removed
    stored = load_file(tmp_path / "small" / "model.safetensors")
    kept = [number for number in range(6) if number not in gone]
    for new, old in enumerate(kept):
        for part in ("weight", "weight_scale_inv"):
            names = [f"model.layers.{number}.mlp.up_proj.{part}" for number in (new, old)]
            assert torch.equal(stored[names[0]].view(torch.uint8), before[names[1]].view(torch.uint8))
    small = without(model, gone)
    expected = logits(small, IDS)
    loaded = load(tmp_path / "small", attn_implementation="eager")
    whole = from_fp8(stored)
    assert all(tensor.equal(whole[name]) for name, tensor in loaded.state_dict().items())
    assert torch.allclose(logits(loaded, IDS), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    names = json.loads((tmp_path / "small" / "config.json").read_text())["quantization_config"][
        "modules_to_not_convert"
    ]
    wanted = [f"model.layers.{kept.index(number)}.mlp.none" for number in (2, 5) if number in kept]
    assert names == [*wanted, "lm_head"]


@pytest.mark.parametrize(
    ("model_type", "settings", "message"),
    [
        ("gpt2", GPT2 | {"scale_attn_by_inverse_layer_idx": True}, "it scales attention by the number of the layer"),
        ("qwen3_moe", SPARSE | {"decoder_sparse_step": 2, "mlp_only_layers": []}, "would be layer"),
        ("gemma4_text", SHARED,
         "its last layers take keys and values from others"),
    ],
)  # fmt: skip
def test_layers_that_depend_on_their_number_are_refused_and_nothing_is_written(
    tmp_path, spectra, model_type, settings, message
):
    write_model(tmp_path / "m", model_type, settings)
    result = spectra("prune", tmp_path / "m", "-o", tmp_path / "small", "--layers", 1, "--protect", "1:1")
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 2), result.err
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--layers", 5], "--layers 5 is more than the 4 core layers of 6", 2),
        (["--layers", 0], "there is nothing to do", 2),
        (["--layers", 1, "--by", "size"], "--by size is none of these", 2),
        (["--layers", 1, "--by", "bi"], "--by bi needs a text", 2),
        (["--layers", 1, "--compare"], "--compare needs a text", 2),
        (["--layers", 1, "--protect", "4:2"], "leaves none of 6 layers", 2),
        (["--layers", 1, "--text", "none"], "none cannot be read", 1),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_two_lines(tmp_path, spectra, monkeypatch, options, message, code):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m", "gpt_neox", SIX)
    result = spectra("prune", "m", "-o", "small", *options)
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 2), result.err
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_output_that_is_not_empty_and_one_that_is_not_named_are_refused(tmp_path, spectra):
    write_model(tmp_path / "m", "gpt_neox", SIX)
    result = spectra("prune", tmp_path / "m", "-o", tmp_path / "m", "--layers", 1)
    assert (result.code, "is not empty" in result.err, result.err.count("\n")) == (1, True, 2)
    result = spectra("prune", tmp_path / "m", "--layers", 1)
    assert (result.code, "nowhere to write" in result.err) == (2, True)


def test_other_choices_are_compared_on_the_half_that_nothing_was_chosen_by(tmp_path, spectra, text):
    write_model(tmp_path / "m", "gpt_neox", SIX)
    data = text.read_bytes()
    asked = ("prune", tmp_path / "m", "--layers", 2, "--by", "ablation", "--compare", "--text", text, "--seeds", 3,
             "--context", 32, "--figure", tmp_path / "p.svg")  # fmt: skip
    facts = json.loads(spectra(*asked, "--json").out)
    by = {(entry["choice"], entry["k"]): entry for entry in facts["compare"]}
    spectral = {"alpha", "alpha_hill", "stable_rank"}
    assert {choice for choice, _ in by} == spectral | {"ablation", "bi", "last", "worst", "random", "best"}
    assert by["last", 2]["removed"] == [3, 4]
    assert facts["removed"] == by["ablation", 2]["removed"]
    assert set(by["ablation", 1]["removed"] + by["worst", 1]["removed"]) <= {1, 2, 3, 4}
    assert by["best", 1]["removed"] == by["ablation", 1]["removed"]
    assert {"choice", "k", "loss", "stderr"} <= set(facts["compare"][0])
    assert "Block Influence" in (tmp_path / "p.svg").read_text()
    (tmp_path / "half").write_bytes(data[len(data) // 2 :])
    model = without(load(tmp_path / "m"), by["last", 2]["removed"])
    model.save_pretrained(tmp_path / "last")
    (only,) = json.loads(
        spectra("evaluate", tmp_path / "last", "--text", tmp_path / "half", "--context", 32, "--json").out
    )["models"]
    assert by["last", 2]["loss"] == pytest.approx(only["loss"], abs=0.02)
    shown = spectra(*asked)
    assert "rise in loss without" in shown.out
    assert "All choices are among the core layers." in shown.out


def deeper(tiny):
    """The config of a tiny model with four layers in place of two."""
    config = {key: 4 if key in COUNTS else value for key, value in tiny.config.items()}
    config |= {key: config[key] * 2 for key in ("layer_types", "mlp_layer_types") if key in config}
    return config | ({"attention_types": [[["global", "local"], 2]]} if "attention_types" in config else {})


REFUSED = {"gemma4_text": "one embedding holds a part for each layer", "minicpm3": "residual_scale"}


# Each stands for what differs: prefixes, patterns, lists, forms of what a layer gives, what is refused.
TRIED = (
    "bloom", "falcon-40b", "openai-gpt", "gpt_bigcode, multi-query", "olmo3", "nemotron", "gemma2", "gemma4_text",
    "cohere2", "phi3", "opt", "mpt", "gptj", "gpt_neo", "roberta", "big_bird", "modernbert-decoder", "lfm2", "mixtral",
    "ernie4_5_moe", "glm4_moe", "gpt_oss", "llama4_text", "dbrx", "deepseek_v3, queries whole", "minicpm3",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("tiny", [tiny for tiny in FAMILIES if str(tiny) in TRIED], ids=str)
def test_a_family_is_pruned_and_loads_or_is_refused(tmp_path, spectra, tiny):
    write_model(tmp_path / "m", tiny.model_type, deeper(tiny))
    result = spectra("prune", tmp_path / "m", "-o", tmp_path / "small", "--layers", 2, "--protect", "1:1")
    if tiny.model_type in REFUSED:
        assert result.code == 1
        assert REFUSED[tiny.model_type] in result.err
        return
    assert result.code == 0, result.err
    small = load(tmp_path / "small")
    assert small.config.get_text_config(decoder=True).num_hidden_layers == 2
    assert torch.isfinite(logits(small, IDS[:, :12] % 60)).all()
