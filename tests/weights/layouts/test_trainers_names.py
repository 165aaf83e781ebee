"""Programs with names and files of their own: litgpt, nanotron, torchtune. Written here as each of them writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.weights import recognise
from tests.support import models
from tests.support.checkpoints import refusal, save_config
from tests.support.models import HEADS, HIDDEN, INNER, KV_HEADS, LAYERS, State, Truth
from tests.support.read_matrices import same_matrices
from tests.support.run_files import save_distributed
from tests.weights.layouts.test_meta import in_pairs

LITGPT_CONFIG = f"""name: tiny
hf_config:
  name: tiny
n_embd: {HIDDEN}
n_head: {HEADS}
n_query_groups: {KV_HEADS}
head_size: {HIDDEN // HEADS}
n_layer: {LAYERS}
bias: false
"""
NANOTRON_CONFIG = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
                   "intermediate_size": INNER}  # fmt: skip


def litgpt_names(truth: Truth, qkv: str) -> State:
    state = {
        "transformer.wte.weight": torch.from_numpy(truth["embed"]),
        "lm_head.weight": torch.from_numpy(truth["unembed"]),
    }
    for layer in range(LAYERS):
        fused = models.in_blocks(truth, layer) if qkv == "qkv" else models.by_group(truth, layer)
        state[f"transformer.h.{layer}.attn.{qkv}.weight"] = fused
        for part, name in (("attn.o", "attn.proj"), ("mlp.gate", "mlp.fc_1"), ("mlp.up", "mlp.fc_2"),
                           ("mlp.down", "mlp.proj")):  # fmt: skip
            state[f"transformer.h.{layer}.{name}.weight"] = models.tensor(truth, layer, part)
    return state


@pytest.mark.parametrize("beside", [False, True], ids=["", "a config of the Hub beside it"])
@pytest.mark.parametrize("qkv", ["qkv", "attn"], ids=["three blocks", "by group, as before"])
def test_litgpt(tmp_path: Path, qkv: str, beside: bool) -> None:
    truth = models.gated(2)
    torch.save({"model": litgpt_names(truth, qkv)} if beside else litgpt_names(truth, qkv), tmp_path / "lit_model.pth")
    (tmp_path / "model_config.yaml").write_text(LITGPT_CONFIG)
    if beside:
        save_config(tmp_path, **models.LLAMA_CONFIG)
    assert recognise(tmp_path) == "torch"
    same_matrices(tmp_path, truth)


def nanotron_names(truth: Truth) -> dict[str, tuple[list[torch.Tensor], int]]:
    """Return each tensor as the blocks that every rank keeps a share of, and the axis along which it is cut."""
    state: dict[str, tuple[list[torch.Tensor], int]] = {
        "token_position_embeddings.pp_block.token_embedding": ([torch.from_numpy(truth["embed"])], 0),
        "lm_head.pp_block": ([torch.from_numpy(truth["unembed"])], 0),
    }
    for layer in range(LAYERS):
        prefix = f"decoder.{layer}.pp_block"
        for name, parts, axis in (
            ("attn.qkv_proj", ("attn.q", "attn.k", "attn.v"), 0), ("attn.o_proj", ("attn.o",), 1),
            ("mlp.gate_up_proj", ("mlp.gate", "mlp.up"), 0), ("mlp.down_proj", ("mlp.down",), 1),
        ):  # fmt: skip
            state[f"{prefix}.{name}"] = ([models.tensor(truth, layer, part) for part in parts], axis)
    return state


def slices(begin: list[int], size: list[int]) -> str:
    return "|".join(f"{start},{start + length},None" for start, length in zip(begin, size, strict=True))


def described(blocks: list[torch.Tensor], axis: int, rank: int, ranks: int) -> dict[str, str]:
    """Return what nanotron writes into a header: the boxes of the whole tensor that this rank holds."""
    pairs, local, above = [], 0, 0
    for block in blocks:
        size = [length // ranks if number == axis else length for number, length in enumerate(block.shape)]
        inside, outside = [0, 0], [0, 0]
        inside[axis], outside[axis] = local, above + rank * size[axis]
        pairs.append(f"{slices(inside, size)}#{slices(outside, size)}")
        local, above = local + size[axis], above + block.shape[axis]
    whole = list(blocks[0].shape)
    whole[axis] = sum(block.shape[axis] for block in blocks)
    return {"version": "1.4", "local_global_slices_pairs": ";".join(pairs), "unsharded_shape": str(tuple(whole))}


def nanotron(folder: Path, truth: Truth, ranks: int, *, describe: bool) -> None:
    for name, (blocks, axis) in nanotron_names(truth).items():
        for rank in range(ranks):
            own = torch.cat([block.chunk(ranks, axis)[rank] for block in blocks], axis).contiguous()
            file = folder.joinpath("model", "model", *name.split("."))
            file.mkdir(parents=True, exist_ok=True)
            header = described(blocks, axis, rank, ranks) if describe else None
            save_file(
                {"data": own}, file / f"model_weight_pp-rank-0-of-1_tp-rank-{rank}-of-{ranks}.safetensors", header
            )
    norm = folder / "model" / "model" / "final_layer_norm" / "pp_block"
    norm.mkdir(parents=True)
    save_file({"data": torch.ones(HIDDEN)}, norm / "model_weight.safetensors")


@pytest.mark.parametrize("describe", [True, False], ids=["parts described", "parts by name"])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("ranks", [1, 2])
def test_nanotron(tmp_path: Path, ranks: int, interleaved: bool, describe: bool) -> None:
    truth = models.gated(2)
    own = dict(truth)
    for name, array in truth.items():
        if interleaved and name.endswith((".q", ".k")):
            own[name] = in_pairs(array, HEADS if name.endswith(".q") else KV_HEADS)
    nanotron(tmp_path, own, ranks, describe=describe)
    (tmp_path / "model_config.json").write_text(json.dumps(NANOTRON_CONFIG | {"rope_interleaved": interleaved}))
    assert recognise(tmp_path) == "nanotron"
    same_matrices(tmp_path, truth)


def test_nanotrons_parts_without_heads_are_named_and_not_joined_by_guess(tmp_path: Path, spectra) -> None:
    nanotron(tmp_path / "run" / "10", models.gated(2), 2, describe=False)
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert "no model_config.json says how many heads" in said.err


def test_nanotrons_parts_that_do_not_make_up_the_whole_are_refused(tmp_path: Path) -> None:
    nanotron(tmp_path, models.gated(2), 2, describe=True)
    file = next(tmp_path.rglob("o_proj/*tp-rank-1*"))
    save_file({"data": torch.ones(HIDDEN, 8)}, file, described([torch.ones(HIDDEN, HIDDEN)], 1, 0, 4))
    assert "do not make up [16, 16], as they say" in refusal(tmp_path)


def torchtune_names(truth: Truth) -> State:
    names = {
        "embed": "tok_embeddings.weight", "unembed": "output.weight", "attn.q": "attn.q_proj.weight",
        "attn.k": "attn.k_proj.weight", "attn.v": "attn.v_proj.weight", "attn.o": "attn.output_proj.weight",
        "mlp.gate": "mlp.w1.weight", "mlp.up": "mlp.w3.weight", "mlp.down": "mlp.w2.weight", "layer": "layers.",
    }  # fmt: skip
    return models.named(truth, names)


@pytest.mark.parametrize("kind", ["a file", "a distributed checkpoint"])
def test_torchtune(tmp_path: Path, kind: str) -> None:
    truth = models.gated(2)
    own = {
        name: in_pairs(np.asarray(array), HEADS if name.endswith(".q") else KV_HEADS)
        if name.endswith((".q", ".k")) else array
        for name, array in truth.items()
    }  # fmt: skip
    if kind == "a file":
        torch.save(torchtune_names(own), tmp_path / "model.pt")
    else:
        save_distributed(torchtune_names(own), tmp_path)
    notes = same_matrices(tmp_path, own)
    assert [note for note in notes if "rotary" in note and "config.json" in note]
    save_config(tmp_path, **models.LLAMA_CONFIG)  # as the note says
    assert not [note for note in same_matrices(tmp_path, truth) if "rotary" in note]
