"""A scan of real files: its numbers against an independent SVD, its rows, and how it goes on after a stop."""

import gc
import shutil

import numpy as np
import pytest
import torch

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import OBJECTS, scan_checkpoints
from tests.support import runs


def values(path):
    frame = read_table(path).to_pandas()
    return {(row.revision, row.matrix, row.metric): row.value for row in frame.itertuples()}


def test_numbers_agree_with_an_independent_svd(table_path, kept_run):
    found = values(table_path)
    last = runs.float64_matrices(kept_run / "step16")
    before = None
    for step in runs.STEPS:
        here = runs.float64_matrices(kept_run / f"step{step}")
        for name, matrix in here.items():
            get = lambda metric, name=name, step=step: found[f"step{step}", name, metric]  # noqa: E731
            sigma = np.linalg.svd(matrix, compute_uv=False)
            shares = sigma / sigma.sum()
            entropy = -(shares * np.log(shares)).sum()
            assert get("nuclear_norm") == pytest.approx(sigma.sum(), rel=1e-9)
            assert get("frobenius_norm") == pytest.approx(np.linalg.norm(matrix), rel=1e-9)
            assert get("spectral_norm") == pytest.approx(sigma[0], rel=1e-9)
            assert get("stable_rank") == pytest.approx((sigma**2).sum() / sigma[0] ** 2, rel=1e-9)
            assert get("entropy") == pytest.approx(entropy, rel=1e-9)
            assert get("effective_rank") == pytest.approx(np.exp(entropy), rel=1e-9)
            for suffix, other in (("final", last[name]), ("prev", before and before[name])):
                if other is None:
                    assert (f"step{step}", name, f"cos_weights_{suffix}") not in found
                    continue
                theirs = np.linalg.svd(other, compute_uv=False)
                variation = np.linalg.norm(shares - theirs / theirs.sum())
                cosine = (matrix * other).sum() / np.linalg.norm(matrix) / np.linalg.norm(other)
                alignment = sigma @ theirs / np.linalg.norm(sigma) / np.linalg.norm(theirs)
                assert get(f"sd_variation_{suffix}") == pytest.approx(variation, abs=1e-9)
                assert get(f"cos_weights_{suffix}") == pytest.approx(cosine, abs=1e-10)
                assert get(f"cos_spectrum_{suffix}") == pytest.approx(alignment, abs=1e-10)
            if before:
                assert get("update_norm_prev") == pytest.approx(np.linalg.norm(matrix - before[name]), rel=1e-9)
        before = here


def test_the_same_request_gives_the_same_bytes(kept_run, table_path, tmp_path):
    again = scan_checkpoints(kept_run, tmp_path / "again.parquet", threads=1)
    assert again.output.read_bytes() == table_path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.parquet"]


def test_matrices_are_chosen_by_role_layer_and_name(kept_run, tmp_path):
    chosen = scan_checkpoints(kept_run, tmp_path / "a.parquet", roles=["q", "up"], layers="1", metrics=["alpha"])
    frame = read_table(chosen.output).to_pandas()
    assert set(frame["matrix"]) == {"layers.1.attn.q", "layers.1.mlp.up"}
    assert set(frame["metric"]) == {"alpha"}
    matched = scan_checkpoints(kept_run, tmp_path / "b.parquet", match=r"^(un)?embed$")
    assert set(read_table(matched.output).to_pandas()["matrix"]) == {"embed", "unembed"}


def test_fused_tensors_stay_whole_when_asked(kept_run, tmp_path):
    whole = scan_checkpoints(kept_run, tmp_path / "a.parquet", fused=True, steps="16")
    frame = read_table(whole.output).to_pandas()
    fused = frame[frame["matrix"] == "layers.0.attn.qkv"]
    assert (fused["rows"].iloc[0], fused["cols"].iloc[0]) == (3 * runs.WIDTH, runs.WIDTH)


def test_another_reference_changes_what_final_means(kept_run, tmp_path):
    scan = scan_checkpoints(kept_run, tmp_path / "a.parquet", reference="step0", metrics=["cos_weights_final"])
    found = values(scan.output)
    assert found["step0", "embed", "cos_weights_final"] == pytest.approx(1, abs=1e-12)
    assert found["step16", "embed", "cos_weights_final"] < 0.99


def test_a_reference_outside_the_chosen_steps_is_read_but_not_listed(kept_run, tmp_path):
    scan = scan_checkpoints(kept_run, tmp_path / "a.parquet", steps=":2", reference="step16")
    frame = read_table(scan.output).to_pandas()
    assert sorted(frame["step"].unique()) == [0, 1, 2]
    assert "cos_weights_final" in set(frame["metric"])


def test_one_checkpoint_has_no_comparison_rows(kept_run, tmp_path):
    scan = scan_checkpoints(kept_run / "step4", tmp_path / "a.parquet")
    metrics = set(read_table(scan.output).to_pandas()["metric"])
    assert "stable_rank" in metrics
    assert not [name for name in metrics if name.endswith(("_final", "_prev", "_rate"))]


