"""CLAIMS, what the page's findings are about: each with its definition, the figure that shows it, and its paper."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One thing that a study looks for.

    name: the claim of a Finding. definition: what the quantity is, with its formula and unit. figure: of the page, that
    shows it. paper: key of the one that it comes from; "" where it is ours.
    """

    name: str
    title: str
    definition: str
    figure: str
    paper: str = ""


SOSD, LIFECYCLE, EXTRA_MERGE = "sosd2026", "lifecycle2026", "extramerge2026"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "peak", "Peak of the variation",
        "The step and height of the largest ‖SD(t) − SD(t−)‖₂ / (t − t−), in 1/step, mean over the matrices; SD is "
        "σᵢ/Σσ, t− the checkpoint before t.", "trajectory", SOSD,
    ),
    Claim(
        "onset", "Stable phase",
        "The last bend that flattens a continuous piecewise-linear fit of ln rate on ln step from the peak on (one to "
        "three segments, chosen by BIC), with a 90% bootstrap interval. A floor where the slope after it is zero or "
        "near, a slow decline where it is below, and flatter where it may be either.", "trajectory", SOSD,
    ),
    Claim(
        "floor", "Floor",
        "The median variation, in 1/step, over the last quarter of the checkpoints, with its quartiles.",
        "trajectory", SOSD,
    ),
    Claim(
        "loss", "Bend of the loss",
        "The same piecewise-linear fit, of the loss on ln step.", "trajectory", SOSD,
    ),
    Claim(
        "synchrony", "Synchrony",
        "The step of the spectra's onset over that of the loss's bend; and Spearman's ρ between what is new at each "
        "checkpoint in the variation and in the loss's fall, beyond their trends.", "trajectory", SOSD,
    ),
    Claim(
        "response", "Response to the learning rate",
        "d ln rate / d ln lr where the learning rate is lowered, beside what the passing of steps does, with a 95% "
        "interval.", "trajectory", SOSD,
    ),
    Claim(
        "decoupling", "Spectra before weights",
        "The first steps from which ⟨σ(A),σ(B)⟩/(‖σ(A)‖‖σ(B)‖) and ⟨A,B⟩_F/(‖A‖_F‖B‖_F) to the reference stay at 0.99 "
        "or above. The first is never below the second (von Neumann).", "alignment", SOSD,
    ),
    Claim(
        "bound", "The paper's bound",
        "‖SD(A) − SD(B)‖₂ ≤ (1 + √r)·‖A − B‖_F / max(‖A‖_*, ‖B‖_*), for every pair of neighbouring checkpoints.",
        "trajectory", SOSD,
    ),
    Claim(
        "theory", "What the theory assumes and claims",
        "Exponents, with 95% intervals that hold whatever the noise's correlation: of ‖W‖_F and of σ₁/σ_r on step; of "
        "the variation on η and on ‖W‖_F together; of the loss's fall, and of its 75% quantile, on the variation, "
        "beside an exponent that drifts with steps; and V's onset over those of Q and K.", "trajectory", SOSD,
    ),
    Claim(
        "compression", "Compression",
        "100·(1 − R_s(t)/R_s(0)) in %, R_s = ‖W‖_F²/σ₁² the stable rank; mean over a layer's matrices.",
        "wave", LIFECYCLE,
    ),
    Claim(
        "wave", "Wave",
        "t½(l) is the first step at which layer l has half of its largest compression. A wave where layer and t½ are "
        "rank-correlated beyond layers like their neighbours; its velocity is the slope of l on t½, in layers a step.",
        "wave", LIFECYCLE,
    ),
    Claim(
        "gradient", "Gradient of compression",
        "Least-squares slope of compression on depth l/(L − 1), in % from first to last layer, and a quadratic term.",
        "gradients", LIFECYCLE,
    ),
    Claim(
        "alpha", "Gradient of the exponent",
        "α is minus the slope of ln σᵢ on ln i, fitted with weights 1/i. Its slope and quadratic term over depth at "
        "the last checkpoint; an inverted U where the quadratic term is significantly negative and the peak inside.",
        "depth", LIFECYCLE,
    ),
    Claim(
        "entropy", "Gradient of entropy",
        "The slope over depth of −Σ pᵢ ln pᵢ with pᵢ = σᵢ/Σσ, in nats from first to last layer.",
        "gradients", LIFECYCLE,
    ),
    Claim(
        "dissociation", "Rank and shape over depth",
        "The two part where the slope of compression over depth turns and that of the exponent, significant at the "
        "last checkpoint, does not.", "gradients", LIFECYCLE,
    ),
    Claim(
        "asymmetry", "Q/K–V asymmetry",
        "Spread over depth of q and k about their own means over that of v and o, with a 95% interval and a p-value.",
        "asymmetry", LIFECYCLE,
    ),
    Claim(
        "timescales", "Two timescales",
        "R_s(t) = R* + (R₀ − R*)e^(−t/τ_R) and α(t) = α* + (α₀ − α*)e^(−t/τ_α), means over layers; τ in steps, and "
        "their ratio with a 90% interval.", "timescales", LIFECYCLE,
    ),
    Claim(
        "alpha_loss", "Exponent and loss",
        "Spearman's ρ between what is new at each checkpoint in α, mean over layers, and in the loss, beyond their "
        "trends.", "timescales", LIFECYCLE,
    ),
    Claim(
        "rank1", "Rank 1",
        "The share of variance of the first principal component of the checkpoints, beside that of walks with the "
        "run's own step lengths, and the cosine between the displacements of its two halves.", "rank1", EXTRA_MERGE,
    ),
    Claim("limits", "What limits this", "How far these data can carry a verdict.", "trajectory"),
)  # fmt: skip


def claim(name: str) -> Claim:
    """Return a claim by its name."""
    return next(claim for claim in CLAIMS if claim.name == name)
