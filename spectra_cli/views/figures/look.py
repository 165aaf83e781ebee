"""How a figure looks in a file: its size, its letters, its title; presets for the columns of a paper."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spectra_cli.errors import SpectraError

Spec = dict[str, Any]

INCH = 72  # pixels; a PDF of so many is an inch wide
COLUMNS = {"single": (3.25, 8.0), "double": (6.75, 9.0)}  # inches, and the size of letters that goes with them
THEMES = ("screen", "paper")
LEAST_PANEL = 96  # pixels of a panel with its axis, below which fewer stand side by side
NARROWEST, WIDEST = 150, 10_000
TRIES, SMALL_SCALES = 14, (0.05, 0.2)
LETTERS, LETTER = 12, 0.6  # their own size, and the width of one over its size
OF_ROWS, OF_COLUMNS = "vconcat", "hconcat"


@dataclass(frozen=True)
class Look:
    """What the user asked of a file. width, height: of the whole picture in pixels, 72 to an inch.

    column: of COLUMNS, a width with its size of letters. font_size: in pixels. title: None for the figure's own. theme:
    of THEMES; `paper` has neither grid nor colour behind it. dpi: of a PNG.
    """

    width: int | None = None
    height: int | None = None
    column: str | None = None
    font_size: float | None = None
    title: str | None = None
    no_title: bool = False
    theme: str = "screen"
    dpi: int | None = None

    def __post_init__(self) -> None:
        """Raise SpectraError, code 2, for a choice that cannot be."""
        for name, value, known in (("column", self.column, COLUMNS), ("theme", self.theme, THEMES)):
            if value is not None and value not in known:
                raise SpectraError(f"--{name} does not know '{value}'", hint=f"it is {' or '.join(known)}", code=2)
        limits = (("width", NARROWEST, WIDEST), ("height", 80, WIDEST), ("font_size", 4, 60), ("dpi", 36, 2400))
        for name, least, most in limits:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                option = name.replace("_", "-")
                raise SpectraError(f"--{option} {value:g} is no size", hint=f"from {least} to {most}", code=2)

    @property
    def whole_width(self) -> float | None:
        """The width asked for, None for the figure's own."""
        return self.width or (COLUMNS[self.column][0] * INCH if self.column else None)

    @property
    def letters(self) -> float | None:
        """The size of letters asked for, None for the figure's own."""
        return self.font_size or (COLUMNS[self.column][1] if self.column else None)


def looking(spec: Spec, look: Look, measure: Callable[[Spec], tuple[float, float]]) -> Spec:
    """Return a chart with the look asked for. measure: the width and height that a chart takes, in pixels."""
    spec = copy.deepcopy(spec)
    spec["config"] = configured(spec["config"], look)
    _retitle(spec, look)
    if look.whole_width:
        _reflow(spec, look.whole_width, look.letters or LETTERS)
        _fit(spec, "width", look.whole_width, lambda drawn: measure(drawn)[0])
    if look.height:
        _fit(spec, "height", look.height, lambda drawn: measure(drawn)[1])
    return spec


def configured(config: Spec, look: Look) -> Spec:
    """Return a theme with letters of the size asked for, and without what a printed page does not need."""
    config = copy.deepcopy(config)
    if look.letters:
        for part in ("axis", "legend", "header"):
            config[part] |= {"labelFontSize": look.letters, "titleFontSize": look.letters}
        config["title"] |= {"fontSize": look.letters + 2, "subtitleFontSize": look.letters}
        config["text"] |= {"fontSize": look.letters}
        config["legend"] |= {"symbolSize": 8 * look.letters}
    if look.theme == "paper":
        config["background"] = "white"
        config["axis"] |= {"grid": False, "labelColor": "black", "domainColor": "black", "tickColor": "black"}
        config["title"] |= {"subtitleColor": "black"}
    return config