def test_a_checkpoint_that_repeats_another_is_named(run, tmp_path):
    shutil.copytree(run / "step8", run / "step12")
    scan = scan_checkpoints(run, tmp_path / "a.parquet")
    assert scan.metadata["duplicates"] == {"step12": "step8"}


def test_steps_in_another_stage_give_no_rate(tmp_path):
    for seed, name in enumerate(("stage1-step10", "stage2-step5")):
        runs.write_checkpoint(tmp_path / "staged" / name, runs.neox_tensors(seed))
    scan = scan_checkpoints(tmp_path / "staged", tmp_path / "a.parquet")
    metrics = set(read_table(scan.output).to_pandas()["metric"])
    assert "sd_variation_prev" in metrics
    assert "sd_variation_rate" not in metrics


class Stop(Exception):
    """Stands for anything that ends a scan in the middle."""


def stop_after(checkpoints):
    done = []

    def progress(_checkpoint, matrix):
        if matrix is None:
            done.append(1)
        elif len(done) >= checkpoints:
            raise Stop

    return progress


@pytest.mark.parametrize("finished", [0, 1, 4])
def test_a_stopped_scan_goes_on_and_ends_the_same(kept_run, table_path, tmp_path, finished):
    target = tmp_path / "a.parquet"
    with pytest.raises(Stop):
        scan_checkpoints(kept_run, target, on_done=stop_after(finished))
    assert not target.exists()
    measured = []
    scan_checkpoints(kept_run, target, on_done=lambda one, matrix: matrix and measured.append(one.revision))
    assert len(set(measured)) == len(runs.STEPS) - finished
    assert target.read_bytes() == table_path.read_bytes()
    assert list(tmp_path.iterdir()) == [target]


def test_another_request_on_a_begun_output_is_refused(kept_run, tmp_path):
    target = tmp_path / "a.parquet"
    with pytest.raises(Stop):
        scan_checkpoints(kept_run, target, on_done=stop_after(1))
    with pytest.raises(SpectraError, match="begun with another request: options") as caught:
        scan_checkpoints(kept_run, target, roles=["q"])
    assert "--restart" in caught.value.hint
    assert scan_checkpoints(kept_run, target, roles=["q"], restart=True).rows > 0


def test_a_damaged_part_is_measured_again(kept_run, table_path, tmp_path):
    target = tmp_path / "a.parquet"
    with pytest.raises(Stop):
        scan_checkpoints(kept_run, target, on_done=stop_after(3))
    part = next((tmp_path / "a.parquet.parts").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-7])
    scan_checkpoints(kept_run, target)
    assert target.read_bytes() == table_path.read_bytes()


def test_bfloat16_and_float32_are_read_as_they_are_stored(tmp_path):
    for dtype in (torch.bfloat16, torch.float32):
        folder = tmp_path / str(dtype).removeprefix("torch.")
        runs.write_checkpoint(folder / "step0", runs.neox_tensors(3, dtype=dtype))
        found = values(scan_checkpoints(folder, tmp_path / f"{folder.name}.parquet").output)
        for name, matrix in runs.float64_matrices(folder / "step0").items():
            assert found["step0", name, "frobenius_norm"] == pytest.approx(np.linalg.norm(matrix), rel=1e-12)


def test_singular_vectors_are_compared_when_asked_for(kept_run, tmp_path):
    scan = scan_checkpoints(kept_run, tmp_path / "a.parquet", vectors=2, metrics=["alpha"])
    found = values(scan.output)
    first, last = (runs.float64_matrices(kept_run / name)["embed"] for name in ("step0", "step16"))
    ours, theirs = np.linalg.svd(first)[0][:, :2], np.linalg.svd(last)[0][:, :2]
    overlap = np.linalg.norm(ours.T @ theirs) ** 2 / 2
    names = {metric for _, _, metric in found}
    (name,) = [metric for metric in names if "overlap" in metric and "left" in metric and metric.endswith("_final")]
    assert found["step0", "embed", name] == pytest.approx(overlap, abs=1e-7)
    assert found["step16", "embed", name] == pytest.approx(1, abs=1e-9)


def test_the_shuffle_and_the_range_of_the_fit_are_wired(kept_run, tmp_path):
    asked = {"steps": "16", "metrics": ["alpha", "rand_distance"]}
    whole = values(scan_checkpoints(kept_run, tmp_path / "a.parquet", **asked).output)
    part = values(scan_checkpoints(kept_run, tmp_path / "b.parquet", alpha_range="2:8", **asked).output)
    assert whole["step16", "embed", "alpha"] != part["step16", "embed", "alpha"]
    assert 0 <= whole["step16", "embed", "rand_distance"] < 1


@pytest.mark.parametrize("threshold", [0, 700, 100_000])
def test_the_collector_of_garbage_is_as_it_was_after_a_scan(kept_run, tmp_path, threshold):
    before = gc.get_threshold()
    gc.set_threshold(threshold, *before[1:])
    try:
        during = []
        scan_checkpoints(
            kept_run, tmp_path / "a.parquet", on_done=lambda *_: during.append(gc.get_threshold()[0]), metrics=["alpha"]
        )
        assert set(during) == {OBJECTS if threshold == 700 else threshold}
        assert gc.get_threshold()[0] == threshold
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*before)
