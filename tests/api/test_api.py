"""The Python API: each name is where it is said to be, documented, typed, and does what the command does."""

import ast
import copy
import dataclasses
import inspect
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from rich.console import Console

import spectra_cli
from spectra_cli import ScanOptions, figures, metrics, monitor, read_table, singular_values
from spectra_cli.errors import SpectraError
from spectra_cli.measure.request import Request
from spectra_cli.metrics import METRICS
from spectra_cli.monitor.spectral_monitor import MonitorOptions
from spectra_cli.storage.table import read_metadata
from spectra_cli.views.figures.plot import Choice

OPENING = Path(spectra_cli.__file__).read_text(encoding="utf-8")
FUNCTIONS = [name for name in spectra_cli.__all__ if inspect.isfunction(getattr(spectra_cli, name))]


def hints_of(function):
    """The types of a function's arguments, torch's among them, which are named before torch is loaded."""
    import torch

    return get_type_hints(function, localns={"torch": torch, "nn": torch.nn})


def test_every_public_name_is_loaded_and_known_to_programs_that_check_types():
    imports = {
        alias.asname: f"{node.module.removeprefix('spectra_cli').lstrip('.')}.{alias.name}".lstrip(".")
        for node in ast.walk(ast.parse(OPENING))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("spectra_cli")
        for alias in node.names
    }
    modules = {name: name for name in spectra_cli._MODULES}
    assert imports == {**spectra_cli._HOMES, **modules}
    assert spectra_cli.__all__ == sorted(["__version__", *imports])
    assert all(getattr(spectra_cli, name) is not None for name in spectra_cli.__all__)
    assert dir(spectra_cli) == spectra_cli.__all__
    assert (Path(spectra_cli.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_raises_and_has_an_example(name):
    text = " ".join(inspect.getdoc(getattr(spectra_cli, name)).split())
    assert "Raises SpectraError" in text
    assert ">>>" in text


def test_the_options_of_a_scan_have_the_names_and_types_of_a_request():
    fields, options = get_type_hints(Request), get_type_hints(ScanOptions)
    assert options.keys() == {field.name for field in dataclasses.fields(Request)} - {"source"}
    for name, kind in options.items():
        names = set(get_args(kind)) >= {str, Iterable[str]}
        assert kind == fields[name] or (names and tuple[str, ...] in (fields[name], *get_args(fields[name]))), name
        assert f" {name}: " in " ".join(inspect.getdoc(ScanOptions).split())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_has_a_type_and_every_option_is_one_of_a_scan(name):
    function = getattr(spectra_cli, name)
    hints = hints_of(function)
    for parameter in inspect.signature(function).parameters.values():
        assert hints[parameter.name] is not Any
        if parameter.kind is parameter.VAR_KEYWORD:
            (options,) = get_args(hints[parameter.name])
            assert options.__optional_keys__ <= ScanOptions.__optional_keys__


def test_callbacks_take_what_a_monitor_takes():
    hints = hints_of(monitor.SpectralMonitor.__init__)
    (shared,) = get_args(hints.pop("options"))
    assert get_type_hints(MonitorOptions) == {
        **get_type_hints(shared),
        **{name: kind for name, kind in hints.items() if name not in ("model", "out", "return")},
    }


def test_the_choices_of_a_figure_have_the_names_and_types_of_a_choice():
    assert get_type_hints(figures.Choices) == get_type_hints(Choice)


def test_metrics_are_all_there_and_take_plain_arrays():
    assert {metric.function.__name__ for metric in METRICS} <= set(metrics.__all__)
    sigma = np.array([1.0, 2.0, 1.0])
    for metric in METRICS:
        if metric.against is None:
            plain, given = getattr(metrics, metric.function.__name__)(sigma), singular_values(np.diag(sigma))
            wanted = metric.function(given)
            if metric.needs is None and metric.name != "sigma_error":
                np.testing.assert_allclose(plain, wanted, rtol=1e-9, equal_nan=True)
    assert metrics.stable_rank([2, 1, 1]) == 1.5


@pytest.mark.parametrize("wrong", [np.eye(2), ["a"], [-1.0, 2.0], 3.0, None], ids=str)
def test_what_is_not_singular_values_is_an_error_of_two_lines(wrong):
    with pytest.raises(SpectraError) as raised:
        metrics.stable_rank(wrong)
    assert raised.value.hint


def test_singular_values_of_arrays_and_tensors_lie_within_their_bound():
    import torch

    matrix = np.random.default_rng(0).normal(size=(40, 30))
    exact = np.linalg.svd(matrix, compute_uv=False)
    frozen = matrix[::-1]
    frozen.flags.writeable = False
    for given in (
        matrix,
        matrix.T,
        frozen,
        matrix.tolist(),
        torch.from_numpy(matrix),
        torch.nn.Parameter(torch.from_numpy(matrix)),
    ):
        found = singular_values(given)
        assert 0 < found.error < 1e-10
        assert np.abs(found.sigma - exact).max() <= found.error + 1e-13
    for wrong in ([["a"]], np.eye(2) * 1j, [1.0, 2.0], [[1.0], [1.0, 2.0]]):
        with pytest.raises(SpectraError):
            singular_values(wrong)


def test_a_table_is_taken_by_arrow_pandas_polars_and_duckdb(table_path):
    table = read_table(table_path)
    rows = table.num_rows
    assert (len(table), table.shape, table.schema) == (rows, table.arrow.shape, table.arrow.schema)
    assert pa.table(table).equals(table.arrow)
    assert table.pandas().equals(table.arrow.to_pandas())
    assert polars.DataFrame(table).height == table.polars().height == rows
    assert table.metadata == read_metadata(table_path)
    assert len(copy.copy(table)) == len(pickle.loads(pickle.dumps(table))) == rows
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        table.nothing_of_the_kind  # noqa: B018 - the access is what fails


def test_duckdb_asks_a_table_by_its_name(table_path):
    steps = read_table(table_path, metrics=["stable_rank"])
    found = duckdb.sql("SELECT count(DISTINCT step) FROM steps").fetchall()
    assert found == [(len(set(steps["step"].to_pylist())),)]


def test_the_wide_table_is_what_export_writes(table_path, tmp_path):
    spectra_cli.export(table_path, tmp_path / "wide.parquet")
    written, wide = pd.read_parquet(tmp_path / "wide.parquet"), read_table(table_path).wide().to_pandas()
    pd.testing.assert_frame_equal(written, wide[list(written.columns)])
    with pytest.raises(SpectraError, match="without its column model"):
        read_table(table_path, columns=["matrix", "value"]).wide()


@pytest.mark.slow
@pytest.mark.parametrize("study", [spectra_cli.stability, spectra_cli.lifecycle], ids=lambda study: study.__name__)
def test_a_study_takes_paths_and_tables_and_says_what_the_command_says(study, tmp_path, spectra):
    from tests.support.planted_runs import plant_wave

    path = spectra_cli.scan(plant_wave(tmp_path / "wave", 4), tmp_path / "wave.parquet").output
    found = study(read_table(path))
    assert study([path]).to_dict() == found.to_dict()
    assert json.loads(json.dumps(found.to_dict())) == json.loads(spectra(study.__name__, path, "--json").out)
    shown = spectra(study.__name__, path).out
    assert all(sentence in shown for sentence in found.sentences())
    assert [line.rstrip() for line in shown.splitlines()] == repr(found).splitlines()
    console = Console(width=160, file=(printed := io.StringIO()))
    console.print(found)
    assert found.sentences()[0][:60] in printed.getvalue()
    assert found._repr_html_().startswith("<pre>")


def test_the_module_runs_as_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "spectra_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"spectra {spectra_cli.__version__}\n"


USER = """
import numpy as np

import spectra_cli
from spectra_cli.metrics import stable_rank

table = spectra_cli.read_table(spectra_cli.scan("run", "run.parquet").output, metrics=["stable_rank"])
peak: int = spectra_cli.stability(table).study.runs[0].groups[0].peak.step
words: list[str] = spectra_cli.scaling([table, "a.parquet", "b.parquet"]).sentences()
spectrum = spectra_cli.singular_values(np.eye(3))
rank: float = stable_rank(spectrum.sigma) + stable_rank([1.0, 2.0]) + spectrum.error
wanted: spectra_cli.ScanOptions = {"roles": "q,k", "metrics": ["alpha"], "threads": 1}
spectra_cli.inspect("run", **wanted)
spectra_cli.rank1("run", window=3, steps="600:900")
spectra_cli.figures.roles(table, metric="alpha", roles=["q"])
"""
WRONG = """import spectra_cli
spectra_cli.read_table(3)
spectra_cli.scna
spectra_cli.scan("run", "run.parquet", rols=["q"])
spectra_cli.diff("a", "b", vectors="8")
spectra_cli.merge("run", "merged", metrics=["alpha"])
spectra_cli.warmup("model", "start", steps="1:2")
spectra_cli.figures.roles("run.parquet", metrics="alpha")
"""


@pytest.mark.slow
def test_a_user_s_script_is_checked_by_the_types(tmp_path):
    (tmp_path / "right.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", tmp_path / "right.py", tmp_path / "wrong.py"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.partition("wrong.py:")[2].partition(":")[0] for line in errors] == list("2345678"), checked.stdout
