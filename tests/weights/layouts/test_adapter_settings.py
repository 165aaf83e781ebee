"""What an adapter's settings and tensors mean for its change: honoured, or named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.weights import open_weights
from tests.support.checkpoints import refusal
from tests.weights.layouts.test_adapters import A, B, Q, change, save

FACTORS = {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B}
EXPERTS, INNER, HIDDEN, RANK = 3, 5, 8, 2
MOE = {
    "model_type": "qwen3_moe", "hidden_size": HIDDEN, "moe_intermediate_size": INNER, "num_experts": EXPERTS,
    "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4, "num_hidden_layers": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "scale"),
    [
        ({r"model.layers.\d+.self_attn.q_proj": 2}, 1.0),
        ({r".*\.q_proj": 2}, 1.0),
        ({"(q|k)_proj": 2}, 1.0),
        ({r"layers\.[1-9].*": 2, "q_proj": 6}, 3.0),
        ({"_proj": 2}, 4.0),
    ],
)
def test_the_keys_of_alpha_pattern_are_matched_as_peft_does(tmp_path: Path, pattern, scale) -> None:
    torch.testing.assert_close(change(save(tmp_path, FACTORS, alpha_pattern=pattern)), scale * B @ A)


@pytest.mark.parametrize("pattern", [r"(\w+)+!", ".?" * 40 + "!", "(.|.)" * 40 + "!"])
def test_a_pattern_that_may_not_end_is_not_run(tmp_path: Path, pattern: str) -> None:
    with open_weights(save(tmp_path, FACTORS, alpha_pattern={pattern: 2})) as weights:
        assert not weights.tensors
        assert "regular expression that is not run" in weights.unreadable[0].reason


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"kasa_config": {"beta": 1}}, "KaSA"),
        ({"use_qalora": True}, "QALoRA"),
        ({"init_lora_weights": "somehow"}, "not known"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"r": 8}, "its factors have rank 2, and adapter_config.json says 8"),
        ({"rank_pattern": {"q_proj": 4}}, "says 4"),
    ],
)
def test_a_setting_that_changes_the_change_otherwise_is_named(tmp_path: Path, settings, word: str) -> None:
    with open_weights(save(tmp_path, FACTORS, **settings)) as weights:
        assert not weights.tensors
        assert word in weights.unreadable[0].reason


def test_an_unknown_key_and_an_unknown_tensor_are_named(tmp_path: Path, spectra) -> None:
    run = tmp_path / "run"
    run.mkdir()
    other = {f"{Q}.lora_new.weight": torch.ones(2, 2)} | {
        name.replace("q_proj", "v_proj"): tensor.clone() for name, tensor in FACTORS.items()
    }
    save(run, FACTORS | other, use_newlora=True, some_default=None)
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert "use_newlora" in said.err
    assert "its lora_new is not read" in said.err
    assert "some_default" not in said.err
    assert set(pd.read_parquet(tmp_path / "a.parquet").matrix) == {"layers.0.attn.v"}


def _run(folder: Path, kind: str, names: dict[str, float]) -> None:
    for name, factor in names.items():
        (folder / name).mkdir(parents=True)
        moved = {name: (1 + factor) * tensor for name, tensor in FACTORS.items()}
        save(folder / name, moved, init_lora_weights=kind)


@pytest.mark.parametrize("kind", ["pissa", "pissa_niter_4", "olora", "corda"])
@pytest.mark.parametrize("first", ["checkpoint-0", "pissa_init"])
def test_a_start_that_is_known_is_taken_off(tmp_path: Path, kind: str, first: str) -> None:
    _run(tmp_path, kind, {first: 0.0, "checkpoint-5": 0.5})
    torch.testing.assert_close(change(tmp_path / "checkpoint-5"), 4.0 * (2.25 - 1) * B @ A)
    assert not change(tmp_path / first).any()


def test_a_start_that_is_not_known_is_said(tmp_path: Path, spectra) -> None:
    _run(tmp_path / "run", "pissa", {"checkpoint-3": 0.1, "checkpoint-5": 0.5})
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert "no first adapter is known" in " ".join((said.out + said.err).split())
    torch.testing.assert_close(change(tmp_path / "run" / "checkpoint-5"), 4.0 * 2.25 * B @ A)


@pytest.mark.parametrize("name", ["gate_up_proj", "down_proj"])
@pytest.mark.parametrize("turned", [False, True])  # versions of PEFT differ in which axis they call the inputs
def test_each_expert_has_its_own_change(tmp_path: Path, spectra, name: str, turned: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    rows, cols = (2 * INNER, HIDDEN) if name == "gate_up_proj" else (HIDDEN, INNER)
    rows, cols = (cols, rows) if turned else (rows, cols)
    random = torch.Generator().manual_seed(3)
    a = torch.randn(EXPERTS * RANK, cols, generator=random)
    b = torch.randn(rows, EXPERTS * RANK, generator=random)
    module = "base_model.model.model.layers.0.mlp.experts"
    save(
        run,
        {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b},
        target_parameters=[f"mlp.experts.{name}"],
    )
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 1
    assert "config.json beside it" in said.err
    (run / "config.json").write_text(json.dumps(MOE))
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q", "--vectors", 1).code == 0
    table = pd.read_parquet(tmp_path / "a.parquet")
    norms = table[table.metric == "frobenius_norm"].set_index("matrix").value
    for expert in range(EXPERTS):
        own = a.numpy()[expert * RANK : (expert + 1) * RANK]
        matrix = 4.0 * b.numpy()[:, expert::EXPERTS] @ own
        matrix = matrix.T if turned else matrix
        parts = {"down": matrix} if name == "down_proj" else {"gate": matrix[:INNER], "up": matrix[INNER:]}
        for part, expected in parts.items():
            assert norms[f"layers.0.experts.{expert}.{part}"] == pytest.approx(np.linalg.norm(expected), rel=1e-5)


@pytest.mark.parametrize("flag", [False, True])
def test_targets_of_both_kinds_are_turned_by_the_familys_rule(tmp_path: Path, spectra, flag: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    random = torch.Generator().manual_seed(4)
    shapes = {"transformer.h.0.attn.c_attn": (24, 8), "transformer.h.0.mlp.c_fc": (32, 8), "lm_head": (50, 8)}
    factors, expected = {}, {}
    for target, (rows, cols) in shapes.items():
        b, a = torch.randn(rows, 2, generator=random), torch.randn(2, cols, generator=random)
        factors |= {f"base_model.model.{target}.lora_A.weight": a, f"base_model.model.{target}.lora_B.weight": b}
        expected[target] = 4.0 * b.numpy() @ a.numpy()
    save(run, factors, fan_in_fan_out=flag)
    (run / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8, "n_head": 2}))
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q", "--vectors", 1).code == 0
    table = pd.read_parquet(tmp_path / "a.parquet")
    norms, rows = (table[table.metric == "frobenius_norm"].set_index("matrix")[key] for key in ("value", "rows"))
    whole = expected["transformer.h.0.attn.c_attn"]
    for name, matrix in {
        "layers.0.attn.k": whole[8:16], "layers.0.attn.v": whole[16:],
        "layers.0.mlp.up": expected["transformer.h.0.mlp.c_fc"], "unembed": expected["lm_head"],
    }.items():  # fmt: skip
        assert (norms[name], rows[name]) == (pytest.approx(np.linalg.norm(matrix), rel=1e-5), len(matrix))


def test_an_adapters_file_alone_is_read_with_its_settings_or_refused(tmp_path: Path) -> None:
    save(tmp_path, FACTORS)
    torch.testing.assert_close(change(tmp_path / "adapter_model.safetensors"), 4.0 * B @ A)
    (tmp_path / "adapter_config.json").unlink()
    for source in (tmp_path, tmp_path / "adapter_model.safetensors"):
        assert "adapter_config.json" in refusal(source)


def test_factors_in_a_file_of_weights_are_named(tmp_path: Path) -> None:
    save_file(FACTORS | {"lm_head.weight": torch.ones(3, 3)}, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        assert list(weights.tensors) == ["lm_head.weight"]
        assert {skipped.tensor for skipped in weights.unreadable} == set(FACTORS)


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("lora_up.weight", "lora_down.weight"),
        ("lora.up.weight", "lora.down.weight"),
        ("to_q.lora_linear_layer.up.weight", "to_q.lora_linear_layer.down.weight"),
        ("hada_w1_a", "hada_w1_b"),
        ("lokr_w1", "lokr_w2_a"),
    ],
)
def test_factors_that_other_programs_wrote_are_no_matrices_of_a_model(tmp_path: Path, up: str, down: str) -> None:
    tensors = {f"unet.mid.{up}": B, f"unet.mid.{down}": A, "proj.weight": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        assert set(weights.tensors) == {"proj.weight"}
        assert {skip.tensor for skip in weights.unreadable} == set(tensors) - {"proj.weight"}
        assert "convert it to PEFT's files" in weights.unreadable[0].reason
