"""Scans whose spectra are computed in batches: on torch's CPU device always, and on the GPU wherever there is one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spectra_cli import svd
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.measure.executors import LocalExecutor, measure_checkpoint
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.trajectory import Trajectory
from spectra_cli.storage.table import read_metadata
from spectra_cli.svd import measured_rates
from tests.support import runs
from tests.support.gpus import EVERYWHERE, GPU, on_a_gpu

everywhere = pytest.mark.parametrize("device", EVERYWHERE)
shared = pytest.mark.parametrize("device", [*EVERYWHERE, "cpu:0,cpu:1"])  # the last are two that share the work
ACCURACY = 1e-6  # of a number, as a share of itself, where every σ is wrong by at most 1e-9·σ₁


def measured(source, device, **options):
    """Every number of a run, by checkpoint, matrix and metric, and the results that they come from."""
    plan = make_plan(Request(str(source), **options))
    executor = LocalExecutor(device)
    with Trajectory(plan, device) as trajectory:
        results = [measure_checkpoint(executor, trajectory, checkpoint) for checkpoint in plan.checkpoints]
    rows = {
        (of_matrix.checkpoint.revision, of_matrix.matrix.name, metric): number
        for result in results for of_matrix in result.rows for metric, number in of_matrix.numbers.items()
    }  # fmt: skip
    return rows, results


def assert_same(rows, others):
    assert list(rows) == list(others)
    for key, number in rows.items():
        assert np.shape(number) == np.shape(others[key])
        assert np.allclose(number, others[key], rtol=ACCURACY, atol=1e-9, equal_nan=True), key


@shared
def test_a_run_has_the_same_rows_in_the_same_order_as_on_the_cpu(kept_run, device):
    rows, results = measured(kept_run, device)
    others, expected = measured(kept_run, "cpu")
    assert_same(rows, others)
    assert [result.duplicate_of for result in results] == [result.duplicate_of for result in expected]
    assert [result.fallbacks for result in results] == [()] * len(results)


@shared
def test_all_metrics_with_vectors_and_shuffled_entries_come_from_batches_too(kept_run, device):
    options = {"metrics": ("all",), "vectors": 2, "steps": "0:2"}
    assert_same(measured(kept_run, device, **options)[0], measured(kept_run, "cpu", **options)[0])


RATES = {
    "batched": {"gram": 9.0, "batched": 9.0, "looped": 0.1, "fetched": 1.0},
    "looped": {"gram": 9.0, "batched": 0.1, "looped": 9.0, "fetched": 1.0},
    "split": {"gram": 9.0, "batched": 1e-6, "looped": 1e-6, "fetched": 1.0},
    "processors": {"gram": 1e-6, "batched": 1e-6, "looped": 1e-6, "fetched": 1.0},
}


@pytest.mark.parametrize("route", RATES)
def test_by_each_route_that_the_rates_choose_the_rows_are_those_of_the_cpu(kept_run, route, monkeypatch):
    known = (
        svd.Rates(svd.name_of("cpu"), runs.WIDTH, gram=0.01, batched=0.01, looped=0.01),
        svd.Rates(svd.name_of("cpu:0"), runs.WIDTH, **RATES[route]),
    )
    monkeypatch.setattr(measured_rates, "MEASURED", known)
    options = {"metrics": ("sd", "quantisation_floor", "rand_distance"), "steps": "0:1"}
    rows, results = measured(kept_run, "cpu:0", **options)
    assert_same(rows, measured(kept_run, "cpu", **options)[0])
    counts = dict(results[0].computed_by)
    assert counts[route] > 0
    assert set(counts) <= {route, "processors"}
    assert sum(counts.values()) == len(results[0].layout.matrices)


@everywhere
def test_the_very_same_entries_have_the_very_same_spectrum(run, device):
    runs.write_checkpoint(run / "step17", runs.neox_tensors(1))
    runs.write_checkpoint(run / "step18", runs.neox_tensors(1))
    rows, found = measured(run, device)
    variations = [number for key, number in rows.items() if key[0] == "step18" and key[2] == "sd_variation_prev"]
    assert variations == [0.0] * len(found[0].layout.matrices)
    assert found[-1].duplicate_of == "step17"


@shared
def test_what_cannot_be_read_or_holds_nan_is_named_and_the_rest_of_its_batch_measured(run, device):
    bad = torch.full((4 * runs.WIDTH, runs.WIDTH), float("nan"), dtype=torch.float16)
    runs.edit(run / "step4", **{"gpt_neox__layers__0__mlp__dense_h_to_4h__weight": bad})
    rows, found = measured(run, device)
    others, expected = measured(run, "cpu")
    assert_same(rows, others)
    assert [one.problems for one in found] == [one.problems for one in expected]
    assert any("holds NaN" in problem.message for one in found for problem in one.problems)


@everywhere
def test_matrices_whose_gram_is_too_coarse_are_the_cpu_s_to_the_last_bit(tmp_path, device):
    tensors = runs.neox_tensors(1, dtype=torch.float32)
    name = "gpt_neox.layers.1.attention.dense.weight"
    tensors[name][0] = tensors[name][1]
    runs.write_checkpoint(tmp_path / "step0", tensors)
    key = ("step0", "layers.1.attn.o", "sd")
    rows, others = (measured(tmp_path / "step0", where)[0] for where in (device, "cpu"))
    assert_same(rows, others)
    assert np.array_equal(rows[key], others[key])


@pytest.mark.gpu
@on_a_gpu[1]
def test_a_scan_on_the_gpu_writes_the_table_of_the_cpu_within_the_bounds(kept_run, tmp_path):
    import pandas as pd

    there, here = (
        scan_checkpoints(kept_run, tmp_path / f"{name}.parquet", device=device)
        for name, device in (("there", "auto"), ("here", "cpu"))
    )
    assert read_metadata(there.output)["device"] == GPU
    a, b = (pd.read_parquet(one.output) for one in (there, here))
    assert a.drop(columns=["value", "vector"]).equals(b.drop(columns=["value", "vector"]))
    assert np.allclose(a["value"], b["value"], rtol=ACCURACY, atol=1e-9, equal_nan=True)


@pytest.mark.skipif(GPU != "cpu", reason="there is a GPU, on which the benchmark would run")
def test_the_benchmark_says_in_two_lines_that_there_is_no_gpu():
    benchmark = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    done = subprocess.run([sys.executable, benchmark], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "gpu.py: torch finds no GPU with float64 here"
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.slow
def test_the_benchmark_measures_all_its_sections_on_torchs_cpu_device():
    benchmark = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    options = ["--device", "cpu:0", "--shapes", "tiny", "--rounds", "1", "--side", "256", "--minutes", "5"]
    done = subprocess.run([sys.executable, benchmark, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not measured" not in done.stdout
    begun = [line.partition(" (")[0] for line in done.stdout.splitlines() if line.endswith("s so far)")]
    assert [name.partition(":")[0] for name in begun] == [
        "tests", "tiny", "parts of tiny", "ways to eigenvalues", "rates of cpu", "rates of cpu",
    ]  # fmt: skip
    rows = [eval(line, {"Rates": svd.Rates}) for line in done.stdout.splitlines() if line.startswith("    Rates(")]
    assert [(row.device, row.side) for (row,) in rows] == [
        (svd.name_of(where), side) for where in ("cpu", "cpu:0") for side in (64, 256)
    ]
    assert {"scan", "floor", "svdvals32", "svdvals64"} <= {line.split(" ")[0] for line in done.stdout.splitlines()}


LIMITED = """
import resource, sys, threading
import torch
from spectra_cli.measure.executors import LocalExecutor, measure_checkpoint
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.results import unique
from spectra_cli.measure.trajectory import Trajectory
plan = make_plan(Request(sys.argv[1], threads=1))
executor = LocalExecutor("cpu:0")
with Trajectory(plan, "cpu:0") as trajectory:
    measure_checkpoint(executor, trajectory, plan.checkpoints[0])  # from here on libraries have what they need
    size = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[2]), size + int(sys.argv[2])))
    results = [measure_checkpoint(executor, trajectory, checkpoint) for checkpoint in plan.checkpoints[1:]]
