"""Removing layers one at a time: the loss is that of the smaller model, and a planted ranking is found."""

import json

import numpy as np
import pytest
import torch
import transformers
from scipy import stats

from spectra_cli.jobs.ablate import ablate_layers
from spectra_cli.jobs.evaluate import EvaluationOptions
from spectra_cli.studies.ablate import core_layers, rank_correlation
from spectra_cli.studies.regression import correlated
from tests.support.language_models import BYTES, write_model

CORE = 10


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def mean_loss(model, ids):
    with torch.no_grad():
        return float(model(ids, labels=ids, use_cache=False).loss)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [("gpt_neox", {}), ("bloom", {"n_layer": 3, "n_head": 4}), ("gpt2", {"n_embd": 32, "n_layer": 3, "n_head": 4})],
)
def test_the_loss_without_a_layer_is_that_of_the_model_without_it(tmp_path, text, model_type, settings):
    write_model(tmp_path / "m", model_type, BYTES | settings)
    text.write_bytes(data := text.read_bytes()[: 12 * 49 + 1])  # twelve windows of fifty, each but its first token new
    ablation = ablate_layers(tmp_path / "m", text, EvaluationOptions(context=50, stride=49))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype="float32").eval()
    rows = torch.tensor([list(data[start : start + 50]) for start in range(0, 12 * 49, 49)])
    decoder = model.get_decoder()
    name = next(name for name, child in decoder.named_children() if isinstance(child, torch.nn.ModuleList))
    layers, whole = getattr(decoder, name), mean_loss(model, rows)
    assert ablation.loss.value == pytest.approx(whole, abs=1e-6)
    for number, layer in enumerate(ablation.layers):
        setattr(decoder, name, torch.nn.ModuleList(kept for kept in layers if kept is not layers[number]))
        assert layer.rise.value == pytest.approx(mean_loss(model, rows) - whole, abs=4e-6)  # two float32 means


def test_protected_zones_are_read_as_first_and_last():
    assert [core_layers(n) for n in (1, 2, 3, 12, 24)] == [range(1), range(2), range(1, 2), range(2, 10), range(4, 20)]
    assert core_layers(6, "0:2") == range(4)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.8, 1.0])
def test_layers_like_their_neighbours_are_called_a_correlation_no_more_often_than_it_says(alike):
    drawn = correlated(np.random.default_rng(0).standard_normal((12, 200)), alike)
    p_values = [rank_correlation(drawn[:, at], drawn[:, 100 + at])[1] for at in range(100)]
    assert sum(p <= 0.05 for p in p_values) <= 7


@pytest.mark.slow
def test_a_cause_that_layers_share_is_seen():
    first, second = np.random.default_rng(0).standard_normal((2, 12, 60))
    shared = [rank_correlation(first[:, at], 0.95 * first[:, at] + 0.3 * second[:, at])[1] for at in range(60)]
    assert sum(p <= 0.05 for p in shared) >= 57


def test_rho_is_scipy_s_with_ties_too():
    values, rises = np.array([1.0, 2, 2, 3, 5, 4, 4, 9, 0]), np.array([0.0, 1, 1, 1, 2, 5, 6, 3, 0])
    rho, p = rank_correlation(values, rises)
    assert rho == pytest.approx(stats.spearmanr(values, rises).statistic, abs=1e-12)
    ranks = [stats.rankdata(some) - 5 for some in (values, rises)]
    every_order = stats.permutation_test(
        (ranks[0],),
        lambda some, axis: (some * ranks[1]).sum(axis=axis),
        permutation_type="pairings",
        n_resamples=400_000,
    )
    assert p == pytest.approx(every_order.pvalue, rel=0.3)


