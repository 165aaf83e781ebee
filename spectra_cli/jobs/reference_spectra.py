"""Reads what a warm start takes from a trained checkpoint: its configuration, and the spectra of its layers' matrices.

Each stored tensor is read once, whatever is cut out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli import architectures, sources, svd, weights
from spectra_cli.errors import SpectraError, printable
from spectra_cli.evaluation.memory_needed import announce
from spectra_cli.evaluation.model import make_config
from spectra_cli.jobs.only_checkpoint import only_checkpoint
from spectra_cli.measure.layouts import open_weights
from spectra_cli.measure.plan import OnWait, make_client
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint, Layout, Matrix
from spectra_cli.surgery.spectral import parts_of

Array = NDArray[np.float64]
Sizes = tuple[int | None, int | None]


@dataclass(frozen=True, eq=False)
class Reference:
    """The trained checkpoint: transformers' configuration of it, the spectra of its matrices, and what a copy needs.

    settings: its config.json. sigma: by matrix and part. sizes: how many heads there are, where each has its spectrum.
    """

    called: str
    config: Any
    settings: Mapping[str, Any]
    sigma: Mapping[str, tuple[Array, ...]]
    sizes: Sizes
    dtype: str
    companions: Mapping[str, bytes]


def read_reference(request: Request, *, per_head: bool, on_wait: OnWait) -> Reference:
    """Read the one checkpoint of a request. Raises SpectraError where no model can be started from it."""
    client = make_client(request, on_wait)
    wanted_files = weights.files_of_copy
    checkpoint = only_checkpoint(request.source, client, ema=request.ema, wanted=wanted_files)
    (checkpoint,), _ = sources.resolve_files([checkpoint], client, wanted_files)
    with opened_checkpoint(checkpoint, request, client) as (files, opened, layout):
        config = make_config(opened.config, request.source)
        announce(config, len(opened.tensors), request.source, on_wait)
        sizes = _heads(opened) if per_head else (None, None)
        sigma = spectra_of(opened, [matrix for matrix in layout.matrices if matrix.layer is not None], sizes)
        _refuse_unsound(sigma, request.source)
        stored = Counter(opened.tensors[matrix.tensor].dtype for matrix in layout.matrices)
        dtype = stored.most_common(1)[0][0] if not any(map(opened.quantization, opened.tensors)) else "bfloat16"
        follow = request.follow_links or files.view is not None
        companions = weights.read_companions(files.path, follow_links=follow, provider=files.view)
        return Reference(request.source, config, dict(opened.config), sigma, sizes, dtype, companions)


def spectra_of(opened: weights.Weights, matrices: Sequence[Matrix], sizes: Sizes) -> dict[str, tuple[Array, ...]]:
    """Return the singular values of the parts of matrices: of the whole, or of each head."""
    of_tensor: dict[str, list[Matrix]] = {}
    for matrix in matrices:
        of_tensor.setdefault(matrix.tensor, []).append(matrix)
    sigma = {}
    for name, inside in of_tensor.items():
        tensor = opened.read(name)
        for matrix in inside:
            array = architectures.cut(tensor, matrix)
            parts = parts_of(matrix, *sizes)
            sigma[matrix.name] = tuple(svd.spectrum(array[part.rows, part.cols]).sigma for part in parts)
    return {matrix.name: sigma[matrix.name] for matrix in matrices}


@contextmanager
def opened_checkpoint(
    checkpoint: Checkpoint, request: Request, client: sources.Client
) -> Iterator[tuple[sources.LocalFiles, weights.Weights, Layout]]:
    """Open a checkpoint and say what its tensors mean."""
    files_of = sources.CheckpointFiles(client, [checkpoint], weights.header_size, disk=request.disk_bytes)
    with (
        files_of as checkpoint_files,
        checkpoint_files.materialize(checkpoint) as files,
        open_weights(checkpoint, request, checkpoint_files) as (opened, layout),
    ):
        yield files, opened, layout


def _heads(opened: weights.Weights) -> tuple[int, int]:
    sizes = architectures.named_sizes(architectures.text_config(opened.config))
    return sizes("heads"), sizes("kv_heads")


def _refuse_unsound(sigma: Mapping[str, tuple[Array, ...]], called: str) -> None:
    if not sigma:
        raise SpectraError(
            f"{called} has no matrix of a layer", hint="give a checkpoint whose layers are known: --arch"
        )
    for name, parts in sigma.items():
        if not all(np.isfinite(part).all() for part in parts):
            raise SpectraError(f"{printable(name)} of {called} holds NaN or Inf", hint="give another checkpoint")
