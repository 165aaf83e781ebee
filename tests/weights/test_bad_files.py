"""What stands where weights should be: pointers, pages, pipes, links."""

import json
import os
import socket
from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights, recognise
from tests.support.checkpoints import example, refusal, same, save_config, save_safetensors

NAMES = ["model.safetensors", "pytorch_model.bin", "ckpt.pt"]


@pytest.mark.parametrize("name", NAMES)
def test_a_git_lfs_pointer_says_how_to_fetch_the_data(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")
    assert recognise(tmp_path / name)
    assert "Git LFS pointer" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>", "\n <html><body>404"])
def test_a_web_page_is_called_one(tmp_path: Path, name: str, page: str) -> None:
    (tmp_path / name).write_text(page * 50)
    save_config(tmp_path)
    assert "web page" in refusal(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty" in refusal(tmp_path / name if name != "pytorch_model.bin" else tmp_path)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'} is not there"
    assert recognise(tmp_path / "none") is None


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pipe_in_place_of_weights_does_not_hang(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "is a named pipe" in refusal(tmp_path / name)
    assert "is a named pipe" in refusal(tmp_path)


def test_a_pipe_put_in_place_after_the_header_was_read_does_not_hang(tmp_path: Path) -> None:
    path = save_safetensors(tmp_path, example())
    with open_weights(path) as weights:
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(Exception, match="while it was read"):
            weights.read("embed.weight")


def test_devices_sockets_and_folders_are_not_files_of_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    assert refusal(tmp_path)
    assert "a device" in refusal(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.pt"))
        assert "a socket" in refusal(tmp_path / "s.pt")


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    path = save_safetensors(tmp_path, example())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "may not be read by this user" in refusal(path)


def test_a_link_that_leads_out_is_followed_only_when_asked(tmp_path: Path) -> None:
    outside = save_safetensors(tmp_path / "elsewhere", example())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").symlink_to(outside)
    assert "leads out of its checkpoint's folder" in refusal(tmp_path / "run")
    same(tmp_path / "run", example(), follow_links=True)


def test_a_configuration_that_leads_out_is_refused_too(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "run", example())
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "run" / "config.json").symlink_to(tmp_path / "secret.json")
    assert "leads out" in refusal(tmp_path / "run")


def test_a_link_within_the_folder_and_a_link_to_the_folder_are_fine(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "run", example(), "weights-7.safetensors")
    (tmp_path / "run" / "model.safetensors").symlink_to("weights-7.safetensors")
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    same(tmp_path / "latest", example())


def test_the_links_of_the_hub_cache_are_understood(tmp_path: Path) -> None:
    cache = tmp_path / "models--x--y"
    save_safetensors(cache / "blobs", example(), "4f2a")
    (cache / "snapshots" / "c0ffee").mkdir(parents=True)
    (cache / "snapshots" / "c0ffee" / "model.safetensors").symlink_to("../../blobs/4f2a")
    same(cache / "snapshots" / "c0ffee", example())
    (cache / "snapshots" / "c0ffee" / "config.json").symlink_to("../../../secret")
    (tmp_path / "secret").write_text("{}")
    assert "leads out" in refusal(cache / "snapshots" / "c0ffee")


def test_links_in_a_circle_are_an_error_and_no_hang(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to("model.safetensors")
    assert refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"), [("[1]", "not a JSON object"), ("{", "not valid JSON"), ("[" * 9999, "deep")]
)
def test_an_unsound_configuration_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    save_safetensors(tmp_path, example())
    (tmp_path / "config.json").write_text(text)
    assert says in refusal(tmp_path)


def test_a_huge_configuration_is_not_read(tmp_path: Path) -> None:
    save_safetensors(tmp_path, example())
    with (tmp_path / "config.json").open("wb") as stream:
        stream.truncate(10 * 2**30)
    assert "too large" in refusal(tmp_path)


def test_a_name_with_control_characters_reaches_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J.safetensors"
    path.write_bytes(b"x")
    assert r"\x1b[2J" in refusal(path)


def test_a_folder_without_weights_says_what_would_be_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "holds no weights in a format that is known" in refusal(tmp_path)


def test_states_of_an_optimizer_are_no_checkpoint(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "optim_000500.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"state": {0: torch.ones(2, 2)}}, tmp_path / name)
        assert recognise(tmp_path / name) is None
    assert recognise(tmp_path) is None


def test_a_corpus_of_tokens_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "corpus.bin").write_bytes(bytes(1000))
    assert recognise(tmp_path / "corpus.bin") is None
    assert recognise(tmp_path) is None


def test_a_folder_of_checkpoint_files_is_not_one_checkpoint(tmp_path: Path) -> None:
    for step in (100, 200):
        torch.save({"model": example()}, tmp_path / f"ckpt_{step}.pt")
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "ckpt_100.pt") == "torch"


def test_a_name_too_long_to_be_a_files_is_an_error_like_others(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("a" * 300))
    save_safetensors(tmp_path, example())
    index = {"weight_map": {"w": "a" * 300 + ".safetensors"}}
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is not there" in refusal(tmp_path)


def test_a_broken_link_to_a_configuration_is_not_taken_for_none(tmp_path: Path) -> None:
    save_safetensors(tmp_path, example())
    (tmp_path / "config.json").symlink_to("lost.json")
    assert f"{tmp_path / 'config.json'} is not there" in refusal(tmp_path)
