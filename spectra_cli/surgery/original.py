"""A checkpoint that a new one is made of: its tensors as its files hold them, its configuration, the files beside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.sources import LocalFiles
from spectra_cli.surgery.writing import CONFIG, DTYPES, TensorToWrite
from spectra_cli.weights import Weights, open_weights, read_companions

if TYPE_CHECKING:
    import torch

COPIED_FORMATS = ("safetensors", "torch")  # whose names, in a folder with config.json, are transformers'


@dataclass(frozen=True, eq=False)
class Original:
    """A checkpoint in transformers' layout, open.

    called: its name in messages. stored: each tensor as the files hold it, codes and scales apart. weights: each as the
    model uses it, codes multiplied by their scales.
    """

    called: str
    stored: Weights
    weights: Weights
    config: Mapping[str, Any]
    companions: Mapping[str, bytes]

    def elements(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Read the elements from start to stop of a stored tensor; where it is of codes, what these mean."""
        quantized = name in self.weights.tensors and self.weights.quantization(name) is not None
        return (self.weights if quantized else self.stored).read_elements(name, start, stop)

    def tensor(self, name: str) -> TensorToWrite:
        """Return one of its tensors, to be written as it is."""
        tensor = self.stored.tensors[name]
        return TensorToWrite(name, tensor.shape, tensor.dtype, partial(self.stored.read, name))


@contextmanager
def open_original(files: LocalFiles, *, follow_links: bool = False, ema: bool = False) -> Iterator[Original]:
    """Open a checkpoint to copy or change it. Raises SpectraError where transformers could not load a copy of it.

    ema: the average of the weights that was saved beside them, in place of the weights.
    """
    follow = follow_links or files.view is not None
    opened = partial(open_weights, files.path, follow_links=follow, ema=ema, provider=files.view, label=files.called)
    with opened(as_stored=True) as stored, opened() as weights:
        if stored.format not in COPIED_FORMATS:
            raise SpectraError(
                f"{printable(files.called, 400)} is kept as {stored.format}, not as transformers keeps a model",
                hint="convert it with the program that wrote it, or merge an adapter into its model",
            )
        companions = read_companions(files.path, follow_links=follow, provider=files.view)
        if not isinstance(stored.config.get("model_type"), str):
            raise SpectraError(
                f"{printable(files.called, 400)} has no config.json that names a model_type",
                hint="give a folder as transformers writes it: the weights with their config.json",
            )
        _refuse_what_is_left_out(stored, files.called)
        config = json.loads(companions[CONFIG]) if CONFIG in companions else dict(stored.config)
        yield Original(printable(files.called, 400), stored, weights, config, companions)


def _refuse_what_is_left_out(stored: Weights, called: str) -> None:
    """Raise SpectraError where a copy would lack a tensor."""
    unwritable = [tensor.name for tensor in stored.tensors.values() if tensor.dtype not in DTYPES]
    reasons = {skip.tensor: skip.reason for skip in stored.unreadable} | dict.fromkeys(unwritable, "of its dtype")
    for name, reason in reasons.items():
        raise SpectraError(
            f"{printable(name)} of {printable(called, 400)} cannot be copied: {printable(reason)}",
            hint="give a checkpoint whose tensors can all be read: `spectra inspect` lists what is left out",
        )
