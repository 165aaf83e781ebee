"""Makes a checkpoint to start training from: a trained one's spectra, random singular vectors, all else as usual.

The model is started by transformers from its own configuration; its layers' matrices are then replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from spectra_cli import sources
from spectra_cli.errors import SpectraError, printable
from spectra_cli.jobs.new_start import Start, open_start
from spectra_cli.jobs.reference_spectra import Reference, opened_checkpoint, read_reference, spectra_of
from spectra_cli.jobs.untrained import started
from spectra_cli.measure.plan import OnWait
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import FileOptions
from spectra_cli.records import Checkpoint
from spectra_cli.surgery import Description, Written, check_output, model_card, provenance, write_checkpoint
from spectra_cli.surgery.spectral import SPECTRA, largest_error

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


def warm_start(
    reference: str | Path,
    output: str | Path,
    options: WarmupOptions = WarmupOptions(),  # noqa: B008 - frozen
    *,
    arch: str | None = None,
    on_wait: OnWait = lambda _: None,
    **reading: Unpack[FileOptions],
) -> Warmup:
    """Write a checkpoint to start training from, with the spectra of a trained one: what `spectra warmup` does.

    reference: a checkpoint's folder, or its place on the Hub. output: the new folder. on_wait: called with what is
    waited for. arch, reading: the options of ScanOptions that say how it is read. Raises SpectraError where the
    reference cannot be read or started anew, or where written spectra are not those that were wanted; nothing is
    written then.

    >>> import spectra_cli
    >>> spectra_cli.warmup("model", "start").dtype
    'float32'
    """
    check_output(Path(output))
    request = Request.of(reference, arch=arch, **reading)
    trained = read_reference(request, per_head=options.per_head, on_wait=on_wait)
    errors: dict[str, float] = {}
    with (
        started(trained.config, options.seed, trained.called, Path(output)) as folder,
        open_start(trained, folder, options.spectrum, options.scale, options.seed) as start,
    ):
        made_of = partial(_provenance, trained, options, errors)
        description = Description(_settings(trained), made_of, _card(trained, options), trained.companions)
        check = partial(_check, start, errors)
        written = write_checkpoint(Path(output), start.tensors(), description, check=check)
    return Warmup(trained.called, options, errors, trained.dtype, written)


def _check(start: Start, errors: dict[str, float], folder: Path) -> None:
    """Measure the written spectra. Raises SpectraError where float32 does not hold what was wanted."""
    client = sources.Client(sources.RetryPolicy())
    checkpoint = Checkpoint(start.reference.called, "new", folder)
    with opened_checkpoint(checkpoint, Request(str(folder)), client) as (_, opened, layout):
        matrices = [matrix for matrix in layout.matrices if matrix.name in start.goals]
        for name, sigma in spectra_of(opened, matrices, start.reference.sizes).items():
            errors[name] = largest_error(sigma, start.goals[name])
    worst = max(errors, key=lambda name: errors[name])
    if start.reference.dtype not in HALVES and errors[worst] > EXACT:
        raise SpectraError(
            f"{printable(worst)} was written with singular values {errors[worst]:.1e} away from those wanted",
            hint="this is a mistake of this program: please report it with the model's config.json",
        )


def _settings(trained: Reference) -> dict[str, Any]:
    """Return the config.json of the start: the reference's, for weights that are not quantised."""
    settings = {
        key: value for key, value in trained.settings.items() if key not in ("quantization_config", "torch_dtype")
    }
    return settings | {"dtype": trained.dtype}


def _provenance(trained: Reference, options: WarmupOptions, errors: Mapping[str, float]) -> dict[str, Any]:
    facts = {**asdict(options), "dtype": trained.dtype}
    return provenance("warmup", trained.called, facts, {trained.dtype: max(errors.values())})


def _card(trained: Reference, options: WarmupOptions) -> str:
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
