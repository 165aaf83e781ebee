"""How a tensor is put together from what lies in files: parts joined, pieces, scaled numbers, factors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.file_ranges import Extent, Warn, empty, read_extent
from spectra_cli.weights.files import SourceFile, opened
from spectra_cli.weights.formats.torch import read_lone_tensor

if TYPE_CHECKING:
    import torch


# The sixteen numbers of a sign, two bits of exponent and one of mantissa (E2M1).
FOUR_BITS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


@dataclass(frozen=True)
class Joined:
    """Parts that tensor-parallel ranks saved, one after another along an axis.

    blocks: 2 where every part holds its share of the gate above its share of the up projection.
    """

    shape: tuple[int, ...]
    dtype: str
    parts: tuple[Extent, ...]
    axis: int
    blocks: int = 1


@dataclass(frozen=True)
class Piece:
    """A box of a tensor, saved by itself: where it begins in the tensor, and where it lies in a file."""

    begin: tuple[int, ...]
    shape: tuple[int, ...]
    file: SourceFile
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Pieces:
    """A tensor cut into boxes that cover it exactly."""

    shape: tuple[int, ...]
    dtype: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Layer:
    """One of the layers that a tensor stacks along its first axis."""

    shape: tuple[int, ...]
    dtype: str
    stack: Pieces
    number: int


@dataclass(frozen=True)
class Scaled:
    """Numbers of few bits times their scales: one scale for all, for a row, or for a block of rows and columns.

    block: rows and columns that share a scale; None where the scale's shape spreads over the numbers' by itself.
    """

    shape: tuple[int, ...]
    dtype: str
    numbers: Extent
    scale: Extent
    block: tuple[int, int] | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Fours:
    """Stacked matrices of four-bit numbers, two a byte, each block beside the power of two it is multiplied with."""

    shape: tuple[int, ...]
    dtype: str
    blocks: Extent
    scales: Extent


@dataclass(frozen=True)
class Product:
    """scale · B·A, kept as its factors: the change that an adapter makes to one matrix."""

    shape: tuple[int, ...]
    dtype: str
    b: Extent
    a: Extent
    scale: float
    transposed: bool = False


@dataclass(frozen=True, eq=False)
class LowRank:
    """A matrix scale · b @ a, as its factors. b: (rows, r), a: (r, cols), in their stored dtype."""

    b: torch.Tensor
    a: torch.Tensor
    scale: float


Part = Extent | Joined | Pieces | Layer | Scaled | Fours | Product


def file_ranges_of(part: Part | Piece) -> tuple[FileRange, ...]:
    """Say where in which files the bytes of a tensor lie."""
    if isinstance(part, Extent | Piece):
        return (FileRange(part.file.path, part.offset, part.nbytes),)
    if isinstance(part, Layer):
        return tuple(file_range for piece in _pieces_of(part) for file_range in file_ranges_of(piece))
    inner: dict[type, tuple[str, ...]] = {
        Joined: ("parts",), Pieces: ("pieces",), Scaled: ("numbers", "scale"), Fours: ("blocks", "scales"),
        Product: ("b", "a"),
    }  # fmt: skip
    found = [getattr(part, name) for name in inner[type(part)]]
    flat = [one for some in found for one in (some if isinstance(some, tuple) else (some,))]
    return tuple(file_range for one in flat for file_range in file_ranges_of(one))


def read_part(name: str, part: Part, warn: Warn) -> torch.Tensor:
    """Read a tensor, put together. warn: told of checksums that do not match."""
    if isinstance(part, Extent):
        return read_extent(name, part, warn)
    if isinstance(part, Joined):
        return _joined(name, part, warn)
    if isinstance(part, Pieces | Layer):
        return _layer(name, part, warn) if isinstance(part, Layer) else _assembled(name, part, warn)
    if isinstance(part, Scaled):
        return _scaled(name, part, warn)
    if isinstance(part, Fours):
        return _fours(name, part, warn)
    factors = read_factors(name, part, warn)
    return (factors.b.float() @ factors.a.float()) * factors.scale


def read_factors(name: str, part: Product, warn: Warn) -> LowRank:
    """Read the factors of an adapter's change, so that (scale · b @ a) has the shape of the part."""
    b, a = read_extent(f"{name} (B)", part.b, warn), read_extent(f"{name} (A)", part.a, warn)
    return LowRank(a.T, b.T, part.scale) if part.transposed else LowRank(b, a, part.scale)


