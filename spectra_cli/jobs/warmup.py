"""Makes a checkpoint to start training from: a trained one's spectra, random singular vectors, all else as usual.

The model is started by transformers from its own configuration; its layers' matrices are then replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli import __version__, architectures, sources, svd, weights
from spectra_cli.errors import SpectraError, printable
from spectra_cli.evaluation.model import make_config
from spectra_cli.jobs.only_checkpoint import only_checkpoint
from spectra_cli.jobs.untrained import started
from spectra_cli.measure.open_checkpoint import open_weights
from spectra_cli.measure.plan import OnWait, make_client
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint, Layout, Matrix
from spectra_cli.surgery import (
    Description,
    Original,
    TensorToWrite,
    Written,
    check_output,
    model_card,
    open_original,
    write_checkpoint,
)  # fmt: skip
from spectra_cli.surgery.spectral import SPECTRA, generator_for, largest_error, parts_of, random_matrix, wanted

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

EXACT = 1e-6  # of the largest singular value: what is allowed where weights are kept in 32 bits or more
HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class WarmupOptions:
    """How a start is made; every option of `spectra warmup` with its one default.

    spectrum: one of SPECTRA. scale: what every singular value is multiplied by. seed: of the singular vectors and of
    transformers' own start. per_head: a spectrum for each head of attention.
    """

    spectrum: str = "trained"
    scale: float = 1.0
    seed: int = 0
    per_head: bool = False

    def __post_init__(self) -> None:
        """Raise SpectraError, code 2, for what can never be carried out."""
        if self.spectrum not in SPECTRA:
            raise SpectraError(
                f"--spectrum {self.spectrum} is none of these", hint=f"give {', '.join(SPECTRA)}", code=2
            )
        if not 0 < self.scale < float("inf"):
            raise SpectraError(f"--scale {self.scale} is no scale", hint="give a number above zero, such as 1", code=2)
        if not 0 <= self.seed < 2**63:
            raise SpectraError(f"--seed {self.seed} is no seed", hint="give a whole number from 0 on", code=2)


@dataclass(frozen=True)
class Warmup:
    """What `spectra warmup` did. errors: of each matrix, the largest |σ − σ*|/σ*₁ as it was written. dtype: stored."""

    reference: str
    options: WarmupOptions
    errors: Mapping[str, float]
    dtype: str
    written: Written


@dataclass(frozen=True, eq=False)
class _Reference:
    """The trained checkpoint: transformers' configuration of it, the spectra of its matrices, and what a copy needs.

    settings: its config.json. sigma: by matrix and part. sizes: how many heads there are, where each has its spectrum.
    """

    called: str
    config: Any
    settings: Mapping[str, Any]
    sigma: Mapping[str, tuple[Array, ...]]
    sizes: tuple[int | None, int | None]
    dtype: str
    companions: Mapping[str, bytes]


@dataclass(frozen=True, eq=False)
class _Start:
    """The model as it would start, open, and the spectra that its matrices are to have."""

    original: Original
    matrices: Mapping[str, list[Matrix]]
    goals: Mapping[str, tuple[Array, ...]]
    reference: _Reference
    seed: int

    def tensors(self) -> list[TensorToWrite]:
        """Return its tensors in the reference's dtype, those of matrices made anew."""
        dtype = self.reference.dtype
        return [
            TensorToWrite(name, tensor.shape, dtype, partial(self._made, name))
            if tensor.dtype == "float32"
            else self.original.tensor(name)
            for name, tensor in self.original.stored.tensors.items()
        ]

    def _made(self, name: str) -> torch.Tensor:
        import torch

        tensor = self.original.stored.read(name).contiguous()
        for matrix in self.matrices.get(name, ()):
            generator = generator_for(self.seed, matrix.name)
            values = np.empty((matrix.rows, matrix.cols), np.float32)
            for part, sigma in zip(parts_of(matrix, *self.reference.sizes), self.goals[matrix.name], strict=True):
                rows, cols = values[part.rows, part.cols].shape
                values[part.rows, part.cols] = random_matrix(sigma, rows, cols, generator)
            architectures.put(tensor, matrix, torch.from_numpy(values))
        return tensor.to(getattr(torch, self.reference.dtype))


def warm_start(
    reference: str | Path,
    output: str | Path,
    options: WarmupOptions = WarmupOptions(),  # noqa: B008 - frozen
    *,
    on_wait: OnWait = lambda _: None,
    **request_options: Any,
) -> Warmup:
    """Write a checkpoint to start training from, with the spectra of a trained one: what `spectra warmup` does.

    reference: a checkpoint's folder, or its place on the Hub. output: the new folder. on_wait: called with what is
    waited for. request_options: the fields of `spectra_cli.measure.request.Request` that say how it is read. Raises
    SpectraError where the reference cannot be read or started anew, or where written spectra are not those that were
    wanted; nothing is written then.
    """
    check_output(Path(output))
    request = Request(str(reference), **request_options)
    trained = _read_reference(request, options, on_wait)
    errors: dict[str, float] = {}
    with (
        started(trained.config, options.seed, trained.called, Path(output)) as folder,
        _start(trained, folder, options) as start,
    ):
        description = Description(
            _settings(trained), _provenance(trained, options), _card(trained, options), trained.companions
        )
        check = partial(_check, start, errors)
        written = write_checkpoint(Path(output), start.tensors(), description, check=check)
    return Warmup(trained.called, options, errors, trained.dtype, written)


