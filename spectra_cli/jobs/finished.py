"""Whether a table is what a scan would write once more, so that nothing need be computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectra_cli import sources
from spectra_cli.errors import SpectraError
from spectra_cli.measure.metadata import listed, settings
from spectra_cli.measure.plan import Plan
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import count_parts, facts_digest, read_metadata


def contents_of(plan: Plan) -> str:
    """Return a digest of the checkpoints, their steps and tokens, the same for a copy of the run."""
    every = [*plan.checkpoints, *([plan.reference] if plan.reference else [])]
    facts = [[each.key, each.step, each.tokens, sources.contents(each.path)] for each in every]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def finished_table(plan: Plan, contents: str, parts: Parts, device: str) -> Mapping[str, Any] | None:
    """Return the metadata of the table that the output is, if this request would compute it again.

    That is so where the options, what computes, and the files are the same, all checkpoints could be read, no scan was
    begun since, and the table is younger than all files that it was made of.
    """
    output: Path = parts.output
    if not output.is_file() or parts.folder.exists():
        return None
    try:
        metadata = read_metadata(output)
        whole = count_parts(output) == len(metadata.get("row_groups", ()))
    except SpectraError:
        return None
    wanted = json.loads(json.dumps({**settings(plan, device), **_identity(plan, contents)}))
    same = all(metadata.get(name) == value for name, value in wanted.items())
    sound = whole and metadata.get("sha256") == facts_digest(metadata) and not metadata.get("problems")
    return metadata if same and sound and _all_measured(plan, metadata) and _is_younger(output, plan) else None


def _identity(plan: Plan, contents: str) -> dict[str, Any]:
    reference = plan.reference.revision if plan.reference else None
    unread = [[unread.revision, unread.reason] for unread in plan.unread]
    named = {"source": plan.request.source, "model": plan.model, "reference": reference}
    return {**named, "unread": unread, "contents": contents}


def _all_measured(plan: Plan, metadata: Mapping[str, Any]) -> bool:
    lines = metadata.get("checkpoints", ())
    wanted = [listed(checkpoint, None)[:3] for checkpoint in plan.checkpoints]
    return [line[:3] for line in lines] == wanted and all(line[3] for line in lines)


def _is_younger(output: Path, plan: Plan) -> bool:
    return all(sources.last_change(each.path) < output.stat().st_mtime_ns for each in plan.checkpoints)
