"""Runs a command in a terminal and writes what it leaves on the screen as an SVG: `python docs/recording.py`.

The picture in README is of `spectra demo`. It says what a run on this machine said; make it anew when that changes.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 100, 50
COMMAND = ("spectra", "demo")
PICTURE = Path(__file__).parent / "demo.svg"
FONT = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)  # of the web: the reader's own monospaced font serves
CURSOR = re.compile(r"\x1b\[\?25[hl]")


def screen(folder: Path) -> str:
    """Return what the command leaves on a terminal, with its colours. Raises OSError where it cannot be run."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
        os.execv(sys.executable, [sys.executable, "-m", "spectra_cli", *COMMAND[1:]])  # noqa: S606 - itself
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    written = b""
    while piece := _read(terminal):
        written += piece
    os.waitpid(child, 0)
    return left(written.decode())


def left(written: str) -> str:
    """Return the lines that remain when each was written over: cleared, or gone back to.

    >>> left("1 of 2\\r\\x1b[2K2 of 2\\r\\n\\r\\x1b[1A\\x1b[2Kdone\\r\\n")
    'done\\n'
    """
    lines: list[str] = []
    for line in CURSOR.sub("", written).replace("\r\n", "\n").split("\n"):
        del lines[len(lines) - line.count("\x1b[1A") :]
        lines.append(line.rpartition("\x1b[2K")[2].lstrip("\r"))
    return "\n".join(lines)


def picture(text: str) -> str:
    """Return a terminal that shows the command and this text."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, color_system="truecolor", force_terminal=True)
        console.print(Text(f"$ {' '.join(COMMAND)}", style="bold"))
        console.print(Text.from_ansi(text))
    return FONT.sub("", console.export_svg(title="spectra", unique_id="demo"))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the command has ended
        return b""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(picture(screen(Path(folder))), encoding="utf-8")
