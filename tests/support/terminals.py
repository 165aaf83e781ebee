"""A command in a terminal of its own, of a given width: what it shows, and how soon."""

import fcntl
import os
import pty
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
    command = [sys.executable, "-m", "spectra_cli.cli", *map(str, arguments)]
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
