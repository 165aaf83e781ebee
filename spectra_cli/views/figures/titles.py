"""Parts a chart from its titles: what a picture says in letters, a page and a caption say as text."""

from __future__ import annotations

from typing import Any


def without_titles(spec: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a chart without its titles and their sentences; panels of runs keep their runs' labels.

    As text they can be read aloud, copied and wrapped.
    """
    sentences: list[str] = []
    return _strip(spec, sentences, outermost=True), sentences


def _strip(spec: dict[str, Any], sentences: list[str], *, outermost: bool) -> dict[str, Any]:
    stripped = dict(spec)
    title = stripped.pop("title", None)
    if isinstance(title, dict):
        text = title.get("text")
        subtitle = title.get("subtitle") or []
        lines = [subtitle] if isinstance(subtitle, str) else list(subtitle)
        if lines:
            sentences.append(" ".join(lines) if outermost else f"{text}: {' '.join(lines)}")
        if not outermost:
            stripped["title"] = {"text": text}
    for name in ("hconcat", "vconcat", "concat"):
        if name in stripped:
            stripped[name] = [_strip(part, sentences, outermost=False) for part in stripped[name]]
    return stripped