def _joined(name: str, joined: Joined, warn: Warn) -> torch.Tensor:
    """Copy each part to its place; no more than one part is held beside the whole."""
    whole = empty(name, joined.shape, joined.dtype)
    width = joined.shape[joined.axis] // joined.blocks
    place = 0
    for part in joined.parts:
        pieces = read_extent(name, part, warn).chunk(joined.blocks, joined.axis)
        for block, piece in enumerate(pieces):
            size = piece.shape[joined.axis]
            whole.narrow(joined.axis, block * width + place, size).copy_(piece)
        place += part.shape[joined.axis] // joined.blocks
    return whole


def _assembled(name: str, whole: Pieces, warn: Warn) -> torch.Tensor:
    tensor = empty(name, whole.shape, whole.dtype)
    for piece in whole.pieces:
        place = (piece.offset, piece.nbytes)
        with opened(piece.file) as descriptor:
            extent = read_lone_tensor(name, piece.file, descriptor, *place, piece.shape, whole.dtype)
        box = tensor
        for axis, (begin, size) in enumerate(zip(piece.begin, piece.shape, strict=True)):
            box = box.narrow(axis, begin, size)
        box.copy_(read_extent(name, extent, warn))
    return tensor


def _pieces_of(layer: Layer) -> list[Piece]:
    """Give those pieces of the stack in which the layer lies."""
    pieces = layer.stack.pieces
    return [piece for piece in pieces if piece.begin[0] <= layer.number < piece.begin[0] + piece.shape[0]]


def _layer(name: str, layer: Layer, warn: Warn) -> torch.Tensor:
    """Put together only those pieces of the stack in which the layer lies."""
    number, own = layer.number, _pieces_of(layer)
    first = min(piece.begin[0] for piece in own)
    last = max(piece.begin[0] + piece.shape[0] for piece in own)
    moved = tuple(replace(piece, begin=(piece.begin[0] - first, *piece.begin[1:])) for piece in own)
    return _assembled(name, Pieces((last - first, *layer.shape), layer.dtype, moved), warn)[number - first]


def _scaled(name: str, scaled: Scaled, warn: Warn) -> torch.Tensor:
    """Multiply by the scales in float32, which holds every product of an 8-bit number and a scale to 24 bits."""
    numbers = read_extent(name, scaled.numbers, warn).float()
    scale = read_extent(f"{name} (scale)", scaled.scale, warn).float().mul_(scaled.factor)
    if scaled.block is None:
        return numbers.mul_(scale.view(()) if scale.numel() == 1 else scale.view(*numbers.shape[:-1], 1))
    rows, columns = scaled.block
    stack = numbers.view(-1, *numbers.shape[-2:])
    for matrix, scales in zip(stack, scale.reshape(-1, *scale.shape[-2:]), strict=True):
        for band, row in zip(matrix.split(rows), scales, strict=True):
            band.mul_(row.repeat_interleave(columns)[: matrix.shape[1]])
    return numbers


def _fours(name: str, part: Fours, warn: Warn) -> torch.Tensor:
    """Look each half of a byte up, the low one first, and shift by the block's exponent: exact in bfloat16."""
    import torch  # noqa: PLC0415

    values = torch.tensor(FOUR_BITS, dtype=torch.bfloat16)
    whole = empty(name, part.shape, part.dtype)
    blocks, scales = read_extent(name, part.blocks, warn), read_extent(f"{name} (scale)", part.scales, warn)
    for expert, packed, exponents in zip(whole, blocks, scales, strict=True):
        halves = torch.stack((packed & 15, packed >> 4), dim=-1).flatten(-2)
        matrix = torch.ldexp(values[halves.int()], exponents.int().unsqueeze(-1) - 127)
        expert.copy_(matrix.flatten(-2).T)
    return whole
