"""Which matrices are one job: small ones, some at a time, so that a file is opened and a kernel called once for all."""

from __future__ import annotations

from collections.abc import Sequence

from spectra_cli import svd
from spectra_cli.records import Matrix

ENTRIES = 1 << 21
"""Most entries of small matrices that are one job: 16 MB in float64, which is 340 matrices of 64×96. With half of it
20,000 of these took a tenth longer, with more no less."""

JOBS_PER_WORKER = 4
"""At least so many jobs for each worker, so that none waits long for the last."""


def taken_together(matrices: Sequence[Matrix], workers: int) -> list[tuple[Matrix, ...]]:
    """Part matrices into jobs, in their order: a large one by itself, neighbours that are small together.

    >>> small, large = (Matrix(name, "q", name, side, side) for name, side in (("a", 8), ("b", 800)))
    >>> [len(job) for job in taken_together([small] * 16 + [large, small], 1)]
    [4, 4, 4, 4, 1, 1]
    """
    jobs: list[list[Matrix]] = []
    most = max(1, len(matrices) // (JOBS_PER_WORKER * workers))
    entries = 0
    for matrix in matrices:
        small = svd.is_small(matrix.rows, matrix.cols)
        entries += matrix.rows * matrix.cols
        if not small or not jobs or not 0 < entries <= ENTRIES or len(jobs[-1]) >= most:
            jobs.append([])
            entries = matrix.rows * matrix.cols
        jobs[-1].append(matrix)
        entries = entries if small else -(1 << 62)  # nothing joins a large one
    return [tuple(job) for job in jobs]
