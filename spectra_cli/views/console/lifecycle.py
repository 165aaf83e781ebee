"""What `spectra lifecycle` shows: findings in sentences, a line a role and a layer; or all of it as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import Decay, Gradient, Lifecycle, LifecycleComparison
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.console.seeds import pools_json, show_pools
from spectra_cli.views.formatting import count, number
from spectra_cli.views.sentences.lifecycle import (
    asymmetry_verdicts,
    compression_verdict,
    dissociation_verdict,
    gradient_verdict,
    lifecycle_sentences,
    loss_verdict,
    timescale_verdict,
    wave_verdict,
)


def show_lifecycle(console: Console, compared: LifecycleComparison) -> None:
    """Print each run's findings, then its layers; of pools, what their runs share."""
    if compared.pools:
        show_pools(console, compared.pools, compared.contrasts)
        return
    for index, run in enumerate(compared.runs):
        if index:
            console.print()
        head = f"{printable(run.label)} · {count(run.layers, 'layer')}, {count(len(run.steps), 'checkpoint')}"
        print_lines(console, f"{head}, steps {run.steps[0]} … {run.steps[-1]}")
        for line in lifecycle_sentences(run):
            print_lines(console, line)
        console.print()
        table = PlainTable("layer", "compression\nat the end", "half of it\nat step")
        for layer, (line, half) in enumerate(zip(run.compressed, run.wave.half_steps, strict=True)):
            if not np.isfinite(line).any():
                continue
            table.add_row(
                str(layer), f"{number(float(line[-1]), 3)}%", number(float(half), 3) if np.isfinite(half) else "–"
            )
        console.print(table)


def lifecycle_json(compared: LifecycleComparison) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes; None where there is no number."""
    return {"runs": [_run(run) for run in compared.runs], **pools_json(compared.pools, compared.contrasts)}


def _run(run: Lifecycle) -> dict[str, Any]:
    wave = run.wave
    return {
        "label": run.label,
        "alpha": run.alpha,
        "steps": run.steps.tolist(),
        "compression": {
            "value": _plain(float(np.nanmean(run.compressed[:, -1]))), "interval": _pair(run.span),
            "by_role": {role: _list(values) for role, values in run.by_role.items()},
            "by_layer": [_list(line) for line in run.compressed],
            "verdict": compression_verdict(run), "n": run.layers,
        },
        "compression_gradient": _gradient("compression", run.gradient, "%"),
        "wave": {
            "value": _plain(wave.velocity), "interval": _pair(wave.velocity_interval), "rho": _plain(wave.rho),
            "p": _plain(wave.p), "half_steps": _list(wave.half_steps),
            "verdict": wave_verdict(run), "n": wave.n,
        },
        "alpha_gradient": _gradient(run.alpha, run.alpha_gradient, ""),
        "alpha_by_role": {role: _trend(of) for role, of in run.alpha_by_role.items()},
        "entropy_gradient": _gradient("entropy", run.entropy_gradient, " nats"),
        "dissociation": _dissociation(run),
        "asymmetry": [
            {
                "quantity": test.quantity, "value": _plain(test.spread.ratio), "interval": _pair(test.spread.interval),
                "p": _plain(test.spread.p), "profiles": {role: _list(line) for role, line in test.profiles.items()},
                "verdict": verdict, "n": test.spread.n,
            }
            for test, verdict in zip(run.asymmetry, asymmetry_verdicts(run), strict=False)
        ],
        "timescales": _timescales(run),
        "alpha_loss": {**asdict(run.loss), "verdict": loss_verdict(run)} if run.loss else None,
        "tests": run.tests,
        "findings": lifecycle_sentences(run),
    }  # fmt: skip


def _dissociation(run: Lifecycle) -> dict[str, Any] | None:
    parts = run.dissociation
    return {**asdict(parts), "claimed": parts.claimed, "verdict": dissociation_verdict(run)} if parts else None


def _timescales(run: Lifecycle) -> dict[str, Any]:
    times = run.timescales
    return {
        "value": _plain(times.ratio), "interval": _pair(times.ratio_interval), "verdict": timescale_verdict(run),
        "two_clocks": times.two_clocks, "clock_ratio": _plain(times.clock_ratio),
        "clock_interval": _pair(times.clock_interval), "curve_r2": _plain(times.curve_r2),
        "stable_rank": _decay(times.rank, run.steps, times.rank_series),
        "alpha": _decay(times.alpha, run.steps, times.alpha_series),
        "alpha_by_layer": [_decay(decay) for decay in times.by_layer],
        "n": 0 if times.rank is None else times.rank.n,
    }  # fmt: skip


def _gradient(name: str, gradient: Gradient | None, unit: str) -> dict[str, Any] | None:
    if gradient is None:
        return None
    last = gradient.last
    return {
        "value": _plain(last.slope if last else None), "interval": _pair(last.slope_interval if last else None),
        "p": _plain(last.slope_p if last else None), "curvature": _plain(last.curvature if last else None),
        "curvature_interval": _pair(last.curvature_interval if last else None),
        "curvature_p": _plain(last.curvature_p if last else None),
        "inverted_u": gradient.inverted_u, "peak_depth": _plain(last.peak if last else None),
        "spread": _plain(last.spread if last else None), "turns": [_plain(at) for at in gradient.turns],
        "by_step": [
            {
                "step": int(step), "value": _plain(at.slope if at else None),
                "interval": _pair(at.slope_interval if at else None),
            }
            for step, at in zip(gradient.steps, gradient.trends, strict=True)
        ],
        "verdict": gradient_verdict(name, gradient, unit), "n": last.n if last else 0,
    }  # fmt: skip


def _trend(gradient: Gradient) -> dict[str, Any] | None:
    fit = gradient.last
    if fit is None:
        return None
    return {
        "value": fit.slope, "interval": _pair(fit.slope_interval), "p": fit.slope_p, "level": fit.level,
        "curvature": _plain(fit.curvature), "curvature_interval": _pair(fit.curvature_interval),
        "curvature_p": _plain(fit.curvature_p), "inverted_u": gradient.inverted_u,
        "peak_depth": _plain(fit.peak), "spread": fit.spread, "n": fit.n,
    }  # fmt: skip


def _decay(
    decay: Decay | None, steps: NDArray[np.int64] | None = None, values: NDArray[np.float64] | None = None
) -> Any:
    if decay is None:
        return None
    left = {} if steps is None or values is None else {"residuals": _list(values - decay.at(steps.astype(float)))}
    return {
        "value": _plain(decay.tau), "interval": _pair(decay.tau_interval), "start": decay.start, "end": decay.end,
        "r2": _plain(decay.r2), "residual": decay.residual, "n": decay.n, **left,
    }  # fmt: skip


def _list(values: NDArray[np.float64]) -> list[float | None]:
    return [_plain(float(value)) for value in values]


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _pair(interval: tuple[float, float] | None) -> list[float | None] | None:
    return None if interval is None else [_plain(end) for end in interval]
