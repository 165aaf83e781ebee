"""The manifest beside a scan's parts: what was asked for, what is finished, where two requests differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.records import Problem


@dataclass(frozen=True)
class LayoutNotes:
    """What the tensors of a checkpoint were taken for. skipped: stored tensor and reason, sorted."""

    architecture: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckpointNotes:
    """What the metadata will say of one checkpoint, kept with its part.

    matrices: how many are in the table. duplicate_of: the revision whose entries it repeats. random: matrices on their
    random baseline. unmoved: those with the entries of the checkpoint before. as_reference: those with the entries of
    the reference. uncertain: metric and matrix of every number whose third digit the error of σ could change.
    computed_by: each route to spectra and how many it computed.
    """

    layout: LayoutNotes = LayoutNotes()
    matrices: int = 0
    duplicate_of: str | None = None
    random: tuple[str, ...] = ()
    unmoved: tuple[str, ...] = ()
    as_reference: tuple[str, ...] = ()
    uncertain: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()
    computed_by: tuple[tuple[str, int], ...] = ()

    @classmethod
    def from_json(cls, notes: Mapping[str, Any]) -> CheckpointNotes:
        """Return the notes that a manifest holds. Raises KeyError, TypeError or ValueError where they are no notes."""
        layout = notes["layout"]
        skipped = tuple((tensor, reason) for tensor, reason in layout["skipped"])
        return cls(
            LayoutNotes(layout["architecture"], skipped, tuple(layout["notes"])),
            notes["matrices"],
            notes["duplicate_of"],
            tuple(notes["random"]),
            tuple(notes["unmoved"]),
            tuple(notes["as_reference"]),
            tuple((metric, matrix) for metric, matrix in notes["uncertain"]),
            tuple(Problem(problem["message"], problem["hint"]) for problem in notes["problems"]),
            tuple((route, many) for route, many in notes["computed_by"]),
        )


@dataclass(frozen=True)
class ManifestCheckpoint:
    """A checkpoint as a scan found it. fingerprint: names, sizes and times of its files, as plain data."""

    step: int | None
    tokens: int | None
    fingerprint: Any


@dataclass(frozen=True)
class ManifestReference:
    """The checkpoint that all are compared with, as a scan found it."""

    revision: str
    fingerprint: Any


@dataclass(frozen=True)
class Manifest:
    """All that must be the same for an interrupted scan to be resumed.

    options: those that change numbers or rows. packages: versions of what makes the numbers. checkpoints: by key.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    precision: Any = None
    packages: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Mapping[str, ManifestCheckpoint] = field(default_factory=dict)
    reference: ManifestReference | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as it comes back from JSON; it is compared with an earlier one, and never read."""
        reference = self.reference and [self.reference.revision, self.reference.fingerprint]
        checkpoints = {key: [state.step, state.tokens, state.fingerprint] for key, state in self.checkpoints.items()}
        return dict(json.loads(json.dumps({**vars(self), "checkpoints": checkpoints, "reference": reference})))


@dataclass(frozen=True)
class FinishedPart:
    """The part of one finished checkpoint: its file in the folder, the file's SHA-256, and its notes."""

    file: str
    sha256: str
    notes: CheckpointNotes


def part_name(key: str) -> str:
    """Return the name of the file of a checkpoint's part: of one length, whatever characters the key holds."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] + ".parquet"


def manifest_text(manifest: Manifest, parts: Mapping[str, FinishedPart]) -> str:
    """Return manifest and finished parts, by key, as JSON that holds its own checksum."""
    body = {"request": manifest.as_json(), "parts": {key: asdict(part) for key, part in parts.items()}}
    return json.dumps({**body, "sha256": _digest_of(body)}, sort_keys=True, indent=1)


def _digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, FinishedPart]]:
    """Read what an earlier run was asked, as plain data, and what it finished.

    Raises SpectraError for a file that this tool did not write so.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        body = {"request": dict(stored["request"]), "parts": dict(stored["parts"])}
        sound = stored["sha256"] == _digest_of(body)
        sound = sound and all(part["file"] == part_name(key) for key, part in body["parts"].items())
        parts = {
            key: FinishedPart(part["file"], part["sha256"], CheckpointNotes.from_json(part["notes"]))
            for key, part in body["parts"].items()
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise SpectraError(f"{path} is damaged", hint="--restart discards what was begun there")
    return body["request"], parts


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return every place where two requests differ, with what it was and what it is now."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        return [line for key in keys for line in differences(before.get(key), now.get(key), f"{name} {key}".strip())]
    if before == now:
        return []
    files = _changed_files(before, now)
    if files:
        return [f"{name}, where {', '.join(files[:3])} changed"]
    if before is None or now is None or _is_long(before) or _is_long(now):
        return [f"{name} was {_short(before)}, is {_short(now)}"]
    return [f"{name} {_short(before)}, now {_short(now)}"]


def _changed_files(before: Any, now: Any) -> list[str]:
    """Return the files that differ between two fingerprints, lists of [name, …] somewhere in the values; else none."""
    changed = []
    for old, new in zip(*(value if isinstance(value, list) else [] for value in (before, now)), strict=False):
        if isinstance(old, list) and isinstance(new, list):
            was, are = (
                {str(file[0]): file for file in files if isinstance(file, list) and file} for files in (old, new)
            )
            changed += [name for name in sorted({*was, *are}) if was.get(name) != are.get(name)]
    return changed


def _is_long(value: object) -> bool:
    return isinstance(value, list | dict) and len(json.dumps(value)) > 80


def _short(value: object) -> str:
    if value is None:
        return "not there"
    if _is_long(value):
        return "there"
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"
