"""Singular values known to 50 digits and more, of the entries as they are stored."""

import mpmath
import numpy as np
import torch


def true_sigma(matrix, digits=50):
    """σ of the stored entries, descending, by mpmath's SVD: for small matrices."""
    entries = matrix.double()
    if matrix.shape[0] < matrix.shape[1]:
        entries = entries.T
    with mpmath.workdps(digits):
        result = mpmath.svd_r(mpmath.matrix(entries.tolist()), compute_uv=False)
        return sorted(result, reverse=True)


def true_sigma_of_tall(matrix, digits=50):
    """σ of a tall, narrow matrix, from its Gram matrix in exact arithmetic."""
    columns = [[mpmath.mpf(entry) for entry in column] for column in matrix.double().T.tolist()]
    with mpmath.workdps(2 * digits):
        gram = mpmath.matrix([[mpmath.fdot(a, b) for b in columns] for a in columns])
        return sorted((mpmath.sqrt(abs(item)) for item in mpmath.eigsy(gram, eigvals_only=True)), reverse=True)


def true_sigma_of_integers(whole, scale):
    """σ of whole numbers times a scale, from their Gram matrix, which is whole."""
    tall = whole if whole.shape[0] >= whole.shape[1] else whole.T
    with mpmath.workdps(60):
        squares = mpmath.eigsy(mpmath.matrix((tall.T @ tall).tolist()), eigvals_only=True)
        return sorted((mpmath.mpf(scale) * mpmath.sqrt(abs(square)) for square in squares), reverse=True)


def errors(sigma, truth):
    """|σ̂ − σ|, without losing a digit on the way."""
    with mpmath.workdps(50):
        return np.array([float(abs(mpmath.mpf(float(a)) - b)) for a, b in zip(sigma, truth, strict=True)])


def assert_within_bounds(spectrum, truth):
    """|σ̂−σ| ≤ 1e-9·σ₁, relatively ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²), and never above the spectrum's own bound."""
    result = errors(spectrum.sigma, truth)
    with mpmath.workdps(50):
        first = truth[0]
        allowed = [
            float(min(first * mpmath.mpf("1e-9"), max(item / 10**12, first**2 / item / 10**14 if item else first)))
            for item in truth
        ]
    assert (result <= allowed).all()
    assert result.max() <= spectrum.error


def planted(sigma, rows, cols, seed=0):
    """A float64 matrix with about these singular values between random orthogonal matrices."""
    random = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, len(sigma), dtype=torch.float64, generator=random))
    right, _ = torch.linalg.qr(torch.randn(cols, len(sigma), dtype=torch.float64, generator=random))
    return left * torch.as_tensor(np.asarray(sigma), dtype=torch.float64) @ right.T


def hadamard(size):
    """Sylvester's matrix of ±1: HHᵀ = size·I, exactly."""
    result = torch.ones(1, 1, dtype=torch.float64)
    while len(result) < size:
        result = torch.cat((torch.cat((result, result), 1), torch.cat((result, -result), 1)))
    return result


def exact_by_construction(sigma, copies=1):
    """H·diag(d)·H, stacked `copies` times: its σ are n·d·√copies to the last digit for whole d below 2^40/n."""
    whole = torch.as_tensor(sigma, dtype=torch.float64)
    basis = hadamard(len(sigma))
    matrix = (basis * whole) @ basis
    with mpmath.workdps(50):
        truth = [len(sigma) * mpmath.sqrt(copies) * int(item) for item in sorted(sigma, reverse=True)]
    return matrix.repeat(copies, 1), truth
