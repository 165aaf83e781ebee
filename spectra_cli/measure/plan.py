"""Plans a scan: which checkpoints a request means, and what they are compared with. Reads names only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from spectra_cli import metrics, sources, weights
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint, Problem, Remote
from spectra_cli.trace import NO_TRACE, Recorder

OnWait = Callable[[str], None]
Wanted = Callable[[Sequence[str]], tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """What will be scanned: the chosen checkpoints in order, the one they are compared with, and what is left out.

    recorder: is given to whatever carries it out.
    """

    request: Request
    model: str
    checkpoints: tuple[Checkpoint, ...]
    reference: Checkpoint | None
    unread: tuple[sources.Unread, ...] = ()
    not_chosen: int = 0
    stages: sources.StageOrder = sources.StageOrder()
    client: sources.Client = field(default_factory=sources.Client, compare=False)
    recorder: Recorder = field(default=NO_TRACE, compare=False)

    def checkpoint_files(
        self, *, headers_only: bool = False, side_by_side: bool = False, in_parts: bool = False
    ) -> sources.CheckpointFiles:
        """Return what reads these checkpoints, wherever they are; it is used in a `with` block.

        headers_only: only what tells the contents of files is read. side_by_side: all are open at once. in_parts: not
        all of their matrices are read.
        """
        every = dict.fromkeys((*self.checkpoints, *((self.reference,) if self.reference else ())))
        return sources.CheckpointFiles(
            self.client,
            tuple(every),
            weights.header_size,
            disk=self.request.disk_bytes,
            selective=self.request.selective or in_parts,
            headers_only=headers_only,
            side_by_side=side_by_side,
            recorder=self.recorder,
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What of the source may be a checkpoint and could not be looked into."""
        return tuple(Problem(unread.reason, unread.hint) for unread in self.unread if unread.hint)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The names of the numbers that the table will hold; those of singular vectors where they were asked for."""
        named = metrics.select(self.request.metrics)
        vectors = self.request.vectors is not None
        return tuple(
            metric.name
            for metric in metrics.METRICS
            if (vectors if metric.needs == "vectors" else metric.name in named)
        )

    @cached_property
    def needs(self) -> frozenset[str]:
        """What of spectra and pairs is computed, as `Metric.needs` names it: only what one of the metrics asks for."""
        asked = frozenset(self.metrics)
        return frozenset(metric.needs for metric in metrics.METRICS if metric.needs and metric.name in asked)

    def twin_of(self, checkpoint: Checkpoint) -> str | None:
        """Return the first checkpoint before this one whose files are the same blobs on the Hub; None without one."""
        for other in self.checkpoints:
            if other == checkpoint or not isinstance(other.path, Remote) or not isinstance(checkpoint.path, Remote):
                return None
            if other.path.files == checkpoint.path.files:
                return other.revision
        return None


def make_plan(request: Request, on_wait: OnWait = lambda _: None, *, wanted: Wanted = weights.checkpoint_files) -> Plan:
    """List the source and choose; reads names only. Raises SpectraError where nothing fits the request.

    on_wait: called with what is waited for, when the Hub does not answer. wanted: returns those names of a folder on
    the Hub that are read, none where it holds no checkpoint.
    """
    client = make_client(request, on_wait)
    listing, selection = list_and_choose(request, client, wanted)
    chosen = selection.checkpoints
    left = len(listing.checkpoints) - len(chosen)
    named = [sources.pick_reference(listing.checkpoints, request.reference)] if request.reference else []
    chosen, without = sources.resolve_files(chosen, client, wanted)
    named = list(sources.resolve_files(named, client, wanted)[0]) if named else []
    reference = named[0] if named else sources.pick_reference(chosen, None)
    compared = reference if len(chosen) > 1 or request.reference else None
    return Plan(request, listing.model, chosen, compared, (*listing.unread, *without), left, selection.stages, client)


def list_and_choose(
    request: Request, client: sources.Client, wanted: Wanted = weights.checkpoint_files
) -> tuple[sources.Listing, sources.Chosen]:
    """Return what the source holds, and of it what the request means; files on the Hub are not listed yet.

    Raises SpectraError where nothing fits the request.
    """
    mapping = Path(request.map) if request.map else None
    if sources.is_remote(request.source):
        listing = sources.list_remote(request.source, request.revisions, client, wanted, mapping=mapping)
    else:
        recognise = partial(weights.recognise, ema=request.ema)
        listing = sources.list_folder(Path(request.source), recognise, mapping=mapping, explain=weights.why_unread)
    listing = sources.with_tokens(listing, request.tokens_per_step)
    date_of = partial(sources.committed, client=client, wanted=wanted)
    return listing, sources.choose(listing, request.revisions, request.step_range, date_of)


def make_client(request: Request, on_wait: OnWait = lambda _: None) -> sources.Client:
    """Return what sends requests to the Hub, and retries them for as long as was asked."""
    return sources.Client(sources.RetryPolicy(request.patience_seconds, on_wait))
