"""What each rank of FSDP saves by torch.save, written by two processes of torch itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights, recognise
from tests.support.checkpoints import refusal, same, save_config

RANKS = """
import sys, torch, torch.distributed as dist, warnings
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from tests.support.gloo import leave_together
warnings.simplefilter("ignore")
rank, folder, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
whole = {"layers.0.up.weight": torch.arange(35.0).reshape(7, 5),
         "layers.0.down.weight": torch.arange(30.0).reshape(5, 6), "one.weight": torch.ones(1, 3),
         "norm.weight": torch.arange(4.0)}
mesh = init_device_mesh("cpu", (2,))
cut = {"layers.0.down.weight": [Shard(1)], "norm.weight": [Replicate()]}
state = {name: distribute_tensor(tensor, mesh, cut.get(name, [Shard(0)])) for name, tensor in whole.items()}
names = {"verl": f"model_world_size_2_rank_{rank}.pt",
         "plain": f"model_rank{rank}.pt", "composer": f"ep0-ba9-rank{rank}.pt"}
torch.save({"state": {"model": state}} if kind == "composer" else state, f"{folder}/{names[kind]}")
torch.save({"state": {0: torch.ones(3, 3)}}, f"{folder}/optim_world_size_2_rank_{rank}.pt")
torch.save({"rng": 1}, f"{folder}/extra_state_world_size_2_rank_{rank}.pt")
leave_together(folder, rank)
"""
WHOLE = {
    "layers.0.up.weight": torch.arange(35.0).reshape(7, 5), "layers.0.down.weight": torch.arange(30.0).reshape(5, 6),
    "one.weight": torch.ones(1, 3), "norm.weight": torch.arange(4.0),
}  # fmt: skip


def write(folder: Path, kind: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-W", "ignore", "-c", RANKS]
    ranks = [subprocess.Popen([*command, str(rank), str(folder), kind], env=environment) for rank in range(2)]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["verl", "composer", "plain"])
def test_the_parts_of_all_ranks_make_the_model(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    assert recognise(tmp_path) == "rank_files"
    same(tmp_path, WHOLE)
    with open_weights(next(file for file in sorted(tmp_path.glob("*1.pt")) if "state" not in file.name)) as weights:
        assert "the folder that holds the files of all ranks" in weights.unreadable[0].reason


@pytest.mark.slow
def test_a_rank_that_is_missing_or_of_another_step_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "verl")
    first, second = (tmp_path / f"model_world_size_2_rank_{rank}.pt" for rank in range(2))
    bytes_of_second = second.read_bytes()
    second.unlink()
    assert "holds 1 ranks, and its arguments say world_size 2" in refusal(tmp_path)
    second.write_bytes(first.read_bytes())
    assert "do not make up" in refusal(tmp_path)
    second.write_bytes(bytes_of_second)
    (tmp_path / "huggingface").mkdir()
    save_config(tmp_path / "huggingface", model_type="llama", hidden_size=5)
    with open_weights(tmp_path) as weights:
        assert weights.config["hidden_size"] == 5


def test_plain_tensors_of_several_ranks_are_not_joined_by_guess(tmp_path: Path) -> None:
    for rank in range(2):
        torch.save({"a.weight": torch.ones(4, 2) + rank, "norm": torch.ones(3)}, tmp_path / f"model-rank{rank}.pt")
    with open_weights(tmp_path) as weights:
        assert set(weights.tensors) == {"norm"}
        assert "do not say which part" in weights.unreadable[0].reason
