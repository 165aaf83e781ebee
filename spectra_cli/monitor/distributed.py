"""The processes of a distributed run: what the first of them decides for all, and the gathering of sharded weights.

Both are collective: every process calls them in the same order, from the thread that trains. What fails in them fails
as it would without a monitor, and is raised as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    import torch


def rank() -> int:
    """Return which process of a distributed run this is; 0 where there is but one.

    >>> rank()
    0
    """
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def decided_by_first(decide: Callable[[], bool], sharded_on: str | None) -> bool:
    """Return what the first process decides, on all of them; only that one is asked.

    sharded_on: the kind of device of the weights; None where each process has them whole, and no other need know.
    """
    if sharded_on is None:
        return decide()
    import torch
    import torch.distributed as dist

    answer = torch.tensor([decide() if rank() == 0 else 0], dtype=torch.uint8, device=sharded_on)
    dist.broadcast(answer, src=0)
    return bool(answer.item())


@contextmanager
def failing_together(sharded_on: str | None) -> Iterator[None]:
    """Raise the SpectraError that the first process meets in the block on every process, so that none waits for it."""
    error = None
    try:
        yield
    except SpectraError as refusal:
        if sharded_on is None:
            raise
        error = refusal
    if sharded_on is None:
        return
    import torch.distributed as dist

    texts = [None if error is None else (error.message, error.hint)]
    dist.broadcast_object_list(texts, src=0)
    if texts[0] is not None:
        raise SpectraError(texts[0][0], hint=texts[0][1])


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor whole: one of which each process has its part is gathered by all of them.

    >>> import torch
    >>> whole(torch.ones(2))
    tensor([1., 1.])
    """
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()
