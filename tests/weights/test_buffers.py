"""Memory that is read into again."""

import torch
from safetensors.torch import save_file

from spectra_cli import weights
from spectra_cli.weights.tensors.buffers import read_buffer

NBYTES = 40 << 20  # more than the C library keeps: fresh pages of it are 0


def test_memory_is_used_again_once_no_view_of_a_tensor_is_left():
    with weights.reusing_memory():
        view = read_buffer("a", NBYTES).fill_(7)[1:]
        other = read_buffer("b", NBYTES)
        assert not other.any()
        del view
        assert read_buffer("c", NBYTES - 5).eq(7).all()
    assert not read_buffer("d", NBYTES).any()


def test_what_was_read_outlives_the_block(tmp_path):
    save_file(
        {name: torch.full((512, 512), value) for name, value in (("a", 1.0), ("b", 2.0))},
        tmp_path / "model.safetensors",
    )
    with weights.open_weights(tmp_path / "model.safetensors") as opened:
        with weights.reusing_memory():
            kept = opened.read("a")
        opened.read("b")
    assert torch.equal(kept, torch.ones(512, 512))
