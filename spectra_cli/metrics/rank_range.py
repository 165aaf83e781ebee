"""Which ranks i the fits of ln σᵢ on ln i use. Knows no fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spectra_cli.errors import SpectraError

Bound = int | float


@dataclass(frozen=True)
class RankRange:
    """The ranks from first to last, both included: an int is a rank (1 is the largest σ), a float a share of r.

    last: None for r.
    """

    first: Bound = 1
    last: Bound | None = None

    @classmethod
    def parse(cls, text: str) -> RankRange:
        """Return the range that `a:b` names; either may be left out. One with a point is a share of r, else a rank.

        Raises SpectraError, exit code 2, where the text is no such range.

        >>> RankRange.parse("2:0.5")
        RankRange(first=2, last=0.5)
        """
        first, colon, last = text.partition(":")
        try:
            chosen = cls(_bound(first) if first else 1, _bound(last) if last else None)
        except ValueError:
            chosen, colon = cls(), ""
        if not colon or chosen.is_empty:
            raise SpectraError(
                f"{text!r} is not a range of ranks",
                hint="give a:b, ranks as in 2:100 or shares of all as in 0.05:0.5, the smaller first",
                code=2,
            )
        return chosen

    @property
    def is_empty(self) -> bool:
        """Whether no matrix has such ranks, as far as one can tell without knowing r."""
        comparable = self.last is not None and isinstance(self.first, int) == isinstance(self.last, int)
        return comparable and self.last is not None and self.first > self.last

    def of(self, r: int) -> tuple[int, int]:
        """Return the first and the last rank of a spectrum of r values, within 1…r.

        >>> RankRange(0.1, 0.5).of(64)
        (7, 32)
        """
        first = self.first if isinstance(self.first, int) else math.ceil(self.first * r)
        last = r if self.last is None else self.last if isinstance(self.last, int) else math.floor(self.last * r)
        return max(first, 1), min(last, r)

    def __str__(self) -> str:
        """Return the range as `parse` reads it.

        >>> str(RankRange(2, 0.5)), str(RankRange())
        ('2:0.5', '1:')
        """
        return f"{self.first}:{'' if self.last is None else self.last}"


ALL_RANKS = RankRange()


def _bound(text: str) -> Bound:
    value: Bound = float(text) if "." in text else int(text)
    if not (0 <= value <= 1 if isinstance(value, float) else value >= 1):
        raise ValueError(text)
    return value
