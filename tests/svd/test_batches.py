"""Batches against 50 digits and the one-matrix path: on torch's CPU device, and on the GPU wherever there is one."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from spectra_cli import svd
from spectra_cli.svd.batches import device_bytes
from spectra_cli.svd.rules import is_spectrum_of
from tests.support.gpus import EVERYWHERE, GPU
from tests.support.svd_oracles import assert_within_bounds, exact_by_construction, planted, true_sigma

SHAPES = [(8, 8), (24, 24), (40, 12), (12, 40), (1, 7), (7, 1)]
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
]  # fmt: skip

ON_DEVICE = [route for route in svd.ROUTES if route.gram]

everywhere = pytest.mark.parametrize("device", EVERYWHERE)


every_route = pytest.mark.parametrize("route", ON_DEVICE, ids=lambda route: route.name)


def attempts(matrices, device, route=svd.BATCHED, **options):
    result = list(svd.in_batches(enumerate(matrices), device, route=lambda *_: route, **options))
    assert [key for key, _ in result] == list(range(len(matrices)))
    return [attempt.finished() for _, attempt in result]


def random(*shape, seed=0, rank=8):
    """Noise and a low-rank part, as trained matrices are."""
    of = torch.Generator().manual_seed(seed)
    noise = 0.02 * torch.randn(shape, generator=of)
    return noise + 0.005 * torch.randn(shape[0], rank, generator=of) @ torch.randn(rank, shape[1], generator=of)


def assert_agrees(attempt, matrix):
    """Both are within their errors of the truth, and so of each other."""
    device_spectrum, cpu_spectrum = attempt.spectrum, svd.spectrum(matrix)
    assert abs(cpu_spectrum.sigma - device_spectrum.sigma).max() <= cpu_spectrum.error + device_spectrum.error
    assert (device_spectrum.rows, device_spectrum.cols) == (cpu_spectrum.rows, cpu_spectrum.cols)
    assert device_spectrum.dtype == cpu_spectrum.dtype


@everywhere
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_of_every_condition_is_within_the_bounds_or_left_to_the_cpu(device, shape):
    exponents = (0, 1, 2, 3, 4, 5, 7, 16)
    matrices = [planted(np.logspace(0, -exponent, min(shape)), *shape) for exponent in exponents]
    by_route = zip(*(attempts(matrices, device, route) for route in ON_DEVICE), strict=True)
    for exponent, matrix, found in zip(exponents, matrices, by_route, strict=True):
        within = exponent <= 5 or min(shape) == 1
        truth = true_sigma(matrix) if within else None
        for attempt in found:
            if within:
                assert_within_bounds(attempt.spectrum, truth)
            else:
                assert attempt.spectrum is None
            assert attempt.fallback is None


@everywhere
@every_route
def test_spectra_of_256_values_known_exactly(device, route):
    known = [
        exact_by_construction([smallest, 1 << 20, *np.random.default_rng(0).integers(smallest, 1 << 20, 254).tolist()])
        for smallest in (1 << 20, 1 << 10, 1 << 6)
        if smallest < 1 << 20
    ]
    for (_, truth), attempt in zip(known, attempts([matrix for matrix, _ in known], device, route), strict=True):
        assert_within_bounds(attempt.spectrum, truth)
        assert attempt.route is route


@everywhere
def test_tall_and_wide_matrices_over_many_blocks(device):
    matrix, truth = exact_by_construction([1 << 12, 1 << 20, *range(1 << 14, 1 << 15, 265)], copies=96)
    for attempt in attempts([matrix, matrix, matrix.T], device):
        assert_within_bounds(attempt.spectrum, truth)


@everywhere
@pytest.mark.parametrize("dtype", DTYPES)
def test_stored_entries_of_every_dtype_are_taken_as_they_are(device, dtype):
    matrices = [planted(np.linspace(40, 1, 9), 20, 9, seed).to(dtype) for seed in range(3)]
    for matrix, attempt in zip(matrices, attempts(matrices, device), strict=True):
        assert attempt.spectrum.dtype == str(dtype).removeprefix("torch.")
        assert_within_bounds(attempt.spectrum, true_sigma(matrix))


@everywhere
@pytest.mark.parametrize("shape", [(300, 300), (2500, 64), (64, 2500)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_batch_agrees_with_one_matrix_at_a_time_within_both_errors(device, shape, dtype):
    matrices = [random(*shape, seed=seed).to(dtype) for seed in range(4)]
    for matrix, attempt in zip(matrices, attempts(matrices, device), strict=True):
        assert_agrees(attempt, matrix)


@everywhere
def test_mixed_shapes_dtypes_and_strides_come_in_their_order(device):
    matrices = [
        random(30, 20), random(30, 20, seed=1), random(20, 30), random(30, 20, seed=2).half(), random(30, 20).T,
        random(60, 40)[::2, ::2], torch.zeros(5, 5), random(7, 7, seed=3),
    ]  # fmt: skip
    for matrix, attempt in zip(matrices, attempts(matrices, device), strict=True):
        assert_agrees(attempt, matrix)


@everywhere
@every_route
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_nan_or_inf_in_a_batch_does_not_spoil_its_neighbours(device, bad, dtype, route):
    matrices = [random(40, 30, seed=seed).to(dtype) for seed in range(3)]
    matrices[1][7, 3] = bad
    first, spoilt, last = attempts(matrices, device, route)
    assert np.isnan(spoilt.spectrum.sigma).all()
    assert np.isnan(spoilt.spectrum.error)
    assert_agrees(first, matrices[0])
    assert_agrees(last, matrices[2])


@everywhere
def test_a_rank_deficient_matrix_is_left_to_the_cpu_and_its_neighbours_are_not(device):
    low = random(30, 4) @ random(4, 20)
    first, deficient, last = attempts([random(30, 20), low, random(30, 20)], device)
    assert deficient.spectrum is None
    assert first.spectrum.rule == last.spectrum.rule == "gram"
    assert svd.spectrum(low, device=device).rule == "svd"


@everywhere
@every_route
@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-150, 1e150, 1e306])
def test_scales_at_the_ends_of_float64_lie_in_one_batch(device, scale, route):
    matrix = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [4.0, 4.0, 9.0]], dtype=torch.float64)
    for item, attempt in zip((matrix, matrix * scale), attempts([matrix, matrix * scale], device, route), strict=True):
        truth = [float(value) for value in true_sigma(item)]
        assert attempt.spectrum.sigma == pytest.approx(truth, rel=1e-12, abs=5e-324)


@everywhere
@every_route
def test_zero_and_empty_matrices_have_spectra_of_zeros(device, route):
    matrices = [torch.zeros(4, 3), random(4, 3), torch.zeros(0, 3)]
    zero, _, empty = attempts(matrices, device, route)
    assert zero.spectrum.sigma.tolist() == [0.0] * 3
    assert zero.spectrum.error == 0
    assert empty.spectrum.sigma.shape == (0,)


@everywhere
@pytest.mark.parametrize("room", [0, 1 << 15, 1 << 17, 1 << 40])
def test_what_a_batch_may_take_changes_no_number_beyond_its_error(device, room):
    matrices = [random(30, 20, seed=seed) for seed in range(9)]
    for matrix, attempt in zip(matrices, attempts(matrices, device, batch_bytes=room), strict=True):
        assert_agrees(attempt, matrix)


def test_no_more_than_two_batches_are_taken_ahead():
    taken = []
    matrices = (taken.append(key) or (key, random(10, 10)) for key in range(100))
    result: Any = svd.in_batches(matrices, "cpu", batch_bytes=4 * device_bytes(10, 10, 4))
    assert taken == []
    next(result)
    result.close()
    assert len(taken) <= 4 + 4 + 1  # one that is computed, one that is copied, and the first that finds no room there


def test_a_failure_to_read_is_raised_and_no_thread_is_left_behind():
    def matrices():
        yield 0, random(10, 10)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(svd.in_batches(matrices(), "cpu"))


@pytest.mark.parametrize("shape", [(40, 30), (300, 20)])
def test_eigenvalues_that_cannot_be_those_of_the_gram_are_told_from_those_that_can(shape):
    matrix = random(*shape).double().numpy()
    gram = matrix.T @ matrix
    trace, norm, steps = float(np.trace(gram)), float(np.linalg.norm(gram)), 6.0
    true = np.linalg.eigvalsh(gram)[::-1]
    assert is_spectrum_of(true, trace, norm, steps)
    diagonal = np.sort(gram.diagonal())[::-1]  # what cuSOLVER's batched Jacobi has given without iterating
    single = np.linalg.eigvalsh(gram.astype(np.float32))[::-1].astype(np.float64)
    moved = true + 1e-9 * true[0] * np.resize([1, -1], len(true))
    for wrong in (diagonal, single, moved, true * (1 + 1e-11), np.full_like(true, np.nan)):
        assert not is_spectrum_of(wrong, trace, norm, steps)


OUT_OF_MEMORY = """
import resource, sys, threading
import torch
from spectra_cli import svd
from spectra_cli.engines import processors
from spectra_cli.svd.batches import device_bytes
side, many, times = map(int, sys.argv[1:])
of = torch.Generator().manual_seed(0)
matrices = [torch.randn(side, side, generator=of) for _ in range(many)]
limited = threading.Event()
def stored():
    yield "first", matrices[0][:100]
    yield "second", torch.eye(3)
    limited.wait()
    yield from enumerate(matrices)
