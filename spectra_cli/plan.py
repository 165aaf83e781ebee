"""Plans a scan: what is asked for, which checkpoints that means, and which matrices of each. Computes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from spectra_cli import architectures, metrics, sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Layout, Matrix, Skipped

NO_MATRIX = "scan a checkpoint with the model's own weights, in floating numbers"


@dataclass(frozen=True)
class Request:
    """What a user asks of a scan; every option of `spectra scan` with its one default.

    source: a folder or a file. revisions: shell patterns over checkpoint names. steps: `A:B[:N]`, both ends
    included. roles: such as `q`. layers: `0-3,7`. match: a regular expression over matrix names. metrics: names, or
    None for the default ones. reference: the revision or step compared with, the last one when None. vectors: also
    compare so many of the first singular vectors. alpha_range: `a:b`, ranks or shares of all, that the α fits use.
    fused: keep fused tensors whole. arch: a TOML file that says what the tensors mean, or the name of a known
    architecture. map: a CSV file of steps. tokens_per_step: for names that say no tokens. device: auto, cpu,
    cuda[:n] or mps. threads: matrices side by side, as many as there are processors when None. ema: the average of the
    weights that some training programs keep, in place of the weights. follow_links: also read files that links lead to,
    outside a checkpoint's folder.
    """

    source: str
    revisions: tuple[str, ...] = ()
    steps: str | None = None
    roles: tuple[str, ...] = ()
    layers: str | None = None
    match: str | None = None
    metrics: tuple[str, ...] | None = None
    reference: str | None = None
    vectors: int | None = None
    alpha_range: str | None = None
    fused: bool = False
    arch: str | None = None
    map: str | None = None
    tokens_per_step: int | None = None
    device: str = "auto"
    threads: int | None = None
    ema: bool = False
    follow_links: bool = False

    def __post_init__(self) -> None:
        """Take a lone string where several may stand, and refuse at once what can never be carried out."""
        for name in ("revisions", "roles", "metrics"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, tuple(piece for piece in value.split(",") if piece))
            elif value is not None:
                object.__setattr__(self, name, tuple(value))
        self._check_metrics()
        for role in self.roles:
            if role not in architectures.ROLES:
                raise SpectraError(
                    f"there is no role '{role}'", hint=f"the roles are {' '.join(architectures.ROLES)}", code=2
                )
        try:
            re.compile(self.match or "")
        except re.error as error:
            raise SpectraError(
                f"--match '{self.match}' is no regular expression: {error}", hint="see Python's re", code=2
            ) from None
        if self.threads is not None and self.threads < 1:
            raise SpectraError(f"--threads {self.threads} is too few", hint="give 1 or more", code=2)
        if self.tokens_per_step is not None and self.tokens_per_step < 1:
            raise SpectraError("--tokens-per-step must be 1 or more", hint="tokens in one batch", code=2)
        _layer_numbers(self.layers)
        _architecture(self.arch)

    def _check_metrics(self) -> None:
        named = metrics.select([name for name in self.metrics or () if name != "all"])
        if self.vectors is None and any(one.needs == "vectors" for one in metrics.METRICS if one.name in named):
            raise SpectraError("metrics of singular vectors need their number", hint="add --vectors 8, say", code=2)
        if self.vectors is not None and self.vectors < 1:
            raise SpectraError(f"--vectors {self.vectors} is too few", hint="give 1 or more", code=2)
        if self.alpha_range is not None:
            metrics.RankRange.parse(self.alpha_range)


@dataclass(frozen=True)
class Plan:
    """What will be scanned: the chosen checkpoints in order, the one they are compared with, and what is left out."""

    request: Request
    model: str
    checkpoints: tuple[Checkpoint, ...]
    reference: Checkpoint | None
    unread: tuple[sources.Unread, ...] = ()
    not_chosen: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the numbers that the table will hold; those of singular vectors where they were asked for."""
        named = metrics.select(self.request.metrics)
        asked = self.request.vectors is not None
        return tuple(one.name for one in metrics.METRICS if (asked if one.needs == "vectors" else one.name in named))


def make_plan(request: Request) -> Plan:
    """List the source and choose; reads names only. Raises SpectraError where nothing fits the request."""
    mapping = Path(request.map) if request.map else None
    if request.source.startswith("hf:"):
        raise SpectraError(
            "reading from the Hub is not built yet", hint="download the revisions and scan their folder", code=2
        )
    recognise = partial(weights.recognise, ema=request.ema)
    listing = sources.list_folder(Path(request.source), recognise, mapping=mapping)
    listing = sources.with_tokens(listing, request.tokens_per_step)
    chosen = sources.choose(listing.checkpoints, request.revisions, request.steps)
    reference = sources.pick_reference(listing.checkpoints if request.reference else chosen, request.reference)
    compared = reference if len(chosen) > 1 or request.reference else None
    left = len(listing.checkpoints) - len(chosen)
    return Plan(request, listing.model, chosen, compared, listing.unread, left)


def threads(request: Request) -> int:
    """Give how many matrices are measured side by side."""
    return request.threads or len(os.sched_getaffinity(0))


def _architecture(name: str | None) -> architectures.Architecture | None:
    return architectures.load(name) if name is not None else None


@contextmanager
def open_checkpoint(checkpoint: Checkpoint, request: Request) -> Iterator[tuple[weights.Weights, Layout]]:
    """Open one checkpoint's weights and say what its tensors mean, only the chosen matrices left in the layout.

    Raises SpectraError where the files cannot be read or contradict their config.
    """
    with weights.open_weights(checkpoint.path, follow_links=request.follow_links, ema=request.ema) as opened:
        record = _architecture(request.arch)
        layout = architectures.layout(opened.config, opened.tensors, fused=request.fused, architecture=record)
        skipped = (*opened.skipped, *layout.skipped)
        chosen = tuple(_chosen(layout.matrices, request))
        if not layout.matrices:
            raise _no_matrix(checkpoint, (*opened.unreadable, *skipped))
        if not chosen:
            raise SpectraError(
                f"{checkpoint.revision} has no matrix that was asked for",
                hint="`spectra inspect` lists its matrices; see --roles, --layers and --match",
            )
        yield opened, replace(layout, matrices=chosen, skipped=skipped, notes=(*opened.notes, *layout.notes))


def _no_matrix(checkpoint: Checkpoint, skipped: Sequence[Skipped]) -> SpectraError:
    first = f": {skipped[0].tensor} is left out: {skipped[0].reason}" if skipped else ""
    more = f", and so are {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return SpectraError(f"{checkpoint.revision} holds no matrix that can be read{first}{more}", hint=NO_MATRIX)


def _chosen(matrices: Sequence[Matrix], request: Request) -> Iterator[Matrix]:
    layers, expression = _layer_numbers(request.layers), re.compile(request.match) if request.match else None
    for matrix in matrices:
        if request.roles and matrix.role not in request.roles:
            continue
        if layers is not None and matrix.layer not in layers:
            continue
        if expression is None or expression.search(matrix.name):
            yield matrix


def _layer_numbers(text: str | None) -> frozenset[int] | None:
    """Read `0-3,7`; None where no layers were named."""
    if text is None:
        return None
    numbers: set[int] = set()
    for piece in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,6})(?:\s*[-:]\s*(\d{1,6}))?\s*", piece)
        if not ends:
            raise SpectraError(f"'{text}' names no layers", hint="write 0-3,7", code=2)
        numbers.update(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return frozenset(numbers)
