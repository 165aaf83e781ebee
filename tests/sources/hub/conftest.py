"""A Hub with one run on it, and `spectra` as a process of its own that knows no other Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hub.loopback import Hub, Repository, served
from tests.support import runs

TOKEN = "hf_thisIsASecret"
COMMAND = (str(Path(sys.executable).with_name("spectra")),)


class Place(NamedTuple):
    """Where a test works: its folder, TMPDIR, the environment of its processes."""

    folder: Path
    scratch: Path
    environment: dict[str, str]


class Said(NamedTuple):
    """What a process gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served() as one:
        yield one


@pytest.fixture
def tiny(hub: Hub, kept_run: Path) -> Repository:
    """The small run as own/small."""
    return hub.add("own/small", kept_run)


@pytest.fixture
def place(tmp_path: Path, hub: Hub) -> Place:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))},
        "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN, "TMPDIR": str(scratch),
        "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return Place(tmp_path, scratch, environment)


@pytest.fixture
def spectra_process(place: Place) -> Callable[..., Said]:
    """The command line as a process; whatever it printed holds no token, no traceback, and it left no scratch file."""

    def call(*arguments: object, clean: bool = True, **environment: str) -> Said:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], cwd=place.folder, env={**place.environment, **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        said = Said(done.returncode, done.stdout, done.stderr)
        assert TOKEN not in said.out + said.err
        assert "Traceback" not in said.err
        if clean:
            assert list(place.scratch.iterdir()) == []
        return said

    return call


@pytest.fixture(scope="session")
def wide_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints of a few MB each, so that byte ranges pay."""
    return write_wide_run(tmp_path_factory.mktemp("wide") / "run", (0, 10, 20))


def write_wide_run(folder: Path, steps: tuple[int, ...], width: int = 256, layers: int = 2) -> Path:
    """Write GPT-NeoX checkpoints of about 3 MB a layer and width of 256, in fp16."""
    import torch

    config = {**runs.CONFIG, "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 4 * width}
    for step in steps:
        random = torch.Generator().manual_seed(step)

        def matrix(rows: int, cols: int, random: torch.Generator = random) -> torch.Tensor:
            return (torch.randn(rows, cols, generator=random) * 0.02).to(torch.float16)

        tensors = {"gpt_neox.embed_in.weight": matrix(512, width), "embed_out.weight": matrix(512, width)}
        for layer in range(layers):
            at = f"gpt_neox.layers.{layer}"
            tensors[f"{at}.attention.query_key_value.weight"] = matrix(3 * width, width)
            tensors[f"{at}.attention.dense.weight"] = matrix(width, width)
            tensors[f"{at}.mlp.dense_h_to_4h.weight"] = matrix(4 * width, width)
            tensors[f"{at}.mlp.dense_4h_to_h.weight"] = matrix(width, 4 * width)
        runs.write_checkpoint(folder / f"step{step}", tensors, config)
    return folder
