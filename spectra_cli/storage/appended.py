"""A table that grows by one checkpoint at a time, of which a reader finds a whole one at any moment.

Parquet describes its row groups at the end of the file, so that nothing can be added in place. Each step writes a copy
under another name and renames it: the bytes of the row groups that are there, unchanged and not decoded, the new row
group, and a description of them all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote
from spectra_cli.storage.atomic import check_target, replace_file, temporary_name
from spectra_cli.storage.lock import LOCK, remove_folder, take_lock
from spectra_cli.storage.manifest import CheckpointNotes, differences
from spectra_cli.storage.parts import cannot_write
from spectra_cli.storage.schema import SCHEMA
from spectra_cli.storage.table import (
    METADATA_KEY,
    PARQUET,
    facts_text,
    group_facts,
    read_json_of,
    row_groups,
    write_table,
)

RESUME_KEY = b"spectra.appended"
COPIED_AT_ONCE = 2**20
MAGIC = 4  # bytes with which a Parquet file begins


@dataclass(frozen=True)
class AppendedCheckpoint:
    """A checkpoint in the table: what the metadata will say of it, and what tells that its files were replaced.

    Of its path the table keeps only where on the Hub it is. fingerprint: any text; empty where it has no files.
    """

    checkpoint: Checkpoint
    notes: CheckpointNotes
    fingerprint: str = ""

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The checkpoint as plain data without its layout, made once: it is written again with each that follows."""
        path = self.checkpoint.path
        names = {name: value for name, value in vars(self.checkpoint).items() if name != "path"}
        commit = [path.repository, path.commit, path.folder] if isinstance(path, Remote) else None
        return {**names, "commit": commit, "notes": _without_layout(self.notes), "fingerprint": self.fingerprint}


Describe = Callable[[Sequence[AppendedCheckpoint]], Mapping[str, Any]]


