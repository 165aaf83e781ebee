"""Times a scan of a slow disk against reading it alone and against computing alone, in turn, in one run.

`python benchmarks/slow_disk.py --rate 200MB`, as root on Linux, puts checkpoints into a file system of its own on a
loop device whose reads the kernel limits to that rate, and empties the page cache before each round. It prints medians
and the ratio of the scan to the larger of the two, round by round; 1.10 is aimed at. `--without-ahead` leaves out what
reads ahead.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synthetic import SHAPES, write_checkpoint

from spectra_cli.sources import parse_size

GROUP = Path("/sys/fs/cgroup/blkio")  # of version 1; of version 2 the file is io.max
READ = """
import sys
for name in sys.argv[1:]:
    with open(name, 'rb', buffering=0) as file:
        while file.read(1 << 20):
            pass
"""
WITHOUT = "from spectra_cli.measure.read_ahead import reading_ahead; reading_ahead.__wrapped__.__defaults__ = (0,); "
SCAN = "from spectra_cli.cli import main; import sys; sys.exit(main())"


@contextmanager
def slow_disk(place: Path, nbytes: int, rate: int) -> Iterator[tuple[Path, Path]]:
    """Yield the folder of a file system on a slow device, and the group whose processes are slow."""
    image, folder = place / "image", place / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(nbytes)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    group = GROUP / f"spectra-{os.getpid()}"
    try:
        subprocess.run(["mount", device, folder], check=True)
        group.mkdir()
        number = os.stat(device).st_rdev
        limit = f"{os.major(number)}:{os.minor(number)} {rate}\n"
        (group / "blkio.throttle.read_bps_device").write_text(limit)
        yield folder, group
    finally:
        subprocess.run(["umount", folder], check=False)
        subprocess.run(["losetup", "--detach", device], check=False)
        group.rmdir()


def seconds(command: list[str], group: Path | None) -> float:
    """Run a command, slowly where a group is given, from an empty page cache, and return how long it took."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1\n")

    def join() -> None:
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    start = time.perf_counter()
    subprocess.run(command, check=True, preexec_fn=join, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def contenders(run: Path, copy: Path, place: Path, ahead: bool) -> dict[str, Callable[[Path], float]]:
    files = [str(file) for file in sorted(run.rglob("*.safetensors"))]
    start = [sys.executable, "-c", SCAN if ahead else f"{WITHOUT}{SCAN}", "scan"]
    table = ["-q", "--restart", "-o", str(place / "table.parquet")]
    warm = [sys.executable, "-c", READ, *(str(file) for file in copy.rglob("*.safetensors"))]

    def computing(_: Path) -> float:
        seconds(warm, None)
        began = time.perf_counter()
        subprocess.run([*start, str(copy), *table], check=True)
        return time.perf_counter() - began

    return {
        "reading alone": lambda group: seconds([sys.executable, "-c", READ, *files], group),
        "computing alone": computing,
        "scan": lambda group: seconds([*start, str(run), *table], group),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", default="200MB", type=parse_size)
    parser.add_argument("--shape", choices=SHAPES, default="160m")
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-ahead", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for step in range(asked.checkpoints):
            write_checkpoint(place / "run" / f"step{step}", seed=step, **SHAPES[asked.shape])
        nbytes = sum(file.stat().st_size for file in (place / "run").rglob("*") if file.is_file())
        with slow_disk(place, nbytes + nbytes // 4 + (64 << 20), asked.rate) as (folder, group):
            subprocess.run(["cp", "-r", place / "run", folder], check=True)
            some = contenders(folder / "run", place / "run", place, not asked.without_ahead)
            times: dict[str, list[float]] = {one: [] for one in some}
            for _ in range(asked.rounds):
                for one, run in some.items():
                    times[one].append(run(group))
    for one, taken in times.items():
        print(f"{one:<16} {statistics.median(taken):6.1f} s ({min(taken):.1f} … {max(taken):.1f})")
    ratios = [scan / max(reading, computing) for reading, computing, scan in zip(*times.values(), strict=True)]
    print(f"scan over the larger: {statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})")


if __name__ == "__main__":
    main()
