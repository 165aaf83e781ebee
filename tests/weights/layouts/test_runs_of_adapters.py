"""A run of LoRA adapters, as PEFT leaves it: the spectra are those of the change, and no product is formed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.adapter_runs import STEPS, WIDE, change, write_adapters
from tests.support.spectra import spectra_of


def test_the_change_of_each_target_is_measured_and_compared(tmp_path: Path, spectra) -> None:
    prefix = "model.layers.0.self_attn"
    write_adapters(tmp_path / "run", {f"{prefix}.q_proj": (WIDE, WIDE), f"{prefix}.v_proj": (8, WIDE)})
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", "--vectors", 2, "--metrics", "all")
    assert (said.code, said.err) == (0, "")
    table = pd.read_parquet(tmp_path / "a.parquet")
    measured = spectra_of(table)
    moved = table[table.metric == "update_norm_prev"].set_index("matrix").value
    aligned = table[(table.metric == "cos_weights_prev")].set_index("matrix").value
    for name, shape in (("layers.0.attn.q", (WIDE, WIDE)), ("layers.0.attn.v", (8, WIDE))):
        changes = [change(step, *shape) for step in STEPS]
        for step, matrix in zip(STEPS, changes, strict=True):
            expected = np.linalg.svd(matrix, compute_uv=False)
            np.testing.assert_allclose(measured[step, name], expected, atol=1e-6 * expected[0])
        assert moved[name] == pytest.approx(np.linalg.norm(changes[1] - changes[0]), rel=1e-9)
        norms = np.linalg.norm(changes[0]) * np.linalg.norm(changes[1])
        assert aligned[name] == pytest.approx(np.sum(changes[0] * changes[1]) / norms, rel=1e-9)


def test_a_fused_target_is_split_once_the_models_config_lies_beside(tmp_path: Path, spectra) -> None:
    write_adapters(tmp_path / "run", {"transformer.h.0.attn.c_attn": (3 * WIDE, WIDE)}, fan_in_fan_out=True)
    seen = spectra("inspect", tmp_path / "run")
    assert "--arch gpt2" in seen.out
    for step in STEPS:
        config = {"model_type": "gpt2", "n_embd": WIDE, "n_head": 2}
        (tmp_path / "run" / f"checkpoint-{step}" / "config.json").write_text(json.dumps(config))
    assert spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q").code == 0
    measured = spectra_of(pd.read_parquet(tmp_path / "a.parquet"))
    whole = change(100, 3 * WIDE, WIDE)
    for index, role in enumerate("qkv"):
        expected = np.linalg.svd(whole[index * WIDE : (index + 1) * WIDE], compute_uv=False)
        np.testing.assert_allclose(measured[100, f"layers.0.attn.{role}"], expected, atol=1e-6 * expected[0])


def test_a_scale_that_is_not_known_is_named_and_left_out(tmp_path: Path, spectra) -> None:
    prefix = "model.layers.0.self_attn"
    targets = {f"{prefix}.q_proj": (WIDE, WIDE)}
    write_adapters(tmp_path / "run", targets, alpha_pattern={r"(\w+)+!": 2})
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 1
    assert "layers.0.self_attn.q_proj.weight is left out: alpha_pattern" in said.err
    assert said.err.count("\n") == 2