@dataclass
class AppendedTable:
    """A table open for appending, with a lock on it; use it in a `with` block.

    settings: plain data, what must be the same for a table that is there to be continued. describe: returns the
    metadata of a table of these checkpoints, in their order. restart: begin anew whatever is there. checkpoints: what
    the table holds; after opening, what an earlier process left, whichever way that one ended.

        with AppendedTable(path, settings, describe) as table:
            for checkpoint, rows, notes in measured:
                table.append(AppendedCheckpoint(checkpoint, notes), to_arrow(rows))

    Raises SpectraError where the file cannot be written, another process writes it, it was begun with other settings,
    or it is no table that was appended to.
    """

    path: Path
    settings: Mapping[str, Any]
    describe: Describe
    restart: bool = False
    checkpoints: list[AppendedCheckpoint] = field(default_factory=list)
    _groups: list[dict[str, Any]] = field(default_factory=list)
    _lock: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Where the lock lies: the folder that a scan of this output would use, so that only one of them writes."""
        return self.path.with_name(self.path.name + ".parts")

    def __enter__(self) -> AppendedTable:
        """Take the lock, and read what is there."""
        try:
            check_target(self.path)
            self._lock = take_lock(self.folder, self.path)
            _refuse_parts(self.folder, self.path)
            temporary_name(self.path).unlink(missing_ok=True)
            if self.path.exists() and not self.restart:
                self._load()
        except OSError as error:
            self._release()
            raise cannot_write(self.path, error) from None
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self._release()

    def append(self, checkpoint: AppendedCheckpoint, rows: pa.Table) -> None:
        """Add the rows of one checkpoint, all at once: once this returns they are on the disk, whatever ends next.

        Raises SpectraError where that is not possible; the table is then what it was.
        """
        everything, groups = [*self.checkpoints, checkpoint], [*self._groups, group_facts(rows)]
        self._replace(lambda file: self._append(file, rows, self._texts(everything, groups)))
        self.checkpoints, self._groups = everything, groups

    def keep(self, count: int) -> None:
        """Drop all but the first checkpoints; the file goes with the last of them."""
        if count >= len(self.checkpoints):
            return
        everything, groups = self.checkpoints[:count], self._groups[:count]
        if not everything:
            self.path.unlink(missing_ok=True)
        else:
            texts = self._texts(everything, groups)
            facts, resume = json.loads(texts[METADATA_KEY.decode()]), {RESUME_KEY.decode(): texts[RESUME_KEY.decode()]}
            del facts["row_groups"], facts["sha256"]
            first = islice(row_groups(self.path), count)
            self._replace(lambda file: write_table(file, first, facts, **resume))
        self.checkpoints, self._groups = everything, groups

    def describe_again(self) -> None:
        """Write the metadata anew, where what they say has changed and no checkpoint is added."""
        if self.checkpoints:
            self._replace(lambda file: self._append(file, None, self._texts(self.checkpoints, self._groups)))

    def _texts(self, checkpoints: Sequence[AppendedCheckpoint], groups: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        resume = {"settings": self.settings, **_packed(checkpoints)}
        return {
            METADATA_KEY.decode(): facts_text(self.describe(checkpoints), groups),
            RESUME_KEY.decode(): json.dumps(resume, sort_keys=True),
        }

    def _append(self, file: IO[bytes], rows: pa.Table | None, texts: Mapping[str, str]) -> int:
        """Write the whole table into a new file: its old row groups, perhaps a new one, and what describes them."""
        before = _described(self.path) if self._groups else None
        added: list[pq.FileMetaData] = []
        with (
            pa.OSFile(os.fsencode(file.name), "wb") as sink,
            pq.ParquetWriter(sink, SCHEMA, **PARQUET, metadata_collector=added) as writer,
        ):
            # The writer has put its first bytes, which every file has; the offsets it notes are the sink's own.
            if before is not None:
                _copy(self.path, _end(before), sink)
            if rows is not None:
                writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        every = [part for part in (before, *added) if part is not None and part.num_row_groups]
        file.truncate(_end(every[-1]))
        file.seek(0, os.SEEK_END)
        file.write(_description(texts, every))
        return len(self._groups)

    def _replace(self, write: Callable[[IO[bytes]], int]) -> None:
        try:
            replace_file(self.path, write)
        except OSError as error:
            refusal = cannot_write(self.path, error)
            kept = "what it holds is kept: make room, and the same command goes on from there"
            raise SpectraError(refusal.message, hint=kept if self._groups else refusal.hint) from None

    def _load(self) -> None:
        resume = read_json_of(self.path, RESUME_KEY)
        if resume is None:
            raise SpectraError(
                f"{self.path} is there, and it is not a table that grows", hint="give another -o, or --restart"
            )
        facts = read_json_of(self.path, METADATA_KEY)
        try:
            settings, self.checkpoints = resume["settings"], _unpacked(resume)
            self._groups = [dict(group) for group in facts["row_groups"]]
            whole = _described(self.path)
            sound = len(self._groups) == len(self.checkpoints) == whole.num_row_groups
            sound = sound and _end(whole) < self.path.stat().st_size
        except (KeyError, TypeError, ValueError, IndexError):
            sound = False
        if not sound:
            raise SpectraError(f"{self.path} is damaged", hint="--restart begins it anew")
        if changes := differences(settings, json.loads(json.dumps(self.settings))):
            raise SpectraError(
                f"{self.path} was begun with another request: {'; '.join(changes[:3])}",
                hint="give another -o, the same options, or --restart to begin it anew",
            )

    def _release(self) -> None:
        if self._lock is not None:
            if not _parts_of_scan(self.folder):
                remove_folder(self.folder)
            self._lock.close()
            self._lock = None


def _parts_of_scan(folder: Path) -> list[str]:
    """Return what a scan of the same output has left there."""
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def _refuse_parts(folder: Path, output: Path) -> None:
    if _parts_of_scan(folder):
        raise SpectraError(
            f"{folder} holds what an interrupted scan left", hint=f"end that scan of {output}, or give another -o"
        )


def _packed(checkpoints: Sequence[AppendedCheckpoint]) -> dict[str, Any]:
    """Return checkpoints as plain data; each layout once, since nearly all have the same."""
    layouts = list(dict.fromkeys(entry.notes.layout for entry in checkpoints))
    lines = []
    for entry in checkpoints:
        notes = {**entry.plain["notes"], "layout": layouts.index(entry.notes.layout)}
        lines.append({**entry.plain, "notes": notes})
    return {"layouts": [asdict(layout) for layout in layouts], "checkpoints": lines}


def _without_layout(notes: CheckpointNotes) -> dict[str, Any]:
    plain = {name: value for name, value in vars(notes).items() if name != "layout"}
    return {**plain, "problems": [asdict(problem) for problem in notes.problems]}


def _unpacked(data: Mapping[str, Any]) -> list[AppendedCheckpoint]:
    entries = []
    for line in data["checkpoints"]:
        where = Remote(*line["commit"]) if line["commit"] else Path(line["revision"])
        checkpoint = Checkpoint(line["model"], line["revision"], where, line["step"], line["tokens"], line["stage"])
        notes = CheckpointNotes.from_json({**line["notes"], "layout": data["layouts"][line["notes"]["layout"]]})
        entries.append(AppendedCheckpoint(checkpoint, notes, line["fingerprint"]))
    return entries


def _described(path: Path) -> pq.FileMetaData:
    with pa.OSFile(os.fsencode(path)) as source:
        return pq.read_metadata(source)


def _end(described: pq.FileMetaData) -> int:
    """Return where the data of the last row group end."""
    last = described.row_group(described.num_row_groups - 1)
    columns = (last.column(index) for index in range(last.num_columns))
    return max(
        int(column.dictionary_page_offset or column.data_page_offset) + int(column.total_compressed_size)
        for column in columns
    )


def _copy(path: Path, end: int, sink: pa.NativeFile) -> None:
    """Copy a file up to an offset into one that holds its first bytes."""
    with open(path, "rb") as file:
        file.seek(MAGIC)
        while file.tell() < end:
            data = file.read(min(COPIED_AT_ONCE, end - file.tell()))
            if not data:
                raise OSError(0, "the file shrank while it was copied")
            sink.write(data)


def _description(texts: Mapping[str, str], parts: Sequence[pq.FileMetaData]) -> bytes:
    """Return how a Parquet file ends that holds the row groups of these parts."""
    empty = pa.BufferOutputStream()
    with pq.ParquetWriter(empty, SCHEMA, **PARQUET) as writer:
        writer.add_key_value_metadata(dict(texts))
    whole = pq.read_metadata(pa.BufferReader(empty.getvalue()))
    for part in parts:
        whole.append_row_groups(part)
    end = pa.BufferOutputStream()
    whole.write_metadata_file(end)
    return bytes(end.getvalue().to_pybytes()[MAGIC:])
