"""THEORY, the paper's claims that a run can be asked about, each judged; and what no checkpoint shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spectra_cli.studies.stability.evidence import Evidence
from spectra_cli.studies.stability.growth import condition_is_bounded, norms_grow
from spectra_cli.studies.stability.judgements import Answer, Judgement
from spectra_cli.studies.stability.loss_bound import falls_with_variation, variation_bounds_fall
from spectra_cli.studies.stability.role_order import value_apart
from spectra_cli.studies.stability.stability_scale import by_learning_rate, by_norm


@dataclass(frozen=True)
class Claim:
    """One claim. name: a key. says: what is claimed, as a clause. judge: what answers it."""

    name: str
    says: str
    judge: Callable[[Evidence], Answer]


THEORY: tuple[Claim, ...] = (
    Claim("norms", "norms grow", norms_grow),
    Claim("condition", "condition numbers stay bounded", condition_is_bounded),
    Claim("learning_rate", "the variation is in proportion to the learning rate", by_learning_rate),
    Claim("norm", "the variation is in inverse proportion to the norm", by_norm),
    Claim("value", "V settles at another time than Q and K", value_apart),
    Claim("fall", "the loss falls with the variation", falls_with_variation),
    Claim("ceiling", "the variation bounds the loss's fall", variation_bounds_fall),
)
OUT_OF_REACH = "gradients and their noise, margins between logits, the curvature of the loss, and single updates"


def judge(evidence: Evidence) -> tuple[Judgement, ...]:
    """Return each claim of THEORY with its answer, in their order."""
    return tuple(Judgement(claim.name, claim.says, claim.judge(evidence)) for claim in THEORY)
