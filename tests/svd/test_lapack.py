"""The routines of BLAS and LAPACK that are called in place, against whole numbers and closed forms."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from spectra_cli.svd.lapack import add_gram, eigenvalues


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (40, 9), (9, 40), (130, 130)])
@pytest.mark.parametrize("tall", [True, False])
def test_blocks_are_added_to_the_lower_triangle_and_nothing_else_is_touched(shape, tall):
    random = np.random.default_rng(0)
    blocks = [random.integers(-9, 9, shape).astype(np.float64) for _ in range(2)]
    size = shape[1] if tall else shape[0]
    gram = torch.full((size, size), 5.0, dtype=torch.float64).T
    for block in blocks:
        add_gram(gram, torch.from_numpy(block), tall=tall)
    whole = sum(block.T @ block if tall else block @ block.T for block in blocks)
    assert np.array_equal(np.tril(gram.numpy()), np.tril(whole + 5))
    assert np.array_equal(np.triu(gram.numpy(), 1), np.triu(np.full((size, size), 5.0), 1))


@pytest.mark.parametrize("size", [1, 2, 30, 200])
def test_eigenvalues_are_those_of_a_chain(size):
    """2 on the diagonal, −1 beside it: λⱼ = 2 − 2·cos(jπ/(n + 1))."""
    chain = torch.from_numpy(2 * np.eye(size) - np.eye(size, k=-1) + 9 * np.eye(size, k=1)).T.contiguous().T
    true = 2 - 2 * np.cos(np.arange(1, size + 1) * np.pi / (size + 1))
    assert eigenvalues(chain) == pytest.approx(true, abs=1e-14 * size)


def test_its_blas_has_one_thread_a_worker_from_the_first_matrix_on():
    script = """if True:
    import torch
    from threadpoolctl import threadpool_info
    from spectra_cli import svd
    from spectra_cli.engines import processors

    def work(matrix):
        svd.spectrum(matrix)
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    (found,) = processors.run(work, [torch.eye(3)], threads=2)
    print(found)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"


REFUSED = """
import resource

import scipy.linalg.cython_blas
import torch

from spectra_cli.svd.lapack import add_gram

gram, block = torch.zeros(2, 2, dtype=torch.float64).T, torch.ones(1, 2, dtype=torch.float64)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (20 << 20), resource.RLIM_INFINITY))
try:
    add_gram(gram, block, tall=True)
except MemoryError:
    print("refused")
"""


@pytest.mark.slow
def test_without_room_for_its_buffer_it_is_not_called():
    """OpenBLAS maps 32 MiB at its first call, and where it gets none it asks for them again, for ever."""
    ended = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("refused\n", 0), ended.stderr
