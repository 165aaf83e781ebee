"""A checkpoint is written whole or not at all, as transformers loads it, with a tensor or two in memory at a time."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from spectra_cli.errors import SpectraError
from spectra_cli.surgery import Description, TensorToWrite, scratch_beside, write_checkpoint

EVERY_DTYPE = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
)  # fmt: skip

# Writes a checkpoint of tensors that each take some milliseconds to make, and says when it begins.
SLOW_WRITER = """
import sys, time, torch
from pathlib import Path
from spectra_cli.surgery import Description, TensorToWrite, write_checkpoint
def make():
    time.sleep(0.002)
    return torch.ones(64, 64)
tensors = [TensorToWrite(f"w{n}", (64, 64), "float32", make) for n in range(40)]
print("ready", flush=True)
write_checkpoint(Path(sys.argv[1]), tensors, Description({}, dict, "", {}), shard_bytes=100_000)
"""


def described(**config):
    return Description(config, lambda: {"made": "of nothing"}, "# A card\n", {"tokenizer.json": b"{}"})


def of(**tensors):
    return [
        TensorToWrite(name, tuple(t.shape), str(t.dtype).removeprefix("torch."), lambda t=t: t)
        for name, t in tensors.items()
    ]


def test_every_dtype_and_shape_is_written_to_the_bit(tmp_path):
    stored = {f"t{n}": torch.arange(-3, 3).to(dtype).reshape(2, 3) for n, dtype in enumerate(EVERY_DTYPE)}
    stored |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "odd": torch.zeros(3, dtype=torch.uint8)}
    written = write_checkpoint(tmp_path / "new", of(**stored), described())
    loaded = load_file(tmp_path / "new" / "model.safetensors")
    assert loaded.keys() == stored.keys()
    for name, tensor in stored.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert loaded[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))
    assert written.nbytes == sum(tensor.nbytes for tensor in stored.values())


def test_shards_hold_every_tensor_once_and_the_index_says_where(tmp_path):
    stored = {f"w{n}": torch.full((10, 10), float(n)) for n in range(5)} | {"large": torch.ones(30, 30)}
    written = write_checkpoint(tmp_path / "new", of(**stored), described(), shard_bytes=1000)
    index = json.loads((tmp_path / "new" / "model.safetensors.index.json").read_text())
    assert written.files == tuple(f"model-{n:05}-of-00004.safetensors" for n in range(1, 5))
    assert index["metadata"] == {"total_size": 4 * (500 + 900)}
    for name, tensor in stored.items():
        assert load_file(tmp_path / "new" / index["weight_map"][name])[name].equal(tensor)


def test_what_is_no_weight_lies_beside_it(tmp_path):
    write_checkpoint(tmp_path / "new", of(w=torch.ones(2)), described(model_type="llama"))
    assert json.loads((tmp_path / "new" / "config.json").read_text()) == {"model_type": "llama"}
    assert json.loads((tmp_path / "new" / "provenance.json").read_text()) == {"made": "of nothing"}
    assert (tmp_path / "new" / "README.md").read_text() == "# A card\n"
    assert (tmp_path / "new" / "tokenizer.json").read_bytes() == b"{}"


def test_a_folder_that_is_not_empty_is_refused_and_an_empty_one_filled(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(SpectraError, match="is not empty"):
        write_checkpoint(tmp_path / "full", of(w=torch.ones(2)), described())
    (tmp_path / "empty").mkdir()
    write_checkpoint(tmp_path / "empty", of(w=torch.ones(2)), described())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


def test_what_goes_wrong_on_the_way_leaves_nothing(tmp_path):
    def fail(_=None):
        raise SpectraError("cut short", hint="copy it again")

    broken = [*of(w=torch.ones(2)), TensorToWrite("v", (2,), "float32", fail)]
    for tensors, check in ((broken, lambda _: None), (of(w=torch.ones(2)), fail)):
        with pytest.raises(SpectraError, match="cut short"):
            write_checkpoint(tmp_path / "new", tensors, described(), check=check)
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_beside_an_output_is_removed_by_the_next_one(tmp_path):
    for name in (".new.writing", ".new.candidate"):
        (tmp_path / name / "checkpoint").mkdir(parents=True)
        (tmp_path / name / "checkpoint" / "model.safetensors").write_bytes(b"half")
    with scratch_beside(tmp_path / "new", "candidate") as folder:
        assert not folder.exists()
    write_checkpoint(tmp_path / "new", of(w=torch.ones(2)), described())
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_no_room_is_said_before_anything_is_made(tmp_path):
    petabyte = TensorToWrite("w", (2**48,), "float32", lambda: pytest.fail("it was made"))
    with pytest.raises(SpectraError, match="are free there"):
        write_checkpoint(tmp_path / "new", [petabyte], described())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_folder_whole_or_absent(tmp_path):
    output, outcomes = tmp_path / "new", []
    for moment in (0.0, 0.03, 0.08, 0.15, 0.3):
        writer = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, output], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(moment)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        outcomes.append(output.exists())
        if output.exists():
            break
    assert outcomes[0] is False
    write_checkpoint(output if not output.exists() else tmp_path / "other", of(w=torch.ones(2)), described())
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    shards = list(output.glob("*.safetensors"))
    assert sum(len(load_file(shard)) for shard in shards) in (1, 40)
