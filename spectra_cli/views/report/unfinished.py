"""What the page says of a run that goes on: that it does, and how its spectra compare with the last checkpoint seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spectra_cli.errors import printable
from spectra_cli.storage.table import count_parts, row_group, row_groups
from spectra_cli.views.figures.studied import StudiedRun

CLOSE = 0.99
COLUMNS = ("revision", "step", "matrix", "metric", "vector")
Spectra = dict[str, NDArray[np.float64]]


def unfinished(studied: StudiedRun) -> str | None:
    """Return what is said of a run that is not known to be over; None of any other."""
    if not studied.run.metadata.get("unfinished"):
        return None
    cosines = list(cosines_to_last(studied.path))
    last = studied.run.checkpoints.iloc[-1]
    said = f"The run is not known to be over; the last checkpoint seen is {_name(last['revision'], last['step'])}."
    if len(cosines) < 2:
        return said
    far = [index for index, (_, cosine) in enumerate(cosines) if not cosine >= CLOSE]
    since = cosines[far[-1] + 1 if far else 0][0]
    return (
        f"{said} Against it, the mean cosine of spectra is {CLOSE} or more from {since} on. How close the weights are "
        "to it, a scan of the saved checkpoints says."
    )


def cosines_to_last(path: Path) -> Iterator[tuple[str, float]]:
    """Yield each checkpoint with the mean cosine over matrices of its spectrum and the last checkpoint's.

    Nothing where the table has no spectra.
    """
    last = _spectra(row_group(path, count_parts(path) - 1))
    for group in row_groups(path, COLUMNS):
        spectra = _spectra(group)
        both = [_cosine(spectra[name], last[name]) for name in spectra if name in last]
        if both:
            first = group.slice(0, 1).to_pylist()[0]
            yield _name(first["revision"], first["step"]), float(np.mean(both))


def _spectra(group: pa.Table) -> Spectra:
    part = group.filter(pc.equal(group["metric"].cast(pa.string()), "sd"))
    vectors = (vector.values.to_numpy(zero_copy_only=False).astype(np.float64) for vector in part["vector"])
    return dict(zip(part["matrix"].to_pylist(), vectors, strict=True))


def _cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    with np.errstate(invalid="ignore"):
        return float(first @ second / np.sqrt((first @ first) * (second @ second)))


def _name(revision: str, step: float | None) -> str:
    return printable(revision) if step is None or np.isnan(step) else f"step {int(step):,}"
