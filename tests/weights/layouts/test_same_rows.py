"""The same weights in two layouts give the same rows: every column but the name on disk, every number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from tests.support import models, parallel_run_writers, run_writers
from tests.support.models import HEADS, HIDDEN, LAYERS, State, Truth

STEPS = (20, 100)
Write = Callable[[Path, int, Truth], None]


def on_the_hub(state: State, config: dict[str, object], run: Path, step: int) -> None:
    folder = run / f"step{step}"
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def gpt2(run: Path, step: int, truth: Truth) -> None:
    state = {"wte.weight": torch.from_numpy(truth["embed"]), "wpe.weight": torch.from_numpy(truth["pos_embed"])}
    for layer in range(LAYERS):
        state[f"h.{layer}.attn.c_attn.weight"] = models.in_blocks(truth, layer).T
        for part, stored in (("attn.o", "attn.c_proj"), ("mlp.up", "mlp.c_fc"), ("mlp.down", "mlp.c_proj")):
            state[f"h.{layer}.{stored}.weight"] = models.tensor(truth, layer, part).T
    on_the_hub(state, {"model_type": "gpt2", "n_embd": HIDDEN, "n_head": HEADS}, run, step)


def neox_on_the_hub(run: Path, step: int, truth: Truth) -> None:
    state = {"gpt_neox.embed_in.weight": torch.from_numpy(truth["embed"])}
    state["embed_out.weight"] = torch.from_numpy(truth["unembed"])
    for layer in range(LAYERS):
        prefix = f"gpt_neox.layers.{layer}"
        state[f"{prefix}.attention.query_key_value.weight"] = models.by_head(truth, layer)
        for part, stored in models.NEOX_LAYER.items():
            if part != "attn.qkv":
                state[f"{prefix}.{stored}"] = models.tensor(truth, layer, part)
    config = {"model_type": "gpt_neox", "hidden_size": HIDDEN, "num_attention_heads": HEADS}
    on_the_hub(state, config, run, step)


EXPERTS, CONFIG_OF_EXPERTS = 3, {"model_type": "qwen3_moe", "num_experts": 3}


def with_experts(step: int) -> Truth:
    inner = {"gate": (24, HIDDEN), "up": (24, HIDDEN), "down": (HIDDEN, 24)}
    shapes = {f"layers.0.experts.{n}.{part}": shape for n in range(EXPERTS) for part, shape in inner.items()}
    return models.model(step, shapes, {})


def experts_one_by_one(run: Path, step: int, truth: Truth) -> None:
    state = {}
    for name, array in truth.items():
        _, layer, _, expert, part = name.split(".")
        state[f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight"] = torch.from_numpy(array)
    on_the_hub(state, CONFIG_OF_EXPERTS, run, step)


def experts_stacked(run: Path, step: int, truth: Truth) -> None:
    def stack(part: str) -> torch.Tensor:
        return torch.stack([torch.from_numpy(truth[f"layers.0.experts.{n}.{part}"]) for n in range(EXPERTS)])

    prefix = "model.layers.0.mlp.experts"
    both = torch.cat([stack("gate"), stack("up")], dim=1)
    on_the_hub({f"{prefix}.gate_up_proj": both, f"{prefix}.down_proj": stack("down")}, CONFIG_OF_EXPERTS, run, step)


def plain(step: int) -> Truth:
    return models.plain(("embed", "unembed"), step)


PAIRS: tuple[tuple[Callable[[int], Truth], Write, Write], ...] = (
    (lambda step: models.plain(("embed", "pos_embed"), step), run_writers.nanogpt, gpt2),
    (plain, parallel_run_writers.neox, neox_on_the_hub),
    (plain, run_writers.nanochat, neox_on_the_hub),
    (with_experts, experts_one_by_one, experts_stacked),
    (models.gated, parallel_run_writers.megatron, run_writers.trainer),
    (models.gated, run_writers.torchtitan, run_writers.lightning),
)


@pytest.mark.parametrize(("truth", "first", "second"), PAIRS, ids=[f"{a.__name__}-{b.__name__}" for _, a, b in PAIRS])
def test_two_layouts_of_the_same_weights_give_the_same_rows(
    truth, first: Write, second: Write, tmp_path, spectra
) -> None:
    tables = []
    for write in (first, second):
        run = tmp_path / write.__name__
        for step in STEPS:
            write(run, step, truth(step))
        assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q").code == 0
        tables.append(pd.read_parquet(tmp_path / "a.parquet").drop(columns=["model", "revision", "tensor"]))
        (tmp_path / "a.parquet").unlink()
    first, second = (table.astype({"vector": str}) for table in tables)
    assert len(first) > 100
    pd.testing.assert_frame_equal(first, second, check_categorical=False, check_exact=False, rtol=1e-9, atol=1e-12)
