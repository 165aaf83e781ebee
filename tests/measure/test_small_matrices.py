"""Many small matrices: taken together, and the same table however many are."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spectra_cli import read_table
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.measure.taken_together import taken_together
from spectra_cli.records import Matrix

EXPERTS = 8
CONFIG = {"model_type": "qwen3_moe", "hidden_size": 16, "moe_intermediate_size": 24, "num_experts": EXPERTS}


@pytest.fixture
def run(tmp_path):
    """Three checkpoints of a mixture of experts: the second holds NaN in one, the third has half of the first's."""
    random, kept = torch.Generator().manual_seed(0), {}
    for step in range(3):
        tensors = {}
        for expert in range(EXPERTS):
            for name, shape in (("gate_proj", (24, 16)), ("up_proj", (24, 16)), ("down_proj", (16, 24))):
                made = torch.randn(shape, generator=random).to(torch.bfloat16)
                tensors[f"model.layers.0.mlp.experts.{expert}.{name}.weight"] = made
        if step == 1:
            next(iter(tensors.values()))[0, 0] = torch.nan
        tensors |= {name: tensor for name, tensor in kept.items() if step == 2 and ".up_proj" in name}
        kept = kept or tensors
        (tmp_path / "run" / f"step{step}").mkdir(parents=True)
        (tmp_path / "run" / f"step{step}" / "config.json").write_text(json.dumps(CONFIG))
        save_file(tensors, tmp_path / "run" / f"step{step}" / "model.safetensors")
    return tmp_path / "run"


def test_the_table_does_not_depend_on_how_many_are_taken_together(run, tmp_path):
    tables = []
    for threads in (1, 50):  # with fifty workers each matrix is a job by itself
        scan = scan_checkpoints(run, tmp_path / f"{threads}.parquet", threads=threads, vectors=2)
        assert [problem.message for problem in scan.problems if "NaN" in problem.message]
        tables.append((tmp_path / f"{threads}.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_what_no_metric_asks_for_changes_nothing_else(run, tmp_path):
    scan_checkpoints(run, tmp_path / "all.parquet")
    scan_checkpoints(run, tmp_path / "two.parquet", metrics=("stable_rank", "sd_variation_prev"))
    every = read_table(tmp_path / "all.parquet", metrics=["stable_rank", "sd_variation_prev"]).to_pandas()
    two = read_table(tmp_path / "two.parquet").to_pandas()
    np.testing.assert_array_equal(every["value"], two["value"])
    assert len(two) == 3 * 3 * EXPERTS + 2 * 3 * EXPERTS


def test_jobs_are_large_matrices_alone_and_small_neighbours_within_bounds():
    small, large = (Matrix(f"{side}", "q", "w", side, side) for side in (128, 129))
    jobs = taken_together([large, large, *[small] * 2000, large], 2)
    assert [len(job) for job in jobs[:2]] == [1, 1]
    assert max(map(len, jobs)) == (1 << 21) // 128**2
    assert sum(map(len, jobs)) == 2003
    assert len(taken_together([small] * 8, 4)) == 8
