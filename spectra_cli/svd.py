"""Singular values of one matrix, and how far two matrices lie apart: the only module that knows devices and precisions.

Torch tensors of any stored dtype come in; NumPy float64 goes out. It knows nothing of files, models or tables.

The rule. σᵢ = √λᵢ of the Gram matrix of the short side, accumulated in float64 over blocks of the long side, so that
no whole float64 copy of a matrix ever exists (`gram`). Squaring costs the small σ digits: where σ_r falls below
1e-6·σ₁ the matrix is read again and its exact float64 SVD taken (`svd`), where it is far from square after a QR that
is accumulated over the same blocks (`qr+svd`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.records import Spectrum

if TYPE_CHECKING:
    import torch

SMALLEST = 1e-6
"""σ_r/σ₁ below which the Gram's square costs more digits than are to be had."""

ROUNDING = 1e-15
"""Bound on |λ̂ᵢ − λᵢ|/λ₁ of the float64 Gram and its eigenvalues, measured against 50 digits."""

UNIT = 2.0**-53
"""Unit roundoff of float64."""

BLOCK_BYTES = 4 << 20
"""Bytes of one float64 block of the long side."""

DEVICES = ("cpu", "cuda", "mps", "xpu")


def choose_device(name: str) -> str:
    """Name the device to compute on: `auto` is a GPU that has float64 where there is one, else the CPU.

    name: auto, cpu, cuda, cuda:1, mps, xpu. Raises SpectraError (exit code 2) where it is no such name, and
    SpectraError where torch does not find it.

    >>> choose_device("cpu")
    'cpu'
    """
    kind, _, index = name.partition(":")
    if kind not in (*DEVICES, "auto") or (":" in name and not (kind in ("cuda", "xpu") and index.isdecimal())):
        raise SpectraError(f"{name} is not a device", hint="use auto, cpu, cuda, cuda:N, mps or xpu", code=2)
    if kind == "cpu":
        return kind
    if kind == "auto":
        return next((device for device in ("cuda", "xpu") if _count(device)), "cpu")
    if _count(kind) <= int(index or 0):
        raise SpectraError(f"torch finds no device {name} here", hint="use --device auto or --device cpu", code=2)
    return name


def _count(kind: str) -> int:
    """Count the devices of one kind that torch finds."""
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = torch.cuda if kind == "cuda" else torch.xpu
    return module.device_count() if module.is_available() else 0


def describe(device: str) -> str:
    """Say in a few words how spectra are computed on a device, for the scan's headline.

    >>> describe("cpu")
    'fp64 Gram'
    """
    return "fp64 Gram on the CPU (mps has no float64)" if device == "mps" else "fp64 Gram"


def spectrum(matrix: torch.Tensor, *, device: str = "cpu") -> Spectrum:
    """Singular values of a matrix, descending, in float64.

    matrix: (m, n), any stored dtype and strides. σ: (min(m, n),), in the unit of the entries, all NaN where the
    matrix holds NaN or Inf. |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁, and relatively ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²).

    >>> import torch
    >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).sigma
    array([4., 3.])
    """
    return measure(matrix, device=device)[0]


def compare(a: torch.Tensor, b: torch.Tensor, *, device: str = "cpu") -> tuple[float, float]:
    """⟨A,B⟩_F and ‖A − B‖_F of two matrices of one shape, in float64, the latter from the difference itself.

    >>> import torch
    >>> compare(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    (0.0, 5.0)
    """
    _check(a, (b,))
    return _compare(a, b, device)


def measure(
    matrix: torch.Tensor, against: Sequence[torch.Tensor] = (), *, device: str = "cpu"
) -> tuple[Spectrum, tuple[tuple[float, float], ...]]:
    """Take the spectrum and, in the same pass over the matrix, (⟨A,B⟩_F, ‖A − B‖_F) for each B in `against`.

    matrix: (m, n); against: tensors of the same shape, of any dtype. Raises SpectraError where shapes differ.

    >>> import torch
    >>> measure(torch.eye(2), [torch.zeros(2, 2)])[1]
    ((0.0, 1.4142135623730951),)
    """
    _check(matrix, against)
    rows, cols = matrix.shape
    dtype = str(matrix.dtype).removeprefix("torch.")
    power = _power(matrix)
    values, rule, error = _sigma(matrix, power, "cpu" if device == "mps" else device)
    found = Spectrum(values, rows, cols, dtype, rule, error)
    return found, tuple(_compare(matrix, b, device) for b in against)


def _check(matrix: torch.Tensor, against: Sequence[torch.Tensor]) -> None:
    """Refuse what is not a real matrix, or not of the same shape."""
    for tensor in (matrix, *against):
        if tensor.ndim != 2 or tensor.is_complex():
            raise SpectraError(
                f"a {tensor.dtype} tensor of shape {tuple(tensor.shape)} is no real matrix",
                hint="reshape it to two dimensions first",
            )
        if tensor.shape != matrix.shape:
            raise SpectraError(
                f"matrices of shapes {tuple(matrix.shape)} and {tuple(tensor.shape)} cannot be compared",
                hint="compare matrices of one shape",
            )


