"""Plans a scan: what is asked for, which checkpoints that means, and which matrices of each. Computes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from spectra_cli import architectures, metrics, sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Layout, Matrix, Remote, Skipped

NO_MATRIX = "scan a checkpoint with the model's own weights, in floating numbers"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What a user asks of a scan; every option of `spectra scan` with its one default.

    source: a folder, a file or `hf:owner/name[@revision][/subfolder]`, of which several may stand with spaces between
    them. revisions: shell patterns over checkpoint names. steps: `A:B[:N]`, both ends
    included. roles: such as `q`. layers: `0-3,7`. match: a regular expression over matrix names. metrics: names, or
    None for the default ones. reference: the revision or step compared with, the last one when None. vectors: also
    compare so many of the first singular vectors. alpha_range: `a:b`, ranks or shares of all, that the α fits use.
    fused: keep fused tensors whole. arch: a TOML file that says what the tensors mean, or the name of a known
    architecture. map: a CSV file of steps. tokens_per_step: for names that say no tokens. device: auto, cpu,
    cuda[:n] or mps. threads: matrices side by side, as many as there are processors when None. ema: the average of the
    weights that some training programs keep, in place of the weights. follow_links: also read files that links lead to,
    outside a checkpoint's folder. disk: the most scratch space for what is fetched, such as `10GB`. patience: how long
    a Hub that does not answer is tried, such as `10m`. engine: `local`, or `ray` or `ray=ADDRESS` for a cluster.
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
    disk: str | None = None
    patience: str | None = None
    engine: str = "local"

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
        if not re.fullmatch(r"local|ray(=.+)?", self.engine):
            raise SpectraError(f"there is no engine '{self.engine}'", hint="use local, ray or ray=ADDRESS", code=2)
        _layer_numbers(self.layers)
        _architecture(self.arch)
        self.disk_bytes()
        self.patience_seconds()

    @property
    def selective(self) -> bool:
        """Whether only some of the matrices are wanted."""
        return bool(self.roles or self.layers or self.match)

    def disk_bytes(self) -> int | None:
        """Give the bound on scratch space; None where the user set none."""
        return sources.parse_size(self.disk) if self.disk is not None else None

    def patience_seconds(self) -> float:
        """Give how long a request is tried again."""
        return sources.parse_seconds(self.patience) if self.patience is not None else sources.RetryPolicy.seconds

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
    client: sources.Client = field(default_factory=sources.Client, compare=False)

    def supply(self, *, headers_only: bool = False) -> sources.CheckpointFiles:
        """Make what reads these checkpoints, wherever they lie; it is used in a `with` block.

        headers_only: only what tells the contents of files is read.
        """
        every = dict.fromkeys((*self.checkpoints, *((self.reference,) if self.reference else ())))
        return sources.CheckpointFiles(
            self.client,
            tuple(every),
            weights.described_by,
            disk=self.request.disk_bytes(),
            selective=self.request.selective,
            headers_only=headers_only,
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the numbers that the table will hold; those of singular vectors where they were asked for."""
        named = metrics.select(self.request.metrics)
        asked = self.request.vectors is not None
        return tuple(one.name for one in metrics.METRICS if (asked if one.needs == "vectors" else one.name in named))


def make_plan(request: Request, say: Say = lambda _: None) -> Plan:
    """List the source and choose; reads names only. Raises SpectraError where nothing fits the request.

    say: told what is waited for, when the Hub does not answer.
    """
    mapping = Path(request.map) if request.map else None
    client = make_client(request, say)
    if sources.is_hub(request.source):
        listing = sources.list_hub(request.source, request.revisions, client, weights.wanted, mapping=mapping)
    else:
        recognise = partial(weights.recognise, ema=request.ema)
        listing = sources.list_folder(Path(request.source), recognise, mapping=mapping)
    listing = sources.with_tokens(listing, request.tokens_per_step)
    steps = sources.StepRange.parse(request.steps) if request.steps else None
    chosen = sources.choose(listing.checkpoints, request.revisions, steps)
    left = len(listing.checkpoints) - len(chosen)
    named = [sources.pick_reference(listing.checkpoints, request.reference)] if request.reference else []
    chosen, without = sources.resolve_files(chosen, client, weights.wanted)
    named = list(sources.resolve_files(named, client, weights.wanted)[0]) if named else []
    reference = named[0] if named else sources.pick_reference(chosen, None)
    compared = reference if len(chosen) > 1 or request.reference else None
    return Plan(request, listing.model, chosen, compared, (*listing.unread, *without), left, client)


def make_client(request: Request, say: Say = lambda _: None) -> sources.Client:
    """Make what talks to the Hub, with the patience that was asked for."""
    return sources.Client(sources.RetryPolicy(request.patience_seconds(), say))


def twin_of(checkpoint: Checkpoint, plan: Plan) -> str | None:
    """Name the first checkpoint before this one whose files are the same blobs on the Hub; None where there is none."""
    for one in plan.checkpoints:
        if one == checkpoint or not isinstance(one.path, Remote) or not isinstance(checkpoint.path, Remote):
            return None
        if one.path.files == checkpoint.path.files:
            return one.revision
    return None


def threads(request: Request) -> int:
    """Give how many matrices are measured side by side."""
    return request.threads or len(os.sched_getaffinity(0))


def _architecture(name: str | None) -> architectures.Architecture | None:
    return architectures.load(name) if name is not None else None


@contextmanager
def open_checkpoint(
    checkpoint: Checkpoint, request: Request, supply: sources.CheckpointFiles, *, ahead: bool = False
) -> Iterator[tuple[weights.Weights, Layout]]:
    """Open one checkpoint's weights and say what its tensors mean, only the chosen matrices left in the layout.

    supply: has the files at hand. ahead: it is opened for later, so that it is fetched without haste. Raises
    SpectraError where the files cannot be read or contradict their config.
    """
    with (
        supply.materialize(checkpoint, ahead=ahead) as there,
        weights.open_weights(
            there.path,
            follow_links=request.follow_links or there.view is not None,
            ema=request.ema,
            provider=there.view,
            called=there.called,
        ) as opened,
    ):
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
        if there.view is not None:
            tensors = dict.fromkeys(matrix.tensor for matrix in chosen)
            there.view.expect([file_range for name in tensors for file_range in opened.file_ranges(name)])
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
