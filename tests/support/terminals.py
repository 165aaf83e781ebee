"""A command in a terminal of its own, of a given width: what it shows, and how soon."""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path
from typing import NamedTuple


class Shown(NamedTuple):
    """What a terminal got. code: of the command. first: processor time until something was shown, in seconds."""

    code: int
    screen: str
    first: float


def in_terminal(*arguments: object, width: int) -> Shown:
    """Run the command line in a terminal of so many columns."""
    command = [sys.executable, "-m", "spectra_cli", *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(width)}
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    screen, first = b"", None
    while piece := _read(terminal):
        first = _processor_time(child) if first is None else first
        screen += piece
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return Shown(os.waitstatus_to_exitcode(status), screen.decode(), first or 0.0)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""


def _processor_time(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class TerminalText(io.TextIOWrapper):
    """Standard output or error of this process as a terminal would take it: nothing is left out, colours neither."""

    def __init__(self) -> None:
        """Open it empty."""
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        """It is one."""
        return True


def screen_of(written: str) -> str:
    """What a terminal shows in the end: without colours, and without lines that were drawn over."""
    lines, row, column = [""], 0, 0
    for piece in re.split(r"(\x1b\[[\d;?]*[A-Za-z]|[\r\n])", written):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif re.fullmatch(r"\x1b\[\d*A", piece):
            row = max(0, row - int(piece[2:-1] or 1))
        elif re.fullmatch(r"\x1b\[2?K", piece):
            lines[row] = ""
        elif not piece.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            column += len(piece)
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"