print(len({row.matrix.name for row in results[-1].rows}), sum(len(result.problems) for result in results))
fallbacks = unique(fallback for result in results for fallback in result.fallbacks)
print(*(fallback.message for fallback in fallbacks), sep="\\n")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space and reads it from /proc")
@pytest.mark.slow
def test_what_there_is_no_memory_for_is_told_once_and_is_no_problem(tmp_path):
    random = torch.Generator().manual_seed(0)
    for step in range(3):
        many = 4 if step == 0 else 120
        tensors = {f"w.{place}": torch.randn(600, 600, generator=random).half() for place in range(many)}
        runs.write_checkpoint(tmp_path / f"step{step}", tensors, {})
    command = [sys.executable, "-c", LIMITED, tmp_path, str(150 << 20)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "120 0", "cpu:0 had no memory for as many matrices of 600×600 as should fit: fewer were taken at once",
    ]  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not GPU.startswith("cuda"), reason="torch finds no CUDA device here")
def test_a_scan_on_a_full_gpu_says_once_that_the_cpu_helped_and_is_done(tmp_path, spectra):
    for step in (0, 1):
        runs.write_checkpoint(tmp_path / f"run/step{step}", runs.neox_tensors(step, tokens=1_000_000))
    svd.spectrum(torch.eye(16), device=GPU)  # from here on the libraries have their own work space
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    allowed = torch.cuda.memory_reserved(GPU) + (16 << 20)  # less than an embedding takes, and room for all else
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "--device", GPU)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert said.code == 0
    assert said.err.count("had no memory for a matrix of 1000000×16: the CPU computed it") == 1
