"""Exponents of power laws in the tail of the eigenvalues λ = σ². Knows spectra.

Two families: `alpha_clauset` chooses the tail freely, as the literature does; `alpha_tail` keeps it to a quarter of the
spectrum at least, so that it can be read along a trajectory. The members of a family share one memoised fit.
"""

from __future__ import annotations

from spectra_cli.metrics.stacks import Numbers, Spectra, of_matrix
from spectra_cli.metrics.tail_fit import clauset_fit, tail_fit


@of_matrix
def alpha_clauset(spectra: Spectra) -> Numbers:
    """Exponent of a power law in the tail of the eigenvalues, the tail chosen by the data.

    Formula: for each candidate x_min among the λ = σ², α = 1 + n/Σ ln(λ/x_min) over the n values λ ≥ x_min; of these
    the one with the smallest Kolmogorov–Smirnov distance. λ at or below rounding, σ ≤ σ₁·max(m,n)·2⁻⁵², are left out.
    Returns a float > 1. Degree 0. NaN where fewer than two distinct values remain.
    Source: Clauset, Shalizi & Newman 2009. It agrees with WeightWatcher from 20 values on (below, that one fits by
    another rule; it also leaves out λ ≤ 1e-5 whatever their scale) and with the powerlaw package where that one is
    told not to confine α to 3. Along a trajectory it jumps wherever the chosen tail does: see `alpha_clauset_n`.

    >>> round(alpha_clauset([(i / 64) ** -0.25 for i in range(1, 65)]), 2)
    3.1
    """
    return clauset_fit(spectra).alpha


@of_matrix
def alpha_clauset_xmin(spectra: Spectra) -> Numbers:
    """Where the tail of the `alpha_clauset` fit begins, as an eigenvalue λ = σ².

    Formula: see `alpha_clauset`. Returns a float > 0 in the squared unit of the weights. Degree 2. NaN where the fit
    is.
    Source: Clauset, Shalizi & Newman 2009.

    >>> alpha_clauset_xmin([3.0, 2.0])
    4.0
    """
    return clauset_fit(spectra).xmin


@of_matrix
def alpha_clauset_ks(spectra: Spectra) -> Numbers:
    """Kolmogorov–Smirnov distance of the `alpha_clauset` fit: how badly a power law describes the tail.

    Formula: max over the tail of |1 − (λ/x_min)^(1−α) − (share of the tail below λ)|. Returns a float in 0…1.
    Degree 0. NaN where the fit is.
    Source: Clauset, Shalizi & Newman 2009, read from one side of each step as the powerlaw package does.

    >>> round(alpha_clauset_ks([3.0, 2.0]), 6)
    0.364665
    """
    return clauset_fit(spectra).ks


@of_matrix
def alpha_clauset_n(spectra: Spectra) -> Numbers:
    """How many singular values the tail of the `alpha_clauset` fit holds.

    Formula: the number of λ ≥ x_min. Returns a whole number in 2…r. Degree 0. NaN where the fit is. Where it jumps
    between two checkpoints, the exponent's jump says nothing about the matrix.
    Source: Clauset, Shalizi & Newman 2009.

    >>> alpha_clauset_n([3.0, 2.0])
    2.0
    """
    return clauset_fit(spectra).n


@of_matrix
def alpha_clauset_stderr(spectra: Spectra) -> Numbers:
    """Standard error of `alpha_clauset` for a tail given beforehand; that the data chose it is not in it.

    Formula: (α−1)/√n. Returns a float > 0. Degree 0. NaN where the fit is.
    Source: Clauset, Shalizi & Newman 2009, Eq. 3.2.

    >>> round(alpha_clauset_stderr([3.0, 2.0]), 6)
    1.74394
    """
    return clauset_fit(spectra).stderr


@of_matrix
def alpha_tail(spectra: Spectra) -> Numbers:
    """Exponent of a power law in the tail of the eigenvalues, the tail never less than a quarter: for trajectories.

    Formula: as `alpha_clauset`, among tails of at least ⌈r/4⌉ values and by the two-sided Kolmogorov–Smirnov distance.
    Returns a float > 1. Degree 0. NaN where there is no such tail of two distinct values.
    Source: this project. Over 736 pairs of neighbouring checkpoints of one run `alpha_clauset` jumped by more than 1
    in 126 of them, with tails of 3 to 20 values; this one in 11, `alpha_hill` in none.

    >>> round(alpha_tail([(i / 64) ** -0.25 for i in range(1, 65)]), 2)
    3.1
    """
    return tail_fit(spectra).alpha


@of_matrix
def alpha_tail_xmin(spectra: Spectra) -> Numbers:
    """Where the tail of the `alpha_tail` fit begins, as an eigenvalue λ = σ².

    Formula: see `alpha_tail`. Returns a float > 0 in the squared unit of the weights. Degree 2. NaN where the fit is.
    Source: this project.

    >>> alpha_tail_xmin([3.0, 2.0])
    4.0
    """
    return tail_fit(spectra).xmin


@of_matrix
def alpha_tail_ks(spectra: Spectra) -> Numbers:
    """Two-sided Kolmogorov–Smirnov distance of the `alpha_tail` fit.

    Formula: the largest difference between 1 − (λ/x_min)^(1−α) and the share of the tail below λ, or at most λ. Returns
    a float in 0…1. Degree 0. NaN where the fit is.
    Source: Kolmogorov 1933; `scipy.stats.ks_1samp` gives the same.

    >>> round(alpha_tail_ks([3.0, 2.0]), 6)
    0.5
    """
    return tail_fit(spectra).ks


@of_matrix
def alpha_tail_n(spectra: Spectra) -> Numbers:
    """How many singular values the tail of the `alpha_tail` fit holds.

    Formula: the number of λ ≥ x_min. Returns a whole number in ⌈r/4⌉…r. Degree 0. NaN where the fit is.
    Source: this project.

    >>> alpha_tail_n([8.0, 4.0, 2.0, 1.0])
    4.0
    """
    return tail_fit(spectra).n


@of_matrix
def alpha_tail_stderr(spectra: Spectra) -> Numbers:
    """Standard error of `alpha_tail` for a tail given beforehand; that the data chose it is not in it.

    Formula: (α−1)/√n. Returns a float > 0. Degree 0. NaN where the fit is.
    Source: Clauset, Shalizi & Newman 2009, Eq. 3.2.

    >>> round(alpha_tail_stderr([3.0, 2.0]), 6)
    1.74394
    """
    return tail_fit(spectra).stderr
