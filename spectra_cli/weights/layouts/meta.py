"""Meta's checkpoints: consolidated.NN.pth, one file a model-parallel rank, with params.json as the configuration."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, admit, read_json
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.joining import Axis, in_order, join
from spectra_cli.weights.layouts.single_file import open_file, with_config

RANK = re.compile(r"consolidated\.(?P<rank>\d+)\.pth")
PARAMS = "params.json"
EMBEDDING = "tok_embeddings.weight"
AXES = (
    Axis(re.compile(r"attention\.w[qkv]\.weight$"), 0),
    Axis(re.compile(r"feed_forward\.w[13]\.weight$"), 0),
    Axis(re.compile(r"attention\.wo\.weight$"), 1),
    Axis(re.compile(r"feed_forward\.w2\.weight$"), 1),
    Axis(re.compile(r"^output\.weight$"), 0),
)


def is_meta(listing: Listing) -> bool:
    """Whether a folder holds Meta's files by rank."""
    return any(RANK.fullmatch(name) for name in listing.files)


def open_meta(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open Meta's files and join the ranks' parts, the embedding on the axis that the model's width says."""
    matches = filter(None, map(RANK.fullmatch, sorted(list_folder(path).files)))
    files = in_order(path, {int(match["rank"]): match[0] for match in matches})
    parts = [open_file(admit(path / name, boundary), ema) for name in files]
    described, config = _params(path, boundary)
    axes = (Axis(re.compile(rf"^{re.escape(EMBEDDING)}$"), _embedding_axis(path, parts, config)), *AXES)
    whole = join(parts, axes)
    config = {"model_type": "meta_llama", **config}
    return with_config(replace(whole, config=config, files=(*whole.files, *described)), path, boundary)


def _params(path: Path, boundary: Boundary) -> tuple[tuple[SourceFile, ...], dict[str, Any]]:
    if not os.path.lexists(path / PARAMS):
        return (), {}
    source, params = read_json(path / PARAMS, boundary, limit=4 * 2**20)
    return (source,), params


def _embedding_axis(path: Path, parts: list[Contents], config: dict[str, Any]) -> int:
    """Return the axis along which the embedding was cut: the words since Llama 3, the model's width before."""
    embedding = parts[0].tensors.get(EMBEDDING)
    query = next((t for n, t in parts[0].tensors.items() if n.endswith("attention.wq.weight")), None)
    width = query.shape[-1] if query is not None and query.shape else config.get("dim")
    if embedding is None or len(embedding.shape) != 2 or len(parts) == 1 or width == embedding.shape[1]:
        return 0
    if embedding.shape[1] * len(parts) == width:
        return 1
    raise SpectraError(
        f"{printable(path, 400)} holds {len(parts)} ranks, each with {embedding.shape[1]} columns of {EMBEDDING}, "
        f"and a model {width} wide",
        hint=COPY_AGAIN,
    )
