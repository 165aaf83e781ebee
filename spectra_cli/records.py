"""The nouns that pass between the stages, all frozen. Knows nothing of where they come from or go to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Index = int | slice
Against = Literal["final", "prev"]


class Summarised(ABC):
    """What shows itself by a few facts: on one line, as a tree where rich prints it, as a table in a notebook."""

    @abstractmethod
    def summary(self) -> Mapping[str, object]:
        """Return the facts by their names, the most important first."""

    def __repr__(self) -> str:
        """Return the facts on one line."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.summary().items())})"

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:
        """Yield the facts, for rich."""
        yield from self.summary().items()

    def _repr_html_(self) -> str:
        """Return the facts as a table, for a notebook."""
        facts = self.summary().items()
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts)
        return f"<table>{''.join(rows)}</table>"


def span_of(steps: Sequence[int]) -> str:
    """Return how many checkpoints there are, and their steps.

    >>> span_of([0, 100, 600])
    '3, steps 0 … 600'
    """
    return f"{len(steps)}, steps {steps[0]} … {steps[-1]}" if len(steps) else "0"


class FileRange(NamedTuple):
    """Bytes of a file: `size` of them from the offset `start` on."""

    path: Path
    start: int
    size: int


@dataclass(frozen=True)
class RemoteFile:
    """A file that is fetched before it is read. blob: what identifies its bytes.

    On the Hub, their sha256 or git's sha1 of them; in object storage, what that changes whenever they are written.
    """

    name: str
    size: int
    blob: str


