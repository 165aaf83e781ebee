"""The files of `torch.save`, zip archives and the older stream: what they hold, and the offset of each tensor.

Knows nothing of which tensors are a model's. The pickle inside is read as data (`unpickling`), never by torch.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from spectra_cli.budget import bounded, spend
from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import ITEMSIZE
from spectra_cli.weights.files import COPY_AGAIN, BoundedReader, SourceFile, Window, fill, opened, read_head
from spectra_cli.weights.formats.pickle_objects import Storage, TensorView, UnreadablePickleError
from spectra_cli.weights.formats.unpickling import read_pickle
from spectra_cli.weights.tensors.plain import PlainTensor, extent, row_by_row

ZIP_MAGIC = b"PK\x03\x04"
# The first pickle of the older stream is this number: 0x1950a86a20f9469cfc6c.
STREAM_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
EXPANDED_BYTES = 1 << 28  # the largest view of repeated entries that is read
PICKLE_BYTES = 64 * 2**20  # of what describes the tensors: that of 100,000 has 20 MB
SINGLE_BYTES = 64 * 2**10  # the same where it is one tensor, which takes some 200 bytes
RESAVE = "load it with the program that wrote it, and save the tensors alone as safetensors"


@dataclass(frozen=True)
class Record:
    """One storage in the file: its bytes, and their CRC-32 where the file states one."""

    offset: int
    nbytes: int
    crc: int | None = None


@dataclass(frozen=True)
class TorchFile:
    """What `torch.save` wrote: plain data with a `TensorView` for each tensor, and its storages' offsets."""

    source: SourceFile
    content: Any
    records: Mapping[str, Record]
    notes: tuple[str, ...] = ()


def read_torch(source: SourceFile) -> TorchFile:
    """Read all but the data of a file of `torch.save`."""
    with bounded(source):
        return _read_torch(source)


def _read_torch(source: SourceFile) -> TorchFile:
    head = read_head(source)
    if head.startswith(ZIP_MAGIC):
        with opened(source) as descriptor:
            return read_archive(source, descriptor, 0, source.size)
    if STREAM_MAGIC in head[:20]:
        with opened(source) as descriptor:
            return _read_stream(source, descriptor)
    if head.startswith(b"\x80") or b"ustar" in head[257:263]:
        raise SpectraError(f"{source} is a pickle, but not one that torch.save wrote", hint=RESAVE)
    raise SpectraError(f"{source} is not a file that torch.save wrote", hint=COPY_AGAIN)


def locate(file: TorchFile, view: TensorView) -> PlainTensor | str:
    """Find the bytes of a tensor; where they cannot hold it, the reason as text."""
    size = ITEMSIZE.get(view.dtype)
    if size is None:
        return f"torch's {printable(view.dtype)} has no element of its own"
    needed = extent(view.shape, view.stride)
    record = file.records.get(view.storage.key)
    if record is None:
        raise SpectraError(f"{file.source} lacks the data of storage {printable(view.storage.key)}", hint=COPY_AGAIN)
    stored = min(record.nbytes, view.storage.count * ITEMSIZE[view.storage.dtype])
    repeated = _count(view.shape) > needed  # an expanded view: a small file may hold one of terabytes
    if (view.offset + needed) * size > stored or (repeated and _count(view.shape) * size > EXPANDED_BYTES):
        return f"its shape needs {_count(view.shape) * size:,} bytes, its storage holds {stored:,}"
    stride = None if view.stride == row_by_row(view.shape) else view.stride
    whole = view.offset == 0 and needed * size == record.nbytes
    start, crc = record.offset + view.offset * size, record.crc if whole else None
    return PlainTensor(file.source, start, needed * size, view.shape, view.dtype, stride, crc)


def _count(shape: tuple[int, ...]) -> int:
    return extent(shape, row_by_row(shape))


def read_archive(source: SourceFile, descriptor: int, start: int, size: int, limit: int = PICKLE_BYTES) -> TorchFile:
    """Read the directory and the pickle, of at most `limit` bytes, of a zip archive of `size` bytes from `start`."""
    stream = BoundedReader(Window(descriptor, start, size))
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            prefix = _check_directory(source, entries, len(archive.infolist()), size)
            pickled = _record(source, descriptor, start, size, entries[f"{prefix}data.pkl"])
            # Not by the archive's own reading, which refuses a file that was saved without checksums.
            order = entries.get(f"{prefix}byteorder")
            order_record = _record(source, descriptor, start, size, order) if order else None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError, RuntimeError, KeyError):
        raise SpectraError(
            f"{source} is cut short or damaged: the directory at the end of the archive is not sound", hint=COPY_AGAIN
        ) from None
    if order_record and order_record.nbytes == 3 and _bytes_of(source, descriptor, order_record) == b"big":
        raise SpectraError(f"{source} was written on a big-endian machine, which is not read", hint=RESAVE)
    if pickled.nbytes > limit:
        raise SpectraError(
            f"the description of the tensors in {source} has {pickled.nbytes:,} bytes, more than any needs",
            hint=COPY_AGAIN,
        )
    content = _unpickled(source, io.BytesIO(_bytes_of(source, descriptor, pickled)))
    records = {
        name.removeprefix(f"{prefix}data/"): _record(source, descriptor, start, size, entry)
        for name, entry in entries.items()
        if name.startswith(f"{prefix}data/")
    }
    unchecked = records and all(record.crc is None for record in records.values())
    return TorchFile(source, content, records, (f"{source} holds no checksums",) if unchecked else ())


