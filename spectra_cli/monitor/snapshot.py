"""The weights of one step, copied out of the way of training. Knows nothing of models or of what is measured.

The copy is a file without a name beside the output: it takes no memory of the process, and is gone with it, however
that ends. Two are there at a time, of the step being measured and of the one before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import FileRange, Skipped, StoredTensor
from spectra_cli.weights import LowRank

if TYPE_CHECKING:
    import torch


@dataclass
class Snapshot:
    """What the tensors of a model are, and the numbers of those that were added.

    folder: where the file lies. config, tensors, and what follows: as in `measure.tensor_reader.TensorReader`.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    skipped: tuple[Skipped, ...] = ()
    unreadable: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    _starts: dict[str, int] = field(default_factory=dict)
    _file: IO[bytes] | None = None

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Copy one tensor, whole, from whatever device. Raises OSError where there is no room.

        >>> import torch
        >>> weights = {"w": torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)}
        >>> snapshot = Snapshot(Path("."), {}, {"w": StoredTensor("w", (1, 2), "bfloat16")})
        >>> snapshot.add("w", weights["w"])
        >>> snapshot.read("w")
        tensor([[1., 2.]], dtype=torch.bfloat16)
        >>> snapshot.close()
        """
        import torch

        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115 - open until `close`
        start = self._file.seek(0, os.SEEK_END)
        data = tensor.detach().to("cpu").contiguous().view(-1).view(torch.uint8).numpy().data
        while data:
            data = data[self._file.write(data) :]
        self._starts[name] = start

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor in memory of its own; may be called from several threads.

        Raises SpectraError where it cannot be read.
        """
        import torch

        stored, start = self.tensors[name], self._starts.get(name)
        if self._file is None or start is None:
            raise SpectraError(f"{printable(name)} was not copied", hint="measure all matrices of a step alike")
        data = bytearray(stored.nbytes)
        try:
            count = os.preadv(self._file.fileno(), [data], start) if data else 0
            while 0 < count < len(data):
                more = os.preadv(self._file.fileno(), [memoryview(data)[count:]], start + count)
                count += more
                if not more:
                    break
        except OSError as error:
            raise SpectraError(
                f"the copy of {printable(name)} cannot be read: {os.strerror(error.errno or 0)}",
                hint="look at the disk of the monitor's output",
            ) from None
        if count < len(data):
            raise SpectraError(f"the copy of {printable(name)} is cut short", hint="look at the output's disk")
        return torch.frombuffer(data, dtype=getattr(torch, stored.dtype)).reshape(stored.shape)

    def read_together(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Read some tensors, each as `read` does."""
        return {name: self.read(name) for name in names}

    def factors(self, name: str) -> LowRank | None:  # noqa: ARG002 - no tensor is kept as factors
        """Return None: every tensor is kept whole."""
        return None

    def is_factored(self, name: str) -> bool:  # noqa: ARG002
        """Whether a tensor is kept as factors: none is."""
        return False

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:  # noqa: ARG002 - the file has no name
        """Return nothing: no other checkpoint shares a file with this one."""
        return ()

    def close(self) -> None:
        """Let go of the copy, which frees its room on the disk."""
        if self._file is not None:
            self._file.close()
            self._file = None
