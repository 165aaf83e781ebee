import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import state_dict_saver
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

from spectra_cli.weights import open_weights, recognise
from tests.support.checkpoints import example, refusal, same

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def save(content: dict[str, Any], folder: Path) -> Path:
    state_dict_saver.save(content, checkpoint_id=folder, no_dist=True)
    return folder


def describe(folder: Path, change: Callable[[Any], None]) -> Path:
    """Change what `.metadata` says."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    change(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder


def test_a_distributed_checkpoint_gives_the_model_and_leaves_the_optimizer_out(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 5}
    folder = save(content, tmp_path / "step5")
    assert recognise(folder) == "dcp"
    same(folder, dict(model.state_dict()))
    with open_weights(folder) as weights:
        assert weights.notes == ("left out: optimizer states",)
        assert weights.files == (folder / ".metadata", folder / "__0_0.distcp")


def test_the_optimizer_is_known_by_its_name_where_the_dictionary_is_flat(tmp_path: Path) -> None:
    states = {f"optimizer.state.exp_avg.{name}": tensor for name, tensor in example().items()}
    same(save({**example(), **states}, tmp_path / "iter_0000005"), example())


@pytest.mark.parametrize("subfolder", ["pytorch_model_fsdp_0", "model_and_optim"])
def test_it_is_found_where_trainers_put_it(tmp_path: Path, subfolder: str) -> None:
    save({"model": example()}, tmp_path / subfolder)
    assert recognise(tmp_path) == "dcp"
    same(tmp_path, example())


def test_a_state_dict_saved_by_itself_keeps_its_names(tmp_path: Path) -> None:
    same(save(example(), tmp_path / "a"), example())


SHARDED = """
import sys, torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from tests.support.gloo import leave_together
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
whole = {"rows": torch.arange(35.0).reshape(7, 5), "columns": torch.arange(24.0).reshape(4, 6).bfloat16()}
shards = {"rows": Shard(0), "columns": Shard(1)}
content = {name: distribute_tensor(tensor, mesh, [shards[name]]) for name, tensor in whole.items()}
content["copies"] = distribute_tensor(torch.ones(3, 3), mesh, [Replicate()])
dcp.save({"model": content}, checkpoint_id=folder + "/sharded")
leave_together(folder, rank)
"""


@pytest.mark.slow
def test_tensors_that_two_processes_hold_in_parts_are_put_together(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", SHARDED, str(rank), str(tmp_path)], env=environment)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]
    assert len(list((tmp_path / "sharded").glob("*.distcp"))) == 2
    same(
        tmp_path / "sharded",
        {
            "rows": torch.arange(35.0).reshape(7, 5),
            "columns": torch.arange(24.0).reshape(4, 6).bfloat16(),
            "copies": torch.ones(3, 3),
        },
    )


def test_its_description_runs_no_code(tmp_path: Path) -> None:
    folder = save(example(), tmp_path / "a")
    (folder / ".metadata").write_bytes(b"cos\nsystem\n(X" + b"\x05\x00\x00\x00" + b"touchtR.")
    assert "os.system" in refusal(folder)


def test_a_piece_outside_the_folder_is_refused(tmp_path: Path) -> None:
    def elsewhere(metadata: Any) -> None:
        for info in metadata.storage_data.values():
            info.relative_path = "../secret.distcp"

    assert "lies nowhere in this folder" in refusal(describe(save(example(), tmp_path / "a"), elsewhere))


def test_pieces_that_leave_a_hole_overlap_or_reach_beyond_are_refused(tmp_path: Path) -> None:
    def larger(metadata: Any) -> None:
        metadata.state_dict_metadata["embed.weight"].size = torch.Size((12, 4))

    def smaller(metadata: Any) -> None:
        metadata.state_dict_metadata["embed.weight"].size = torch.Size((10, 4))

    def lost(metadata: Any) -> None:
        metadata.storage_data.clear()

    def moved(metadata: Any) -> None:
        chunk = ChunkStorageMetadata(torch.Size((0, 0)), torch.Size((4, 11)))
        metadata.state_dict_metadata["embed.weight"].chunks = [chunk]
        metadata.state_dict_metadata["embed.weight"].size = torch.Size((4, 11))

    for number, (change, says) in enumerate(
        [(larger, "hold 44 of 48"), (smaller, "reaches beyond"), (lost, "hold 0 of 44"), (moved, "does not hold")]
    ):
        assert says in refusal(describe(save(example(), tmp_path / str(number)), change))


def test_a_file_of_pieces_that_is_missing_or_cut_short_is_named(tmp_path: Path) -> None:
    folder = save(example(), tmp_path / "a")
    pieces = folder / "__0_0.distcp"
    pieces.write_bytes(pieces.read_bytes()[:-900])
    assert f"{pieces} is cut short" in refusal(folder)
    pieces.unlink()
    assert refusal(folder) == f"{pieces} is not there"


def test_each_layer_of_a_stack_names_the_ranges_of_its_bytes(tmp_path: Path) -> None:
    folder = save({"model": {"decoder.layers.mlp.linear_fc1.weight": torch.ones(3, 4, 2)}}, tmp_path / "a")
    with open_weights(folder) as weights:
        assert len(weights.tensors) == 3
        for name in weights.tensors:
            ((path, _, count),) = weights.file_ranges(name)
            assert path == folder / "__0_0.distcp"
            assert count >= 3 * 4 * 2 * 4