def _bytes_of(source: SourceFile, descriptor: int, record: Record) -> bytes:
    data = bytearray(record.nbytes)
    fill(descriptor, memoryview(data), record.offset, source)
    return bytes(data)


def read_single_tensor(
    name: str, source: SourceFile, descriptor: int, start: int, size: int, shape: tuple[int, ...], dtype: str
) -> PlainTensor:
    """Find the one tensor that an archive within a larger file holds; SpectraError unless of this shape and dtype."""
    file = read_archive(source, descriptor, start, size, SINGLE_BYTES)
    tensor = locate(file, file.content) if isinstance(file.content, TensorView) else "it holds something else"
    if isinstance(tensor, str) or (tensor.shape, tensor.dtype) != (shape, dtype):
        raise SpectraError(
            f"{source} does not hold, at byte {start:,}, the piece of {printable(name)} that is promised there",
            hint=COPY_AGAIN,
        )
    return tensor


def _check_directory(source: SourceFile, entries: dict[str, zipfile.ZipInfo], count: int, size: int) -> str:
    """Check what the archive's directory claims, and return the folder that all its names begin with."""
    if len(entries) < count:
        raise SpectraError(f"{source} holds two records of one name", hint=COPY_AGAIN)
    names = [name for name in entries if name.endswith("data.pkl") and name.count("/") <= 1]
    if len(names) != 1:
        raise SpectraError(f"{source} is a zip archive, but not one that torch.save wrote", hint=COPY_AGAIN)
    prefix = names[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in entries:
        raise SpectraError(f"{source} is a TorchScript program, not a file of weights", hint=RESAVE)
    for name, entry in entries.items():
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise SpectraError(
                f"{source} holds {printable(name)} compressed, which torch.save never does",
                hint="unpack the archive and zip it again without compression (zip -0)",
            )
    claimed = sum(entry.file_size for entry in entries.values())
    if claimed > size:
        raise SpectraError(f"{source} claims to unpack to {claimed:,} bytes, the file has {size:,}", hint=COPY_AGAIN)
    return prefix


def _record(source: SourceFile, descriptor: int, start: int, size: int, entry: zipfile.ZipInfo) -> Record:
    """Find a record's data: after its local header, whose length only the local header tells."""
    spend(500)
    if not 0 <= entry.header_offset <= size - 30:  # a field of 64 bits may say anything
        raise SpectraError(f"{source} is cut short before {printable(entry.filename)}", hint=COPY_AGAIN)
    header = bytearray(30)
    fill(descriptor, memoryview(header), start + entry.header_offset, source)
    if not header.startswith(ZIP_MAGIC):
        raise SpectraError(
            f"{source} is damaged: {printable(entry.filename)} is not where it should be", hint=COPY_AGAIN
        )
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    offset = entry.header_offset + 30 + lengths
    if offset + entry.file_size > size:
        raise SpectraError(f"{source} is cut short within {printable(entry.filename)}", hint=COPY_AGAIN)
    return Record(start + offset, entry.file_size, entry.CRC or None)


def _unpickled(source: SourceFile, stream: IO[bytes], storages: dict[str, Storage] | None = None) -> Any:
    try:
        return read_pickle(stream, storages)
    except UnreadablePickleError as error:
        raise SpectraError(f"the description of the tensors in {source} is refused: {error}", hint=RESAVE) from None


def _read_stream(source: SourceFile, descriptor: int) -> TorchFile:
    """Read the format before torch 1.6: five pickles, then each storage after its count of elements."""
    stream = BoundedReader(Window(descriptor, 0, source.size))
    storages: dict[str, Storage] = {}
    _, _, system, content, keys = (_unpickled(source, stream, storages) for _ in range(5))
    if not isinstance(system, dict) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise SpectraError(f"{source} is damaged: its list of storages is not one", hint=COPY_AGAIN)
    if system.get("little_endian") is False:
        raise SpectraError(f"{source} was written on a big-endian machine, which is not read", hint=RESAVE)
    records, position = {}, stream.tell()
    for key in keys:
        if key not in storages:
            raise SpectraError(
                f"{source} holds data of a kind that is not read (storage {printable(key)})", hint=RESAVE
            )
        count = bytearray(8)
        if position + 8 <= source.size:
            fill(descriptor, memoryview(count), position, source)
        nbytes = int.from_bytes(count, "little") * ITEMSIZE[storages[key].dtype]
        if position + 8 + nbytes > source.size:
            raise SpectraError(
                f"{source} is cut short: storage {printable(key)} needs {nbytes:,} bytes, "
                f"{max(0, source.size - position - 8):,} are there",
                hint=COPY_AGAIN,
            )
        records[key] = Record(position + 8, nbytes)
        position += 8 + nbytes
    return TorchFile(source, content, records)