def planted_model(folder, scales, exponents):
    """A model whose layers add to the stream in proportion to `scales`, with spectra that fall by `exponents`."""
    model = write_model(folder, "gpt_neox", BYTES | {"num_hidden_layers": len(scales)})
    random = torch.Generator().manual_seed(0)

    def shaped(rows, cols, exponent):
        left, right = (torch.linalg.qr(torch.randn(n, n, generator=random))[0] for n in (rows, cols))
        r = min(rows, cols)
        sigma = torch.arange(1, r + 1, dtype=torch.float32) ** -exponent
        return left[:, :r] @ torch.diag(sigma / sigma.norm()) @ right[:, :r].T

    with torch.no_grad():
        for layer, scale, exponent in zip(model.gpt_neox.layers, scales, exponents, strict=True):
            for module in (layer.attention.query_key_value, layer.mlp.dense_h_to_4h):
                module.weight.copy_(6 * shaped(*module.weight.shape, exponent))
            for module in (layer.attention.dense, layer.mlp.dense_4h_to_h):
                module.weight.copy_(6 * scale * shaped(*module.weight.shape, exponent))
    model.save_pretrained(folder)
    return model


def sampled_text(model, path, rows=160, length=32):
    """Text drawn from the model itself, in rows that each begin anew: without a layer its loss can only rise."""
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 256, (rows, 1), generator=random)
    with torch.no_grad():
        for _ in range(length - 1):
            probabilities = model(ids, use_cache=False).logits[:, -1].softmax(-1)
            ids = torch.cat([ids, torch.multinomial(probabilities, 1, generator=random)], 1)
    path.write_bytes(bytes(ids.flatten().tolist()))
    return path


@pytest.mark.slow
def test_a_planted_ranking_of_layers_is_found(tmp_path, spectra):
    order = np.random.default_rng(0).permutation(CORE)
    scales, exponents = 0.02 * 1.4**order, 0.3 + 0.05 * order
    edge = [0.05]
    model = planted_model(tmp_path / "m", [*edge, *scales, *edge], [0.5, *exponents, 0.5])
    sampled_text(model, tmp_path / "text")
    result = spectra("ablate", tmp_path / "m", "--text", tmp_path / "text", "--context", 33, "--stride", 32,
                     "--protect", "1:1", "--json")  # fmt: skip
    facts = json.loads(result.out)
    rises = [layer["loss_rise"] for layer in facts["layers"][1:-1]]
    assert stats.spearmanr(rises, order).statistic > 0.9
    core = {entry["metric"]: entry for entry in facts["rho"] if entry["layers"] == "core"}
    for metric in ("alpha", "alpha_ols", "block_influence"):
        assert core[metric]["rho"] > 0.9
        assert core[metric]["p"] < 0.001
        assert core[metric]["n"] == CORE
    assert core["stable_rank"]["rho"] < -0.9


def test_few_layers_show_no_correlation_and_say_so(tmp_path, text, spectra):
    write_model(tmp_path / "m", "gpt_neox", BYTES)
    result = spectra("ablate", tmp_path / "m", "--text", text, "--protect", "0:0")
    assert result.code == 0
    assert "3 core layers cannot show a correlation: it takes 8 or more." in result.out
    facts = json.loads(spectra("ablate", tmp_path / "m", "--text", text, "--json").out)
    assert [layer["layer"] for layer in facts["layers"]] == [0, 1, 2]
    assert {entry["p"] for entry in facts["rho"]} == {None}
    assert {"layer", "loss_rise", "stderr", "alpha", "alpha_hill", "stable_rank", "block_influence"} <= set(
        facts["layers"][0]
    )


@pytest.mark.slow
def test_the_figure_is_drawn_where_it_is_asked_for(tmp_path, text, spectra):
    write_model(tmp_path / "m", "gpt_neox", BYTES)
    result = spectra("ablate", tmp_path / "m", "--text", text, "-o", tmp_path / "a.svg", "--quiet")
    assert result.code == 0
    assert "Block Influence" in (tmp_path / "a.svg").read_text()
    assert spectra("ablate", tmp_path / "m", "--text", text, "-o", tmp_path / "a.doc").code == 2


@pytest.mark.parametrize("protect", ["2", "a:b", "2:1", "-1:0"])
def test_zones_that_cannot_be_are_refused_in_two_lines(tmp_path, text, spectra, protect):
    write_model(tmp_path / "m", "gpt_neox", BYTES)
    result = spectra("ablate", tmp_path / "m", "--text", text, f"--protect={protect}")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 2)
