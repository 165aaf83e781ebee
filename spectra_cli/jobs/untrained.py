"""Starts a model as its own configuration has it, by transformers, as a checkpoint in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.surgery import scratch_beside


@contextmanager
def started(config: Any, seed: int, called: str, output: Path) -> Iterator[Path]:
    """Open the folder of a new model in float32, with the weights that training would start from.

    config: transformers' own, of a language model. called: its name in errors. output: beside which a folder is made
    for it while the block runs. Raises SpectraError where transformers cannot start it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with scratch_beside(output, "start") as folder:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
                model.save_pretrained(folder)
            except MemoryError:
                raise
            except Exception as error:
                reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
                raise SpectraError(
                    f"transformers cannot start the model of {called}: {reason}",
                    hint="give a language model that transformers knows by itself",
                ) from None
            del model
        yield folder
