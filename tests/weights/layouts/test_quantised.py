from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from spectra_cli.weights import open_weights
from tests.support.checkpoints import save_config

FP8 = torch.float8_e4m3fn


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def read(folder: Path, tensors: dict[str, torch.Tensor], name: str = "q.weight", **config: object) -> torch.Tensor:
    save_file(tensors, folder / "model.safetensors")
    save_config(folder, **config)
    with open_weights(folder) as weights:
        assert set(weights.tensors) == {name}
        assert {skip.tensor for skip in weights.skipped} == set(tensors) - {name}
        assert not weights.unreadable
        return weights.read(name)


def test_blocks_of_fp8_are_multiplied_with_their_scales(tmp_path: Path) -> None:
    weight, scale = numbers(300, 200).to(FP8), numbers(3, 2).abs()
    whole = scale.repeat_interleave(128, 0)[:300].repeat_interleave(128, 1)[:, :200]
    tensor = read(tmp_path, {"q.weight": weight, "q.weight_scale_inv": scale})
    assert torch.equal(tensor, weight.float() * whole)


def test_the_size_of_a_block_is_the_configurations(tmp_path: Path) -> None:
    weight, scale = numbers(6, 10).to(FP8), numbers(3, 2).abs()
    whole = scale.repeat_interleave(2, 0).repeat_interleave(6, 1)[:, :10]
    quantised = {"quant_method": "fp8", "weight_block_size": [2, 6]}
    tensors = {"q.weight": weight, "q.weight_scale_inv": scale}
    assert torch.equal(read(tmp_path, tensors, quantization_config=quantised), weight.float() * whole)


def test_stacks_of_experts_have_stacks_of_scales(tmp_path: Path) -> None:
    weight, scale = numbers(3, 130, 4).to(FP8), numbers(3, 2, 1).abs()
    tensors = {"experts.up_proj": weight, "experts.up_proj_scale_inv": scale}
    whole = scale.repeat_interleave(128, 1)[:, :130]
    assert torch.equal(read(tmp_path, tensors, "experts.up_proj"), weight.float() * whole)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (6,), (6, 1)])
@pytest.mark.parametrize("dtype", [FP8, torch.float8_e5m2, torch.int8])
def test_one_scale_or_one_a_row(tmp_path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    weight, scale = (numbers(6, 4) * 10).to(dtype), numbers(*shape).abs() + 0.5
    rows = scale.reshape(-1, 1)
    tensor = read(tmp_path, {"q.weight": weight, "q.weight_scale": scale.bfloat16()})
    assert torch.equal(tensor, weight.float() * rows.bfloat16().float())


def test_eight_bits_of_bitsandbytes_are_scaled_by_the_rows_largest(tmp_path: Path) -> None:
    original = numbers(6, 4)
    largest = original.abs().amax(1)
    weight = (original / largest[:, None] * 127).round().to(torch.int8)
    tensor = read(tmp_path, {"q.weight": weight, "q.SCB": largest})
    torch.testing.assert_close(tensor, original, atol=0.02, rtol=0)


def test_four_bits_of_gpt_oss_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    blocks = torch.arange(2 * 6 * 3 * 16).reshape(2, 6, 3, 16).mul(37).remainder(256).to(torch.uint8)
    scales = torch.arange(36).reshape(2, 6, 3).add(110).to(torch.uint8)
    expected = convert_moe_packed_tensors(blocks.clone(), scales.clone())
    tensors = {"experts.gate_up_proj_blocks": blocks, "experts.gate_up_proj_scales": scales}
    tensor = read(tmp_path, tensors, "experts.gate_up_proj")
    assert tensor.dtype == expected.dtype
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize(
    ("tensors", "names"),
    [
        ({"q.weight": torch.ones(4, 4, dtype=torch.int8)}, {"q.weight"}),
        ({"q.weight": torch.ones(4, 4).to(FP8)}, {"q.weight"}),
        ({"q.weight": torch.ones(4, 4).to(FP8), "q.weight_scale": torch.ones(3, 3, 3)}, {"q.weight"}),
        (
            {
                "q.qweight": torch.ones(4, 4, dtype=torch.int32),
                "q.qzeros": torch.ones(4, 4, dtype=torch.int32),
                "q.scales": torch.ones(4, 4),
                "q.g_idx": torch.ones(4, dtype=torch.int32),
            },
            {"q.qweight", "q.qzeros", "q.scales", "q.g_idx"},
        ),
        (
            {"q.weight": torch.ones(8, 1, dtype=torch.uint8), "q.weight.absmax": torch.ones(2, 2)},
            {"q.weight", "q.weight.absmax"},
        ),
        (
            {"q.weight_packed": torch.ones(4, 4, dtype=torch.int32), "q.weight_scale": torch.ones(4, 2)},
            {"q.weight_packed", "q.weight_scale"},
        ),
        (
            {"q.W_q": torch.ones(2, 4, dtype=torch.uint8), "q.scale": torch.ones(4, 1), "q.zero": torch.ones(4, 1)},
            {"q.W_q", "q.scale", "q.zero"},
        ),
        (
            {"q.weight._data": torch.ones(4, 4, dtype=torch.int8), "q.weight._scale": torch.ones(4, 1)},
            {"q.weight._data", "q.weight._scale"},
        ),
        (
            {
                "q.codes": torch.ones(4, 4, 1, dtype=torch.int16),
                "q.codebooks": torch.ones(1, 8, 1, 8),
                "q.scales": torch.ones(4, 1, 1, 1),
            },
            {"q.codes", "q.codebooks", "q.scales"},
        ),
        (
            {
                "q.weight": torch.ones(4, 1, dtype=torch.int32),
                "q.scales": torch.ones(4, 2),
                "q.biases": torch.ones(4, 2),
            },
            {"q.weight", "q.scales", "q.biases"},
        ),
        (
            {"q.q_weight": torch.ones(4, 4, dtype=torch.int32), "q.q_scale": torch.ones(2, 2, dtype=torch.int32)},
            {"q.q_weight", "q.q_scale"},
        ),
    ],
)
def test_what_has_no_scale_or_is_packed_is_named_and_left_out(
    tmp_path: Path, tensors: dict[str, torch.Tensor], names: set[str]
) -> None:
    save_file({**tensors, "plain.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    save_config(tmp_path, quantization_config={"quant_method": "some"})
    with open_weights(tmp_path) as weights:
        assert {skip.tensor for skip in weights.unreadable} == names
        assert "plain.weight" in weights.tensors
        assert not names & set(weights.tensors)


def test_fp8_that_is_not_quantised_is_read_as_it_is(tmp_path: Path) -> None:
    save_file({"q.weight": numbers(4, 4).to(FP8)}, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        assert weights.read("q.weight").dtype == FP8


def test_names_like_those_of_packed_weights_are_no_ground_for_leaving_a_matrix_out(tmp_path: Path) -> None:
    save_file({"a.scales": torch.ones(2, 2), "b_blocks": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        assert set(weights.tensors) == {"a.scales", "b_blocks"}
