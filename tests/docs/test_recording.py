"""The picture of the demo shows what a terminal was left with, and loads nothing."""

import re

from tests.support.docs_scripts import FOLDER, docs_script

RECORDING = docs_script("recording")


def test_what_was_written_over_is_not_in_the_picture():
    written = "\x1b[?25l1 of 2\r\x1b[2K2 of 2\r\n\r\x1b[1A\x1b[2Kdone\r\n\x1b[1mnext\x1b[0m: scan\r\n"
    assert RECORDING["left"](written) == "done\n\x1b[1mnext\x1b[0m: scan\n"


def test_a_picture_is_an_svg_with_the_command_and_its_colours():
    drawn = RECORDING["picture"]("\x1b[31mred\x1b[0m")
    assert "spectra&#160;demo" in drawn
    assert re.search(r"fill: #\w{6}", drawn)


def test_the_picture_that_is_kept_loads_nothing():
    kept = (FOLDER / "demo.svg").read_text(encoding="utf-8")
    assert "unembed" in kept
    assert not re.search(r"@font-face|@import|href|url\((?!#)", kept)
