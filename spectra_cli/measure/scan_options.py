"""The options of a scan as keyword arguments of the Python API, by what they are about; a function takes its part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

Names = str | Iterable[str]


class FileOptions(TypedDict, total=False):
    """How files are read and fetched."""

    ema: bool
    follow_links: bool
    disk: str | None
    patience: str | None


class RunOptions(FileOptions, total=False):
    """Which checkpoints of a run are read, and what their steps are."""

    revisions: Names
    steps: str | None
    map: str | None
    tokens_per_step: int | None


class MatrixOptions(TypedDict, total=False):
    """Which matrices there are, which are wanted, and how many at once."""

    arch: str | None
    fused: bool
    roles: Names
    layers: str | None
    match: str | None
    threads: int | None


class MetricOptions(MatrixOptions, total=False):
    """Which numbers are computed of matrices, and on what."""

    metrics: Names | None
    vectors: int | None
    alpha_range: str | None
    device: str


class DiffOptions(FileOptions, MetricOptions, total=False):
    """The options of `diff`: all of a scan's but those that choose among checkpoints."""


class Rank1Options(RunOptions, MatrixOptions, total=False):
    """The options of `rank1`: all of a scan's but those of metrics."""


class ScanOptions(RunOptions, MetricOptions, total=False):
    """Every option of `spectra scan` as a keyword argument; other functions take some of them.

    revisions: shell patterns over checkpoint names. steps: `A:B[:N]`, both ends included. roles: such as `q`. layers:
    `0-3,7`. match: a regular expression over matrix names. metrics: names, or None for the default ones. reference:
    the revision or step compared with, the last one when None. vectors: also compare so many of the first singular
    vectors. alpha_range: `a:b`, ranks or shares of all, that the α fits use. fused: keep fused tensors whole. arch: a
    TOML file that says what the tensors mean, or the name of a known architecture. map: a CSV file of steps.
    tokens_per_step: for names that say no tokens. device: auto, cpu, cuda, cuda:N, xpu or mps. threads: matrices side
    by side, as many as there are processors when None. ema: the average of the weights that some training programs
    keep, in place of the weights. follow_links: also read files that links lead to, outside a checkpoint's folder.
    disk: the most scratch space for what is fetched, such as `10GB`. patience: how long a Hub that does not answer is
    tried, such as `10m`. engine: `local`, or `ray` or `ray=ADDRESS` for a cluster. Where several names may stand,
    `"q,k"` is the same as `["q", "k"]`.
    """

    reference: str | None
    engine: str
