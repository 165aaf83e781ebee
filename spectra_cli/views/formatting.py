"""Numbers, sizes, times and lists of names, short to read and safe to print."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spectra_cli.errors import printable


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, small and large ones with a short exponent.

    >>> [number(x) for x in (0.000812, 58.41, 3, 1e7, -0.25, float("nan"))]
    ['8.12e-4', '58.4', '3.00', '1.00e7', '−0.250', 'nan']
    """
    if value is None:
        return "–"
    if value < 0:
        return f"−{number(-value, digits)}"
    if not math.isfinite(value):
        return str(value)
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    leading = 0 if whole or value == 0 else -math.floor(math.log10(abs(value))) - 1
    return f"{value:.{max(0, digits - whole + leading)}f}"


def span_of_ratio(low: float, high: float, digits: int = 2) -> str:
    """Return the interval of a ratio; an end that would read as 1, but is not, has more digits, so that 1 is in or out.

    >>> span_of_ratio(0.5, 2.0), span_of_ratio(1.004, 8.9)
    ('0.50 … 2.0', '1.004 … 8.9')
    """
    return f"{beside_one(low, digits)} … {beside_one(high, digits)}"


def beside_one(value: float, digits: int) -> str:
    """Return a ratio with so many digits, with more where it would read as 1 and is not.

    >>> beside_one(1.0004, 3), beside_one(1.0, 3)
    ('1.0004', '1.00')
    """
    enough = (some for some in range(digits, 8) if value == 1 or float(f"{value:.{some - 1}e}") != 1)
    return number(value, next(enough, 8))


def hundredths(value: float) -> str:
    """Return a number with two decimals, such as an exponent; with more where it is small, so that its sign is seen.

    >>> hundredths(-0.254), hundredths(-0.0012), hundredths(0.0)
    ('−0.25', '−0.0012', '0.00')
    """
    small = 0 < abs(value) < 0.005
    return number(value, 2) if small else f"{value:.2f}".replace("-", "−")


def size(count: float) -> str:
    """Return a number of bytes with its unit.

    >>> size(2_519_128)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Return a time in seconds, in words.

    >>> [duration(s) for s in (0.4, 95, 9000)]
    ['under a second', '1 min 35 s', '2 h 30 min']
    """
    if seconds < 1:
        return "under a second"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """Return how many of something there are, in words.

    >>> count(1, "matrix", "matrices"), count(2200, "row")
    ('1 matrix', '2,200 rows')
    """
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"


def ellipsis(names: list[str], most: int = 3) -> str:
    """Return the first few of a list of names from a file.

    >>> ellipsis(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    shown = ", ".join(printable(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def fitting(parts: Sequence[str], width: int) -> str:
    """Return on one line as many of the parts as there is room for: the first always, and of the others while they fit.

    >>> fitting(["checkpoint 3 of 14", "2 min left", "8.1 matrices/s"], 32)
    'checkpoint 3 of 14 · 2 min left'
    """
    line, *rest = parts
    for part in rest:
        if part and len(line) + len(part) + 3 <= width:
            line = f"{line} · {part}"
    return line
