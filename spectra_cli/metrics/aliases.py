"""Names of these metrics in other tools, and where theirs differ: data for docs/metrics.md, from running them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Alias:
    """A column of another tool. ours: a metric, or an expression of metrics. differs: nothing where they are equal."""

    tool: Literal["WeightWatcher 0.7.7", "diffract-core 0.3.1"]
    theirs: str
    ours: str
    differs: str = ""


WW: Literal["WeightWatcher 0.7.7"] = "WeightWatcher 0.7.7"
DIFFRACT: Literal["diffract-core 0.3.1"] = "diffract-core 0.3.1"

ALIASES = (
    Alias(WW, "alpha", "alpha_clauset"),
    Alias(WW, "D", "alpha_clauset_ks", "the same, but up to a tenth larger where eigenvalues repeat exactly"),
    Alias(WW, "xmin", "alpha_clauset_xmin"),
    Alias(WW, "sigma", "alpha_clauset_stderr", "not a singular value"),
    Alias(WW, "num_pl_spikes", "alpha_clauset_n"),
    Alias(WW, "alpha_weighted", "alpha_weighted"),
    Alias(WW, "log_norm", "log_norm"),
    Alias(WW, "log_alpha_norm", "log_alpha_norm"),
    Alias(WW, "stable_rank", "stable_rank"),
    Alias(WW, "sv_max", "spectral_norm"),
    Alias(WW, "spectral_norm, lambda_max", "spectral_norm²", "the square of what is called so elsewhere"),
    Alias(WW, "norm", "frobenius_norm²", "squared, too"),
    Alias(WW, "entropy", "entropy_energy / ln numerical_rank", "of σ², as a share of its largest value; apart by 2e-8"),
    Alias(WW, "matrix_rank", "numerical_rank", "at float64's precision, whatever the matrix was stored in"),
    Alias(WW, "num_spikes", "mp_outliers", "the noise fitted to the bulk, not taken from the median"),
    Alias(WW, "rand_distance", "rand_distance", "another shuffle at each run: apart by about 0.01"),
    Alias(DIFFRACT, "frob_norm, nuclear_norm", "frobenius_norm, nuclear_norm"),
    Alias(DIFFRACT, "l2_norm", "spectral_norm"),
    Alias(DIFFRACT, "stable_rank, effective_rank", "stable_rank, effective_rank"),
    Alias(DIFFRACT, "hard_rank", "numerical_rank", "counts σ² > 1e-5·σ₁², so σ > 0.3 % of σ₁"),
    Alias(DIFFRACT, "pl_alpha, pl_ks", "alpha_clauset, alpha_clauset_ks"),
    Alias(DIFFRACT, "pl_esd_xmin", "alpha_clauset_xmin / max(m, n)", "eigenvalues are divided by the longer side"),
    Alias(DIFFRACT, "pl_alpha_weighted", "alpha_weighted", "with that λ: lower by α·log₁₀ max(m, n)"),
    Alias(DIFFRACT, "pl_alpha_norm", "10^log_alpha_norm", "with that λ, and no logarithm"),
    Alias(DIFFRACT, "mp_num_spikes", "mp_outliers", "the noise from the entries' deviation and a shuffle"),
    Alias(DIFFRACT, "w1_rand_distance", "rand_distance", "another distance, Wasserstein's over the mean"),
    Alias(DIFFRACT, "l_agreement, r_agreement", "cos_left_vectors, cos_right_vectors", "absolute values, all vectors"),
)

COVERAGE = (
    "WeightWatcher leaves out, without a word, matrices with a side over 50,000 (both embeddings of a model of 50,304 "
    "tokens: 48 of 50 stored matrices), keeps q, k and v stacked where they are stored so, and orders layers as "
    "strings: 0, 1, 10, 11, 2.",
    "diffract takes matrices that you load yourself. In float16 its decomposition stops with `TypeError: array type "
    "float16 is unsupported in linalg`; NumPy has no bfloat16: convert to float32 first. It keeps stacked tensors "
    "stacked, too.",
)
