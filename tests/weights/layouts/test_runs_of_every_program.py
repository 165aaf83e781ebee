"""Runs that training programs leave, scanned by the command line: the same matrices, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support import models, parallel_run_writers, run_writers
from tests.support.models import Truth
from tests.support.spectra import spectra_of

STEPS = (20, 100)


@dataclass(frozen=True)
class Program:
    """How a program keeps its runs: what writes it, which model it holds, and the options that it needs."""

    write: run_writers.Writer
    truth: Callable[[int], Truth]
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.write.__name__


PROGRAMS = (
    Program(run_writers.trainer, models.gated),
    Program(run_writers.trainer_with_shards_of_bin, models.gated),
    Program(run_writers.trainer_with_fsdp, models.gated),
    Program(parallel_run_writers.trainer_with_deepspeed, models.gated),
    Program(run_writers.nanogpt, partial(models.plain, ("embed", "pos_embed"))),
    Program(run_writers.nanochat, partial(models.plain, ("embed", "unembed"))),
    Program(run_writers.modded_nanogpt, partial(models.plain, ("embed", "unembed"))),
    Program(run_writers.lightning, models.gated),
    Program(run_writers.torchtitan, models.gated),
    Program(run_writers.olmo_core, models.gated),
    Program(parallel_run_writers.neox, partial(models.plain, ("embed", "unembed"))),
    Program(parallel_run_writers.deepspeed, models.gated),
    Program(parallel_run_writers.megatron, models.gated),
    Program(parallel_run_writers.megatron_distributed, models.gated),
    Program(run_writers.wrapped, models.gated),
    Program(run_writers.averaged, models.gated, ("--ema",)),
    Program(run_writers.averaged_in_a_file_of_its_own, models.gated, ("--ema",)),
    Program(run_writers.fp8, lambda step: run_writers.as_fp8(models.gated(step))),
)


def check(table: pd.DataFrame, truth: Callable[[int], Truth]) -> None:
    """Compare with NumPy: which matrices there are, every singular value, and the distance from the step before."""
    spectra = spectra_of(table)
    first, second = (truth(step) for step in STEPS)
    assert set(spectra) == {(step, name) for step in STEPS for name in first}
    for step, matrices in zip(STEPS, (first, second), strict=True):
        for name, matrix in matrices.items():
            expected = np.linalg.svd(matrix.astype(float), compute_uv=False)
            np.testing.assert_allclose(spectra[step, name], expected, atol=1e-6 * expected[0], err_msg=f"{step} {name}")
    moved = table[table.metric == "update_norm_prev"].set_index("matrix").value
    for name, matrix in first.items():
        assert moved[name] == pytest.approx(np.linalg.norm(second[name].astype(float) - matrix), rel=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_every_programs_run_gives_its_matrices(program, tmp_path: Path, spectra) -> None:
    for step in STEPS:
        program.write(tmp_path / "run", step, program.truth(step))
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", *program.options)
    assert said.err == ""
    assert said.code == 0
    check(pd.read_parquet(tmp_path / "a.parquet"), program.truth)
    seen = spectra("inspect", tmp_path / "run", *program.options)
    assert seen.code == 0
    assert "layers.*.attn" in seen.out


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_every_programs_run_is_watched_as_it_is_scanned(program, tmp_path: Path, spectra) -> None:
    for step in STEPS:
        program.write(tmp_path / "run", step, program.truth(step))
    soon = ("--quiet-period", "0.1s", "--every", "0.05s", "--idle", "0.5s")
    said = spectra("watch", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", *soon, *program.options)
    assert said.err == ""
    assert said.code == 0
    check(pd.read_parquet(tmp_path / "a.parquet"), program.truth)
