"""An open checkpoint: names and shapes from headers, and the data of one tensor at a time, when asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import FileRange, StoredTensor
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import Boundary, Provider, admit
from spectra_cli.weights.layouts.peft.adapter import without_factors
from spectra_cli.weights.layouts.quantised import PART, pair_scales
from spectra_cli.weights.layouts.single_file import with_config_of_run
from spectra_cli.weights.layouts.unread_files import name_unread_files
from spectra_cli.weights.layouts.weight_norm import join_weight_norms
from spectra_cli.weights.recognition import FORMATS, Format, format_of
from spectra_cli.weights.tensors.low_bit import QuantizedTensor
from spectra_cli.weights.tensors.low_rank import LowRank, LowRankStack, LowRankTensor, is_change_of_outputs
from spectra_cli.weights.tensors.neighbours import read_neighbours
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource
from spectra_cli.weights.unread_kinds import why_unread

if TYPE_CHECKING:
    import torch


class Weights:
    """An open checkpoint; open until the `with` block of `open_weights` ends.

    format: one of FORMATS, by name. tensors: what can be read, by its name on disk. config: the model's configuration
    as plain data, empty when there is none. files: every file that was read, weights, index and configuration.
    skipped: tensors that the files hold and that `tensors` lacks, each with the reason. unreadable: those of `skipped`
    that are weights which could not be read, to be reported as a problem. quantization_parts: those of `skipped` that
    are scales and the like, read only with a weight.
    """

    def __init__(self, format: str, contents: Contents, provider: Provider | None, labels: tuple[str, str]) -> None:
        """Nothing is read yet. labels: a path in messages, and what they call it instead; empty where it stays."""
        self.format = format
        self.tensors = MappingProxyType(
            {n: StoredTensor(n, t.shape, t.dtype, is_change_of_outputs(t)) for n, t in contents.tensors.items()}
        )
        self.config = MappingProxyType(dict(contents.config))
        self.files = tuple(file.path for file in contents.files)
        self.skipped = (*contents.skipped, *contents.helpers)
        self.unreadable = contents.skipped
        self.quantization_parts = frozenset(skip.tensor for skip in contents.helpers if skip.reason == PART)
        self._contents, self._provider, self._labels = contents, provider, labels
        self._warnings: dict[str, None] = {}
        self._lock = threading.Lock()

    @property
    def is_fetched(self) -> bool:
        """Whether its files are fetched while they are read."""
        return self._provider is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, such as a checksum that does not match; grows while data are read."""
        with self._lock:
            notes = (*self._contents.notes, *self._warnings)
        return tuple(note.replace(*self._labels) for note in notes) if self._labels[0] else notes

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:
        """Return every range of a file that is read for a tensor."""
        return self._source(name).file_ranges

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own, in its stored dtype; may be called from several threads.

        Raises SpectraError, naming the file and the tensor.
        """
        with self._materialized(self.file_ranges(name)):
            return self._source(name).read(name, self._warn)

    def read_together(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Read some tensors, each as `read` does, those that lie beside one another in a file at once.

        Raises SpectraError for the first that cannot be read. Neighbours share memory: none may be changed.
        """
        sources = {name: self._source(name) for name in names}
        with self._materialized([part for source in sources.values() for part in source.file_ranges]):
            return read_neighbours(sources, self._warn)

    def read_elements(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Read the elements from start to stop of one tensor, counted row by row, as one axis in the stored dtype.

        Only these are read, and fetched, where the file keeps the tensor row by row; of any other, all of it.
        """
        source = self._source(name)
        part = source.elements(start, stop) if type(source) is PlainTensor else None
        if part is None:
            return self.read(name).reshape(-1)[start:stop]
        with self._materialized(part.file_ranges):
            return part.read(name, self._warn)

    def quantization(self, name: str) -> QuantizedTensor | None:
        """Return how a tensor of 8-bit numbers is kept beside its scales; None for any other."""
        source = self._source(name)
        return source if isinstance(source, QuantizedTensor) else None

    def quantize(self, name: str, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the 8-bit numbers nearest to some values, with the scales that this tensor has, and what they mean.

        values: float32.
        """
        source = self.quantization(name)
        if source is None:
            raise TypeError(f"{name} is not kept as 8-bit numbers")
        with self._materialized(source.file_ranges):
            numbers = source.quantize(values.clone(), name, self._warn)
            return numbers, source.dequantize(numbers, name, self._warn)

    def is_factored(self, name: str) -> bool:
        """Whether a tensor is kept as two small factors."""
        return isinstance(self._source(name), LowRankTensor | LowRankStack)

    def factors(self, name: str) -> LowRank | None:
        """Read a tensor that is kept as two small factors as those; None for one that is kept whole."""
        source = self._source(name)
        if not isinstance(source, LowRankTensor | LowRankStack):
            return None
        with self._materialized(source.file_ranges):
            return source.factors(name, self._warn)

    @contextmanager
    def _materialized(self, ranges: Sequence[FileRange]) -> Iterator[None]:
        with _relabelled(*self._labels), self._provider.materialize(ranges) if self._provider else nullcontext():
            yield

    def _source(self, name: str) -> TensorSource:
        if name not in self._contents.tensors:
            raise SpectraError(
                f"there is no tensor {printable(name)} in {printable(self.files[0], 400)}",
                hint="`spectra inspect` lists the tensors",
            )
        return self._contents.tensors[name]

    def _warn(self, text: str) -> None:
        with self._lock:
            self._warnings[text] = None


@contextmanager
def _relabelled(path: str, label: str) -> Iterator[None]:
    """Replace a temporary path in errors by the name that the user gave."""
    try:
        yield
    except SpectraError as error:
        if not path or path not in f"{error.message} {error.hint}":
            raise
        texts = (error.message.replace(path, label), error.hint.replace(path, label))
        raise SpectraError(texts[0], hint=texts[1], code=error.code, stops=error.stops) from None


@contextmanager
def open_weights(
    path: Path, *, follow_links: bool = False, ema: bool = False, provider: Provider | None = None,
    label: str | None = None, as_stored: bool = False, run: Path | None = None, hold: bool = False,
) -> Iterator[Weights]:  # fmt: skip
    """Open a checkpoint: what it holds from its headers, and one tensor at a time by `read`.

    follow_links: also read files that links lead to, outside the checkpoint's folder. ema: the average of the weights
    that some training programs keep, in place of the weights. provider: fetches what of the folder is not there yet.
    label: what messages call the path. as_stored: every tensor as the files hold it, to be copied: codes and scales of
    quantised weights apart. run: the folder of the run, whose config.json serves a checkpoint that has no configuration
    of its own. hold: keep every file open while the block runs, so that another program may delete it meanwhile. Raises
    SpectraError naming the file, for whatever is wrong with it, here and in `read`.
    """
    labels = (str(path), label) if label is not None and label != str(path) else ("", "")
    root = path if os.path.isdir(path) else path.parent  # unlike Path.is_dir, false for a name too long to be one
    with ExitStack() as held:
        with _relabelled(*labels):
            format, contents = _open(path, Boundary(root, follow_links, provider, held if hold else None), ema)
            contents = contents if as_stored else _as_weights(format, contents)
            if run is not None and not contents.config:
                contents = with_config_of_run(contents, run, Boundary(run, follow_links, None))
        yield Weights(format.name, contents, provider, labels)


def _open(path: Path, boundary: Boundary, ema: bool) -> tuple[Format, Contents]:
    is_folder = os.path.isdir(path)
    format = format_of(path)
    if format is None:
        if not is_folder:
            admit(path, boundary)
        raise why_unread(path) or SpectraError(
            f"{printable(path, 400)} holds no weights in a format that is known" if is_folder
            else f"{printable(path, 400)} is not a file of weights in a format that is known",
            hint=f"known are: {'; '.join(f'{format.name} ({format.what})' for format in FORMATS)}",
        )  # fmt: skip
    contents = format.open(path, boundary, ema)
    if is_folder and not ema and not boundary.provider:  # of a folder on the Hub, only the files of one set are here
        contents = name_unread_files(contents, path, boundary)
    if boundary.provider:
        boundary.provider.release_header()
    return format, contents


def _as_weights(format: Format, contents: Contents) -> Contents:
    """Put together what is one weight in several tensors."""
    contents = pair_scales(contents if format.name == "peft" else without_factors(contents))
    return join_weight_norms(contents)
