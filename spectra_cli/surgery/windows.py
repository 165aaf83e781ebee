"""Which checkpoints of a run a merge takes: the last ones, so many or over so many steps or tokens. Reads no file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Checkpoint

Unit = Literal["checkpoints", "steps", "tokens"]

MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
EXTENT = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([kmbt]?)\s*(checkpoints|steps|tokens)?\s*", re.IGNORECASE)
POSITION: dict[Unit, Callable[[Checkpoint], int | None]] = {
    "steps": lambda checkpoint: checkpoint.step,
    "tokens": lambda checkpoint: checkpoint.tokens,
}


@dataclass(frozen=True)
class Extent:
    """How far something reaches along a run. text: as it was written."""

    amount: int
    unit: Unit
    text: str

    @classmethod
    def parse(cls, text: str, option: str) -> Extent:
        """Read `5`, `5000steps` or `20Btokens`. option: what an error calls it. Raises SpectraError, code 2.

        >>> Extent.parse("5", "--window").unit, Extent.parse("1.5B tokens", "--window").amount
        ('checkpoints', 1500000000)
        """
        match = EXTENT.fullmatch(text)
        amount = float(match[1]) * MULTIPLES[match[2].lower()] if match else 0.0
        if not match or amount < 1 or amount != int(amount):
            raise SpectraError(
                f"{option} '{printable(text)}' is no number of checkpoints, steps or tokens",
                hint="write 5, 5000steps or 20Btokens", code=2,
            )  # fmt: skip
        unit: Unit = match[3].lower() if match[3] else "checkpoints"  # type: ignore[assignment]
        return cls(int(amount), unit, text.strip())


@dataclass(frozen=True)
class Run:
    """Checkpoints of a run, in order, so far apart as was asked. window: how many of the last are averaged."""

    checkpoints: tuple[Checkpoint, ...]
    window: int

    @property
    def is_even(self) -> bool:
        """Whether the saves are equally far apart, as far as their steps are known."""
        steps = [checkpoint.step for checkpoint in self.checkpoints if checkpoint.step is not None]
        gaps = {later - earlier for earlier, later in zip(steps, steps[1:], strict=False)}
        return len(gaps) < 2


def choose_run(checkpoints: Sequence[Checkpoint], window: Extent, spacing: Extent, *, beyond: int = 0) -> Run:
    """Return the checkpoints that are so far apart, the last among them, and the size of the window at their end.

    beyond: how many checkpoints there must be before the window. Raises SpectraError, code 2, where the run is shorter.
    """
    kept = _spaced(checkpoints, spacing)
    size = _window_size(kept, window)
    if size + beyond > len(kept):
        besides = f" and {beyond} before it" if beyond else ""
        there = f"{len(kept)} checkpoints" + (f", every {spacing.text} of them" if spacing.amount > 1 else "")
        raise SpectraError(
            f"a window of {size}{besides} is longer than the run, which has {there}",
            hint=f"give --window {len(kept) - beyond} or less" if len(kept) > beyond else "give a longer run",
            code=2,
        )
    return Run(kept, size)


def _spaced(checkpoints: Sequence[Checkpoint], spacing: Extent) -> tuple[Checkpoint, ...]:
    """Return the last checkpoint, and before it those that are at least so far from the next one that is taken."""
    if spacing.unit == "checkpoints":
        return tuple(checkpoints[:: -spacing.amount][::-1])
    positions = _positions(checkpoints, spacing, "--spacing")
    kept = [len(checkpoints) - 1]
    for index in range(len(checkpoints) - 2, -1, -1):
        if positions[kept[-1]] - positions[index] >= spacing.amount:
            kept.append(index)
    return tuple(checkpoints[index] for index in reversed(kept))


def _window_size(checkpoints: Sequence[Checkpoint], window: Extent) -> int:
    """Return how many of the last checkpoints lie within the window, which is open at its beginning."""
    if window.unit == "checkpoints":
        return window.amount
    positions = _positions(checkpoints, window, "--window")
    begin = positions[-1] - window.amount
    if begin < positions[0] - (positions[1] - positions[0] if len(positions) > 1 else 0):
        raise SpectraError(
            f"a window of {printable(window.text)} is longer than the run, which has {window.unit} "
            f"{positions[0]:,} to {positions[-1]:,}",
            hint=f"give a --window of at most {positions[-1] - positions[0]}{window.unit}", code=2,
        )  # fmt: skip
    return sum(position > begin for position in positions)


def _positions(checkpoints: Sequence[Checkpoint], extent: Extent, option: str) -> list[int]:
    positions = [POSITION[extent.unit](checkpoint) for checkpoint in checkpoints]
    unknown = next((c for c, position in zip(checkpoints, positions, strict=True) if position is None), None)
    if unknown is not None:
        give = "--tokens-per-step, or count checkpoints" if extent.unit == "tokens" else "steps with --map"
        raise SpectraError(
            f"{option} {printable(extent.text)}: the {extent.unit} of {printable(unknown.revision)} are not known",
            hint=f"give {give}", code=2,
        )  # fmt: skip
    return [position for position in positions if position is not None]
