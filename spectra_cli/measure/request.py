"""What a user asks of a scan: every option with its one default, checked and parsed once. Reads no checkpoint."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from spectra_cli import architectures, metrics, sources
from spectra_cli.errors import SpectraError
from spectra_cli.measure.scan_options import ScanOptions
from spectra_cli.metrics.rank_range import RankRange
from spectra_cli.records import Matrix


@dataclass(frozen=True)
class LayerSet:
    """The layers that a user names."""

    numbers: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> LayerSet:
        """Read `0-3,7`. Raises SpectraError, exit code 2, where the text names no layers.

        >>> sorted(LayerSet.parse("0-2,7").numbers)
        [0, 1, 2, 7]
        """
        numbers: set[int] = set()
        for piece in text.split(","):
            ends = re.fullmatch(r"\s*(\d{1,6})(?:\s*[-:]\s*(\d{1,6}))?\s*", piece)
            if not ends:
                raise SpectraError(f"'{text}' names no layers", hint="write 0-3,7", code=2)
            numbers.update(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
        return cls(frozenset(numbers))


@dataclass(frozen=True)
class Request:
    """What a user asks of a scan; every option of `spectra scan` with its one default, as it was written.

    source: a folder, a file, `s3://bucket/folder`, `gs://…` or `hf:owner/name[@revision][/subfolder]`, of which last
    several may stand with spaces between them. The others are those of ScanOptions.

    The text of an option is what the table's metadata say; what it means is parsed once, when a Request is made, which
    raises SpectraError for what can never be carried out.
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

    @classmethod
    def of(cls, source: str | Path, **options: Unpack[ScanOptions]) -> Request:
        """Return what a caller asks, who may write names as one text or in any row.

        >>> Request.of("run", roles="q,k").roles == Request.of("run", roles=["q", "k"]).roles
        True
        """
        fields: dict[str, Any] = {**options}
        for name in fields.keys() & {"revisions", "roles", "metrics"}:
            value = fields[name]
            if value is not None:
                fields[name] = tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
        return cls(str(source), **fields)

    def __post_init__(self) -> None:
        """Refuse at once what can never be carried out."""
        self._check_metrics()
        for role in self.roles:
            if role not in architectures.ROLES:
                raise SpectraError(
                    f"there is no role '{role}'", hint=f"the roles are {' '.join(architectures.ROLES)}", code=2
                )
        self.pattern  # noqa: B018  parsed here, so that a mistake is told before anything is read
        if self.threads is not None and self.threads < 1:
            raise SpectraError(f"--threads {self.threads} is too few", hint="give 1 or more", code=2)
        if self.tokens_per_step is not None and self.tokens_per_step < 1:
            raise SpectraError("--tokens-per-step must be 1 or more", hint="tokens in one batch", code=2)
        if not re.fullmatch(r"local|ray(=.+)?", self.engine):
            raise SpectraError(f"there is no engine '{self.engine}'", hint="use local, ray or ray=ADDRESS", code=2)
        self.step_range, self.layer_set, self.architecture, self.disk_bytes, self.patience_seconds  # noqa: B018

    def _check_metrics(self) -> None:
        named = metrics.select([name for name in self.metrics or () if name != "all"])
        if self.vectors is None and any(
            metric.needs == "vectors" for metric in metrics.METRICS if metric.name in named
        ):
            raise SpectraError("metrics of singular vectors need their number", hint="add --vectors 8, say", code=2)
        if self.vectors is not None and self.vectors < 1:
            raise SpectraError(f"--vectors {self.vectors} is too few", hint="give 1 or more", code=2)
        self.rank_range  # noqa: B018

    @property
    def selective(self) -> bool:
        """Whether only some of the matrices are wanted."""
        return bool(self.roles or self.layers or self.match)

    def chooses(self, matrix: Matrix) -> bool:
        """Whether a matrix is one of those that are wanted."""
        if self.roles and matrix.role not in self.roles:
            return False
        if self.layer_set is not None and matrix.layer not in self.layer_set.numbers:
            return False
        return self.pattern is None or self.pattern.search(matrix.name) is not None

    @cached_property
    def step_range(self) -> sources.StepRange | None:
        """The steps that are wanted; None for all."""
        return sources.StepRange.parse(self.steps) if self.steps else None

    @cached_property
    def layer_set(self) -> LayerSet | None:
        """The layers that are wanted; None for all."""
        return LayerSet.parse(self.layers) if self.layers is not None else None

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """What the names of matrices must match; None where any will do."""
        try:
            return re.compile(self.match) if self.match else None
        except re.error as error:
            raise SpectraError(
                f"--match '{self.match}' is no regular expression: {error}", hint="see Python's re", code=2
            ) from None

    @cached_property
    def rank_range(self) -> RankRange:
        """The ranks that the α fits use."""
        return RankRange.parse(self.alpha_range) if self.alpha_range is not None else RankRange()

    @cached_property
    def architecture(self) -> architectures.Architecture | None:
        """The record that says what the tensors mean; None where the checkpoint's own configuration does."""
        return architectures.load(self.arch) if self.arch is not None else None

    @cached_property
    def disk_bytes(self) -> int | None:
        """The bound on scratch space; None where the user set none."""
        return sources.parse_size(self.disk) if self.disk is not None else None

    @cached_property
    def patience_seconds(self) -> float:
        """How long a request to the Hub is tried again."""
        return sources.parse_seconds(self.patience) if self.patience is not None else sources.RetryPolicy.seconds

    @property
    def workers(self) -> int:
        """How many matrices are measured side by side."""
        return self.threads or len(os.sched_getaffinity(0))
