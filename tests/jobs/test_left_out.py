"""What a scan leaves out: nothing that looks like a weight without a word, and nothing that is a scale as a matrix."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.jobs.inspect import inspect_source
from spectra_cli.jobs.scan import Scan, scan_checkpoints
from spectra_cli.storage.table import read_rows
from tests.support.checkpoints import save_config

FP8 = torch.float8_e4m3fn
Q = "model.layers.0.self_attn.q_proj.weight"


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def scan(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Scan:
    save_file(tensors, folder / "model.safetensors")
    save_config(folder, model_type="llama", **config)
    return scan_checkpoints(folder, folder.parent / "table.parquet", metrics=("sd", "nuclear_norm", "spectral_norm"))


def sigma(scanned: Scan, matrix: str) -> np.ndarray:
    rows = read_rows(scanned.output, vectors=True).to_pandas()
    rows = rows[rows["matrix"] == matrix].set_index("metric")
    return np.asarray(rows["vector"]["sd"], np.float64) * rows["value"]["nuclear_norm"]


def assert_spectrum(scanned: Scan, matrix: str, entries: torch.Tensor) -> None:
    expected = np.linalg.svd(entries.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(sigma(scanned, matrix), expected, atol=1e-5 * expected[0])


def measured(scanned: Scan) -> set[str]:
    return set(read_rows(scanned.output).to_pandas()["tensor"].astype(str))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "step1").mkdir()
    return tmp_path / "step1"


@pytest.mark.parametrize("shape", [(6, 4), (5, 9), (7, 7)])
def test_eight_bits_of_bitsandbytes_are_measured(folder: Path, shape: tuple[int, int]) -> None:
    original = numbers(*shape)
    largest = original.abs().amax(1)
    codes = (original / largest[:, None] * 127).round().to(torch.int8)
    stored = {Q: codes, Q.replace("weight", "SCB"): largest, f"{Q}_format": torch.tensor(0, dtype=torch.uint8)}
    scanned = scan(folder, stored, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert not scanned.problems
    assert_spectrum(scanned, "layers.0.attn.q", codes.double() * largest.double()[:, None] / 127)


SCALE_NAMES = [
    "weight_scale",
    "weight_scale_inv",
    "scale_weight",
    "scale",
    "scale_inv",
    "weight.scale",
    "weight_scales",
]


@pytest.mark.parametrize("name", [*SCALE_NAMES, "weights_scaling_factor"])
def test_a_scale_is_found_by_every_name_in_use_and_is_no_matrix(folder: Path, name: str) -> None:
    codes, scale = (numbers(8, 6) * 20).to(FP8), numbers(8, 1).abs()
    scanned = scan(folder, {Q: codes, Q.replace("weight", name): scale})
    assert not scanned.problems
    assert measured(scanned) == {Q}
    assert_spectrum(scanned, "layers.0.attn.q", codes.double() * scale.double())


@pytest.mark.parametrize("group", [4, 8, 32])
@pytest.mark.parametrize("name", ["weight_scale", "weight_scale_inv", "scale"])
def test_bytes_beside_a_weight_are_exponents_of_two(folder: Path, group: int, name: str) -> None:
    codes = (numbers(16, 64) * 20).to(FP8)
    exponents = torch.randint(110, 140, (16, 64 // group), dtype=torch.uint8)
    scanned = scan(folder, {Q: codes, Q.replace("weight", name): exponents})
    assert not scanned.problems
    whole = (2.0 ** (exponents.double() - 127)).repeat_interleave(group, 1)
    assert_spectrum(scanned, "layers.0.attn.q", codes.double() * whole)


@pytest.mark.parametrize("shape", [(1,), (8, 1), (8, 2)])
def test_zero_points_are_subtracted_before_the_scale(folder: Path, shape: tuple[int, ...]) -> None:
    codes = torch.randint(-128, 127, (8, 6), dtype=torch.int8)
    scale, zero = numbers(*shape).abs(), torch.randint(-9, 9, shape, dtype=torch.int8)
    scanned = scan(folder, {Q: codes, f"{Q}_scale": scale, f"{Q}_zero_point": zero})
    assert not scanned.problems

    def whole(values: torch.Tensor) -> torch.Tensor:
        return values.double().repeat_interleave(6 // shape[-1], 1) if len(shape) == 2 else values.double()

    assert_spectrum(scanned, "layers.0.attn.q", (codes.double() - whole(zero)) * whole(scale))


NAMED = {
    "four axes, no rule": {"model.layers.0.strange": torch.ones(2, 3, 4, 5)},
    "complex": {"model.layers.0.strange": torch.ones(3, 4, dtype=torch.complex64)},
    "empty": {"model.layers.0.mlp.up_proj.weight": torch.ones(0)},
    "bytes without a scale": {"model.layers.0.mlp.up_proj.weight": torch.ones(3, 4, dtype=torch.uint8)},
    "int8 under another name": {"model.layers.0.mlp.up_proj.codes": torch.ones(3, 4, dtype=torch.int8)},
    "packed in 32 bits": {"model.layers.0.mlp.up_proj.packed": torch.ones(3, 4, dtype=torch.int32)},
    "a scale alone": {"model.layers.0.mlp.up_proj.weight_scale": torch.ones(3, 4)},
    "two scales": {
        "model.layers.0.mlp.up_proj.weight": torch.ones(3, 4).to(FP8),
        "model.layers.0.mlp.up_proj.scale": torch.ones(1, 1),
        "model.layers.0.mlp.up_proj.weight_scale_inv": torch.ones(1, 1),
    },
    "a scale that does not fit": {
        "model.layers.0.mlp.up_proj.weight": torch.ones(9, 4).to(FP8),
        "model.layers.0.mlp.up_proj.weight_scale": torch.ones(4, 3),
    },
    "GPTQ": {
        "model.layers.0.mlp.up_proj.qweight": torch.ones(4, 4, dtype=torch.int32),
        "model.layers.0.mlp.up_proj.scales": torch.ones(2, 4),
    },
}


@pytest.mark.parametrize("kind", NAMED)
def test_what_looks_like_a_weight_and_is_not_measured_is_named(folder: Path, kind: str) -> None:
    stored = NAMED[kind]
    scanned = scan(folder, {Q: numbers(6, 4), **stored})
    first = next(iter(stored))
    assert measured(scanned) == {Q}
    assert any(f"{first} is left out: " in problem.message for problem in scanned.problems)
    assert first in {name for name, _ in scanned.metadata["skipped"]}
    assert set(scanned.metadata["problems"]) == {problem.message for problem in scanned.problems}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["complex", "two scales", "GPTQ"])
def test_inspect_names_what_a_scan_leaves_out(folder: Path, kind: str) -> None:
    scanned = scan(folder, {Q: numbers(6, 4), **NAMED[kind]})
    assert set(inspect_source(folder).problems) == set(scanned.problems)


HARMLESS = {
    "a mask of bytes": {"model.layers.0.self_attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8)},
    "a mask of floats": {"model.layers.0.self_attn.causal_mask": torch.ones(8, 8)},
    "truth values": {"model.layers.0.strange": torch.ones(8, 8, dtype=torch.bool)},
    "positions": {"model.position_ids": torch.arange(8)[None]},
    "vectors": {"model.norm.weight": torch.ones(8), "model.token": torch.ones(1, 1, 8)},
    "an input's scale": {Q.replace("weight", "input_scale"): torch.ones(1, 1)},
    "optimizer states": {"optimizer.state.0.exp_avg": torch.ones(8, 8)},
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_masks_indices_vectors_and_scales_are_no_loss(folder: Path, kind: str) -> None:
    scanned = scan(folder, {Q: numbers(6, 4), **HARMLESS[kind]})
    assert measured(scanned) == {Q}
    assert not scanned.problems
    assert HARMLESS[kind].keys() <= {name for name, _ in scanned.metadata["skipped"]}


@pytest.mark.parametrize("described", ["config", "header", "another's scale"])
def test_codes_of_a_quantised_model_are_never_taken_for_numbers(folder: Path, described: str) -> None:
    stored = {Q: numbers(6, 4), "model.layers.1.self_attn.q_proj.weight": numbers(6, 4).to(FP8)}
    if described == "another's scale":
        stored |= {"model.layers.0.mlp.up_proj.weight": numbers(6, 4).to(FP8)}
        stored |= {"model.layers.0.mlp.up_proj.weight_scale": torch.ones(())}
    header = {"_quantization_metadata": "{}"} if described == "header" else None
    save_file(stored, folder / "model.safetensors", header)
    save_config(folder, **({"quantization_config": {"quant_method": "fp8"}} if described == "config" else {}))
    scanned = scan_checkpoints(folder, folder.parent / "table.parquet")
    assert "model.layers.1.self_attn.q_proj.weight" not in measured(scanned)
    assert "fp8 without a scale beside it" in scanned.problems[0].message


def test_scales_are_found_in_distributed_checkpoints_too(folder: Path) -> None:
    from torch.distributed.checkpoint import state_dict_saver

    codes, scale = (numbers(8, 6) * 20).to(FP8), numbers(8, 1).abs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_saver.save({"model": {Q: codes, f"{Q}_scale": scale}}, checkpoint_id=folder, no_dist=True)
    scanned = scan_checkpoints(folder, folder.parent / "table.parquet")
    assert not scanned.problems
    assert_spectrum(scanned, "layers.0.attn.q", codes.double() * scale.double())


@pytest.mark.parametrize("shape", [(2, 1, 6), (1, 5, 6), (4, 1, 1, 3)])
def test_axes_of_one_entry_do_not_keep_a_matrix_from_being_measured(folder: Path, shape: tuple[int, ...]) -> None:
    entries = numbers(*shape)
    scanned = scan(folder, {Q: numbers(6, 4), "model.strange": entries})
    assert not scanned.problems
    assert_spectrum(scanned, "model.strange", entries.squeeze())


EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, FP8])
def test_a_head_that_the_config_ties_is_measured_where_it_differs(folder: Path, dtype: torch.dtype) -> None:
    embed, head = numbers(12, 5).to(dtype), numbers(12, 5, seed=1).to(dtype)
    scanned = scan(folder, {EMBED: embed, HEAD: head}, tie_word_embeddings=True)
    assert not scanned.problems
    assert_spectrum(scanned, "unembed", head)
    head = embed.clone()
    head.view(torch.uint8)[-1, -1] ^= 1  # the last bit of the last entry
    scanned = scan(folder, {EMBED: embed, HEAD: head}, tie_word_embeddings=True)
    assert measured(scanned) == {EMBED, HEAD}


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_head_that_repeats_the_embedding_is_left_out(folder: Path, suffix: str) -> None:
    embed = numbers(12, 5)
    if suffix == "safetensors":
        save_file({EMBED: embed, HEAD: embed.clone()}, folder / "model.safetensors")
    else:
        torch.save({EMBED: embed, HEAD: embed}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": True}))
    scanned = scan_checkpoints(folder, folder.parent / "table.parquet")
    assert (measured(scanned), scanned.problems) == ({EMBED}, ())
    assert scanned.metadata["skipped"] == [[HEAD, "tied: the same weights as the embedding"]]
