"""Weights stored as length and direction are what the module that stores them so applies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm

from spectra_cli.weights import open_weights


def saved(module: nn.Module, folder: Path) -> dict[str, Tensor]:
    """Save a module under `layers.0`, and return what a scan reads of it."""
    state = {f"layers.0.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    with open_weights(folder) as weights:
        return {name: weights.read(name) for name in weights.tensors}


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 4)])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_a_matrix_is_put_together_from_either_torchs_names(
    dim: int | None, shape: tuple[int, int], tmp_path: Path
) -> None:
    for number, normed in enumerate((weight_norm, parametrizations.weight_norm)):
        (folder := tmp_path / str(number)).mkdir()
        module = normed(nn.Linear(shape[1], shape[0]), dim=dim)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_()
        module(torch.zeros(1, shape[1]))  # the older kind makes its weight anew when it is called
        tensors = saved(module, folder)
        assert tensors.keys() == {"layers.0.weight", "layers.0.bias"}
        assert torch.allclose(tensors["layers.0.weight"], module.weight, rtol=1e-6)


def test_a_convolution_with_one_length_for_each_place_of_its_kernel(tmp_path: Path) -> None:
    """As in wav2vec 2.0; the expected entries by NumPy."""
    g, v = torch.rand(1, 1, 3), torch.randn(4, 2, 3)
    stem = "encoder.pos_conv_embed.conv.parametrizations.weight"
    save_file({f"{stem}.original0": g, f"{stem}.original1": v}, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        (name,) = weights.tensors
        read = weights.read(name)
    assert name == "encoder.pos_conv_embed.conv.weight"
    norm = np.sqrt((v.numpy().astype(float) ** 2).sum((0, 1), keepdims=True))
    assert np.allclose(read.numpy(), g.numpy() * v.numpy() / norm, rtol=1e-6)


@pytest.mark.parametrize("other", ["layers.0.weight_v", "layers.0.weight"])
def test_what_is_no_pair_is_left_as_it_is(other: str, tmp_path: Path) -> None:
    stored = {"layers.0.weight_g": torch.ones(3, 2), other: torch.ones(5, 4)}
    save_file(stored, tmp_path / "model.safetensors")
    with open_weights(tmp_path) as weights:
        assert weights.tensors.keys() == stored.keys()
