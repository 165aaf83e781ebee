"""One budget for every description: what would take all time or memory is refused within it, or read."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
import torch

from spectra_cli import budget
from spectra_cli.budget import OverBudgetError
from spectra_cli.weights import open_weights
from tests.support.checkpoints import refusal
from tests.support.pickled import Pickled, with_weights, write_archive
from tests.support.within import within

METADATA = "torch.distributed.checkpoint.metadata"
UP = "model.layers.0.mlp.up_proj.weight"


def nested_lists(levels: int, times: int) -> bytes:
    pickled = with_weights().text("model_args").raw(b"}").text("x").raw(b"](" + b"K\x01" * times + b"e").put(1)
    for level in range(2, levels + 1):
        pickled.raw(b"0](")
        for _ in range(times):
            pickled.get(level - 1)
        pickled.raw(b"e").put(level)
    return pickled.raw(b"su").end()


def colliding_keys(count: int) -> bytes:
    """Pairs of integers of one hash: that of a tuple is not seeded."""
    first, second, start, mask = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64 - 1
    inverse, wanted, pairs, a = pow(second, -1, 2**64), None, [], 0
    while len(pairs) < count:
        a += 1
        lane = (start + a * second) & mask
        lane = (((lane << 31) | (lane >> 33)) * first) & mask
        wanted = (lane + 7 * second) & mask if wanted is None else wanted
        b = ((wanted - lane) * inverse) & mask
        b = b - 2**64 if b >= 2**63 else b
        if abs(b) < 2**61 - 2:
            pairs.append((a, b))
    assert len({hash(pair) for pair in pairs}) == 1
    pickled = with_weights().text("x").raw(b"}(")
    for x, y in pairs:
        pickled.integer(x).integer(y).raw(b"\x86N")
    return pickled.raw(b"uu").end()


def sizes_of_text(count: int) -> bytes:
    pickled = with_weights().text("x").name("torch", "Size").put(1).raw(b"0").text("a" * 4_000_000).raw(b"\x85").put(2)
    pickled.raw(b"0(")
    for _ in range(count):
        pickled.get(1).get(2).raw(b"R")
    return pickled.raw(b"lu").end()


def typed_within_typed(depth: int) -> bytes:
    pickled = with_weights().name("torch._tensor", "_rebuild_from_type_v2").put(1).name("torch", "Tensor").put(2)
    pickled.raw(b"00)").put(4).raw(b"0")
    for _ in range(depth):
        pickled.raw(b"(").get(1).get(2).get(4).raw(b"Nt").put(4).raw(b"0")
    return pickled.text("x").get(1).get(4).raw(b"Ru").end()


HARD = {
    "lists of lists of lists": lambda: nested_lists(6, 60),
    "colliding keys": lambda: colliding_keys(60_000),
    "empty sets": lambda: with_weights().text("x").raw(b"](" + b"\x8f" * 4_900_000 + b"eu").end(),
    "empty dictionaries": lambda: with_weights().text("x").raw(b"](" + b"}" * 4_900_000 + b"eu").end(),
    "sizes of texts": lambda: sizes_of_text(150),
}
READ = {
    "an object of shared tuples as a key": lambda: (
        with_weights().shared(100, 60).raw(b"0").name("lab", "Thing").get(160).raw(b"\x85R").tensor((12, 8)).raw(b"u")
    ).end(),
    "tensors within tensors": lambda: typed_within_typed(3000),
    "a number of 6,000 digits": lambda: (
        with_weights().text("args").raw(b"}(").text("hidden_size").integer(10**6000).raw(b"uu").end()
    ),
    "numbers of NaN as keys": lambda: with_weights().raw((b"G" + b"\x7f\xf8" + bytes(6) + b"N") * 50_000 + b"u").end(),
}


@pytest.mark.slow
@pytest.mark.parametrize("pickled", HARD.values(), ids=HARD)
def test_a_pickle_beyond_the_budget_is_refused_within_it(tmp_path, pickled):
    assert within(write_archive(tmp_path / "pytorch_model.bin", pickled()))


@pytest.mark.parametrize("pickled", READ.values(), ids=READ)
def test_what_is_endless_only_when_written_out_costs_nothing(tmp_path, pickled):
    assert within(write_archive(tmp_path / "pytorch_model.bin", pickled())) == ""


def metadata(where: str) -> bytes:
    """A DCP description whose named part is a tuple of shared tuples, or whose properties are empty."""
    pickled = Pickled().shared(100, 60).raw(b"0")

    def shell(module: str, name: str) -> Pickled:
        return pickled.name(module, name).raw(b")\x81")

    def part(name: str, otherwise: tuple[int, ...] | str) -> None:
        if where == name:
            pickled.get(160)
        elif isinstance(otherwise, str):
            pickled.text(otherwise)
        else:
            pickled.ints(otherwise)

    shell(METADATA, "Metadata").raw(b"}(").text("state_dict_metadata").raw(b"}(").text(UP)
    shell(METADATA, "TensorStorageMetadata").raw(b"}(").text("properties")
    shell(METADATA, "TensorProperties").raw(b")b" if where == "properties" else b"(")
    if where != "properties":
        pickled.name("torch", "float32").raw(b"tb")
    pickled.text("size")
    part("size", (12, 8))
    pickled.text("chunks").raw(b"](")
    shell(METADATA, "ChunkStorageMetadata").raw(b"}(").text("offsets")
    part("offsets", (0, 0))
    pickled.text("sizes").ints((12, 8)).raw(b"ubeubu").text("storage_data").raw(b"}(")
    shell(METADATA, "MetadataIndex").raw(b"}(").text("fqn")
    part("fqn", UP)
    pickled.text("offset")
    part("offset", (0, 0))
    pickled.raw(b"ub")
    shell("torch.distributed.checkpoint.filesystem", "_StorageInfo").raw(b"}(").text("relative_path")
    pickled.text("__0_0.distcp")
    return pickled.text("offset").integer(0).text("length").integer(384).raw(b"ubuub").end()


@pytest.mark.parametrize("where", ["fqn", "offsets", "offset", "size"])
def test_a_distributed_description_of_shared_tuples_is_refused(tmp_path, where):
    (tmp_path / ".metadata").write_bytes(metadata(where))
    (tmp_path / "__0_0.distcp").write_bytes(bytes(400))
    assert within(tmp_path)


def test_a_tensor_whose_properties_are_empty_is_left_out_by_name(tmp_path):
    (tmp_path / ".metadata").write_bytes(metadata("properties"))
    (tmp_path / "__0_0.distcp").write_bytes(bytes(400))
    with open_weights(tmp_path) as weights:
        assert [skip.tensor for skip in weights.skipped] == [UP]


@pytest.mark.parametrize("name", [".metadata", "pytorch_model.bin"])
@pytest.mark.parametrize("start", [b"\x80\x02V", b"\x80\x02I", b"\x80\x02S'"])
def test_a_line_in_a_hole_of_gigabytes_is_no_line(tmp_path, name, start):
    magic = b"" if name == ".metadata" else b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    (tmp_path / name).write_bytes(magic + start)
    os.truncate(tmp_path / name, 3_000_000_000)
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    assert within(tmp_path)


@pytest.mark.parametrize("offset", [2**63 + 8, 2**64 - 1, 2**62, 2**33])
def test_a_record_that_lies_beyond_the_file_by_its_zip64_field_is_refused(tmp_path, offset):
    pickled = with_weights().raw(b"u").end()
    body = directory = b""
    for name, data, at in ((b"archive/data.pkl", pickled, None), (b"archive/data/0", bytes(384), offset)):
        extra = struct.pack("<HHQ", 1, 8, at) if at else b""
        place = 0xFFFFFFFF if at else len(body)
        sizes = (len(data), len(data), len(name))
        central = struct.pack("<IHHHHHHIII", 0x02014B50, 45, 45, 0, 0, 0, 33, 0, len(data), len(data))
        directory += central + struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, place) + name + extra
        body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 33, 0, *sizes, 0) + name + data
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), len(body), 0)
    (tmp_path / "pytorch_model.bin").write_bytes(body + directory + end)
    assert "cut short" in within(tmp_path / "pytorch_model.bin")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1a" * 300_000, "x" * 600_000, "model." * 200_000 + "weight", "x" * 1001])
def test_a_name_that_nobody_could_have_meant_is_refused(tmp_path, name):
    text = json.dumps({name: {"dtype": "F32", "shape": [12, 8], "data_offsets": [0, 384]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(384))
    assert "signs" in within(tmp_path)
    torch.save({name: torch.ones(3, 3)}, tmp_path / "other.pt")
    assert "signs" in refusal(tmp_path / "other.pt")


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["\U0001f600", "\u65e5", "\xe9"])
def test_a_header_that_grows_fourfold_when_decoded_is_refused_and_not_decoded(tmp_path, sign):
    entry = {"dtype": "F32", "shape": [12, 8], "data_offsets": [0, 384]}
    note = {"__metadata__": {"note": "x" * 62_000_000 + sign}, UP: entry}
    text = json.dumps(note, ensure_ascii=False).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(384))
    assert "512 MB" in within(tmp_path)


LISTS = {
    "lists": {f"block{n}": [torch.randn(4, 3)] for n in range(100)},
    "tuples": {"layers": [(torch.randn(4, 3), torch.randn(3, 5)) for _ in range(40)]},
    "as a JAX program": {
        "params": {f"l{n}": {"a": [torch.randn(4, 3)], "m": (torch.randn(2, 3),)} for n in range(12)}
    },
    "deeper than twelve": {"a": {"b": {"c": {"d": [[[[[[[[[[[torch.randn(4, 3)]]]]]]]]]]]}}}},
    "mixed": {"x": [{"w": torch.randn(4, 3)}, ({"w": torch.randn(3, 4)}, [torch.randn(2, 2)])]},
}  # fmt: skip


def leaves(tree: object, name: str = "") -> dict[str, torch.Tensor]:
    """Walk plainly what a program saved: the names that its tensors should have."""
    if isinstance(tree, torch.Tensor):
        return {name[1:]: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {n: leaf for key, value in items for n, leaf in leaves(value, f"{name}.{key}").items()}


@pytest.mark.parametrize("tree", LISTS.values(), ids=LISTS)
def test_every_tensor_in_lists_and_tuples_is_read(tmp_path, tree):
    torch.save(tree, tmp_path / "model.pt")
    wanted = leaves(tree.get("params", tree))
    with open_weights(tmp_path / "model.pt") as weights:
        got = {name: weights.read(name) for name in weights.tensors}
    assert got.keys() == wanted.keys()
    assert all(np.array_equal(got[name].numpy(), wanted[name].numpy()) for name in wanted)


def test_the_budget_of_a_block_within_it_is_its_own_unless_it_is_for_the_same_thing():
    with budget.bounded("a"):
        budget.spend(budget.BYTES - 1000)
        with budget.bounded("b"):
            budget.spend(budget.BYTES - 1000)
        with budget.bounded("a"), pytest.raises(OverBudgetError, match=r"^a takes over 512 MB"):
            budget.spend(2000)
    budget.spend(2 * budget.BYTES)  # where there is none, nothing is counted


@pytest.mark.parametrize("wide", [128, 10**9, 2**40, 2**63 - 1])
def test_a_block_that_is_larger_than_its_matrix_takes_no_more_than_it(tmp_path, wide):
    scales = np.array([[0.5], [0.25]], np.float32)
    codes = bytes(range(1, 65)) * 512
    data = codes + scales.tobytes()
    header = {
        UP: {"dtype": "F8_E4M3", "shape": [256, 128], "data_offsets": [0, len(codes)]},
        f"{UP}_scale_inv": {"dtype": "F32", "shape": [2, 1], "data_offsets": [len(codes), len(data)]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    quantised = {"quant_method": "fp8", "weight_block_size": [128, wide]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "quantization_config": quantised}))
    numbers = torch.frombuffer(bytearray(codes), dtype=torch.float8_e4m3fn).float().reshape(256, 128).numpy()
    with open_weights(tmp_path) as weights:
        got = weights.read(UP).float().numpy()
    np.testing.assert_array_equal(got, numbers * np.repeat(scales, 128, axis=0))


def test_a_vector_under_the_name_of_a_matrix_that_ranks_share_is_left_out_by_name(tmp_path):
    for rank in (0, 1):
        layer = {"layers.0.self_attention.dense.weight": torch.ones(8),
                 "layers.0.mlp.dense_h_to_4h.weight": torch.randn(16, 8)}  # fmt: skip
        path = tmp_path / "iter_0000001" / f"mp_rank_0{rank}" / "model_optim_rng.pt"
        path.parent.mkdir(parents=True)
        torch.save({"model": {"language_model": {"encoder": layer}}}, path)
    with open_weights(tmp_path / "iter_0000001") as weights:
        assert [skip.tensor.rpartition("layers.0.")[2] for skip in weights.skipped] == ["self_attention.dense.weight"]
        assert [tuple(tensor.shape) for tensor in weights.tensors.values()] == [(32, 8)]
