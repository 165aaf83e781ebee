"""A tensor that tensor-parallel ranks saved in shards, one after another along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import Warn, allocate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ShardedTensor:
    """The shards of all ranks, concatenated along `axis`.

    blocks: 2 where every shard holds its share of the gate above its share of the up projection.
    """

    shape: tuple[int, ...]
    dtype: str
    shards: tuple[PlainTensor, ...]
    axis: int
    blocks: int = 1

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The range of each shard."""
        return tuple(file_range for shard in self.shards for file_range in shard.file_ranges)

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Copy each shard to its position; no more than one shard is in memory beside the whole."""
        whole = allocate(name, self.shape, self.dtype)
        width = self.shape[self.axis] // self.blocks
        start = 0
        for shard in self.shards:
            for block, piece in enumerate(shard.read(name, warn).chunk(self.blocks, self.axis)):
                whole.narrow(self.axis, block * width + start, piece.shape[self.axis]).copy_(piece)
            start += shard.shape[self.axis] // self.blocks
        return whole
