"""Devices and costs: what may be asked for, what is imported for it, how much memory a spectrum takes."""

import subprocess
import sys

import pytest
import torch

from spectra_cli import svd
from spectra_cli.errors import SpectraError

GROWTH = """
import torch
from spectra_cli import svd
from spectra_cli.engines import processors
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
matrix = torch.zeros(*SHAPE, dtype=torch.float16)
matrix[::7, ::3] = 1
matrix[::5, 1::3] = torch.randn(matrix[::5, 1::3].shape).half()
matrix[:, SHAPE[1] // 2 :].copy_(matrix[:, : SHAPE[1] // 2]) if DEFICIENT else matrix.add_(torch.randn(*SHAPE).half())
with processors.blas_threads(1):
    svd.spectrum(torch.randn(40, 30)), svd.spectrum(torch.ones(40, 30)), svd.spectrum(torch.ones(40, 10))
    before = peak()
    rule = svd.spectrum(matrix).rule
    print(rule, peak() - before, svd.working_bytes(*SHAPE))
"""


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "mps:1", "", "cuda:"])
def test_what_is_no_device_name_is_a_usage_error(name):
    with pytest.raises(SpectraError, match="not a device") as caught:
        svd.choose_device(name)
    assert caught.value.code == 2


@pytest.mark.parametrize("name", ["cuda:99", "xpu:99"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(SpectraError, match=f"no device {name}"):
        svd.choose_device(name)


def test_cpu_is_always_there():
    assert svd.choose_device("cpu") == "cpu"


def test_neither_import_nor_a_usage_error_imports_torch():
    script = """
import sys
from spectra_cli import svd
from spectra_cli.engines import processors
from spectra_cli.errors import SpectraError
try: svd.choose_device("abacus")
except SpectraError: print("torch" in sys.modules, "scipy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize(("deficient", "rule"), [(False, "gram"), (True, "qr+svd")])
def test_a_tall_matrix_is_never_copied_whole(deficient, rule):
    shape = (60_000, 256)
    script = GROWTH.replace("SHAPE", str(shape)).replace("DEFICIENT", str(deficient))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    used, grown, promised = done.stdout.split()
    assert used == rule
    assert int(grown) <= int(promised) < 8 * 60_000 * 256 / 4


def test_cost_counts_both_sides_alike():
    assert svd.gigaflops(10, 400) == svd.gigaflops(400, 10)
    assert svd.working_bytes(10, 400) == svd.working_bytes(400, 10)


def test_mps_is_said_to_compute_on_the_cpu():
    assert "CPU" in svd.describe("mps")
    matrix = torch.randn(8, 5)
    assert (svd.spectrum(matrix, device="mps").sigma == svd.spectrum(matrix).sigma).all()
