"""Graphs of objects that no program writes, and headers changed in structure: read or refused within the budget."""

from __future__ import annotations

import copy
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.pickled import Pickled, with_weights, write_archive
from tests.support.within import within

FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
MANY = settings(FEW, max_examples=int(os.environ.get("SPECTRA_FUZZ", "600")))

NAMES = [
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3", "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_parameter", "torch Size", "torch float32", "torch Tensor", "torch FloatStorage",
    "collections OrderedDict", "collections defaultdict", "builtins set", "builtins getattr", "lab Thing",
    "copyreg _reconstructor", "argparse Namespace", "torch.distributed.checkpoint.metadata Metadata",
    "torch.distributed.checkpoint.metadata TensorStorageMetadata",
    "torch.distributed.checkpoint.metadata MetadataIndex",
    "torch.distributed.checkpoint.metadata ChunkStorageMetadata",
    "torch.distributed.checkpoint.metadata TensorProperties", "torch.distributed.checkpoint.filesystem _StorageInfo",
]  # fmt: skip
WORDS = [
    "model", "state_dict", "module", "params", "ema", "args", "model_args", "hyper_parameters", "optimizer", "storage",
    "state_dict_metadata", "storage_data", "planner_data", "size", "chunks", "offsets", "sizes", "properties", "fqn",
    "offset", "relative_path", "length", "__0_0.distcp", "model.layers.0.mlp.up_proj.weight", "0", "cpu", "", "a\ud800",
    "x" * 2000,
]  # fmt: skip
NUMBERS = st.one_of(st.integers(-3, 100), st.sampled_from([2**31, 2**62, 2**63, 2**64, 10**400, -(2**63)]))
BARE = {
    "mark": b"(", "none": b"N", "true": b"\x88", "dict": b"}", "list": b"]", "empty tuple": b")", "set": b"\x8f",
    "setitem": b"s", "setitems": b"u", "append": b"a", "appends": b"e", "add": b"\x90", "tuple": b"t", "pair": b"\x86",
    "three": b"\x87", "reduce": b"R", "object": b"\x81", "build": b"b", "pop": b"0", "persistent": b"Q", "marked": b"d",
    "listed": b"l", "long": b"\x8b" + struct.pack("<i", 2500) + b"\x07" * 2500,
    "nan": b"G\x7f\xf8" + bytes(6), "bytes": b"C\x03abc",
}  # fmt: skip
STEP = st.one_of(
    st.tuples(st.just("raw"), st.sampled_from(sorted(BARE.values()))),
    st.tuples(st.just("text"), st.sampled_from(WORDS)),
    st.tuples(st.just("integer"), NUMBERS),
    st.tuples(st.just("name"), st.sampled_from(NAMES)),
    st.tuples(st.just("put"), st.integers(0, 8)),
    st.tuples(st.just("get"), st.integers(0, 8)),
    st.tuples(st.just("shared"), st.tuples(st.integers(1, 60), st.integers(1, 60))),
    st.tuples(st.just("tensor"), st.lists(st.sampled_from([0, 1, 8, 12, 96, 2**40]), max_size=3)),
    st.tuples(st.just("again"), st.tuples(st.integers(0, 8), st.integers(1, 3000))),
    st.tuples(st.just("stored"), st.sampled_from(WORDS[:9])),  # a dictionary with one item: something remembered
)


def written(steps: list[tuple[str, Any]], begun: Pickled) -> bytes:
    """Write the steps as a pickle; whatever they leave on the stack, the last thing is its content."""
    for kind, value in steps:
        if kind == "name":
            begun.name(*value.split(" "))
        elif kind == "shared":
            begun.shared(100, *value)
        elif kind == "tensor":
            begun.tensor(tuple(value))
        elif kind == "again":
            begun.raw(b"](")
            for _ in range(value[1]):
                begun.get(value[0])
            begun.raw(b"e").put(value[0])
        elif kind == "stored":
            begun.raw(b"}").text(value).get(0).raw(b"s")
        else:
            getattr(begun, kind)(value)
    return begun.end()


def read_as_every_file(pickled: bytes) -> None:
    with tempfile.TemporaryDirectory() as top:
        within(write_archive(Path(top, "one", "pytorch_model.bin"), pickled))
        folder = Path(top, "distributed")
        folder.mkdir()
        (folder / ".metadata").write_bytes(pickled)
        (folder / "__0_0.distcp").write_bytes(bytes(400))
        within(folder)


def begin(with_matrix: bool) -> Pickled:
    begun = with_weights() if with_matrix else Pickled().raw(b"}")
    for place in range(9):
        begun.raw(b"}").put(place).raw(b"0")
    return begun


@FEW
@given(steps=st.lists(STEP, max_size=40), with_matrix=st.booleans())
def test_a_graph_is_read_or_refused(steps: list[tuple[str, Any]], with_matrix: bool) -> None:
    read_as_every_file(written(steps, begin(with_matrix)))


@pytest.mark.slow
@MANY
@given(steps=st.lists(STEP, max_size=120), with_matrix=st.booleans())
def test_many_graphs_are_read_or_refused(steps: list[tuple[str, Any]], with_matrix: bool) -> None:
    read_as_every_file(written(steps, begin(with_matrix)))


# Trees that are put somewhere into a sound description.
TREE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(), st.text(max_size=20),
              st.sampled_from(["x" * 5000, "../..", "\x1b[2J", "F32", "F4"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PATH = st.lists(st.integers(0, 7), min_size=1, max_size=4)
SOUND: dict[str, dict[str, Any]] = {
    "model.safetensors": {
        "__metadata__": {"format": "pt"},
        "model.layers.0.mlp.up_proj.weight": {"dtype": "F32", "shape": [12, 8], "data_offsets": [0, 384]},
        "model.layers.0.mlp.down_proj.weight": {"dtype": "F32", "shape": [8, 12], "data_offsets": [384, 768]},
    },
    "config.json": {
        "model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "text_config": {},
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    },
    "model.safetensors.index.json": {
        "metadata": {"total_size": 768},
        "weight_map": {f"model.layers.0.mlp.{name}_proj.weight": "model.safetensors" for name in ("up", "down")},
    },
}  # fmt: skip


def put(tree: Any, path: list[int], value: Any) -> None:
    """Put a value somewhere into a tree, as far down as the path leads."""
    for depth, number in enumerate(path):
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = keys[number % len(keys)]
        if depth == len(path) - 1 or not isinstance(tree[key], dict | list):
            tree[key] = value
            return
        tree = tree[key]


def read_changed(changes: list[tuple[str, list[int], Any]]) -> None:
    described = copy.deepcopy(SOUND)
    for name, path, value in changes:
        put(described[name], path, value)
    with tempfile.TemporaryDirectory() as top:
        for name, tree in described.items():
            text = json.dumps(tree).encode()
            data = struct.pack("<Q", len(text)) + text + bytes(768) if name.endswith(".safetensors") else text
            Path(top, name).write_bytes(data)
        within(Path(top))


CHANGES = st.lists(st.tuples(st.sampled_from(sorted(SOUND)), PATH, TREE), min_size=1, max_size=3)


@FEW
@given(changes=CHANGES)
def test_a_header_changed_in_its_structure_is_read_or_refused(changes: list[tuple[str, list[int], Any]]) -> None:
    read_changed(changes)


@pytest.mark.slow
@MANY
@given(changes=CHANGES)
def test_many_headers_changed_in_their_structure_are_read_or_refused(changes: list[tuple[str, list[int], Any]]) -> None:
    read_changed(changes)