def parts(spec: Spec) -> Iterator[Spec]:
    """Yield a chart and every chart in it, outermost first."""
    yield spec
    for name in (OF_ROWS, OF_COLUMNS, "concat", "layer"):
        for part in spec.get(name, ()):
            yield from parts(part)
    if "spec" in spec:
        yield from parts(spec["spec"])


def _retitle(spec: Spec, look: Look) -> None:
    if look.no_title or look.title is not None:
        for part in parts(spec):
            title = part.get("title")
            if isinstance(title, dict) and "subtitle" in title:
                title.pop("subtitle")
        spec.pop("title", None)
    if look.title is not None:
        spec["title"] = {"text": look.title}
    for part in parts(spec):
        title = part.get("title")
        if look.whole_width and isinstance(title, dict) and isinstance(title.get("subtitle"), list):
            letters = max(20, int(look.whole_width / (LETTER * (look.letters or LETTERS))))
            title["subtitle"] = textwrap.wrap(" ".join(title["subtitle"]), letters)


def _reflow(spec: Spec, width: float, letters: float) -> None:
    """Let fewer panels stand side by side where the width has no room for them, and their axes' titles take lines."""
    columns = max(1, int(width // LEAST_PANEL))
    for part in parts(spec):
        facet = part.get("encoding", {}).get("facet", {})
        for holder in (part, facet):
            if "columns" in holder:
                holder["columns"] = min(holder["columns"], columns)
                _wrap(part, int(width / holder["columns"] / (LETTER * letters)))
        if OF_COLUMNS in part and len(part[OF_COLUMNS]) > max(1, width // (2 * LEAST_PANEL)):
            part[OF_ROWS] = part.pop(OF_COLUMNS)
    spec["config"]["legend"]["columns"] = max(2, int(width // 90))


def _wrap(panel: Spec, letters: int) -> None:
    """Break the titles of the axes along x into lines of so many letters."""
    for part in parts(panel):
        axis = part.get("encoding", {}).get("x", {})
        if isinstance(axis.get("title"), str):
            axis["title"] = textwrap.wrap(axis["title"], max(8, letters - 4))


def _fit(spec: Spec, side: str, wanted: float, measure: Callable[[Spec], float]) -> None:
    """Scale the panels so that the whole takes what was asked for: axes and legends take the same at any size."""
    own = [(part, float(part[side])) for part in parts(spec) if isinstance(part.get(side), int | float)]
    tried = [(scale, _scaled(spec, side, own, scale, measure)) for scale in SMALL_SCALES]
    low = min(tried, key=lambda each: each[1])  # letters beside a tiny panel may take more than beside a small one
    if low[1] > wanted + 1:
        raise SpectraError(
            f"--{side} {wanted:.0f} has no room for this figure, whose axes, legends and title take {low[1]:.0f}",
            hint=f"give more --{side}, a smaller --font-size, --no-title, or fewer --roles", code=2,
        )  # fmt: skip
    high, scale = (float("inf"), float("inf")), 1.0
    for trial in range(TRIES):
        taken = _scaled(spec, side, own, scale, measure)
        if abs(taken - wanted) < 1:
            return
        low, high = ((scale, taken), high) if taken < wanted else (low, (scale, taken))
        scale = _between(low, high, wanted) if trial % 2 or high[0] == float("inf") else (low[0] + high[0]) / 2


def _between(low: tuple[float, float], high: tuple[float, float], wanted: float) -> float:
    """Return the scale to try next: on the line through two that bracket what is wanted, well inside them."""
    if high[0] == float("inf"):
        return low[0] * 1.5 * wanted / low[1]
    share = (wanted - low[1]) / (high[1] - low[1])
    return low[0] + min(0.95, max(0.05, share)) * (high[0] - low[0])


def _scaled(
    spec: Spec, side: str, own: list[tuple[Spec, float]], scale: float, measure: Callable[[Spec], float]
) -> float:
    for part, size in own:
        part[side] = max(1.0, size * scale)
    return measure(spec)
