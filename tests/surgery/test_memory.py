"""A merge holds a few tensors at a time, whatever the number and the size of the checkpoints."""

import pytest
import torch

from tests.support import runs
from tests.support.processes import CommandLine

MEGABYTE = 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_merge_of_ten_holds_less_than_four_of_the_largest_tensor(tmp_path, dtype):
    tokens = 48 * MEGABYTE // dtype.itemsize // runs.WIDTH
    small, large = runs.write_run(tmp_path / "small"), tmp_path / "large"
    for step in range(10):
        tensors = runs.neox_tensors(step, tokens=tokens, dtype=dtype)
        runs.write_checkpoint(large / f"step{step}", tensors, runs.CONFIG | {"vocab_size": tokens})
    del tensors
    with CommandLine() as line:
        least = line.run("merge", small, "-o", tmp_path / "a", "--window", 6, within=300)
        most = line.run("merge", large, "-o", tmp_path / "b", "--window", 10, within=300)
    assert (least.code, most.code) == (0, 0), most.err
    assert most.peak - least.peak < 4 * 48
