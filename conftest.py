"""Examples in docstrings of what reads files run beside a small run, its table, a model and a text, by these names."""

# ruff: noqa: E402 - libraries look at the environment when they are loaded

import os
import sys
from pathlib import Path

# Processes that run tests side by side share the cores: more threads of BLAS than one each wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests start hundreds of processes, which would each compile every module where none may keep what it compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support import runs
from tests.support.planted_runs import plant_wave

BESIDE_FILES = ("spectra_cli.study_findings.", "spectra_cli.arrow_table.", "spectra_cli.figures.", "spectra_cli.jobs.")
WITH_MODEL = tuple(f"spectra_cli.jobs.{name}." for name in ("ablate", "evaluate", "prune", "warmup"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples that run a language model: transformers takes seconds to load."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.startswith(WITH_MODEL):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def files_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run` and `run.parquet`, and tables of three models, `deep`, `deeper` and `deepest`."""
    folder = tmp_path_factory.mktemp("examples")
    scan_checkpoints(runs.write_run(folder / "run"), folder / "run.parquet")
    for layers, name in enumerate(("deep", "deeper", "deepest"), 4):
        scan_checkpoints(plant_wave(folder / name, layers), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def model_of_examples(files_of_examples: Path) -> None:
    """A language model, `model`, and a text for it, `text.txt`, in that folder."""
    from tests.support.language_models import BYTES, TEXT, write_model

    write_model(files_of_examples / "model", "llama", {**BYTES, "num_hidden_layers": 6})
    (files_of_examples / "text.txt").write_text(TEXT, encoding="utf-8")


@pytest.fixture(autouse=True)
def beside_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an example that reads files in that folder."""
    if isinstance(request.node, pytest.DoctestItem) and request.node.name.startswith(BESIDE_FILES):
        monkeypatch.chdir(request.getfixturevalue("files_of_examples"))
        if request.node.name.startswith(WITH_MODEL):
            request.getfixturevalue("model_of_examples")
