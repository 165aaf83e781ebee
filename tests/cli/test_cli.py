"""The command line as its users meet it: speed of answers, pipes, quiet and machine modes."""

import io
import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import spectra_cli
from tests.support import runs

HEAVY = ("torch", "pyarrow", "transformers", "scipy", "huggingface_hub", "pandas")


def run_in_new_process(*arguments, **options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "spectra_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["scan", "--help"],
        ["--version"],
        ["metrics"],
        ["metrics", "alpha"],
        ["scan", "x", "--roles", "z"],
        ["nope"],
    ],
)
def test_nothing_heavy_is_imported_for_a_quick_answer(arguments):
    code = (
        "import sys; from spectra_cli.cli.app import main; main(sys.argv[1:]); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "[]"


def test_importing_the_package_imports_nothing():
    code = "import sys; before = set(sys.modules); import spectra_cli; print(sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" not in result.stdout
    assert "torch" not in result.stdout


def test_the_version_is_the_package_s(spectra):
    assert spectra("--version").out == f"spectra {spectra_cli.__version__}\n"


@pytest.mark.slow
def test_standard_output_carries_parquet_and_nothing_else(kept_run, table_path):
    result = run_in_new_process("scan", kept_run, "-o", "-")
    assert result.returncode == 0
    assert result.stdout == table_path.read_bytes()
    frame = pd.read_parquet(io.BytesIO(result.stdout))
    assert sorted(frame["step"].unique()) == list(runs.STEPS)


def test_quiet_says_nothing(kept_run, tmp_path, spectra):
    result = spectra("scan", kept_run, "-o", tmp_path / "a.parquet", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json_is_one_object(kept_run, tmp_path, spectra):
    result = spectra("scan", kept_run, "-o", tmp_path / "a.parquet", "--json")
    facts = json.loads(result.out)
    assert facts["rows"] == len(pd.read_parquet(tmp_path / "a.parquet"))
    assert {role["role"] for role in facts["roles"]} == {"q", "k", "v", "o", "up", "down", "embed", "unembed"}


def test_a_pipe_gets_plain_lines_and_the_first_facts(kept_run, tmp_path, spectra):
    result = spectra("scan", kept_run, "-o", tmp_path / "a.parquet")
    assert "6 checkpoints, steps 0 … 16" in result.err
    assert "14 matrices each (2 fused tensors split)" in result.err
    assert "6/6 step16" in result.err
    assert "from then on the cosine to step16 stays at or above 0.99" in result.err
    assert "moved most" in result.err
    assert "\x1b" not in result.err
    assert result.out == ""


def test_a_narrow_terminal_leaves_out_whole_columns_and_names_them(kept_run, tmp_path, spectra, monkeypatch):
    wide = spectra("scan", kept_run, "-o", tmp_path / "a.parquet").err
    monkeypatch.setattr("spectra_cli.views.console.output.PIPE_WIDTH", 44)
    narrow = spectra("scan", kept_run, "-o", tmp_path / "b.parquet").err
    table = narrow[narrow.index("role ") :].partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 44
    assert "left out at this width: stable rank, α" in " ".join(table.split())
    (line,) = [line for line in wide.splitlines() if line.startswith("unembed")]
    (short,) = [line for line in table.splitlines() if line.startswith("unembed")]
    assert line.split()[: len(short.split())] == short.split()


def test_the_output_is_named_after_the_model(kept_run, tmp_path, spectra, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert spectra("scan", kept_run, "-q").code == 0
    assert (tmp_path / "small.parquet").exists()


def test_inspect_shows_the_split_and_computes_nothing(run, spectra):
    result = spectra("inspect", run)
    assert result.code == 0
    assert "layers.*.attn.{q,k,v}" in result.out
    assert "by head: [2, 3, 8, 16]" in result.out
    assert "GFLOP" in result.out
    assert "skipped" in result.out


def test_inspect_finds_repeats_gaps_and_what_cannot_be_read(tmp_path, spectra):
    run = runs.write_run(tmp_path / "grid", (0, 100, 200, 300, 500, 600))
    shutil.copytree(run / "step200", run / "step800")
    os.truncate(run / "step500" / "model.safetensors", 2000)
    result = spectra("inspect", run, "--json")
    facts = json.loads(result.out)
    assert result.code == 3
    assert facts["gaps"] == [[300, 500], [600, 800]]
    twins = {checkpoint["revision"]: checkpoint["duplicate_of"] for checkpoint in facts["checkpoints"]}
    assert twins["step800"] == "step200"
    assert "cut short" in result.err


def test_diff_puts_the_biggest_mover_first(run, spectra, tmp_path):
    result = spectra("diff", run / "step0", run / "step16", "--all", "-o", tmp_path / "d.parquet")
    assert result.code == 0
    shown = [line.split() for line in result.out.splitlines()[3:] if line]
    variations = [float(cells[1]) for cells in shown]
    assert len(shown) == 14
    assert variations == sorted(variations, reverse=True)
    frame = pd.read_parquet(tmp_path / "d.parquet")
    assert list(frame["revision"].unique()) == ["step0", "step16"]


def test_diff_agrees_with_a_scan(run, spectra, table_path):
    result = spectra("diff", run / "step8", run / "step16", "--json")
    both = {matrix["matrix"]: matrix for matrix in json.loads(result.out)["matrices"]}
    frame = pd.read_parquet(table_path)
    rows = frame[(frame["step"] == 16) & (frame["metric"] == "sd_variation_prev")]
    assert {row.matrix: row.value for row in rows.itertuples()} == {
        name: matrix["b"]["sd_variation_prev"] for name, matrix in both.items()
    }


def test_diff_names_what_only_one_side_has(run, spectra):
    runs.edit(run / "step2", embed_out__weight=None)
    result = spectra("diff", run / "step2", run / "step4")
    assert result.code == 3
    assert "step2 has no unembed, which step4 has" in result.err


def test_a_record_that_inspect_prints_serves_as_arch(run, tmp_path, spectra):
    record = tmp_path / "mine.toml"
    record.write_text(spectra("inspect", run, "--record").out)
    for folder in run.iterdir():
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "nobody_knows"}))
    unknown = spectra("scan", run, "-o", tmp_path / "a.parquet", "--steps", "16")
    assert set(pd.read_parquet(tmp_path / "a.parquet")["matrix"]).isdisjoint({"layers.0.attn.q"})
    known = spectra("scan", run, "-o", tmp_path / "b.parquet", "--steps", "16", "--arch", record)
    assert "layers.0.attn.q" in set(pd.read_parquet(tmp_path / "b.parquet")["matrix"])
    assert (unknown.code, known.code) == (0, 0)


def test_the_python_functions_do_what_the_commands_do(kept_run, table_path, tmp_path):
    table = spectra_cli.read_table(spectra_cli.scan(kept_run, tmp_path / "a.parquet").output)
    assert table.arrow.equals(spectra_cli.read_table(table_path).arrow)
    assert spectra_cli.diff(kept_run / "step0", kept_run / "step1").table.num_rows > 0
