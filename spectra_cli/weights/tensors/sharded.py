"""A tensor that several ranks saved in shards: boxes of each shard, and where they lie in the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import Warn, allocate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Box:
    """A box of a shard: where it begins there and in the whole, and its shape."""

    begin: tuple[int, ...]
    target: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class RankPart(PlainTensor):
    """One rank's part of a tensor of shape `whole`, which follows the lower ranks' along `axis`."""

    whole: tuple[int, ...] = ()
    axis: int = 0


@dataclass(frozen=True)
class ShardedTensor:
    """The shards of all ranks, each with the boxes of it that make up the whole."""

    shape: tuple[int, ...]
    dtype: str
    shards: tuple[PlainTensor, ...]
    boxes: tuple[tuple[Box, ...], ...]

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The range of each shard."""
        return tuple(file_range for shard in self.shards for file_range in shard.file_ranges)

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Copy each box to its position; no more than one shard is in memory beside the whole."""
        whole = allocate(name, self.shape, self.dtype)
        for shard, boxes in zip(self.shards, self.boxes, strict=True):
            part = shard.read(name, warn)
            for box in boxes:
                _narrow(whole, box.target, box.shape).copy_(_narrow(part, box.begin, box.shape))
        return whole

    @property
    def covered(self) -> bool:
        """Whether the boxes lie within shards and whole, and hold as many numbers as the whole."""
        inside = all(
            all(b + s <= end for b, s, end in zip(start, box.shape, shape, strict=True))
            for shard, boxes in zip(self.shards, self.boxes, strict=True)
            for box in boxes
            for start, shape in ((box.begin, shard.shape), (box.target, self.shape))
        )
        numbers = sum(math.prod(box.shape) for boxes in self.boxes for box in boxes)
        return inside and numbers == math.prod(self.shape)


def concatenated(shards: Sequence[PlainTensor], axis: int, blocks: Sequence[int] = (1,)) -> ShardedTensor:
    """Return the shards one after another along an axis.

    blocks: the relative sizes of what every shard holds a share of, one after the other: (1, 1) for gate above up.
    """
    total = sum(blocks)
    shape = list(shards[0].shape)
    shape[axis] = sum(shard.shape[axis] for shard in shards)
    firsts = [sum(blocks[:number]) * shape[axis] // total for number in range(len(blocks))]
    every = []
    for shard in shards:
        unit, begin, boxes = shard.shape[axis] // total, 0, []
        for number, block in enumerate(blocks):
            size = list(shard.shape)
            size[axis] = block * unit
            boxes.append(Box(_at(shape, axis, begin), _at(shape, axis, firsts[number]), tuple(size)))
            begin, firsts[number] = begin + size[axis], firsts[number] + size[axis]
        every.append(tuple(boxes))
    return ShardedTensor(tuple(shape), shards[0].dtype, tuple(shards), tuple(every))


def _at(shape: Sequence[int], axis: int, start: int) -> tuple[int, ...]:
    return tuple(start if number == axis else 0 for number in range(len(shape)))


def _narrow(tensor: torch.Tensor, begin: Sequence[int], shape: Sequence[int]) -> torch.Tensor:
    for axis, (start, length) in enumerate(zip(begin, shape, strict=True)):
        tensor = tensor.narrow(axis, start, length)
    return tensor
