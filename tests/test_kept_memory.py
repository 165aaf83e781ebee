"""Memory that is used again."""

import torch
from safetensors.torch import save_file

from spectra_cli import kept_memory, weights
from spectra_cli.kept_memory import LEAST, MOST_SCRATCH, lent, reusing_memory, scratch
from spectra_cli.weights.tensors.source import read_buffer

NBYTES = 4 * LEAST


class Fresh:
    """Gives out fresh memory, as `lent` asks for it, and counts how often that was."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> torch.Tensor:
        self.count += 1
        return torch.empty(NBYTES, dtype=torch.uint8)


def test_memory_is_used_again_once_no_view_of_a_tensor_is_left():
    fresh = Fresh()
    with reusing_memory():
        view = lent(NBYTES, fresh).fill_(7)[1:]
        other = lent(NBYTES, fresh).fill_(1)
        assert fresh.count == 2
        assert view.eq(7).all()
        del view
        again = lent(NBYTES - 5, fresh)
        assert fresh.count == 2
        assert again.shape == (NBYTES - 5,)
        assert again.eq(7).all()
        assert other.eq(1).all()
    del again, other
    with reusing_memory():
        lent(NBYTES, fresh)
    assert fresh.count == 3  # what was given back after the block was not kept for the next


def test_what_is_read_lies_in_memory_that_is_used_again():
    with reusing_memory():
        view = read_buffer("a", NBYTES).fill_(7)[1:]
        del view
        assert read_buffer("b", NBYTES - 5).eq(7).all()


def test_a_tensor_may_end_while_its_thread_looks_for_memory():
    fresh = Fresh()
    with reusing_memory():
        view = lent(NBYTES, fresh)
        with kept_memory._kept._lock:
            del view
        lent(NBYTES, fresh)
    assert fresh.count == 1


def test_outside_a_block_and_of_little_nothing_is_kept():
    fresh = Fresh()
    lent(NBYTES, fresh)
    lent(NBYTES, fresh)
    assert fresh.count == 2
    with reusing_memory():
        lent(LEAST - 1, fresh)
        lent(LEAST - 1, fresh)
    assert fresh.count == 4


def test_what_was_read_outlives_the_block(tmp_path):
    save_file(
        {name: torch.full((512, 512), value) for name, value in (("a", 1.0), ("b", 2.0))},
        tmp_path / "model.safetensors",
    )
    with weights.open_weights(tmp_path / "model.safetensors") as opened:
        with reusing_memory():
            kept = opened.read("a")
        opened.read("b")
    assert torch.equal(kept, torch.ones(512, 512))


def test_two_uses_at_once_have_memory_of_their_own():
    with reusing_memory():
        first = scratch(1 << 18, torch.float64).fill_(1.0)
        second = scratch(1 << 18, torch.float64).fill_(2.0)
        assert first.eq(1.0).all()
        where = first.data_ptr()
        del first
        assert scratch(1 << 19, torch.float32).data_ptr() == where
        assert second.eq(2.0).all()


def test_of_what_is_computed_in_much_is_not_kept():
    fresh = Fresh()
    with reusing_memory():
        scratch(MOST_SCRATCH, torch.uint8)
        lent(MOST_SCRATCH, fresh)
        assert fresh.count == 0
    with reusing_memory():
        scratch(MOST_SCRATCH + 1, torch.uint8)
        lent(MOST_SCRATCH + 1, fresh)
        assert fresh.count == 1
