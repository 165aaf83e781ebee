"""What every metric is computed of: the spectra of matrices of one shape, together. Knows no metric.

A metric is written once, for a stack: its numbers come from the rows of an array, so that a thousand small matrices
cost little more than the arithmetic. Of one spectrum, one pair or plain singular values it returns that one's number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.records import Pair, Spectrum

Numbers = NDArray[np.float64]
Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]
Others = ParamSpec("Others")
Result_co = TypeVar("Result_co", covariant=True)

KEPT = 16
"""Stacks of which what metrics share is kept; they hash by identity."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of b matrices of one shape.

    sigma: (b, r) float64, each row descending, NaN where its matrix holds NaN or Inf; r ≥ 1, as a matrix without
    entries is given one σ of 0. error: (b,). shuffled: (b, r), rounding: (b,), each None unless known of all.
    """

    sigma: Numbers
    rows: int
    cols: int
    error: Numbers
    shuffled: Numbers | None = None
    rounding: Numbers | None = None

    @classmethod
    def of(cls, spectra: Sequence[Spectrum]) -> Spectra:
        """Stack the spectra of at least one matrix, all of one shape.

        >>> Spectra.of([Spectrum.of(2.0, 1.0), Spectrum.of(3.0, 2.0)]).sigma
        array([[2., 1.],
               [3., 2.]])
        """
        return cls(
            _stacked([spectrum.sigma for spectrum in spectra]),
            max(spectra[0].rows, 1),
            max(spectra[0].cols, 1),
            np.array([spectrum.error for spectrum in spectra], np.float64),
            _stacked([spectrum.shuffled for spectrum in spectra]),
            _stacked([spectrum.rounding for spectrum in spectra]),
        )

    def at(self, rows: NDArray[np.int64]) -> Spectra:
        """Return those of some of the matrices."""
        shuffled, rounding = (None if known is None else known[rows] for known in (self.shuffled, self.rounding))
        return Spectra(self.sigma[rows], self.rows, self.cols, self.error[rows], shuffled, rounding)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of matrices of one shape, A against B, as in Pair: a, b, inner and distance (b,), steps of all.

    left, right: (b, K, K), None unless known of all.
    """

    a: Spectra
    b: Spectra
    inner: Numbers
    distance: Numbers
    steps: int | None = None
    left: Numbers | None = None
    right: Numbers | None = None

    @classmethod
    def of(cls, pairs: Sequence[Pair], a: Spectra | None = None) -> Pairs:
        """Stack at least one pair, all of one shape and as many steps apart. a: the spectra of all A, where stacked."""
        return cls(
            Spectra.of([pair.a for pair in pairs]) if a is None else a,
            Spectra.of([pair.b for pair in pairs]),
            np.array([pair.inner for pair in pairs], np.float64),
            np.array([pair.distance for pair in pairs], np.float64),
            pairs[0].steps,
            _stacked([pair.left for pair in pairs]),
            _stacked([pair.right for pair in pairs]),
        )

    def at(self, rows: NDArray[np.int64]) -> Pairs:
        """Return some of the pairs."""
        left, right = (None if known is None else known[rows] for known in (self.left, self.right))
        a, b = self.a.at(rows), self.b.at(rows)
        return Pairs(a, b, self.inner[rows], self.distance[rows], self.steps, left, right)


@overload
def _stacked(values: Sequence[NDArray[np.float64]]) -> Numbers: ...
@overload
def _stacked(values: Sequence[NDArray[np.float64] | float | None]) -> Numbers | None: ...
def _stacked(values: Sequence[NDArray[np.float64] | float | None]) -> Numbers | None:
    if any(value is None for value in values):
        return None
    stacked = np.array(values, dtype=np.float64)
    return stacked if stacked.size else np.zeros((len(values), 1))


class OfMatrix(Protocol[Others, Result_co]):
    """A metric of one matrix: an array of the numbers of a stack, or the number of one spectrum."""

    @overload
    def __call__(self, spectrum: Spectra, /, *others: Others.args, **named: Others.kwargs) -> NDArray[Any]: ...
    @overload
    def __call__(
        self, spectrum: Spectrum | ArrayLike, /, *others: Others.args, **named: Others.kwargs
    ) -> Result_co: ...


