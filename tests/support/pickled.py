"""Pickles written instruction by instruction, as no program writes them, and archives around them."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path


class Pickled:
    """A pickle in the making; each call adds to it and returns it."""

    def __init__(self) -> None:
        """Begin one of protocol 2."""
        self.data = bytearray(b"\x80\x02")

    def raw(self, instructions: bytes) -> Pickled:
        """Add instructions as they are."""
        self.data += instructions
        return self

    def name(self, module: str, name: str) -> Pickled:
        """Push a class or function by its name."""
        return self.raw(f"c{module}\n{name}\n".encode())

    def text(self, text: str) -> Pickled:
        """Push a text."""
        data = text.encode("utf-8", "surrogatepass")
        return self.raw(b"X" + struct.pack("<I", len(data)) + data)

    def integer(self, value: int) -> Pickled:
        """Push an integer of any size."""
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return self.raw(b"\x8b" + struct.pack("<i", len(data)) + data)

    def put(self, place: int) -> Pickled:
        """Remember what is on top."""
        return self.raw(b"r" + struct.pack("<I", place))

    def get(self, place: int) -> Pickled:
        """Push what was remembered."""
        return self.raw(b"j" + struct.pack("<I", place))

    def ints(self, values: tuple[int, ...]) -> Pickled:
        """Push a tuple of integers."""
        self.raw(b"(")
        for value in values:
            self.integer(value)
        return self.raw(b"t")

    def shared(self, place: int, depth: int, times: int = 2) -> Pickled:
        """Push a tuple that holds a tuple so many times, which holds another, …: small, and endless when written out.

        It is remembered at the place that is returned by `place + depth`.
        """
        self.raw(b")").put(place)
        for level in range(depth):
            self.raw(b"0(")
            for _ in range(times):
                self.get(place + level)
            self.raw(b"t").put(place + level + 1)
        return self

    def tensor(self, shape: tuple[int, ...], key: str = "0") -> Pickled:
        """Push a float32 tensor that fills the storage of this key."""
        stride = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        self.name("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage").name("torch", "FloatStorage")
        self.text(key).text("cpu").integer(math.prod(shape)).raw(b"tQ").integer(0).ints(shape).ints(stride)
        return self.raw(b"\x89").name("collections", "OrderedDict").raw(b")RtR")

    def end(self) -> bytes:
        """Return the whole."""
        return bytes(self.data) + b"."


def with_weights() -> Pickled:
    """Begin a dictionary that holds one matrix, model.layers.0.mlp.up_proj.weight of 12×8, beside what is added."""
    return Pickled().raw(b"}(").text("model.layers.0.mlp.up_proj.weight").tensor((12, 8))


def write_archive(path: Path, pickled: bytes, records: dict[str, bytes] | None = None) -> Path:
    """Write what torch.save would around a pickle; by default with one storage of 96 numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = struct.pack("<96f", *(math.sin(n) for n in range(96)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in (records or {"0": numbers}).items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")
    return path
