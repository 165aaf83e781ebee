"""The manifest beside a scan's parts: what was asked, what is finished, where two requests differ. Knows no option."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError

Entries = dict[str, dict[str, Any]]


def part_name(key: str) -> str:
    """Name the file of a checkpoint's part: of one length, whatever characters the key holds."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] + ".parquet"


def manifest_text(request: Mapping[str, Any], entries: Mapping[str, Any]) -> str:
    """Give the manifest as JSON that holds its own checksum. entries: by key, a part's file, checksum and notes."""
    body = {"request": request, "parts": entries}
    return json.dumps({**body, "sha256": _digest_of(body)}, sort_keys=True, indent=1)


def _digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> tuple[dict[str, Any], Entries]:
    """Read what an earlier run was asked and what it finished; refuse a file that this tool did not write so."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        body = {"request": dict(kept["request"]), "parts": dict(kept["parts"])}
        sound = kept["sha256"] == _digest_of(body)
        sound = sound and all(entry["file"] == part_name(key) for key, entry in body["parts"].items())
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise SpectraError(f"{path} is damaged", hint="--restart discards what was begun there")
    return body["request"], body["parts"]


def differences(was: Any, now: Any, name: str = "") -> list[str]:
    """Name every place where two requests differ, with what it was and what it is now."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = sorted({*was, *now})
        return [one for key in keys for one in differences(was.get(key), now.get(key), f"{name} {key}".strip())]
    if was == now:
        return []
    files = _changed_files(was, now)
    if files:
        return [f"{name}, where {', '.join(files[:3])} changed"]
    if was is None or now is None or _is_long(was) or _is_long(now):
        return [f"{name} was {_short(was)}, is {_short(now)}"]
    return [f"{name} {_short(was)}, now {_short(now)}"]


def _changed_files(was: Any, now: Any) -> list[str]:
    """Name the files that differ between two fingerprints, lists of [name, …] somewhere in the values; else none."""
    found = []
    for old, new in zip(*(one if isinstance(one, list) else [] for one in (was, now)), strict=False):
        if isinstance(old, list) and isinstance(new, list):
            before, after = ({str(one[0]): one for one in side if isinstance(one, list) and one} for side in (old, new))
            found += [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return found


def _is_long(value: object) -> bool:
    return isinstance(value, list | dict) and len(json.dumps(value)) > 80


def _short(value: object) -> str:
    if value is None:
        return "not there"
    if _is_long(value):
        return "there"
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"
