import argparse
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from spectra_cli.weights import open_weights
from tests.support.checkpoints import example, refusal, same, save_torch

WRITERS = pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])


def rezip(path: Path, compression: int = zipfile.ZIP_STORED, **replaced: bytes) -> Path:
    """Write an archive of torch.save again, with some records replaced."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, replaced.get(name.rsplit("/", 1)[-1].replace(".", "_"), data))
    return path


@WRITERS
def test_a_state_dict_gives_what_was_saved(tmp_path: Path, as_zip: bool) -> None:
    same(save_torch(example(), tmp_path / "model.pt", as_zip), example())


@WRITERS
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module"])
def test_a_state_dict_is_found_under_its_usual_names(tmp_path: Path, as_zip: bool, key: str) -> None:
    content = {key: OrderedDict(example()), "step": 7, "args": argparse.Namespace(), "config": {"lr": 1e-3}}
    if not as_zip:
        content.pop("args")
    same(save_torch(content, tmp_path / "a.pt", as_zip), example())


@WRITERS
def test_views_transposes_and_parameters_are_read_like_torch_reads_them(tmp_path: Path, as_zip: bool) -> None:
    whole = torch.arange(48.0).reshape(6, 8)
    content = {
        "whole": whole, "rows": whole[2:4], "window": whole[1:5, 2:7], "transposed": whole.t(),
        "every": whole[::2, ::3],
        "parameter": torch.nn.Parameter(torch.ones(2, 3)), "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4),
        "cube": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1),
    }  # fmt: skip
    path = save_torch(content, tmp_path / "a.pt", as_zip)
    same(path, {name: tensor.detach() for name, tensor in torch.load(path, weights_only=True).items()})


def test_every_dtype_is_read_like_torch_reads_it(tmp_path: Path) -> None:
    dtypes = (
        "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 uint16 uint32 bool"
    )
    content = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in dtypes.split()}
    content["complex128"] = torch.randn(2, 2, dtype=torch.complex128)
    path = save_torch(content, tmp_path / "a.pt")
    with open_weights(path) as weights:
        for name, tensor in content.items():
            read = weights.read(name)
            assert read.dtype == tensor.dtype
            assert torch.equal(read.view(torch.uint8), tensor.view(torch.uint8))


def test_what_transformers_saves_is_read_whole_and_in_shards(tmp_path: Path) -> None:
    config = GPTNeoXConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, tie_word_embeddings=False,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config)
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="8KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    for folder in ("one", "many"):
        with open_weights(tmp_path / folder) as weights:
            assert weights.config["model_type"] == "gpt_neox"
        files = (tmp_path / folder).glob("*.safetensors")
        same(tmp_path / folder, {name: tensor for file in files for name, tensor in load_file(file).items()})
    save_torch(model.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    same(tmp_path / "bin", dict(model.state_dict()))


def test_shards_of_torch_files_are_one_checkpoint(tmp_path: Path) -> None:
    names = list(example())
    for number, part in enumerate((names[:1], names[1:]), start=1):
        save_torch({name: example()[name] for name in part}, tmp_path / f"pytorch_model-{number:05}-of-00002.bin")
    same(tmp_path, example())


def test_a_flipped_bit_is_told_of_when_the_tensor_is_read(tmp_path: Path) -> None:
    path = save_torch({"w": torch.ones(100, 100)}, tmp_path / "a.pt")
    data = bytearray(path.read_bytes())
    at = data.find(torch.ones(8).numpy().tobytes())
    data[at + 3] ^= 0x40
    path.write_bytes(data)
    with open_weights(path) as weights:
        assert not "".join(weights.notes)
        weights.read("w")
        weights.read("w")
        assert weights.notes == (f"w of {path} does not match the checksum stored beside it",)


def test_a_writer_without_checksums_is_noted_once(tmp_path: Path) -> None:
    path = save_torch({"w": torch.ones(9, 9), "v": torch.zeros(5, 5)}, tmp_path / "a.pt")
    data = path.read_bytes()
    for tensor in (torch.ones(9, 9), torch.zeros(5, 5)):
        data = data.replace(zlib.crc32(tensor.numpy().tobytes()).to_bytes(4, "little"), bytes(4))
    path.write_bytes(data)
    with open_weights(path) as weights:
        assert torch.equal(weights.read("w"), torch.ones(9, 9))
        assert weights.notes == (f"{path} holds no checksums",)


@pytest.mark.parametrize("content", [{"w": torch.ones(9, 9)}, example(), {"model": example()}])
def test_a_file_that_was_saved_without_checksums_is_read(tmp_path: Path, content: dict[str, object]) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save_torch(content, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    same(path, content.get("model", content))
    with open_weights(path) as weights:
        assert weights.notes == (f"{path} holds no checksums",)


@WRITERS
def test_expanded_views_are_read_like_torch_reads_them(tmp_path: Path, as_zip: bool) -> None:
    row = torch.arange(8.0)
    content = {
        "rows": row.expand(5, 8), "columns": row[:, None].expand(8, 3), "one": torch.ones(1).expand(6, 7),
        "overlapping": row.as_strided((5, 4), (1, 1)), "stack": row.reshape(2, 1, 4).expand(2, 3, 4),
    }  # fmt: skip
    same(save_torch(content, tmp_path / "a.pt", as_zip), content)


@WRITERS
@pytest.mark.parametrize("name", ["layers.\ud800.weight", "\udfff", "q.weight\ud83d"])
def test_half_a_surrogate_in_a_name_is_refused(tmp_path: Path, as_zip: bool, name: str) -> None:
    path = save_torch({name: torch.ones(2, 2)}, tmp_path / "a.pt", as_zip)
    message = refusal(path)
    assert str(path) in message
    assert "half a surrogate pair" in message


def test_deflated_records_are_refused_and_never_taken_for_numbers(tmp_path: Path) -> None:
    path = rezip(save_torch({"w": torch.zeros(100, 100)}, tmp_path / "a.pt"), zipfile.ZIP_DEFLATED)
    assert "compressed, which torch.save never does" in refusal(path)


def test_an_archive_zipped_again_without_compression_is_read(tmp_path: Path) -> None:
    same(rezip(save_torch(example(), tmp_path / "a.pt")), example())


def test_what_was_written_on_a_big_endian_machine_is_refused(tmp_path: Path) -> None:
    assert "big-endian" in refusal(rezip(save_torch(example(), tmp_path / "a.pt"), byteorder=b"big"))


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.5, 0.1])
@WRITERS
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, as_zip: bool, keep: float) -> None:
    path = save_torch({f"w{i}": torch.randn(30, 30) for i in range(9)}, tmp_path / "a.pt", as_zip)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    message = refusal(path)
    assert str(path) in message
    assert "cut short" in message or "damaged" in message


def test_other_archives_and_torchscript_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "not one that torch.save wrote" in refusal(tmp_path / "a.pt")
    path = save_torch(example(), tmp_path / "b.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b/constants.pkl", b"")
    assert "TorchScript" in refusal(path)


def test_tensors_without_plain_numbers_are_skipped_with_the_reason(tmp_path: Path) -> None:
    huge = torch.zeros(1)
    content = {
        "good": torch.ones(2, 2),
        "stride0": huge.expand(10**6, 10**6),
        "meta": torch.empty(10**6, 10**6, device="meta"),
        "sparse": torch.sparse_coo_tensor(
            torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (10**6, 10**6), check_invariants=True
        ),
        "conjugate": torch.ones(2, 2, dtype=torch.complex64).conj(),
    }
    path = save_torch(content, tmp_path / "a.pt")
    with open_weights(path) as weights:
        assert set(weights.tensors) == {"good"}
        reasons = {skip.tensor: skip.reason for skip in weights.skipped}
        assert set(reasons) == set(content) - {"good"}
        assert reasons["stride0"] == "its shape needs 4,000,000,000,000 bytes, its storage holds 4"
        assert "meta" in reasons["meta"]
        assert "sparse" in reasons["sparse"]


@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_numpy_that_look_like_weights_are_named(tmp_path: Path, protocol: int) -> None:
    arrays = {"a": np.ones((3, 2), "float32"), "b": np.ones(4), "c": np.ones((2, 2), int), "d": np.ones((1, 2, 3))}
    torch.save({"w": torch.ones(2, 2), **arrays}, tmp_path / "model.pt", pickle_protocol=protocol)
    with open_weights(tmp_path / "model.pt") as weights:
        assert set(weights.tensors) == {"w"}
        assert {skip.tensor: skip.reason for skip in weights.unreadable} == dict.fromkeys(
            "ad", "it is a NumPy array, not a tensor"
        )
