"""Ways to the eigenvalues of Gram matrices where there is a device beside the processors: one entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Solve = Callable[["torch.Tensor"], "torch.Tensor"]


def batched(grams: torch.Tensor) -> torch.Tensor:
    """Return the eigenvalues of (b, n, n) symmetric matrices, (b, n) ascending, by one call for all.

    >>> import torch
    >>> batched(torch.eye(2).expand(3, 2, 2)).shape
    torch.Size([3, 2])
    """
    import torch

    values: torch.Tensor = torch.linalg.eigvalsh(grams)
    return values


def looped(grams: torch.Tensor) -> torch.Tensor:
    """Return the eigenvalues of (b, n, n) symmetric matrices, (b, n) ascending, by a call for each."""
    import torch

    return torch.stack([torch.linalg.eigvalsh(gram) for gram in grams])


@dataclass(frozen=True)
class Route:
    """What computes the Gram matrix of a spectrum and what its eigenvalues.

    name: as the metadata count it. gram: whether a device computes the Gram matrix. solve: how it computes the
    eigenvalues; None where a processor does.
    """

    name: str
    gram: bool
    solve: Solve | None = None


BATCHED = Route("batched", gram=True, solve=batched)
LOOPED = Route("looped", gram=True, solve=looped)
SPLIT = Route("split", gram=True)
PROCESSORS = Route("processors", gram=False)

ROUTES = (BATCHED, LOOPED, SPLIT, PROCESSORS)
"""Jacobi rotations and divisions by products of matrices, which `benchmarks/gpu_routes.py` times too, would be entries
where they are the fastest and keep within the bound of `rules` on the error of an eigenvalue."""
