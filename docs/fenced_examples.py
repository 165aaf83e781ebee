"""Puts the examples of docstrings into fences for the API page, as docs/metrics_page.py does for the metrics."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def fenced(docstring: str) -> str:
    """Return a docstring with each of its examples in a fence."""
    return EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", docstring)


class FencedExamples(Extension):
    """Fences the examples of every object that griffe reads."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Fence the examples of one object."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
