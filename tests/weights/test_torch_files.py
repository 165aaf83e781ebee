import argparse
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from spectra_cli.weights import open_weights
from tests.weights.checkpoints import example, refusal, same, save_config

WRITERS = pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])


def save(content: object, path: Path, as_zip: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    return path


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
    same(save(example(), tmp_path / "model.pt", as_zip), example())


@WRITERS
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module"])
def test_a_state_dict_is_found_under_its_usual_names(tmp_path: Path, as_zip: bool, key: str) -> None:
    content = {key: OrderedDict(example()), "step": 7, "args": argparse.Namespace(), "config": {"lr": 1e-3}}
    if not as_zip:
        content.pop("args")
    same(save(content, tmp_path / "a.pt", as_zip), example())


@WRITERS
def test_views_transposes_and_parameters_are_read_like_torch_reads_them(tmp_path: Path, as_zip: bool) -> None:
    whole = torch.arange(48.0).reshape(6, 8)
    content = {
        "whole": whole, "rows": whole[2:4], "window": whole[1:5, 2:7], "transposed": whole.t(),
        "every": whole[::2, ::3],
        "parameter": torch.nn.Parameter(torch.ones(2, 3)), "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4),
        "cube": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1),
    }  # fmt: skip
    path = save(content, tmp_path / "a.pt", as_zip)
    same(path, {name: tensor.detach() for name, tensor in torch.load(path, weights_only=True).items()})