def _read_reference(request: Request, options: WarmupOptions, on_wait: OnWait) -> _Reference:
    client = make_client(request, on_wait)
    wanted_files = weights.files_of_copy
    checkpoint = only_checkpoint(request.source, client, ema=request.ema, wanted=wanted_files)
    (checkpoint,), _ = sources.resolve_files([checkpoint], client, wanted_files)
    with _opened(checkpoint, request, client) as (files, opened, layout):
        config = make_config(opened.config, request.source)
        sizes = _heads(opened) if options.per_head else (None, None)
        sigma = {}
        for matrix in layout.matrices:
            if matrix.layer is not None:
                sigma[matrix.name] = _spectra(opened, matrix, sizes)
                _refuse_unsound(matrix, sigma[matrix.name], request.source)
        if not sigma:
            raise SpectraError(
                f"{request.source} has no matrix of a layer", hint="give a checkpoint whose layers are known: --arch"
            )
        stored = Counter(opened.tensors[matrix.tensor].dtype for matrix in layout.matrices)
        dtype = stored.most_common(1)[0][0] if not any(map(opened.quantization, opened.tensors)) else "bfloat16"
        follow = request.follow_links or files.view is not None
        companions = weights.read_companions(files.path, follow_links=follow, provider=files.view)
        return _Reference(request.source, config, dict(opened.config), sigma, sizes, dtype, companions)


def _heads(opened: weights.Weights) -> tuple[int, int]:
    sizes = architectures.named_sizes(architectures.text_config(opened.config))
    return sizes("heads"), sizes("kv_heads")


def _spectra(opened: weights.Weights, matrix: Matrix, sizes: tuple[int | None, int | None]) -> tuple[Array, ...]:
    """Return the singular values of a matrix's parts: of the whole, or of each head."""
    array = architectures.cut(opened.read(matrix.tensor), matrix)
    return tuple(svd.spectrum(array[part.rows, part.cols]).sigma for part in parts_of(matrix, *sizes))


def _refuse_unsound(matrix: Matrix, sigma: tuple[Array, ...], called: str) -> None:
    if not all(np.isfinite(part).all() for part in sigma):
        raise SpectraError(f"{printable(matrix.name)} of {called} holds NaN or Inf", hint="give another checkpoint")


@contextmanager
def _opened(
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


@contextmanager
def _start(trained: _Reference, folder: Path, options: WarmupOptions) -> Iterator[_Start]:
    """Open the model as it starts. Raises SpectraError where its matrices are not those of the reference."""
    client = sources.Client(sources.RetryPolicy())
    request = Request(str(folder))
    with _opened(Checkpoint(trained.called, "start", folder), request, client) as (files, _, layout):
        own = {matrix.name: matrix for matrix in layout.matrices}
        unlike = next((name for name in trained.sigma if name not in own), None)
        if unlike is not None:
            raise SpectraError(
                f"{printable(unlike)} of {trained.called} has no counterpart in the model of its config.json",
                hint="compare the names with `spectra inspect`",
            )
        matrices: dict[str, list[Matrix]] = {}
        goals = {}
        for name, sigma in trained.sigma.items():
            matrices.setdefault(own[name].tensor, []).append(own[name])
            shapes = [(part.rows.stop - part.rows.start, part.cols.stop - part.cols.start)
                      for part in parts_of(own[name], *trained.sizes)]  # fmt: skip
            goals[name] = tuple(
                wanted(values, *shape, options.spectrum, options.scale)
                for values, shape in zip(sigma, shapes, strict=True)
            )
        with open_original(files) as original:
            yield _Start(original, matrices, goals, trained, options.seed)


def _check(start: _Start, errors: dict[str, float], folder: Path) -> None:
    """Measure the written spectra. Raises SpectraError where float32 does not hold what was wanted."""
    client = sources.Client(sources.RetryPolicy())
    checkpoint = Checkpoint(start.reference.called, "new", folder)
    with _opened(checkpoint, Request(str(folder)), client) as (_, opened, layout):
        for matrix in layout.matrices:
            if matrix.name in start.goals:
                sigma = _spectra(opened, matrix, start.reference.sizes)
                errors[matrix.name] = largest_error(sigma, start.goals[matrix.name])
    worst = max(errors, key=lambda name: errors[name])
    if start.reference.dtype not in HALVES and errors[worst] > EXACT:
        raise SpectraError(
            f"{printable(worst)} was written with singular values {errors[worst]:.1e} away from those wanted",
            hint="this is a mistake of this program: please report it with the model's config.json",
        )


def _settings(trained: _Reference) -> dict[str, Any]:
    """Return the config.json of the start: the reference's, for weights that are not quantised."""
    settings = {
        key: value for key, value in trained.settings.items() if key not in ("quantization_config", "torch_dtype")
    }
    return settings | {"dtype": trained.dtype}


def _provenance(trained: _Reference, options: WarmupOptions) -> dict[str, Any]:
    made = {"tool": "spectra", "version": __version__, "command": "warmup", "source": trained.called}
    return {**made, **asdict(options), "dtype": trained.dtype}


def _card(trained: _Reference, options: WarmupOptions) -> str:
    what = {
        "trained": "the singular values of the trained one",
        "flat": "equal singular values, with the Frobenius norm of the trained one",
        "mp": "the singular values of a random matrix, with the Frobenius norm of the trained one",
    }[options.spectrum]
    sentences = [
        f"Not trained: a start for training, made by `spectra warmup` of {printable(trained.called)}. Each matrix of "
        f"its layers has {what}, times {options.scale:g}, and random singular vectors (seed {options.seed}). "
        "Embeddings, norms and biases are as transformers starts them.",
        "`provenance.json` says it for programs.",
    ]
    return model_card("A start for training", sentences, tag="initialisation")
