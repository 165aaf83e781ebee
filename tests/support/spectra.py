"""Spectra and pairs whose numbers are known beforehand, or come from real matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.records import Pair, Spectrum

Array = NDArray[np.float64]

SPECTRA: dict[str, Spectrum] = {
    "one by one": Spectrum.of(3.0),
    "one row": Spectrum.of(3.0, rows=1, cols=7),
    "one column": Spectrum.of(0.5, rows=9, cols=1),
    "identity": Spectrum.of(*[1.0] * 6),
    "repeated": Spectrum.of(*[0.1] * 4, *[0.01] * 4, rows=8, cols=20),
    "diagonal": Spectrum.of(*range(1, 11)),
    "rank one": Spectrum.of(2.0, 0.0, 0.0, 0.0, 0.0),
    "nearly rank one": Spectrum.of(1.0, 1e-15, 1e-17, rows=3, cols=5),
    "rank deficient": Spectrum.of(3.0, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0, rows=7, cols=11),
    "rank deficient by rounding": Spectrum.of(3.0, 2.0, 1.5, 1.0, 0.5, 1e-17, 1e-18),
    "power law": Spectrum.of(*[i**-0.5 for i in range(1, 65)], rows=64, cols=256),
    "two values": Spectrum.of(2.0, 1.0),
    "three values": Spectrum.of(2.0, 1.0, 0.25),
    "zero": Spectrum.of(0.0, 0.0, 0.0),
    "subnormal": Spectrum.of(5e-323, 2.5e-323, 1.5e-323),
    "the smallest number there is": Spectrum.of(5e-324, 0.0, 0.0, 0.0),
    "tiny": Spectrum.of(*(1e-150 * np.array([4.0, 3.0, 2.0, 1.0]))),
    "huge": Spectrum.of(*(1e150 * np.array([4.0, 3.0, 2.0, 1.0]))),
    "tiny and huge": Spectrum.of(1e150, 1.0, 1e-150),
    "1e-40 and 1e30": Spectrum.of(1e30, 1e-40),
    "half precision's largest": Spectrum.of(65504.0, 65504.0, 6e-8),
    **{
        f"condition 1e{k}": Spectrum.of(*np.geomspace(1.0, 10.0**-k, 12), rows=12, cols=30)
        for k in (0, 1, 4, 8, 12, 16)
    },
    "hilbert": Spectrum.of(*np.linalg.svd(1.0 / (np.arange(8)[:, None] + np.arange(8) + 1.0), compute_uv=False)),
    **{
        f"stored as {dtype}": replace(Spectrum.of(2.0, 1.0, 0.25, 1e-3, 1e-6, 1e-9), rows=6, cols=50, dtype=dtype)
        for dtype in ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8")
    },
    "mostly subnormal in float16": replace(Spectrum.of(2e-5, 1e-5), dtype="float16"),
    "with its shuffle": replace(
        Spectrum.of(3.0, 2.0, 0.5, 0.0), rounding=1e-7, shuffled=np.array([2.0, 1.5, 1.0, 0.25])
    ),
    "equal to its shuffle": replace(Spectrum.of(3.0, 2.0), shuffled=np.array([3.0, 2.0])),
    "zero with its shuffle": replace(Spectrum.of(0.0, 0.0), shuffled=np.array([0.0, 0.0])),
    "with an error": replace(Spectrum.of(3.0, 2.0), error=1e-9),
    "ties but for rounding": replace(Spectrum.of(5.0, 4.0 + 1e-12, 4.0 + 5e-13, 4.0, 2.0, 1.0), error=1e-12),
    "all ties but for rounding": replace(Spectrum.of(*(1.0 + 1e-15 * i for i in range(9))), error=1e-14),
    "gaussian": Spectrum.of(*np.linalg.svd(np.random.default_rng(7).normal(size=(24, 40)), compute_uv=False), cols=40),
}


def spectrum_of(matrix: Array) -> Spectrum:
    return Spectrum(np.linalg.svd(matrix, compute_uv=False).astype(np.float64), *matrix.shape)


def pair_of(a: Array, b: Array, steps: int | None = 10, vectors: int = 0) -> Pair:
    """The pair of two real matrices; vectors: with so many of their singular vectors compared, none for 0."""
    distance, inner = float(np.linalg.norm(a - b)), float((a * b).sum())
    if not vectors:
        return Pair(spectrum_of(a), spectrum_of(b), inner, distance, steps)
    (u, _, vt), (w, _, zt) = (np.linalg.svd(x, full_matrices=False) for x in (a, b))
    left, right = (u.T @ w)[:vectors, :vectors], (vt @ zt.T)[:vectors, :vectors]
    return Pair(spectrum_of(a), spectrum_of(b), inner, distance, steps, left, right)


def random_pair(shape: tuple[int, int], vectors: int = 0, seed: int = 0) -> Pair:
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    return pair_of(a, b, vectors=vectors)


def diagonal_pair(a: Spectrum, b: Spectrum, steps: int | None = 10) -> Pair:
    """The pair of the diagonal matrices with these spectra, their entries in the same order."""
    distance = float(np.linalg.norm(a.sigma - b.sigma))
    return Pair(a, b, inner=float((a.sigma * b.sigma).sum()), distance=distance, steps=steps)


PAIRS: dict[str, Pair] = {
    "equal": diagonal_pair(SPECTRA["diagonal"], SPECTRA["diagonal"]),
    "scaled": diagonal_pair(Spectrum.of(2.0, 4.0, 6.0), Spectrum.of(1.0, 2.0, 3.0)),
    "rank one and identity": diagonal_pair(Spectrum.of(1.0, 0.0, 0.0), Spectrum.of(1.0, 1.0, 1.0)),
    "orthogonal": Pair(Spectrum.of(1.0), Spectrum.of(1.0), inner=0.0, distance=2**0.5, steps=1),
    "opposite": Pair(Spectrum.of(1.0, 2.0), Spectrum.of(1.0, 2.0), inner=-5.0, distance=20**0.5, steps=3),
    "a hair apart": diagonal_pair(Spectrum.of(1.0, 0.5), Spectrum.of(1.0, 0.5 + 1e-12)),
    "unknown steps": diagonal_pair(Spectrum.of(3.0, 1.0), Spectrum.of(2.0, 2.0), steps=None),
    "no steps": diagonal_pair(Spectrum.of(3.0, 1.0), Spectrum.of(2.0, 2.0), steps=0),
    "steps that restart": diagonal_pair(Spectrum.of(3.0, 1.0), Spectrum.of(2.0, 2.0), steps=-500),
    "from zero": diagonal_pair(Spectrum.of(3.0, 1.0), Spectrum.of(0.0, 0.0)),
    "both zero": diagonal_pair(Spectrum.of(0.0, 0.0), Spectrum.of(0.0, 0.0)),
    "huge": Pair(Spectrum.of(3e150, 1e150), Spectrum.of(2e150, 2e150), inner=8e300, distance=2**0.5 * 1e150),
    "tiny": Pair(Spectrum.of(3e-150, 1e-150), Spectrum.of(2e-150, 2e-150), inner=8e-300, distance=2**0.5 * 1e-150),
    "gaussian": random_pair((9, 14), vectors=4, seed=3),
    "one vector": pair_of(np.eye(3), np.eye(3)[::-1], vectors=1),
}  # fmt: skip


def spectra_of(table: pd.DataFrame) -> dict[tuple[int, str], np.ndarray]:
    """Return σ of every (step, matrix) of a table: the shares times their sum."""
    sums = table[table.metric == "nuclear_norm"].set_index(["step", "matrix"]).value
    shares = table[table.metric == "sd"].set_index(["step", "matrix"]).vector
    return {key: sums[key] * np.asarray(shares[key], dtype=float) for key in shares.index}
