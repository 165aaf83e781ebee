"""Every bad input in one table: two lines, the right code, no traceback, no file, within bounds of time and memory.

Each is the only checkpoint of a scan in a process of its own. What each says is tested next to its reader, in
`tests/weights`; here it is that nothing else happens.
"""

import json
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tests.support import runs
from tests.support.processes import CommandLine

SECONDS = 30
MEGABYTES = 400  # beyond what the imports take: bounds on headers are bounds on memory


def safetensors(folder, header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    if size is not None:
        os.truncate(path, 8 + len(text) + size)  # the rest is a hole: it takes no disk


def entry(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def write_sound_checkpoint(folder):
    save_file(runs.neox_tensors(1), folder / "model.safetensors")


def with_config(text):
    def make(folder):
        write_sound_checkpoint(folder)
        (folder / "config.json").write_text(text)

    return make


def index(target):
    def make(folder):
        write_sound_checkpoint(folder)
        os.rename(folder / "model.safetensors", folder.parent / "outside.safetensors")
        where = target.replace("OUTSIDE", str(folder.parent / "outside.safetensors"))
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": where}}))

    return make


def link(target):
    def make(folder):
        (folder.parent / "outside.safetensors").write_bytes(b"secret")
        (folder / "model.safetensors").symlink_to(target)

    return make


def torch_zip(change):
    """An archive of torch.save whose records `change` has had its way with."""

    def make(folder):
        path = folder / "pytorch_model.bin"
        torch.save({"a": torch.ones(64, 64)}, path)
        with zipfile.ZipFile(path) as archive:
            records = {record.filename: archive.read(record) for record in archive.infolist()}
        kind = zipfile.ZIP_DEFLATED if change == "deflate" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, data in records.items():
                archive.writestr(name, data if change == "deflate" or "data.pkl" not in name else change)

    return make


class Runs:
    """A pickle of it calls os.system, which would leave a file."""

    def __reduce__(self):
        return (os.system, ("touch /tmp/spectra-was-here",))


def with_file(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def write_zip_bomb(folder):
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(folder / "x", "w"):
            pass
        archive.writestr("archive/data.pkl", bytes(200 * 2**20))


def many_tensors(count):
    return lambda folder: safetensors(folder, {f"t{i}": entry([0, 1], 0, 0) for i in range(count)})


def write_hole(path, size):
    path.touch()
    os.truncate(path, size)


INPUTS = {
    # name: what makes it
    "nothing there": lambda folder: folder.rmdir(),
    "an empty folder": lambda _: None,
    "an empty file": with_file("model.safetensors", b""),
    "seven bytes": with_file("model.safetensors", b"1234567"),
    "a Git LFS pointer": with_file("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n"),
    "a web page": with_file("pytorch_model.bin", b"<!DOCTYPE html><html>404"),
    "random bytes": with_file("model.safetensors", bytes(range(256)) * 64),
    "a header of 2^60 bytes": with_file("model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
    "a header of 90 MB": lambda folder: write_hole(folder / "model.safetensors", 2**30),
    "a header that nests deep": lambda folder: safetensors(folder, b"[" * 900_000),
    "a header of a million tensors": many_tensors(1_000_000),
    "a header with one name twice": lambda folder: safetensors(folder, b'{"a": {}, "a": {}}'),
    "an unknown dtype": lambda folder: safetensors(folder, {"a": entry([2, 2], 0, 16, "F31")}, bytes(16)),
    "offsets before the data": lambda folder: safetensors(folder, {"a": entry([2, 2], -16, 0)}, bytes(16)),
    "offsets behind the data": lambda folder: safetensors(folder, {"a": entry([2, 2], 0, 2**62)}, bytes(16)),
    "a shape that does not fit": lambda folder: safetensors(folder, {"a": entry([2**31] * 2, 0, 16)}, bytes(16)),
    "a negative shape": lambda folder: safetensors(folder, {"a": entry([-2, -2], 0, 16)}, bytes(16)),
    "a tensor of 4 TB in a hole": lambda folder: safetensors(folder, {"a": entry([2**20] * 2, 0, 2**42)}, size=2**42),
    "no tensor at all": lambda folder: safetensors(folder, {}),
    "tensors without entries": lambda folder: safetensors(folder, {"a": entry([0, 5], 0, 0)}),
    "vectors only": lambda folder: save_file({"a": torch.ones(4)}, folder / "model.safetensors"),
    "a named pipe": lambda folder: os.mkfifo(folder / "model.safetensors"),
    "a folder in its place": lambda folder: (folder / "pytorch_model.bin").mkdir(),
    "a link to a device": link("/dev/zero"),
    "a link that leads out": link("../outside.safetensors"),
    "a link to itself": link("model.safetensors"),
    "a link to nothing": link("lost"),
    "an index that leads out": index("../outside.safetensors"),
    "an index with a whole path": index("OUTSIDE"),
    "an index of a device": index("/dev/zero"),
    "an index of control characters": index("\x1b[31m\x00\n"),
    "an index that is a list": with_file("model.safetensors.index.json", b"[]"),
    "an index of numbers": with_file("model.safetensors.index.json", b'{"weight_map": {"a": 1}}'),
    "a configuration that nests deep": with_config("[" * 900_000),
    "a configuration that is cut": with_config('{"model_type": "gpt_ne'),
    "a configuration of 10 GB": lambda folder: (
        write_sound_checkpoint(folder),
        write_hole(folder / "config.json", 10 * 2**30),
    ),
    "a configuration of a long number": with_config('{"hidden_size": ' + "9" * 10_000 + "}"),
    "a configuration that contradicts the weights": with_config(json.dumps({**runs.CONFIG, "num_attention_heads": 7})),
    "heads of a huge number": with_config(json.dumps({**runs.CONFIG, "num_attention_heads": 2**70})),
    "a pickle that runs a command": torch_zip(pickle.dumps({"a": Runs()}, 2)),
    "a pickle by itself": with_file("pytorch_model.bin", pickle.dumps({"a": Runs()}, 2)),
    "a pickle that is deep": torch_zip(b"\x80\x02" + b"(" * 1_000_000 + b"."),
    "a pickle that doubles itself": torch_zip(b"\x80\x02]q\x00" + b"(h\x00h\x00lq\x00" * 200 + b"."),
    "a pickle that claims a long text": torch_zip(b"\x80\x02X\xff\xff\xff\x7f."),
    "compressed records": torch_zip("deflate"),
    "a bomb": write_zip_bomb,
    "an archive cut short": lambda folder: (torch_zip(b"")(folder), os.truncate(folder / "pytorch_model.bin", 700)),
    "a stream cut short": with_file(
        "pytorch_model.bin", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    ),
}


@pytest.fixture(scope="module")
def command_line():
    with CommandLine() as started:
        yield started


@pytest.fixture(scope="module")
def imports(command_line):
    """The memory of a command that reads nothing."""
    return command_line.run("metrics", "sd").peak


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_it_is_refused_in_two_lines_and_leaves_nothing(command_line, imports, tmp_path, name):
    folder = tmp_path / "bad" / "step1"
    folder.mkdir(parents=True)
    INPUTS[name](folder)
    (tmp_path / "out").mkdir()
    result = command_line.run("scan", folder, "-o", tmp_path / "out" / "a.parquet", "-q", within=SECONDS)
    assert result.code == 1, result
    what, todo = result.err.splitlines()
    assert what.startswith("spectra: ")
    assert todo.startswith("  ")
    assert all(character.isprintable() for character in what + todo)
    assert result.out == ""
    assert list((tmp_path / "out").iterdir()) == []
    assert result.peak < imports + MEGABYTES
    assert not os.path.exists("/tmp/spectra-was-here")
