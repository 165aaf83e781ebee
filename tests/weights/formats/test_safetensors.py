import json
import struct
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spectra_cli.errors import SpectraError
from spectra_cli.weights import open_weights
from tests.support.checkpoints import example, refusal, same, save_config, save_safetensors, save_shards


def write(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_file_gives_what_was_saved(tmp_path: Path) -> None:
    same(save_safetensors(tmp_path, example()), example())


def test_every_dtype_of_the_library_is_read_like_the_library_reads_it(tmp_path: Path) -> None:
    dtypes = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"]
    dtypes += ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool", "complex64"]
    numbers = torch.arange(6).reshape(2, 3)
    tensors = {dtype: numbers.to(getattr(torch, dtype)) for dtype in dtypes}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    path = save_safetensors(tmp_path, tensors)
    with open_weights(path) as weights:
        expected = load_file(path)
        assert set(weights.tensors) == set(expected)
        for name, tensor in expected.items():
            assert weights.read(name).dtype == tensor.dtype
            assert torch.equal(weights.read(name).view(-1).view(torch.uint8), tensor.view(-1).view(torch.uint8))


def test_a_folder_gives_its_configuration_too(tmp_path: Path) -> None:
    save_safetensors(tmp_path, example())
    save_config(tmp_path, model_type="gpt_neox", num_attention_heads=4)
    with open_weights(tmp_path) as weights:
        assert weights.format == "safetensors"
        assert weights.config == {"model_type": "gpt_neox", "num_attention_heads": 4}
        assert weights.files == (tmp_path / "model.safetensors", tmp_path / "config.json")
        assert (weights.skipped, weights.notes) == ((), ())


def test_shards_with_an_index_are_one_checkpoint(tmp_path: Path) -> None:
    same(tmp_path, save_shards(tmp_path))


def test_shards_without_an_index_are_one_checkpoint(tmp_path: Path) -> None:
    expected = save_shards(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    same(tmp_path, expected)


def test_a_consolidated_copy_beside_the_models_own_shards_is_passed_by(tmp_path: Path) -> None:
    expected = save_shards(tmp_path)
    save_safetensors(tmp_path, {"layers.0.attention.wq.weight": torch.ones(2, 2)}, "consolidated.safetensors")
    same(tmp_path, expected)


def test_a_missing_shard_is_named_whether_there_is_an_index_or_not(tmp_path: Path) -> None:
    save_shards(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors, which is not there" in refusal(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    assert "lacks shard 2 of 2 of model" in refusal(tmp_path)


def test_a_tensor_that_the_index_promises_and_no_shard_holds_is_named(tmp_path: Path) -> None:
    save_shards(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    promised = json.loads(index.read_text())
    promised["weight_map"]["lost.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(promised))
    assert "lost.weight" in refusal(tmp_path)


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "a/../../b.safetensors", "", ".."])
def test_an_index_may_not_name_files_outside_the_folder(tmp_path: Path, shard: str) -> None:
    save_shards(tmp_path / "run")
    save_safetensors(tmp_path, example(), "other.safetensors")
    (tmp_path / "run" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    assert "outside the checkpoint's folder" in refusal(tmp_path / "run")


def test_a_file_that_is_cut_short_says_how_many_bytes_are_missing(tmp_path: Path) -> None:
    path = save_safetensors(tmp_path, {"w": torch.zeros(1000, 1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 1_000_000])
    assert refusal(path) == f"{path} is cut short: its header promises 4,000,000 bytes of data, 3,000,000 are there"
    path.write_bytes(whole[:20])
    assert "cut short: it ends within its header" in refusal(path)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"not json", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"w":' + b"[" * 5000, "nests too deep"),
        (b"{" + b"[],{}," * 1_500_000, "takes over 512 MB"),
        (b'{"w":%b,"w":%b}' % ((json.dumps(entry([2], 0, 8)).encode(),) * 2), "twice"),
        (json.dumps({"w": {"dtype": "F32"}}).encode(), "lacks dtype, shape or data_offsets"),
        (json.dumps({"w": entry([2], 0, 8, "F99")}).encode(), "the dtype F99"),
        (json.dumps({"w": entry([-2], 0, 8)}).encode(), "not counts"),
        (json.dumps({"w": entry([True, 2], 0, 8)}).encode(), "not counts"),
        (json.dumps({"w": entry([10**9, 10**9], 0, 8)}).encode(), "needs 4,000,000,000,000,000,000 bytes"),
        (json.dumps({"w": entry([2], 0, 8), "v": entry([2], 4, 12)}).encode(), "overlap"),
        (json.dumps({"w": entry([1], 4, 8)}).encode(), "gap"),
        (json.dumps({"w": entry([1], 0, 4)}).encode(), "describes 4 bytes of data, 8 are there"),
        (json.dumps({"\x1b[31m": entry([1], 0, 8)}).encode(), r"\x1b[31m"),
        (b'{"n": 1' + b"0" * 5000 + b"}", "not valid JSON"),
        (json.dumps({"w.\ud800": entry([2], 0, 8)}).encode(), "half a surrogate pair"),
        (json.dumps({"\udfff": entry([2], 0, 8)}).encode(), "half a surrogate pair"),
        (json.dumps({"__metadata__": {"a": ["\udc00"]}, "w": entry([2], 0, 8)}).encode(), "half a surrogate pair"),
    ],
)  # fmt: skip
def test_an_unsound_header_is_refused_with_what_is_wrong(tmp_path: Path, header: bytes, says: str) -> None:
    path = write(tmp_path / "model.safetensors", header, bytes(8))
    assert says in refusal(path)
    assert str(path) in refusal(path)


def test_a_huge_header_is_refused_by_its_length_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\xff" * 8 + b"{}")
    assert "a header of 18,446,744,073,709,551,615 bytes" in refusal(path)


def test_packed_elements_are_skipped_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", json.dumps({"w": entry([4, 4], 0, 8, "F4")}).encode(), bytes(8))
    with open_weights(path) as weights:
        assert not weights.tensors
        assert "F4" in weights.skipped[0].reason


def test_a_name_that_is_not_there_is_named(tmp_path: Path) -> None:
    with open_weights(save_safetensors(tmp_path, example())) as weights, pytest.raises(SpectraError, match=r"no\.such"):
        weights.read("no.such")


def test_threads_may_read_side_by_side(tmp_path: Path) -> None:
    tensors = {f"w{i}": torch.full((50, 50), float(i)) for i in range(20)}
    read: dict[str, torch.Tensor] = {}
    with open_weights(save_safetensors(tmp_path, tensors)) as weights:

        def some(names: list[str]) -> None:
            for name in names:
                read[name] = weights.read(name)

        threads = [threading.Thread(target=some, args=(list(tensors)[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_what_was_read_stays_when_the_file_is_gone(tmp_path: Path) -> None:
    path = save_safetensors(tmp_path, example())
    with open_weights(path) as weights:
        read = weights.read("embed.weight")
        path.unlink()
        assert torch.equal(read, example()["embed.weight"])
        with pytest.raises(SpectraError, match="is not there"):
            weights.read("embed.weight")


def test_a_file_that_changes_or_shrinks_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    path = save_safetensors(tmp_path, example())
    with open_weights(path) as weights:
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(SpectraError, match="shrank while it was read"):
            weights.read("embed.weight")
    save_file(example(), path)
    with open_weights(path) as weights:
        save_file(example(seed=1), path)
        with pytest.raises(SpectraError, match="changed while it was read"):
            weights.read("embed.weight")