class OfPair(Protocol[Result_co]):
    """A metric of two matrices: an array of the numbers of a stack, or the number of one pair."""

    @overload
    def __call__(self, pair: Pairs, /) -> NDArray[Any]: ...
    @overload
    def __call__(self, pair: Pair, /) -> Result_co: ...


@overload
def of_matrix(metric: Callable[Concatenate[Spectra, Others], Numbers]) -> OfMatrix[Others, float]: ...
@overload
def of_matrix(metric: Callable[Concatenate[Spectra, Others], Flags]) -> OfMatrix[Others, bool]: ...
@overload
def of_matrix(metric: Callable[Concatenate[Spectra, Others], Numbers | None]) -> OfMatrix[Others, float | None]: ...
def of_matrix(metric: Callable[Concatenate[Spectra, Others], Any]) -> Any:
    """Let a metric of a stack take what `as_spectrum` takes too. Its NaN and Inf come without a warning.

    Those of the last stacks are kept, as some metrics are part of others.
    """
    kept: Callable[..., Any] = lru_cache(maxsize=KEPT)(metric)

    @wraps(metric)
    def function(spectrum: Spectra | Spectrum | ArrayLike, /, *others: Others.args, **named: Others.kwargs) -> Any:
        with np.errstate(all="ignore"):
            if isinstance(spectrum, Spectra):
                return kept(spectrum, *others, **named)
            return _of_one(kept(_stack_of_one(as_spectrum(spectrum)), *others, **named))

    return function


def vector_of_matrix(metric: Callable[Concatenate[Spectra, Others], Vectors]) -> OfMatrix[Others, Vectors]:
    """Do as `of_matrix` for a metric that is a vector."""
    return cast("OfMatrix[Others, Vectors]", of_matrix(cast("Callable[Concatenate[Spectra, Others], Numbers]", metric)))


@overload
def of_pair(metric: Callable[[Pairs], Numbers]) -> OfPair[float]: ...
@overload
def of_pair(metric: Callable[[Pairs], Numbers | None]) -> OfPair[float | None]: ...
def of_pair(metric: Callable[[Pairs], Any]) -> Any:
    """Do as `of_matrix` for a metric of two matrices: let it take one pair too."""
    kept: Callable[..., Any] = lru_cache(maxsize=KEPT)(metric)

    @wraps(metric)
    def function(pair: Pairs | Pair, /) -> Any:
        with np.errstate(all="ignore"):
            return kept(pair) if isinstance(pair, Pairs) else _of_one(metric(Pairs.of([pair])))

    return function


def vector_of_pair(metric: Callable[[Pairs], Vectors | None]) -> OfPair[Vectors | None]:
    """Do as `of_pair` for a metric that is a vector."""
    return cast("OfPair[Vectors | None]", of_pair(cast("Callable[[Pairs], Numbers]", metric)))


@lru_cache(maxsize=KEPT)
def _stack_of_one(spectrum: Spectrum) -> Spectra:
    return Spectra.of([spectrum])


def _of_one(result: NDArray[Any] | None) -> Any:
    """Return what a stack of one gave, as a number or a vector."""
    if result is None:
        return None
    return result[0] if result.ndim > 1 else result[0].item()


def as_spectrum(values: Spectrum | ArrayLike) -> Spectrum:
    """Return singular values as a spectrum, descending: of an r × r matrix of float64, where no Spectrum says more.

    values: a Spectrum, which is returned as it is, or (r,) numbers of at least 0 in any order, in the unit of the
    entries; NaN makes every metric NaN. Raises SpectraError for anything else, such as the matrix itself.

    >>> as_spectrum([1.0, 2.0]).sigma
    array([2., 1.])
    """
    if isinstance(values, Spectrum):
        return values
    try:
        sigma = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpectraError("singular values must be real numbers", hint="give them as an array of float64") from None
    if sigma.ndim != 1:
        raise SpectraError(
            f"an array of shape {sigma.shape} holds no singular values in a row",
            hint="`spectra_cli.singular_values(matrix)` are those of a matrix",
        )
    if (sigma < 0).any():
        raise SpectraError("singular values are not below 0", hint="give σ, and not eigenvalues or logarithms")
    return Spectrum.of(*sigma)
