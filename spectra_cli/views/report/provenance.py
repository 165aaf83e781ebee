"""How a table on the page was made: facts of its metadata, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from spectra_cli.studies.inputs.runs import Run

OPTIONS = ("revisions", "steps", "roles", "layers", "match", "reference", "vectors", "alpha_range", "arch")


def provenance(run: Run, matrices: int) -> list[tuple[str, object]]:
    """Return the facts of one table by name. matrices: how many it holds."""
    metadata, points = run.metadata, run.checkpoints
    packages = metadata.get("packages", {})
    facts: list[tuple[str, object]] = [
        ("model", metadata.get("model")),
        ("source", metadata.get("source")),
        ("checkpoints", f"{len(points)}, {points['revision'].iloc[0]} to {points['revision'].iloc[-1]}"),
        ("matrices", matrices),
        ("compared with", metadata.get("reference") or "nothing: one checkpoint"),
        ("computed on", f"{metadata.get('device')}, {metadata.get('precision')}"),
        ("made with", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("skipped", _skipped(metadata)),
    ]
    repeats = metadata.get("duplicates") or {}
    if repeats:
        facts.append(("identical weights", ", ".join(f"{name} repeats {other}" for name, other in repeats.items())))
    return facts + [(name, len(metadata[name])) for name in ("problems", "unread") if metadata.get(name)]


def _skipped(metadata: Mapping[str, Any]) -> str:
    reasons = Counter(str(reason) for _, reason in metadata.get("skipped", ()))
    return ", ".join(f"{count} × {reason}" for reason, count in reasons.items()) or "nothing"


def scan_command(run: Run) -> str:
    """Return the command that made a table, with the options that change numbers."""
    words = ["spectra", "scan", str(run.metadata.get("source")), "-o", f"{run.label}.parquet"]
    options = run.metadata.get("options", {})
    for name in OPTIONS:
        value = options.get(name)
        for part in (value or ()) if name == "revisions" else (value,):
            if part:
                shown = ",".join(map(str, part)) if isinstance(part, list) else str(part)
                words += [f"--{name.replace('_', '-')}", shown]
    return shlex.join([*words, *(["--fused"] if options.get("fused") else [])])
