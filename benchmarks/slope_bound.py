"""How often any test could find a slope over depth that knows not how alike neighbouring layers are.

    python -m benchmarks.slope_bound

prints, for slopes (power 1) and curvatures (power 2) of five standard errors in independent noise, how often in a
hundred the study finds them, and a bound: Neyman and Pearson's test of that very slope, either way, in independent
noise against no slope in noise of one correlation, where neither level nor scale are known. The study must hold at
every correlation up to a random walk, and so cannot be better than the least of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from spectra_cli.studies.regression import correlated, estimate

Array = NDArray[np.float64]

ERRORS, SERIES, SIZE = 5.0, 2000, 0.05
AGAINST = (0.0, 0.75, 0.92, 0.97, 1.0)
SCALES = np.linspace(0.0, 30.0, 3000)[1:, None]


def designs(layers: int, power: int) -> tuple[Array, Array]:
    """Return the columns of a polynomial over depth, (n, power + 1), and what the last one's five errors do, (n,)."""
    columns = np.vander(np.arange(layers) / (layers - 1), power + 1, increasing=True)
    return columns, ERRORS * float(np.linalg.norm(np.linalg.pinv(columns)[-1])) * columns[:, -1]


def covariance(layers: int, correlation: float) -> Array:
    """Return that of the noise, (n, n)."""
    index = np.arange(layers)
    if correlation >= 1:
        return np.minimum.outer(index, index) + 1.0
    return np.asarray(correlation ** np.abs(np.subtract.outer(index, index)), dtype=np.float64)


def likelihoods(series: Array, among: Array, correlation: float, shift: Array | None) -> Array:
    """Return ln likelihood, up to a constant, of directions of series without what `among` spans, (columns,).

    shift: added or taken away, alike likely; in units of the noise, whose scale is integrated over.
    """
    rest = np.linalg.qr(among, mode="complete")[0][:, among.shape[1] :]
    root = np.linalg.cholesky(rest.T @ covariance(len(series), correlation) @ rest)
    white = np.linalg.solve(root, rest.T @ series)
    squares, spare = np.sum(white**2, axis=0), len(white)
    plain = -np.log(np.diag(root)).sum() - spare / 2 * np.log(squares)
    if shift is None:
        return np.asarray(plain)
    moved = np.linalg.solve(root, rest.T @ shift)
    along = (moved @ white) / np.sqrt(squares)
    scales = (spare - 1) * np.log(SCALES) - SCALES**2 / 2
    ways = [special.logsumexp(scales + sign * SCALES * along, axis=0) for sign in (1, -1)]
    return np.asarray(plain + np.logaddexp(*ways) - special.logsumexp(scales, axis=0))


def main() -> None:
    """Print a line for each number of layers and power."""
    print("| layers | of | found | bound |\n|---|---|---|---|")
    for layers, power in ((6, 1), (12, 1), (24, 1), (12, 2)):
        columns, shift = designs(layers, power)
        random = np.random.default_rng(0)
        noise, planted = random.standard_normal((2, layers, SERIES))
        planted = planted + shift[:, None]
        others, shares = columns[:, :-1], []
        there = likelihoods(planted, others, 0.0, shift)
        for correlation in AGAINST:
            null = correlated(noise, correlation)
            gain = likelihoods(null, others, 0.0, shift) - likelihoods(null, others, correlation, None)
            critical = np.quantile(gain, 1 - SIZE)
            shares.append(np.mean(there - likelihoods(planted, others, correlation, None) > critical))
        contrast = np.eye(power + 1)[-1]
        found = np.mean(estimate(columns, contrast, planted).p < SIZE)
        print(f"| {layers} | {('slope', 'curvature')[power - 1]} | {100 * found:.0f} | {100 * min(shares):.0f} |")


if __name__ == "__main__":
    main()