def test_every_dtype_is_read_like_torch_reads_it(tmp_path: Path) -> None:
    dtypes = (
        "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 uint16 uint32 bool"
    )
    content = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in dtypes.split()}
    content["complex128"] = torch.randn(2, 2, dtype=torch.complex128)
    path = save(content, tmp_path / "a.pt")
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
    save(model.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    same(tmp_path / "bin", dict(model.state_dict()))


def test_shards_of_torch_files_are_one_checkpoint(tmp_path: Path) -> None:
    names = list(example())
    for number, part in enumerate((names[:1], names[1:]), start=1):
        save({name: example()[name] for name in part}, tmp_path / f"pytorch_model-{number:05}-of-00002.bin")
    same(tmp_path, example())


def test_optimizer_states_are_left_out_and_said_so(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iter_num": 1}
    path = save(content, tmp_path / "ckpt.pt")
    same(path, dict(model.state_dict()))
    with open_weights(path) as weights:
        assert weights.notes == ("left out: optimizer states",)


def test_a_file_of_optimizer_states_alone_is_an_error(tmp_path: Path) -> None:
    path = save({"optimizer": {"state": {0: {"exp_avg": torch.ones(2, 2)}}}}, tmp_path / "last.pt")
    assert "holds no tensors of a model" in refusal(path)


def test_averaged_weights_are_taken_when_asked_for(tmp_path: Path) -> None:
    path = save({"model": example(), "ema": example(seed=1)}, tmp_path / "a.pt")
    same(path, example())
    same(path, example(seed=1), ema=True)
    with open_weights(path) as weights:
        assert "EMA weights" in weights.notes[0]
    assert "holds no EMA weights" in refusal(save({"model": example()}, tmp_path / "b.pt"), ema=True)


def test_averaged_weights_may_stand_beside_the_others_under_a_prefix(tmp_path: Path) -> None:
    both = {**{f"model.{k}": v for k, v in example().items()}, **{f"ema.model.{k}": v for k, v in example(1).items()}}
    path = save({"state_dict": both}, tmp_path / "a.ckpt")
    same(path, {f"model.{name}": tensor for name, tensor in example().items()})
    same(path, {f"model.{name}": tensor for name, tensor in example(1).items()}, ema=True)


def test_nanogpt_files_carry_their_configuration(tmp_path: Path) -> None:
    args = {"n_layer": 2, "n_head": 2, "n_embd": 4, "block_size": 8, "bias": False, "vocab_size": 11, "dropout": 0.0}
    content = {"model": {f"_orig_mod.{k}": v for k, v in example().items()}, "model_args": args, "iter_num": 5}
    path = save(content, tmp_path / "ckpt.pt")
    with open_weights(path) as weights:
        assert weights.config == {"model_type": "nanogpt", **args}
        assert set(weights.tensors) == {f"_orig_mod.{name}" for name in example()}


def test_nanochat_files_have_their_configuration_beside_them(tmp_path: Path) -> None:
    path = save(example(), tmp_path / "model_000500.pt")
    (tmp_path / "meta_000500.json").write_text('{"step": 500, "model_config": {"n_layer": 4, "n_head": 2}}')
    with open_weights(path) as weights:
        assert weights.config["model_type"] == "nanochat"
        assert (weights.config["step"], weights.config["n_layer"]) == (500, 4)


def test_modded_nanogpt_files_keep_code_and_optimizers_out_of_the_way(tmp_path: Path) -> None:
    content = {"step": 1500, "code": "import os", "model": example(), "optimizers": [{"state": {0: torch.ones(2, 2)}}]}
    same(save(content, tmp_path / "state_step001500.pt"), example())


def test_lightning_files_give_their_hyperparameters(tmp_path: Path) -> None:
    content = {
        "epoch": 1, "global_step": 2000, "pytorch-lightning_version": "2.5", "state_dict": example(), "loops": {},
        "callbacks": {"best": torch.ones(3)}, "optimizer_states": [{"state": {}}], "lr_schedulers": [],
        "hyper_parameters": {"width": 4, "heads": 2},
    }  # fmt: skip
    path = save(content, tmp_path / "epoch=1-step=2000.ckpt")
    same(path, example())
    with open_weights(path) as weights:
        assert weights.config == {"width": 4, "heads": 2}


def test_objects_of_other_classes_are_passed_over_without_being_built(tmp_path: Path) -> None:
    content = {
        "model": example(),
        "args": argparse.Namespace(num_layers=2),
        "other": SimpleNamespace(a=1),
        "p": Path("x"),
    }
    path = save(content, tmp_path / "a.pt")
    same(path, example())
    with open_weights(path) as weights:
        assert weights.config == {"model_type": "megatron", "num_layers": 2}


def test_a_flipped_bit_is_told_of_when_the_tensor_is_read(tmp_path: Path) -> None:
    path = save({"w": torch.ones(100, 100)}, tmp_path / "a.pt")
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
    path = save({"w": torch.ones(9, 9), "v": torch.zeros(5, 5)}, tmp_path / "a.pt")
    data = path.read_bytes()
    for tensor in (torch.ones(9, 9), torch.zeros(5, 5)):
        data = data.replace(zlib.crc32(tensor.numpy().tobytes()).to_bytes(4, "little"), bytes(4))
    path.write_bytes(data)
    with open_weights(path) as weights:
        assert torch.equal(weights.read("w"), torch.ones(9, 9))
        assert weights.notes == (f"{path} holds no checksums",)


def test_deflated_records_are_refused_and_never_taken_for_numbers(tmp_path: Path) -> None:
    path = rezip(save({"w": torch.zeros(100, 100)}, tmp_path / "a.pt"), zipfile.ZIP_DEFLATED)
    assert "compressed, which torch.save never does" in refusal(path)


def test_an_archive_zipped_again_without_compression_is_read(tmp_path: Path) -> None:
    same(rezip(save(example(), tmp_path / "a.pt")), example())


def test_what_was_written_on_a_big_endian_machine_is_refused(tmp_path: Path) -> None:
    assert "big-endian" in refusal(rezip(save(example(), tmp_path / "a.pt"), byteorder=b"big"))


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.5, 0.1])
@WRITERS
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, as_zip: bool, keep: float) -> None:
    path = save({f"w{i}": torch.randn(30, 30) for i in range(9)}, tmp_path / "a.pt", as_zip)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    message = refusal(path)
    assert str(path) in message
    assert "cut short" in message or "damaged" in message


def test_other_archives_and_torchscript_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "not one that torch.save wrote" in refusal(tmp_path / "a.pt")
    path = save(example(), tmp_path / "b.pt")
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
    path = save(content, tmp_path / "a.pt")
    with open_weights(path) as weights:
        assert set(weights.tensors) == {"good"}
        reasons = {skip.tensor: skip.reason for skip in weights.skipped}
        assert set(reasons) == set(content) - {"good"}
        assert reasons["stride0"] == "its shape needs 4,000,000,000,000 bytes, its storage holds 4"
        assert "meta" in reasons["meta"]
        assert "sparse" in reasons["sparse"]


def test_the_configuration_beside_a_file_wins_over_the_one_within(tmp_path: Path) -> None:
    save({"model": example(), "model_args": {"n_layer": 1}}, tmp_path / "ckpt.pt")
    save_config(tmp_path, model_type="gpt2")
    with open_weights(tmp_path) as weights:
        assert weights.config == {"model_type": "gpt2", "n_layer": 1}


def test_averaged_weights_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    save(example(), tmp_path / "model.pt")
    save(example(seed=1), tmp_path / "model_ema.pt")
    same(tmp_path, example())
    same(tmp_path, example(seed=1), ema=True)