@dataclass(frozen=True)
class Remote:
    """Where a checkpoint that is not on this machine lies, and the files of it that are read.

    On the Hub, it is a folder of one commit of a repository. In object storage, repository is the address of the folder
    that was asked for, and commit a digest of the objects' pins. beside: the names of the folder's other files, of
    which nothing is fetched.
    """

    repository: str
    commit: str
    folder: str = ""
    files: tuple[RemoteFile, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def on_hub(self) -> bool:
        """Whether it is on the Hub, and not in object storage."""
        return "://" not in self.repository

    def called(self, revision: str) -> str:
        """Return its name in errors; revision: what the user knows it by.

        >>> Remote("a/b", "0" * 40).called("step1"), Remote("s3://bucket/run", "", "step1").called("step1")
        ('hf:a/b@step1', 's3://bucket/run/step1')
        """
        if self.on_hub:
            return f"hf:{self.repository}@{revision}"
        return f"{self.repository}/{self.folder}".rstrip("/")


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of one model: what it is called, when it was saved, where it lies.

    revision: the name the user knows it by. path: its file or folder, or where on the Hub it is. step, tokens: None
    when unknown. stage: a sort key of its own, in which steps restart; None when there is none.
    """

    model: str
    revision: str
    path: Path | Remote
    step: int | None = None
    tokens: int | None = None
    stage: str | None = None

    @property
    def key(self) -> str:
        """Its name within its source, in which two stages may have the same revision."""
        return f"{self.stage or ''}/{self.revision}"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a file declares it, before any of its data is read. dtype: torch's name for it, `float16`.

    outputs_first: its last two axes are [out, in], whatever the family's own files keep: an adapter's change.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    outputs_first: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of data, from the shape and the dtype.

        >>> StoredTensor("w", (3, 4), "bfloat16").nbytes
        24
        """
        return math.prod(self.shape) * ITEMSIZE.get(self.dtype, 8)

    @property
    def looks_like_weight(self) -> bool:
        """Whether it is more than a vector, and of numbers that a weight may be made of.

        Integers of 8 to 32 bits may be the codes of a quantised weight; truth values and 64 bits never are. An empty
        one is what ZeRO-3 leaves in place of a weight.

        >>> [StoredTensor("w", shape, "float32").looks_like_weight for shape in ((3, 4), (1, 1, 4), (0,))]
        [True, False, True]
        """
        longer = sum(size != 1 for size in self.shape)
        vector = len(self.shape) < 2 or (len(self.shape) > 2 and longer < 2)
        return self.dtype not in ("bool", "int64", "uint64") and (not vector or 0 in self.shape)


ITEMSIZE = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e8m0fnu": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1,
    "complex64": 8, "complex128": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """One matrix of a model: its name and role in every family alike, and how to cut it out of a stored tensor.

    The cut is data: `stored.reshape(view)[index].reshape(stored_rows, stored_cols)`, transposed at the end where
    the file keeps [in, out]. rows = output features, cols = input features, after that transposition. swapped: two
    axes that change places before the last of those reshapes, where the file keeps rows in another order.
    """

    name: str
    role: str
    tensor: str
    rows: int
    cols: int
    layer: int | None = None
    expert: int | None = None
    view: tuple[int, ...] | None = None
    index: tuple[Index, ...] = ()
    transposed: bool = False
    swapped: tuple[int, int] | None = None
    rule: str = ""


@dataclass(frozen=True)
class Skipped:
    """A stored tensor that is not measured, with the reason: nothing is left out in silence.

    harmless: known to be no weight, or to be measured as part of another.
    """

    tensor: str
    reason: str
    harmless: bool = False


@dataclass(frozen=True)
class Layout:
    """What the tensors of one checkpoint mean: the matrices, what is left out, and what had to be assumed.

    lost: those of `skipped` that look like weights, to be reported as problems.
    """

    architecture: str
    matrices: tuple[Matrix, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()
    lost: tuple[Skipped, ...] = ()


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of one matrix, descending, with what is known about their making.

    sigma: (r,) float64, r = min(rows, cols); all NaN where the matrix holds NaN or Inf. dtype: the precision the
    matrix was stored in. rule: how σ was computed. error: the bound on |σ̂ᵢ − σᵢ| that the rule guarantees, in
    the unit of σ. shuffled: (r,) singular values of the same entries in a seeded random order, where asked for.
    rounding: spectral norm to expect of the errors of storing; None where the dtype has none or is not known.
    """

    sigma: NDArray[np.float64]
    rows: int
    cols: int
    dtype: str = "float64"
    rule: str = "given"
    error: float = 0.0
    shuffled: NDArray[np.float64] | None = None
    rounding: float | None = None

    @classmethod
    def of(cls, *sigma: float, rows: int | None = None, cols: int | None = None) -> Spectrum:
        """Build the spectrum of a diagonal matrix, for examples and tests; rows and cols are r unless given.

        >>> Spectrum.of(1.0, 3.0, 2.0).sigma
        array([3., 2., 1.])
        """
        values = np.sort(np.asarray(sigma, dtype=np.float64))[::-1]
        return cls(values, rows or len(values), cols or len(values))

    @cached_property
    def finite(self) -> bool:
        """Whether every singular value is a number.

        >>> Spectrum.of(1.0, float("nan")).finite
        False
        """
        return bool(np.isfinite(self.sigma).all())


@dataclass(frozen=True, eq=False)
class Pair:
    """Two matrices of one shape: A (this checkpoint's) against B (the one it is compared with).

    inner: ⟨A,B⟩_F. distance: ‖A − B‖_F, from the difference itself. steps: steps from B to A, None when unknown.
    left, right: U_AᵀU_B and V_AᵀV_B of the top K singular vectors, (K, K), where asked for.
    """

    a: Spectrum
    b: Spectrum
    inner: float
    distance: float
    steps: int | None = None
    left: NDArray[np.float64] | None = None
    right: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class MatrixRows:
    """The lines of the table of one matrix at one checkpoint. numbers: by metric; a distribution is (n,) float32."""

    checkpoint: Checkpoint
    matrix: Matrix
    numbers: Mapping[str, float | NDArray[np.float32]]


@dataclass(frozen=True)
class Problem:
    """Something that could not be read while the rest was: named on standard error, and the exit code is 3."""

    message: str
    hint: str
