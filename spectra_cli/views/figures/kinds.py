"""KINDS, the list of all figures. Adding one is a module with prepare, chart and lines, and an entry here."""

from __future__ import annotations

import difflib

from spectra_cli.errors import SpectraError
from spectra_cli.studies.rank1.metric_names import METRICS, NEEDED
from spectra_cli.views.figures import (
    against_loss,
    alignment,
    asymmetry,
    compression,
    depth,
    dissociation,
    gradients,
    heatmap,
    layer_by_role,
    layer_lines,
    over_models,
    profile,
    rank1,
    roles,
    spectrum,
    timescales,
    trajectory,
    wave,
)
from spectra_cli.views.figures.figure import Kind

KINDS: tuple[Kind, ...] = (
    Kind(
        "trajectory", "How fast each role's spectrum moves over training, log-log, with the loss beneath.",
        trajectory, metrics=(trajectory.RATE,), also=trajectory.BESIDE, pools=True,
    ),
    Kind(
        "alignment", "Cosine of spectra and of weights to the reference checkpoint, by role.",
        alignment, metrics=(alignment.SPECTRA, alignment.WEIGHTS), pools=True,
    ),
    Kind(
        "spectrum", "Singular values against their rank, for chosen matrices at a few checkpoints.",
        spectrum, metrics=("nuclear_norm",), metric="sd", vectors=True,
    ),
    Kind("heatmap", "Any metric by layer and checkpoint.", heatmap, metric="stable_rank"),
    Kind("profile", "Any metric over depth, at a few checkpoints.", profile, metric="stable_rank"),
    Kind("roles", "Any metric over training, a panel for each role.", roles, metric="stable_rank", pools=True),
    Kind("layers", "Any metric over training, a line for each layer.", layer_lines, metric="stable_rank"),
    Kind("snapshot", "Any metric by layer and role, at one checkpoint or a few.", layer_by_role, metric="alpha"),
    Kind("loss", "Any metric against the loss, a point for each checkpoint.", against_loss, metric="alpha"),
    Kind(
        "wave", "Compression by layer and step, with the front that goes through the depth.",
        wave, metrics=("stable_rank",), also=("alpha",), pools=True,
    ),
    Kind(
        "compression", "How much of its stable rank each kind of matrix has lost, over training.",
        compression, metrics=("stable_rank",), pools=True,
    ),
    Kind(
        "gradients", "Slopes over depth of compression, an exponent and entropy over training, and where they turn.",
        gradients, metrics=("stable_rank",), also=("entropy",), metric="alpha", pools=True,
    ),
    Kind(
        "dissociation", "An exponent against compression, a line for each layer, and the slopes of both over depth.",
        dissociation, metrics=("stable_rank",), metric="alpha",
    ),
    Kind(
        "depth", "An exponent over normalised depth at the end, for one model or several.",
        depth, metrics=("stable_rank",), metric="alpha",
    ),
    Kind(
        "models", "An exponent's extremes over the layers and the wave's velocity, of several models by their depth.",
        over_models, metrics=("stable_rank",), metric="alpha",
    ),
    Kind(
        "asymmetry", "How far q and k, and v and o, spread over depth, in compression and an exponent.",
        asymmetry, metrics=("stable_rank",), metric="alpha", pools=True,
    ),
    Kind(
        "timescales", "How stable rank and an exponent approach their ends, and the two timescales fitted.",
        timescales, metrics=("stable_rank",), metric="alpha", pools=True,
    ),
    Kind(
        "rank1", "Checkpoints in the plane of their first two components, and shares beside what walks give.",
        rank1, metrics=NEEDED, also=METRICS, written_by="rank1",
    ),
)  # fmt: skip


def kind_of(name: str) -> Kind:
    """Return a kind by its name. Raises SpectraError, code 2, where there is none."""
    names = [kind.name for kind in KINDS]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"the kinds are {', '.join(names)}"
        raise SpectraError(f"there is no kind of figure '{name}'", hint=hint, code=2)
    return KINDS[names.index(name)]
