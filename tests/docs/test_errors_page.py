"""The page on errors quotes what the program says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "spectra_cli").rglob("*.py"))


def test_every_message_is_one_that_the_program_has():
    messages = re.findall(r"^\| `([^`]+)` \||^- \*(.*?)\*", PAGE, re.MULTILINE)
    assert len(messages) > 16
    parts = [part.strip() for message in map("".join, messages) for part in message.split("…") if len(part) > 3]
    assert [part for part in parts if part not in CODE] == []
