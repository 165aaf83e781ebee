"""Reads the user's map: what a CSV file says of names that no pattern reads. Knows nothing of what the names are of."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.sources.names import LARGEST, Name, read_name

LONGEST = 4096  # signs of a name
FORM = "revision,step[,tokens,stage]"


@dataclass(frozen=True)
class StepMap:
    """What a map says, line by line: a revision, a path or a shell pattern, and its name; step None: as it says itself.

    A full name counts before a pattern, and of equal ones the first.
    """

    lines: tuple[tuple[str, Name], ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages in the order in which the map first names them."""
        return tuple(dict.fromkeys(name.stage for _, name in self.lines if name.stage))

    def name_of(self, *called: str) -> Name | None:
        """Return what the map says of a checkpoint that may be called by any of these; None where it says nothing.

        >>> StepMap((("runs/odd.pt", Name(7)), ("sft-*", Name(stage="sft")))).name_of("sft-checkpoint-9")
        Name(step=9, tokens=None, stage='sft', seed=None, prefix='')
        """
        for matches in (_is_it, _fits):
            for line, name in self.lines:
                if any(matches(text, line) for text in called):
                    return _filled(name, called)
        return None

    def unused(self, called: Sequence[str]) -> Iterator[str]:
        """Yield the lines that speak of none of these checkpoints."""
        for line, _ in self.lines:
            if not any(_is_it(text, line) or _fits(text, line) for text in called):
                yield line


def _is_it(called: str, line: str) -> bool:
    """Whether a line names a checkpoint, perhaps by a longer path."""
    return line == called or line.endswith(f"/{called}")


def _fits(called: str, line: str) -> bool:
    """Whether a line is a pattern that a name fits."""
    return fnmatchcase(called, line)


def _filled(name: Name, called: Sequence[str]) -> Name:
    """Return what a line says, with the step and tokens that the name itself says where the line says none."""
    if name.step is not None:
        return name
    own = next((read for text in called if (read := read_name(text)).step is not None), Name())
    return replace(name, step=own.step, tokens=own.tokens if name.tokens is None else name.tokens)


def read_mapping(path: Path) -> StepMap:
    """Return what a CSV file of `revision,step[,tokens,stage]` says of each revision; a header line is allowed.

    Raises SpectraError, naming the line, where it is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise SpectraError(f"{path} cannot be read", hint=f"--map takes a CSV file: {FORM}") from None
    lines: list[tuple[str, Name]] = []
    for number, line in enumerate(_rows(path, text), 1):
        cells = [cell.strip() for cell in line]
        if not any(cells) or (number == 1 and cells[1:2] == ["step"]):
            continue
        try:
            lines.append(_line(cells))
        except (IndexError, ValueError):
            raise SpectraError(
                f"{path}, line {number} is not {FORM}",
                hint="steps and tokens are whole numbers; a line without a step must give a stage, as in sft-*,,,sft",
            ) from None
    return StepMap(tuple(lines))


def _rows(path: Path, text: str) -> Iterator[list[str]]:
    """Yield the lines of a CSV text. Raises SpectraError where it is none."""
    try:
        yield from csv.reader(text.splitlines())
    except csv.Error:
        raise SpectraError(f"{path} is no CSV file", hint=f"--map takes {FORM}") from None


def _line(cells: list[str]) -> tuple[str, Name]:
    """Return what one line says. Raises IndexError or ValueError where it says nothing."""
    stage = cells[3] if len(cells) > 3 and cells[3] else None
    if stage is None or cells[1]:
        step: int | None = _whole(cells[1])
    else:
        step = None
    tokens = _whole(cells[2]) if len(cells) > 2 and cells[2] else None
    if len(stage or "") > LONGEST or len(cells[0]) > LONGEST:
        raise ValueError
    return cells[0].strip("/"), Name(step, tokens, stage)


def _whole(text: str) -> int:
    """Return a whole number that a table can hold. Raises ValueError for anything else."""
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > LARGEST:
        raise ValueError
    return int(text)
