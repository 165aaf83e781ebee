"""Some elements of a tensor, from files of every layout: those that the whole tensor has at these positions."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.weights import open_weights
from tests.support.checkpoints import example, save_shards


def save_transposed(folder: Path) -> None:
    torch.save(
        {name: tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor for name, tensor in example().items()},
        folder / "pytorch_model.bin",
    )


WRITERS = {
    "safetensors": lambda folder: save_file(example(), folder / "model.safetensors"),
    "shards": save_shards,
    "torch": lambda folder: torch.save(example(), folder / "pytorch_model.bin"),
    "transposed": save_transposed,
}


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(("start", "stop"), [(0, 24), (0, 1), (5, 17), (23, 24)])
def test_elements_are_those_of_the_whole_tensor(tmp_path, layout, start, stop):
    WRITERS[layout](tmp_path)
    with open_weights(tmp_path) as weights:
        for name, tensor in example().items():
            if tensor.numel() < 24:
                continue
            some = weights.read_elements(name, start, stop)
            assert some.dtype == tensor.dtype
            assert torch.equal(some, tensor.reshape(-1)[start:stop])
            assert not weights.notes
