"""The path of a newcomer leaves out what it says, and nothing else; .ci/run walks it."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEWCOMER = runpy.run_path(str(ROOT / ".ci" / "newcomer.py"))


@pytest.mark.parametrize("page", NEWCOMER["PAGES"])
def test_what_needs_the_network_is_marked_and_left_out(page):
    commands = [code for _, code in NEWCOMER["BLOCK"].findall((ROOT / page).read_text(encoding="utf-8"))]
    marked = [code for code in commands if code.startswith(NEWCOMER["NETWORK"])]
    assert marked == [code for code in commands if "hf:" in code]
    path = NEWCOMER["script"]()
    assert [code for code in commands if code not in path] == [
        code for code in commands if code in marked or "pytest" in code
    ]


def test_ci_walks_the_path():
    assert ".ci/newcomer.py" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
