"""What one spectrum costs: operations and memory."""

from __future__ import annotations

from spectra_cli.svd.rules import LENGTH, merges

EXCLUSIVE_BYTES = 1 << 30


def gigaflops(rows: int, cols: int) -> float:
    """Cost of one spectrum in 10⁹ floating-point operations: m·n² for the Gram and 4/3·n³ for its eigenvalues, n ≤ m.

    >>> gigaflops(1000, 3000)
    4.333333333333333
    """
    return product_gigaflops(rows, cols) + eigenvalue_gigaflops(rows, cols)


def product_gigaflops(rows: int, cols: int) -> float:
    """Return the part of `gigaflops` that the Gram matrix takes.

    >>> product_gigaflops(1000, 3000)
    3.0
    """
    short, long = sorted((rows, cols))
    return long * short**2 / 1e9


def eigenvalue_gigaflops(rows: int, cols: int) -> float:
    """Return the part of `gigaflops` that the eigenvalues take.

    >>> eigenvalue_gigaflops(1000, 3000)
    1.3333333333333333
    """
    return 4 / 3 * min(rows, cols) ** 3 / 1e9


def working_bytes(rows: int, cols: int) -> int:
    """Upper bound on the bytes that one spectrum takes beside the stored matrix, for the SVD, which takes most.

    R, a block, both stacked and a copy of them in the QR, and one R for each level of merges that waits; 16 MB are for
    the buffers that BLAS keeps for each thread.

    >>> round(working_bytes(50304, 768) / 1e6)
    84
    """
    short, long = sorted((rows, cols))
    block = min(long, max(1024, short))
    waiting = merges(-(-long // max(1, block)))
    return 8 * short * ((3 + waiting) * short + 4 * block) + (16 << 20)


def is_exclusive(rows: int, cols: int) -> bool:
    """Whether a matrix has all processors to itself: one that might take more than EXCLUSIVE_BYTES.

    >>> is_exclusive(4096, 4096), is_exclusive(16384, 4096)
    (False, True)
    """
    return working_bytes(rows, cols) > EXCLUSIVE_BYTES


def gram_bytes(rows: int, cols: int) -> int:
    """About the bytes that one spectrum takes beside the stored matrix where its Gram matrix has the digits.

    The Gram matrix and the work space of its eigenvalues, as large again, and a block in float64 and what it is made
    of; 16 MB are for the buffers that BLAS keeps for each thread.

    >>> round(gram_bytes(4096, 4096) / 1e6)
    352
    """
    short, long = sorted((rows, cols))
    return 8 * short * (2 * short + 2 * min(long, LENGTH)) + (16 << 20)
