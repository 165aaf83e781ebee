"""FIGURES, what the page shows as figures: where each stands, its caption, and the `spectra plot` that makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page.

    name: its id, and the kind of `spectra plot` unless `drawn_as` names another. caption: what it shows. choices:
    options of that command which follow what is chosen on the page: `metric`, `steps`, `match`, `roles`. controls:
    choices that stand above it, as id and label.
    """

    name: str
    title: str
    caption: str
    drawn_as: str = ""
    choices: tuple[str, ...] = ()
    controls: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """The kind of `spectra plot` that draws it into a file."""
        return self.drawn_as or self.name


FIGURES: tuple[PageFigure, ...] = (
    PageFigure(
        "trajectory", "Variation over training",
        "How fast the singular distribution σᵢ/Σσ moves at each step; beneath it the loss and the learning rate, where "
        "they were logged.",
    ),
    PageFigure(
        "alignment", "Spectra and weights", "Cosine of spectra and of weights to the reference checkpoint, by role."
    ),
    PageFigure(
        "course", "A metric over training", "The metric chosen above over training, mean over each role's matrices.",
        drawn_as="roles", choices=("metric",),
    ),
    PageFigure(
        "spectrum", "One matrix",
        "Each singular value's share σᵢ/Σσ against its rank i, at the step chosen (thick) and at others (thin); the "
        "last value is set apart, beneath.",
        choices=("match", "steps"), controls=(("chosen", "matrix"), ("ranks", "ranks"), ("against-first", "show")),
    ),
    PageFigure(
        "heatmap", "Layers and steps", "The metric chosen above by layer and checkpoint; each column is a checkpoint.",
        choices=("metric", "roles"), controls=(("role", "role"),),
    ),
    PageFigure(
        "profile", "A metric over depth",
        "The metric chosen above over depth, at the step chosen; faint, of a single run, at the first checkpoint.",
        choices=("metric", "steps"),
    ),
    PageFigure(
        "wave", "Compression by layer and step",
        "Compression of the stable rank, 100·(1 − R_s(t)/R_s(0)) in %, by layer and step.",
    ),
    PageFigure(
        "gradients", "Slopes over depth", "Slopes over depth of compression, α and entropy at each step."
    ),
    PageFigure(
        "timescales", "Two timescales", "How far stable rank and α still have to go to their ends."
    ),
    PageFigure("depth", "α over depth", "The exponent α over normalised depth at the last checkpoint."),
    PageFigure("asymmetry", "q and k against v and o", "How q, k, v and o spread over depth about their own means."),
    PageFigure(
        "rank1", "On a line, or only drifting",
        "Checkpoints in the plane of their first two components, and the first component's share of the variance "
        "beside what a walk with the run's own steps gives, and a persistent one; bars are 95% intervals.",
    ),
)  # fmt: skip


def page_figure(name: str) -> PageFigure:
    """Return a figure by its name."""
    return next(figure for figure in FIGURES if figure.name == name)
