"""How a table on the page was made: facts of its metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from spectra_cli.studies.inputs.runs import Run


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
