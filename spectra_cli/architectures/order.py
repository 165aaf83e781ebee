"""The order in which a checkpoint's matrices are listed: as data flow through the model. Knows their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from spectra_cli.architectures.record import MIXER_ROLES
from spectra_cli.records import Matrix

# The order in which a layer's matrices are listed, and where the names without a layer stand.
FLOW = (*MIXER_ROLES, "q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "router")
OUTSIDE = {"embed": 0, "pos_embed": 1, "unembed": 4}
STACKS = {"encoder": (2, 1), "decoder": (2, 2), "vision": (5, 1), "audio": (6, 1)}  # section, and order within it
STACK = re.compile(rf"({'|'.join(STACKS)})\.(?:layers\.|(?:embed|pos_embed|unembed)$)")


def in_order(matrices: Iterable[Matrix]) -> Iterator[Matrix]:
    """Yield embeddings first, then layer by layer as the data flows, then the unknown, and the unembedding last.

    >>> down, up = (Matrix(f"layers.0.mlp.{role}", role, "w", 2, 2, 0) for role in ("down", "up"))
    >>> [matrix.name for matrix in in_order([down, up, Matrix("embed", "embed", "w", 2, 2)])]
    ['embed', 'layers.0.mlp.up', 'layers.0.mlp.down']
    """
    alike: dict[tuple[int, ...], list[Matrix]] = {}
    for matrix in matrices:
        alike.setdefault(_order_of(matrix), []).append(matrix)
    for key in sorted(alike):
        some = alike[key]
        yield from some if len(some) == 1 else sorted(some, key=lambda matrix: _with_numbers_in_order(matrix.name))


def _order_of(matrix: Matrix) -> tuple[int, ...]:
    """Return what a matrix is sorted by; those that share it are put in order by their names."""
    stack = STACK.match(matrix.name)
    section, order = STACKS[stack[1]] if stack else (2 if matrix.layer is not None else 3, 0)
    section = OUTSIDE.get(matrix.name, section)
    word = matrix.role if matrix.role != "other" else matrix.name.rsplit(".", 1)[-1]
    rank = FLOW.index(word) if word in FLOW else len(FLOW)
    group = 0 if matrix.expert is None else 1
    if "shared_expert" in matrix.name:
        group = 2
    elif rank == len(FLOW):
        group = 3
    expert = -1 if matrix.expert is None else matrix.expert
    layer = -1 if order and matrix.layer is None else matrix.layer or 0
    return section, order, layer, "cross_attn" in matrix.name, group, expert, rank


def _with_numbers_in_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sort 9 before 10 without making numbers of them: a file may write one of a thousand digits."""
    return tuple((len(piece) if piece.isdigit() else 0, piece) for piece in re.split(r"([0-9]+)", name))