def size():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
with processors.blas_threads(1):
    attempts = svd.in_batches(stored(), "cpu:0", batch_bytes=1 << 40)
    next(attempts)  # from here on threads and libraries have what they need
    limit = size() + times * device_bytes(side, side, 4)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    limited.set()
    found = dict(attempts)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # to compare in peace
    computed = [(matrices[key], one.spectrum) for key, one in found.items() if key != "second" and one.spectrum]
    for matrix, spectrum in computed:
        known = svd.spectrum(matrix)
        assert abs(spectrum.sigma - known.sigma).max() <= spectrum.error + known.error
print(len(computed), *dict.fromkeys(one.fallback.message for one in found.values() if one.fallback), sep="\\n")
"""
FEWER = "cpu:0 had no memory for as many matrices of {0}×{0} as should fit: fewer were taken at once"
ON_THE_CPU = "cpu:0 had no memory for a matrix of {0}×{0}: the CPU computed it"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space and reads it from /proc")
@pytest.mark.parametrize(
    ("side", "many", "times", "computed", "messages"),
    [
        (300, 8, 100, 8, []),
        (700, 24, 4, 24, [FEWER]),
        (3000, 2, 0, 0, [ON_THE_CPU]),
    ],
)
def test_without_memory_batches_are_halved_and_then_left_to_the_cpu(side, many, times, computed, messages):
    command = [sys.executable, "-c", OUT_OF_MEMORY, *map(str, (side, many, times))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(computed), *(item.format(side) for item in messages)]


@pytest.mark.gpu
@pytest.mark.skipif(not GPU.startswith("cuda"), reason="torch finds no CUDA device here")
@pytest.mark.parametrize(("times", "left"), [(6, 0), (0.2, 24)])
def test_a_full_gpu_takes_smaller_batches_and_then_leaves_matrices_to_the_cpu(times, left):
    matrices = [random(1000, 1000, seed=seed) for seed in range(24)]
    attempts(matrices[:1], GPU)  # so that the libraries have their own work space
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    allowed = torch.cuda.memory_reserved(GPU) + times * device_bytes(1000, 1000, 4)
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        result = attempts(matrices, GPU, batch_bytes=1 << 40)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert sum(item.spectrum is None for item in result) == left
    assert all(GPU in item.fallback.message for item in result)
    for matrix, attempt in zip(matrices, result, strict=True):
        if attempt.spectrum is not None:
            assert_agrees(attempt, matrix)
