"""What the spectra say of each layer of an open model: exponents in every definition, and stable ranks."""

from __future__ import annotations

import os
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from spectra_cli import architectures, metrics, svd
from spectra_cli.engines import processors
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.language_model import ModelFiles
from spectra_cli.records import Matrix

SPECTRAL = (
    "alpha", "alpha_ols", "alpha_hill", "alpha_clauset", "alpha_tail", "alpha_weighted", "stable_rank",
)  # fmt: skip


def layer_measures(files: ModelFiles, layers: int) -> dict[str, NDArray[np.float64]]:
    """Return each of SPECTRAL for every layer, (layers,): the mean over roles of the mean over a role's matrices.

    NaN where a layer has no matrix with such a number. Raises SpectraError where the layers of the stored tensors are
    not those of the model.
    """
    opened = files.weights
    layout = architectures.layout(opened.config, opened.tensors)
    matrices = [matrix for matrix in layout.matrices if matrix.layer is not None]
    if {matrix.layer for matrix in matrices} != set(range(layers)):
        numbered = len({matrix.layer for matrix in matrices})
        raise SpectraError(
            f"{files.called}: {numbered} of the {layers} layers have matrices that are known by their names",
            hint="`spectra inspect` shows how the tensors are read",
        )

    def work(matrix: Matrix) -> dict[str, float]:
        spectrum = svd.spectrum(architectures.cut(opened.read(matrix.tensor), matrix))
        measured = metrics.measure(spectrum, None, None, SPECTRAL)
        return {name: value for name, value, _ in measured if value is not None}

    numbers = processors.run(
        work,
        matrices,
        threads=len(os.sched_getaffinity(0)),
        cost=lambda matrix: svd.gigaflops(matrix.rows, matrix.cols),
        memory=lambda matrix: svd.working_bytes(matrix.rows, matrix.cols),
    )
    by_role: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for matrix, measured in zip(matrices, numbers, strict=True):
        for name, value in measured.items():
            by_role[name, matrix.layer or 0, matrix.role].append(value)
    return {name: np.array([_mean_over_roles(by_role, name, layer) for layer in range(layers)]) for name in SPECTRAL}


def _mean_over_roles(values: dict[tuple[str, int, str], list[float]], name: str, layer: int) -> float:
    roles = [_mean(some) for (metric, number, _), some in values.items() if (metric, number) == (name, layer)]
    return _mean(roles)


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
