"""The adapter that a run started from, where its start took B₀·A₀ out of the model's weights (PiSSA, OLoRA, …)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import Boundary, admit, read_json
from spectra_cli.weights.layouts.peft.settings import CONFIG
from spectra_cli.weights.layouts.single_file import open_file

FILES = ("adapter_model.safetensors", "adapter_model.bin")
# A folder that holds an initial adapter by its name, in the checkpoint's folder or beside it.
INITIAL = re.compile(r"(checkpoint|(global_)?step|iter)[-_]?0+|.*_init|(init|initial)([-_].*)?", re.IGNORECASE)
SAME = ("r", "lora_alpha", "init_lora_weights", "rank_pattern", "alpha_pattern", "use_rslora")


def find_start(path: Path, config: Mapping[str, Any], boundary: Boundary) -> Contents | None:
    """Return the adapter before the first step, in a folder such as pissa_init or checkpoint-0; None if there is none.

    Only one whose settings are the same is taken. Of a checkpoint that is fetched, nothing else is there.
    """
    if boundary.provider is not None:
        return None
    if INITIAL.fullmatch(path.resolve().name):
        return _opened(path, config, boundary.follow_links)
    initial = (_opened(folder, config, boundary.follow_links) for folder in _candidates(path))
    return next((contents for contents in initial if contents is not None), None)


def _candidates(path: Path) -> Iterator[Path]:
    for parent in (path, path.resolve().parent):
        try:
            names = sorted(name for name in os.listdir(parent) if INITIAL.fullmatch(name))
        except OSError:
            continue
        yield from (parent / name for name in names if (parent / name / CONFIG).is_file())


def _opened(folder: Path, config: Mapping[str, Any], follow_links: bool) -> Contents | None:
    boundary = Boundary(folder, follow_links)
    try:
        source, own = read_json(folder / CONFIG, boundary, limit=4 * 2**20)
        name = next(name for name in FILES if os.path.lexists(folder / name) or name == FILES[-1])
        if any(own.get(key) != config.get(key) for key in SAME):
            return None
        contents = open_file(admit(folder / name, boundary), ema=False)
        return replace(contents, files=(*contents.files, source))
    except SpectraError:
        return None
