"""One pass over the checkpoints of a run, tensor by tensor: every inner product of two of them, in float64.

Memory does not grow with the number of checkpoints: a tensor is taken in blocks of so few elements that the block of
all checkpoints together takes a fixed number of bytes. Knows arrays and what reads them, no file and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
ReadElements = Callable[[int, int], "torch.Tensor"]

ORIGIN = 0  # the checkpoint that is subtracted from all
LEAST_BLOCK = 32 << 20  # below this a block costs more calls than it saves memory


@dataclass(frozen=True, eq=False)
class Owners:
    """Which group each element of a tensor belongs to: marks[p // inner] for the element at position p.

    marks: (size / inner,) integers from 0 on, −1 for an element of no group.
    """

    marks: NDArray[np.int32]
    inner: int

    def of(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return the groups of the elements from start to stop.

        >>> Owners(np.array([0, 1], np.int32), 3).of(1, 5)
        array([0, 0, 1, 1], dtype=int32)
        """
        return self.marks[np.arange(start, stop) // self.inner]


def block_bytes(largest: int) -> int:
    """Return the bytes of a block of all checkpoints together. largest: bytes of the largest stored tensor.

    >>> block_bytes(10), block_bytes(10**9)
    (33554432, 1000000000)
    """
    return max(LEAST_BLOCK, largest)


def tensor_grams(
    readers: Sequence[ReadElements], size: int, most_bytes: int, owners: Owners | None = None
) -> dict[int, Array]:
    """Return ⟨Wᵢ − W₀, Wⱼ − W₀⟩ over the elements of one tensor, (N, N) in float64 for every group of elements.

    readers: one a checkpoint, each returns the elements from start to stop in one order for all, as a tensor of one
    axis in any floating dtype. size: elements of the tensor. most_bytes: of the block that is held at once. owners:
    which group each element belongs to; without, all are of group 0. W₀ is the first checkpoint: differences are
    exact where inner products of nearly equal checkpoints cancel, and every sequence whose weights sum to one keeps
    its centred inner products. An entry that is not finite makes its own checkpoint's row and column NaN, no other's.

    >>> import torch
    >>> walk = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    >>> tensor_grams([lambda a, b, row=row: row[a:b] for row in walk], 2, 1 << 20)[0]
    array([[0., 0., 0.],
           [0., 1., 1.],
           [0., 1., 5.]])
    """
    import torch

    count = len(readers)
    step = max(1, min(size, most_bytes // (8 * count)))
    block = torch.empty((count, step), dtype=torch.float64)
    sums: dict[int, Array] = {}
    for start in range(0, size, step):
        stop = min(size, start + step)
        rows = block[:, : stop - start]
        for index, read in enumerate(readers):
            rows[index].copy_(read(start, stop))
        rows -= torch.nan_to_num(rows[ORIGIN], nan=0.0, posinf=0.0, neginf=0.0)
        for group, part in _parts(rows.numpy(), owners, start, stop):
            sums[group] = sums.get(group, 0.0) + _inner_products(part)
    return sums


def _parts(rows: Array, owners: Owners | None, start: int, stop: int) -> list[tuple[int, Array]]:
    if owners is None:
        return [(0, rows)]
    groups = owners.of(start, stop)
    present = [int(group) for group in np.unique(groups) if group >= 0]
    if len(present) == 1 and (groups >= 0).all():
        return [(present[0], rows)]
    return [(group, rows[:, groups == group]) for group in present]


def _inner_products(rows: Array) -> Array:
    """Multiply; NaN and Inf become NaN in the row and column of the checkpoint that has them."""
    with np.errstate(invalid="ignore", over="ignore"):
        products = np.asarray(rows @ rows.T)
    broken = ~np.isfinite(np.diagonal(products))
    if broken.any():
        products[broken, :] = products[:, broken] = np.nan
    return products
