"""Where batches are computed in the tests: torch's CPU device always, and the GPU wherever there is one."""

import pytest

from spectra_cli import svd

GPU = svd.choose_device("auto")
"""What a scan takes by default: the CPU where there is no GPU with float64."""

on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(GPU == "cpu", reason="torch finds no GPU with float64 here")]

EVERYWHERE = ["cpu:0", pytest.param(GPU, marks=on_a_gpu, id="gpu")]
"""`cpu:0` is torch's name for the CPU as a device: batches run on it as on a GPU, in place of the CPU's own path."""