def _power(*matrices: torch.Tensor) -> int:
    """Exponent p with max |entry| < 2^p where squares of float64 entries could leave its range; 0 for other dtypes."""
    import torch

    largest = 0.0
    for matrix in matrices:
        if matrix.dtype == torch.float64 and matrix.numel():
            low, high = torch.aminmax(matrix)
            largest = max(largest, abs(float(low)), abs(float(high)))
    return math.frexp(largest)[1] if math.isfinite(largest) else 0


def _blocks(matrix: torch.Tensor, power: int, device: str) -> Iterator[torch.Tensor]:
    """Cut the long side into float64 blocks divided by 2^power; each is (block, short side), row-major."""
    import torch

    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    step = max(64, BLOCK_BYTES // (8 * max(1, tall.shape[1])))
    for start in range(0, tall.shape[0], step):
        block = tall[start : start + step].to(device).to(torch.float64).contiguous()
        yield torch.ldexp(block, torch.tensor(-power, device=device)) if power else block


def _sigma(matrix: torch.Tensor, power: int, device: str) -> tuple[NDArray[np.float64], str, float]:
    """σ, the rule that gave it and its error bound, by the first rule that holds the bounds."""
    import torch

    short = min(matrix.shape)
    gram = torch.zeros((short, short), dtype=torch.float64, device=device)
    for block in _blocks(matrix, power, device):
        gram.addmm_(block.T, block)
    if not bool(torch.isfinite(gram.diagonal()).all()):
        return np.full(short, np.nan), "gram", math.nan
    squares = torch.linalg.eigvalsh(gram).cpu().numpy()[::-1]
    if not short or squares[-1] > SMALLEST**2 * squares[0]:
        values = np.sqrt(squares)
        return np.ldexp(values, power), "gram", _bound(values, power)
    return _exact(matrix, power, device)


def _exact(matrix: torch.Tensor, power: int, device: str) -> tuple[NDArray[np.float64], str, float]:
    """σ by the exact float64 SVD, after a QR over blocks where the matrix is far from square."""
    import torch

    far = max(matrix.shape) > 1.5 * min(matrix.shape)
    if far:
        triangle = torch.empty((0, min(matrix.shape)), dtype=torch.float64, device=device)
        for block in _blocks(matrix, power, device):
            triangle = torch.linalg.qr(torch.cat((triangle, block)), mode="r").R
    else:
        triangle = torch.cat(tuple(_blocks(matrix, power, device)))
    values = torch.linalg.svdvals(triangle).cpu().numpy()
    error = float(np.ldexp(8 * UNIT * math.sqrt(sum(matrix.shape)) * values[0], power))
    return np.ldexp(values, power), "qr+svd" if far else "svd", error


def _bound(values: NDArray[np.float64], power: int) -> float:
    """Bound on |σ̂ᵢ − σᵢ| of the Gram rule: |λ̂ − λ|/(σ̂ + σ) ≤ ROUNDING·σ₁²/σ̂_r."""
    return float(np.ldexp(ROUNDING * values[0] ** 2 / values[-1], power)) if len(values) else 0.0


def _compare(a: torch.Tensor, b: torch.Tensor, device: str) -> tuple[float, float]:
    """⟨A,B⟩_F and ‖A − B‖_F, both matrices divided by one power of two."""
    power = _power(a, b)
    inner = squares = 0.0
    target = "cpu" if device == "mps" else device
    for x, y in zip(_blocks(a, power, target), _blocks(b, power, target), strict=True):
        inner += float(x.flatten() @ y.flatten())
        squares += float((x - y).square().sum())
    return float(np.ldexp(inner, 2 * power)), float(np.ldexp(math.sqrt(squares), power))


def gigaflops(rows: int, cols: int) -> float:
    """Cost of one spectrum in 10⁹ floating-point operations: m·n² for the Gram and 4/3·n³ for its eigenvalues, n ≤ m.

    >>> gigaflops(1000, 3000)
    4.333333333333333
    """
    short, long = sorted((rows, cols))
    return (long * short**2 + 4 / 3 * short**3) / 1e9


def working_bytes(rows: int, cols: int) -> int:
    """Upper bound on the bytes that one spectrum takes beside the stored matrix: the exact route's, which takes most.

    >>> working_bytes(50304, 768) < 50e6
    True
    """
    short, long = sorted((rows, cols))
    block = max(64 * 8 * short, BLOCK_BYTES)
    return 3 * 8 * short * min(long, 3 * short // 2) + 3 * block


def calibrate(device: str, seconds: float = 1.0) -> float:
    """Measure the rate of `spectrum` on this machine in GFLOP/s (as `gigaflops` counts), for about `seconds`."""
    import time

    import torch

    sample = torch.randn(768, 1536, generator=torch.Generator().manual_seed(0)).to(torch.float16)
    spectrum(sample, device=device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        spectrum(sample, device=device)
        count += 1
    return count * gigaflops(768, 1536) / (time.perf_counter() - start)
