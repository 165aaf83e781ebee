"""Reads tensors that lie beside one another in a file at once: it is opened and checked once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from spectra_cli.weights.files import fill, opened
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource, Warn, read_buffer

if TYPE_CHECKING:
    import torch

RUN_BYTES = 16 << 20
"""Most bytes that are read at once."""

GAP = 4096
"""Bytes between two tensors that are read rather than skipped: a page."""


def read_neighbours(sources: Mapping[str, TensorSource], warn: Warn) -> dict[str, torch.Tensor]:
    """Read some tensors of one checkpoint, as each would be read by itself; neighbours share one memory.

    Raises SpectraError for the first that cannot be read.
    """
    plain = {name: source for name, source in sources.items() if isinstance(source, PlainTensor)}
    tensors = {name: source.read(name, warn) for name, source in sources.items() if name not in plain}
    for run in _runs(plain):
        if len(run) == 1:
            tensors |= {name: source.read(name, warn) for name, source in run.items()}
            continue
        first, start = next(iter(run)), next(iter(run.values())).start
        size = max(source.start + source.nbytes for source in run.values()) - start
        buffer = read_buffer(first, size)
        file = run[first].file
        with opened(file) as descriptor:
            fill(descriptor, memoryview(buffer.numpy().data), start, file)
        for name, source in run.items():
            tensors[name] = source.of_bytes(buffer[source.start - start :][: source.nbytes], name, warn)
    return tensors


def _runs(plain: Mapping[str, PlainTensor]) -> Iterator[dict[str, PlainTensor]]:
    """Yield tensors that follow one another in one file, as many as are read at once."""
    run: dict[str, PlainTensor] = {}
    begin = end = 0
    previous: PlainTensor | None = None
    for name, source in sorted(plain.items(), key=lambda item: (str(item[1].file.path), item[1].start)):
        near = previous is not None and source.file == previous.file and source.start <= end + GAP
        if run and not (near and source.start + source.nbytes - begin <= RUN_BYTES):
            yield run
            run = {}
        if not run:
            begin = end = source.start
        run[name] = source
        end, previous = max(end, source.start + source.nbytes), source
    if run:
        yield run
