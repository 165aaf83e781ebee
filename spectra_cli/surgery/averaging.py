"""Sums of checkpoints with coefficients, tensor by tensor and block by block. Knows no method of merging.

What is stored in 16 bits or fewer is added up in float32, the rest in float64, and rounded once at the end. N numbers
add up to within N · 2⁻²⁴ or N · 2⁻⁵³, far less than half a stored digit: equal numbers stay as they are. Only what is
stored in float64 may change in its last digit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import ITEMSIZE, StoredTensor
from spectra_cli.surgery.original import Original
from spectra_cli.surgery.writing import TensorToWrite

if TYPE_CHECKING:
    import torch

# Elements. A read costs some 0.1 ms beside its bytes, so that few large ones are fastest; what is added up in one go
# stays in a core's own cache.
LARGEST_BLOCK, PIECE = 1 << 20, 1 << 17
AVERAGED = frozenset({
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
})  # fmt: skip
STEPS_OF_NOISE = 16  # roundings of a sum of checkpoints, as a share of what is added up
UNLIKE = "merge checkpoints of one model, saved by one program"


@dataclass
class Rounding:
    """What storing the sums in fewer bits cost, by the stored dtype: Σ (stored − exact)² and Σ (exact − last)²."""

    sums: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, dtype: str, lost: float, moved: float) -> None:
        """Count one tensor."""
        with self._lock:
            before = self.sums.get(dtype, (0.0, 0.0))
            self.sums[dtype] = (before[0] + lost, before[1] + moved)

    def shares(self) -> dict[str, float]:
        """Return the length of what was lost over that of the way from the last checkpoint, by dtype.

        >>> rounding = Rounding()
        >>> rounding.add("bfloat16", 1.0, 100.0)
        >>> rounding.shares()
        {'bfloat16': 0.1}
        """
        return {dtype: math.sqrt(lost / moved) for dtype, (lost, moved) in sorted(self.sums.items()) if moved > 0}


class _Room(threading.local):
    """A worker's memory for blocks, taken once: new memory for each would cost more than the adding up."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._kept: dict[torch.dtype, torch.Tensor] = {}

    def zeros(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        """Return so many zeros, where the last ones of this type were."""
        import torch

        if size > LARGEST_BLOCK:
            return torch.zeros(size, dtype=dtype)
        if dtype not in self._kept:
            self._kept[dtype] = torch.empty(LARGEST_BLOCK, dtype=dtype)
        return self._kept[dtype][:size].zero_()


@dataclass(frozen=True, eq=False)
class Sum:
    """Σ cᵢ Wᵢ of open checkpoints, the last of which lends what is not added up: integers, masks, scales, files."""

    originals: tuple[Original, ...]
    coefficients: tuple[float, ...]
    pool: ThreadPoolExecutor
    threads: int
    rounding: Rounding = field(default_factory=Rounding)
    room: _Room = field(default_factory=_Room)

    def tensors(self) -> list[TensorToWrite]:
        """Return the tensors of the sum, each made when it is written."""
        last = self.originals[-1]
        if self._is_copy:
            return [last.tensor(name) for name in last.stored.tensors]
        return [self._tensor(tensor) for tensor in last.stored.tensors.values()]

    @property
    def _is_copy(self) -> bool:
        return self.coefficients[-1] == 1.0 and not any(self.coefficients[:-1])

    def _tensor(self, tensor: StoredTensor) -> TensorToWrite:
        last = self.originals[-1]
        if tensor.name in last.weights.tensors and last.weights.quantization(tensor.name):
            return TensorToWrite(tensor.name, tensor.shape, tensor.dtype, partial(self._quantized, tensor))
        if is_averaged(last, tensor):
            return TensorToWrite(tensor.name, tensor.shape, tensor.dtype, partial(self._plain, tensor))
        return last.tensor(tensor.name)

    def _plain(self, tensor: StoredTensor) -> torch.Tensor:
        """Add up one tensor in blocks."""
        import torch

        size = math.prod(tensor.shape)
        length = max(PIECE, min(LARGEST_BLOCK, 4 * LARGEST_BLOCK // self.threads))
        result = torch.empty(size, dtype=getattr(torch, tensor.dtype))

        def block(start: int) -> tuple[float, float]:
            stop = min(size, start + length)
            parts = [partial(o.stored.read_elements, tensor.name, start, stop) for o in self.originals]
            exact, last = self._add(tensor, parts)
            kept = result[start:stop]
            kept.copy_(_within(exact, kept.dtype))
            return _lengths(kept, exact, last)

        self._count(tensor, list(self.pool.map(block, range(0, size, length))))
        return result.reshape(tensor.shape)

    def _quantized(self, tensor: StoredTensor) -> torch.Tensor:
        """Add up what codes and scales stand for, and take the codes that come nearest with the last one's scales."""
        readers = [partial(original.weights.read, tensor.name) for original in self.originals]
        exact, last = self._add(tensor, readers)
        numbers, kept = self.originals[-1].weights.quantize(tensor.name, exact.view(tensor.shape))
        self._count(tensor, [_lengths(kept.flatten(), exact, last)])
        return numbers

    def _add(self, tensor: StoredTensor, readers: Sequence[Callable[[], torch.Tensor]]) -> tuple[torch.Tensor, ...]:
        """Return the exact sum and the last checkpoint's values, flat. Raises SpectraError where it is no number."""
        import torch

        dtype = torch.float64 if ITEMSIZE[tensor.dtype] > 2 else torch.float32
        last = readers[-1]().flatten()
        total = self.room.zeros(last.numel(), dtype)
        for coefficient, read in zip(self.coefficients, readers, strict=True):
            if coefficient:
                values = last if read is readers[-1] else read().flatten()
                for part, piece in _pieces(total, values):
                    part.add_(piece.to(dtype), alpha=coefficient)
        if not math.isfinite(float(total.sum())):
            total = self._add_around_infinities(tensor, readers, dtype).flatten()
        return total, last

    def _add_around_infinities(
        self, tensor: StoredTensor, readers: Sequence[Callable[[], torch.Tensor]], dtype: torch.dtype
    ) -> torch.Tensor:
        """Take what is equal in all checkpoints as it is, such as the −Inf of a mask; refuse what else is no number."""
        values = [read().to(dtype) for read in readers]
        last = values[-1]
        total = last.clone()
        for coefficient, value in zip(self.coefficients[:-1], values[:-1], strict=True):
            total += coefficient * (value - last).where(value != last, 0.0)
        if bool(total.isnan().any()) or bool((total.isinf() & ~last.isinf()).any()):
            for original, value in zip(self.originals, values, strict=True):
                if not bool(value.isfinite().all()):
                    raise SpectraError(
                        f"{printable(tensor.name)} of {original.called} holds NaN or Inf",
                        hint="leave this checkpoint out with --revisions or --steps",
                    )
        return total

    def _count(self, tensor: StoredTensor, lengths: Sequence[tuple[float, float]]) -> None:
        self.rounding.add(tensor.dtype, math.fsum(pair[0] for pair in lengths), math.fsum(pair[1] for pair in lengths))


@contextmanager
def adding_up(originals: Sequence[Original], coefficients: Sequence[float], threads: int) -> Iterator[Sum]:
    """Open a sum of checkpoints. Raises SpectraError where they do not hold the same tensors.

    originals: in order, the last one lends what is not added up. coefficients: one a checkpoint, which sum to one.
    """
    check_alike(originals)
    with ThreadPoolExecutor(threads, initializer=_single) as pool:
        yield Sum(tuple(originals), tuple(coefficients), pool, threads)


def is_averaged(original: Original, tensor: StoredTensor) -> bool:
    """Whether a stored tensor is one of numbers that mean something between two checkpoints, and no scale."""
    return tensor.dtype in AVERAGED and tensor.name not in original.weights.quantization_parts


def check_alike(originals: Sequence[Original]) -> None:
    """Raise SpectraError unless all hold the same tensors, of the same shapes, and these can be added up."""
    last = originals[-1]
    for original in originals[:-1]:
        for name, tensor in last.stored.tensors.items():
            other = original.stored.tensors.get(name)
            if other is None or other.shape != tensor.shape:
                what = "is not there" if other is None else f"is {list(other.shape)}"
                raise SpectraError(
                    f"{printable(name)} {what} in {original.called}, and {list(tensor.shape)} in {last.called}",
                    hint=UNLIKE,
                )
            if (tensor.dtype in AVERAGED) != (other.dtype in AVERAGED):
                raise SpectraError(
                    f"{printable(name)} is {other.dtype} in {original.called}, and {tensor.dtype} in {last.called}",
                    hint=UNLIKE,
                )
        more = next((name for name in original.stored.tensors if name not in last.stored.tensors), None)
        if more is not None:
            raise SpectraError(f"{printable(more)} is in {original.called}, and not in {last.called}", hint=UNLIKE)
    if len(originals) > 1:
        _refuse_packed(last)


def _refuse_packed(original: Original) -> None:
    """Raise SpectraError where weights are codes that nothing is known to lie between."""
    reasons = {skip.tensor: skip.reason for skip in original.weights.unreadable}
    for name, tensor in original.stored.tensors.items():
        if name in original.weights.quantization_parts and tensor.dtype == "uint8" and name.endswith("_blocks"):
            reasons.setdefault(name, "four-bit numbers, two a byte")
    for name, reason in reasons.items():
        raise SpectraError(
            f"{printable(name)} of {original.called} cannot be added up: {printable(reason)}",
            hint="merge the checkpoints from before they were quantised",
        )


def _within(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return values within the range of an 8-bit type, which has no room for more; others as they are."""
    import torch

    if dtype.itemsize > 1:
        return values
    limits = torch.finfo(dtype)
    return values.clamp(limits.min, limits.max)


def _lengths(kept: torch.Tensor, exact: torch.Tensor, last: torch.Tensor) -> tuple[float, float]:
    """Return Σ (kept − exact)² and Σ (exact − last)², without pieces that only the adding up has moved."""
    import torch

    noise = (STEPS_OF_NOISE * torch.finfo(exact.dtype).eps) ** 2
    losses, moves = [], []
    for stored, wanted, before in _pieces(kept, exact, last):
        lost, moved = (values.to(wanted.dtype, copy=True).sub_(wanted) for values in (stored, before))
        way = float(moved.dot(moved))
        if way > noise * float(wanted.dot(wanted)):
            losses.append(float(lost.dot(lost)))
            moves.append(way)
    return math.fsum(losses), math.fsum(moves)


def _pieces(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield views of tensors of one shape, piece by piece."""
    for start in range(0, len(tensors[0]), PIECE):
        yield tuple(tensor[start : start + PIECE] for tensor in tensors)


def _single() -> None:
    """Let this worker have one thread: the blocks are what runs side by side."""
    import torch

    torch.set_num_threads(1)
