"""A training program that writes its checkpoints in place, in small pieces, and may be killed at any moment.

    python -m tests.support.trainer_in_place SOURCE RUN NOTES

It copies the folders of SOURCE into RUN one after the other, and notes in NOTES each that is whole; one that is not is
begun anew by the next process. Nothing that takes time is imported.
"""

import sys
import time
from pathlib import Path

PIECES, PAUSE = 8, 0.004  # pieces a file, and seconds between them


def order(file: Path) -> tuple[bool, str]:
    """Configuration first, weights by their names, an index last: as transformers saves."""
    return file.name != "config.json", file.name.replace(".index", "~")


def write(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir(), key=order):
        data = file.read_bytes()
        size = len(data) // PIECES + 1
        with open(target / file.name, "wb", buffering=0) as out:
            for start in range(0, len(data), size):
                out.write(data[start : start + size])
                time.sleep(PAUSE)


def main(source: Path, run: Path, notes: Path) -> None:
    for folder in sorted(source.iterdir(), key=lambda folder: int(folder.name.removeprefix("step"))):
        if not (notes / folder.name).exists():
            write(folder, run / folder.name)
            (notes / folder.name).touch()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
