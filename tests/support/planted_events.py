"""Runs at the level of spectra: a healthy one, and the same with one thing gone wrong at a known checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spectra_cli.studies.events import Measurement

LAYERS, CHECKPOINTS = 4, 60
ROLES = ("q", "k", "v", "o", "up", "down")
MATRICES = {f"layers.{layer}.{role}": role for layer in range(LAYERS) for role in ROLES} | {
    "embed": "embed",
    "unembed": "unembed",
}


def healthy(seed: int) -> list[Measurement]:
    """A run whose σ₁ grows ever more slowly and whose stable ranks fall, each matrix at its own pace, with noise.

    Every other seed saves at even steps, the others ever further apart. The unembedding's stable rank falls to a tenth
    in the first few checkpoints, as real ones do. The rate falls straight: there is no second phase.
    """
    random = np.random.default_rng(seed)
    even = seed % 2 == 0
    steps = 100 * np.arange(1, CHECKPOINTS + 1) if even else np.unique(np.geomspace(10, 60_000, CHECKPOINTS).round())
    count, size = len(steps), len(MATRICES)
    pace = random.uniform(0.3, 1.2, size)
    growth = np.log1p(steps / 500)[:, None] * pace + 0.01 * random.standard_normal((count, size)).cumsum(axis=0)
    fall = np.log1p(steps / 800)[:, None] * random.uniform(0.3, 0.7, size) + 0.03 * random.standard_normal(
        (count, size)
    )
    ranks = np.maximum(60 * np.exp(-fall), 1.5)
    ranks[:, -1] = np.maximum(ranks[:, -1] * np.exp(-np.minimum(steps / steps[3], 1) * 2.3), 1.1)
    rates = 3e-4 * (steps / steps[0]) ** -0.9 * np.exp(0.05 * random.standard_normal(count))
    norms = np.exp(growth)
    return [
        Measurement(
            f"step{int(steps[index])}",
            int(steps[index]),
            MATRICES,
            {
                "spectral_norm": named(norms[index]),
                "frobenius_norm": named(norms[index] * np.sqrt(ranks[index])),
                "stable_rank": named(ranks[index]),
                "sd_variation_rate": named(np.full(size, rates[index])) if index else {},
                "update_norm_prev": named(0.1 * norms[index]) if index else {},
            },
        )
        for index in range(count)
    ]


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(MATRICES, values.tolist(), strict=True))


def changed(measurement: Measurement, metric: str, **factors: float) -> Measurement:
    """The same with some values times a factor; `__` in a matrix's name stands for a dot."""
    values = dict(measurement.values[metric])
    for name, factor in factors.items():
        values[name.replace("__", ".")] *= factor
    return replace(measurement, values={**measurement.values, metric: values})


def moment(seed: int) -> int:
    """The checkpoint at which something goes wrong: never before there is a past to compare with."""
    return int(np.random.default_rng([seed, 1]).integers(15, CHECKPOINTS - 8))


def collapsing(seed: int) -> list[Measurement]:
    """One matrix loses four fifths of its stable rank within four checkpoints."""
    run, start = healthy(seed), moment(seed)
    factors = [0.2 ** min((index - start + 1) / 4, 1) if index >= start else 1.0 for index in range(len(run))]
    return [
        changed(measurement, "stable_rank", layers__1__up=factor)
        for measurement, factor in zip(run, factors, strict=True)
    ]


def spiking(seed: int) -> list[Measurement]:
    """σ₁ of one matrix jumps by a quarter to a half of its own, and stays there."""
    run, start = healthy(seed), moment(seed)
    jump = 1 + float(np.random.default_rng([seed, 2]).uniform(0.25, 0.5))
    return [
        changed(measurement, "spectral_norm", layers__2__q=jump) if index >= start else measurement
        for index, measurement in enumerate(run)
    ]
