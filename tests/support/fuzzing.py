"""Small checkpoints of every format, and changes to the bytes of a file, for tests that fuzz the readers."""

import json
import warnings
from pathlib import Path

import torch
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_saver

from tests.support.checkpoints import example, save_shards

# A change: what is done, where (as a share of the length), with which bytes.
CHANGE = st.tuples(
    st.sampled_from(["set", "insert", "cut", "end", "double"]),
    st.floats(0, 1, exclude_max=True),
    st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from(
            [b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f", b"[" * 3000, b"..", b'"', b"99999999999", b"PK\x01\x02"]
        ),
    ),
)
CHANGES = st.lists(CHANGE, min_size=1, max_size=4)


def changed(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """Return the bytes with each change made, one after another."""
    for kind, share, new in changes:
        at = int(share * len(data))
        data = {
            "set": data[:at] + new + data[at + len(new) :],
            "insert": data[:at] + new + data[at:],
            "cut": data[:at] + data[at + len(new) :],
            "end": data[:at],
            "double": data[:at] + data[at : at + 200] + data[at:],
        }[kind]
    return data


def save_zip(folder: Path) -> None:
    torch.save(
        {"model": example(), "model_args": {"n_layer": 1}, "optimizer": {"m": torch.ones(2)}}, folder / "model.pt"
    )


def save_stream(folder: Path) -> None:
    torch.save(example(), folder / "model.pt", _use_new_zipfile_serialization=False)


def save_safe(folder: Path) -> None:
    save_file(example(), folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama", "num_attention_heads": 2}')


def save_adapter(folder: Path) -> None:
    factors = {f"base_model.model.q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(factors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 4, "alpha_pattern": {}}))


def save_fp8(folder: Path) -> None:
    weight = torch.ones(4, 4).to(torch.float8_e4m3fn)
    save_file({"q.weight": weight, "q.weight_scale_inv": torch.ones(2, 2)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"quantization_config": {"weight_block_size": [2, 2]}}')


def save_dcp(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_saver.save(
            {"model": example(), "optimizer": {"m": torch.ones(2)}}, checkpoint_id=folder, no_dist=True
        )


def save_neox(folder: Path) -> None:
    for rank in range(2):
        state = {"attention.dense.weight": torch.ones(4, 2), "norm.weight": torch.ones(4)}
        torch.save(state, folder / f"layer_02-model_{rank:02}-model_states.pt")


FORMATS = {
    "zip": save_zip, "stream": save_stream, "safetensors": save_safe, "adapter": save_adapter, "fp8": save_fp8,
    "dcp": save_dcp, "neox": save_neox, "shards": save_shards,
}  # fmt: skip
