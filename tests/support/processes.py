"""Real runs of the command line, each in a process of its own: one imports, and forks for each, so they cost little."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SERVER = """
import importlib, os, sys, time
import torch, pyarrow.parquet, scipy.linalg, spectra_cli.jobs.scan, spectra_cli.studies.summary
from spectra_cli.cli import main
said, *also = sys.argv[1:]
for module in also:
    importlib.import_module(module)
print("ready", flush=True)
for line in sys.stdin:
    *arguments, seconds, signal = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{said}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = main(arguments)
        sys.stderr.flush()
        os._exit(code)
    end, status = time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.002)
    else:
        os.kill(pid, int(signal))  # where it is done by now, it is still ours to wait for
        _, status, used = os.wait4(pid, 0)
    print(os.waitstatus_to_exitcode(status), used.ru_maxrss, flush=True)
"""


class Ran(NamedTuple):
    """What a process gave back; code is minus the signal that ended it. peak: resident memory in MB."""

    code: int
    out: str
    err: str
    peak: float


class CommandLine:
    """Runs `spectra` from `main` on, with the imports done. Use it in a `with` block. also: more modules to import."""

    def __init__(self, also=()):
        self.also = also

    def __enter__(self):
        self.said = tempfile.TemporaryDirectory()
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER, self.said.name, *self.also],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.server.stdout.readline() == "ready\n"
        return self

    def run(self, *arguments, within=30.0, signal=9):
        """Run one command; send it a signal when it is not done within so many seconds."""
        self.server.stdin.write("\t".join(map(str, [*arguments, within, signal])) + "\n")
        self.server.stdin.flush()
        code, peak = self.server.stdout.readline().split()
        out, err = (Path(self.said.name, name).read_text() for name in ("out", "err"))
        return Ran(int(code), out, err, int(peak) / 1024)

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(30)
        self.server.stdout.close()
        self.said.cleanup()
