"""The same weights in two layouts give the same matrices, name for name and number for number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.architectures import cut, layout
from spectra_cli.records import StoredTensor

Weights = dict[str, NDArray[np.float32]]


def read(config: dict[str, Any], weights: Weights) -> Weights:
    stored = {name: StoredTensor(name, array.shape, str(array.dtype)) for name, array in weights.items()}
    return {matrix.name: cut(weights[matrix.tensor], matrix) for matrix in layout(config, stored).matrices}


def agree(first: Weights, second: Weights) -> None:
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_nanogpt_and_gpt2_of_the_hub() -> None:
    linear = {
        "transformer.wte.weight": random(50, 8), "transformer.wpe.weight": random(16, 8),
        "transformer.h.0.attn.c_attn.weight": random(24, 8), "transformer.h.0.attn.c_proj.weight": random(8, 8),
        "transformer.h.0.mlp.c_fc.weight": random(32, 8), "transformer.h.0.mlp.c_proj.weight": random(8, 32),
    }  # fmt: skip
    conv1d = {name: array.T.copy() if ".h." in name else array for name, array in linear.items()}
    own = {f"_orig_mod.{name}": array for name, array in linear.items()}
    own["_orig_mod.lm_head.weight"] = linear["transformer.wte.weight"]
    agree(
        read({"model_type": "nanogpt", "n_embd": 8, "n_head": 2}, own),
        read({"model_type": "gpt2", "n_embd": 8, "n_head": 2}, conv1d),
    )


def test_neox_in_its_own_files_and_on_the_hub() -> None:
    config = {"model_type": "gpt_neox", "hidden_size": 8, "num_attention_heads": 2}
    hub: Weights = {"gpt_neox.embed_in.weight": random(50, 8), "embed_out.weight": random(51, 8)}
    own: Weights = {
        "layer_00.word_embeddings.weight": hub["gpt_neox.embed_in.weight"],
        "layer_16.final_linear.weight": hub["embed_out.weight"],
    }
    for layer in range(12):
        for part, shape in (
            ("attention.query_key_value", (24, 8)), ("attention.dense", (8, 8)),
            ("mlp.dense_h_to_4h", (32, 8)), ("mlp.dense_4h_to_h", (8, 32)),
        ):  # fmt: skip
            array = random(*shape) + layer
            hub[f"gpt_neox.layers.{layer}.{part}.weight"] = array
            own[f"layer_{layer + 2:02d}.{part}.weight"] = array
    agree(read(config, hub), read(config, own))


def test_megatron_and_llama() -> None:
    q, k, v = random(16, 8), random(8, 8), random(8, 8) + 1
    groups = np.concatenate([q.reshape(2, 2, 4, 8), k.reshape(2, 1, 4, 8), v.reshape(2, 1, 4, 8)], axis=1)
    gate, up = random(12, 8), random(12, 8) + 1
    sizes = {"hidden_size": 8, "num_attention_heads": 4, "kv_channels": 4, "num_query_groups": 2, "swiglu": True}
    prefix = "model.layers.0."
    agree(
        read({"model_type": "megatron", **sizes}, {
            "decoder.layers.0.self_attention.linear_qkv.weight": groups.reshape(32, 8),
            "decoder.layers.0.mlp.linear_fc1.weight": np.concatenate([gate, up]),
        }),
        read({"model_type": "llama"}, {
            f"{prefix}self_attn.q_proj.weight": q, f"{prefix}self_attn.k_proj.weight": k,
            f"{prefix}self_attn.v_proj.weight": v, f"{prefix}mlp.gate_proj.weight": gate,
            f"{prefix}mlp.up_proj.weight": up,
        }),
    )  # fmt: skip


def test_experts_one_by_one_and_stacked() -> None:
    gate_up, down = random(3, 10, 8), random(3, 8, 5)
    prefix = "model.layers.0.mlp.experts."
    one_by_one = {}
    for expert in range(3):
        one_by_one |= {
            f"{prefix}{expert}.gate_proj.weight": gate_up[expert, :5],
            f"{prefix}{expert}.up_proj.weight": gate_up[expert, 5:],
            f"{prefix}{expert}.down_proj.weight": down[expert],
        }
    config = {"model_type": "qwen3_moe", "num_experts": 3}
    agree(
        read(config, one_by_one),
        read(config, {f"{prefix}gate_up_proj": gate_up, f"{prefix}down_proj": down}),
    )


def test_olmo_in_its_own_files_and_on_the_hub() -> None:
    gate, up, blocks = random(12, 8), random(12, 8) + 1, [random(8, 8) + number for number in range(3)]
    prefix = "model.layers.0."
    agree(
        read({"model_type": "hf_olmo", "d_model": 8, "n_heads": 2}, {
            "model.transformer.blocks.0.att_proj.weight": np.concatenate(blocks),
            "model.transformer.blocks.0.ff_proj.weight": np.concatenate([up, gate]),
        }),
        read({"model_type": "olmo"}, {
            f"{prefix}self_attn.q_proj.weight": blocks[0], f"{prefix}self_attn.k_proj.weight": blocks[1],
            f"{prefix}self_attn.v_proj.weight": blocks[2], f"{prefix}mlp.gate_proj.weight": gate,
            f"{prefix}mlp.up_proj.weight": up,
        }),
    )  # fmt: skip


def test_nanochat_in_its_own_files_and_on_the_hub() -> None:
    own, hub = {"transformer.wte.weight": random(50, 8)}, {"model.embed_tokens.weight": random(50, 8)}
    for stored, hub_name in (("attn.c_q", "self_attn.q_proj"), ("attn.c_k", "self_attn.k_proj"),
                             ("attn.c_v", "self_attn.v_proj"), ("attn.c_proj", "self_attn.o_proj"),
                             ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):  # fmt: skip
        own[f"transformer.h.0.{stored}.weight"] = hub[f"model.layers.0.{hub_name}.weight"] = random(8, len(stored))
    agree(read({"model_type": "nanochat"}, own), read({"model_type": "nanochat"}, hub))


def test_modded_nanogpt_by_its_names_alone_in_both_of_its_layouts() -> None:
    stack = random(4, 8, 8)
    stacked, flat = {"blocks.0.attn.qkvo_w": stack}, {"_orig_mod.blocks.0.attn.qkvo_w": stack.reshape(8, 32)}
    result = read({}, stacked)
    assert list(result) == [f"layers.0.attn.{role}" for role in "qkvo"]
    np.testing.assert_array_equal(result["layers.0.attn.v"], stack[2])
    agree(result, read({}, flat))


def test_cuts_are_views_where_the_strides_allow_it() -> None:
    weights = {"transformer.h.0.attn.c_attn.weight": random(8, 24), "transformer.h.0.mlp.c_fc.weight": random(8, 32)}
    for array in read({"model_type": "gpt2", "n_embd": 8}, weights).values():
        assert any(np.shares_memory(array, stored) for stored in weights.values())
