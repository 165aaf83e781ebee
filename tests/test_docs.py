"""The pages that cannot go stale: generated ones are compared, code blocks are run."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.docs_scripts import docs_script

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("name", ["commands.md", "metrics.md", "architectures.md"])
def test_a_generated_page_is_what_the_code_says(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    pages = docs_script("generate")["pages"]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages[name], "run python docs/generate.py"


def test_the_readme_has_both_commands_first():
    demo, tests = blocks("bash")[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert "-c constraints.txt" in demo
    assert demo.rstrip().endswith("spectra demo")
    assert "[test]" in tests
    assert "pytest" in tests


def test_ci_runs_the_readme_s_own_test_command():
    said = subprocess.run(["bash", ".ci/run", "--print"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == blocks("bash")[1]


def test_every_command_in_the_docs_is_one_that_exists():
    from spectra_cli.cli.app import main

    shown = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    commands = {line.split()[1] for line in re.findall(r"^\$? ?spectra [a-z]+.*$", shown, re.MULTILINE)}
    assert commands
    for command in commands:
        assert main([command, "--help"]) == 0


def test_the_readme_s_python_runs_on_a_real_table(table_path, kept_run, tmp_path):
    (tmp_path / "demo.parquet").write_bytes(table_path.read_bytes())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(kept_run)
    code = "\n".join(blocks("python"))
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr


def test_the_readme_s_pipe_works(kept_run, tmp_path):
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if " -o - " in line]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(kept_run)
    command = line.replace("spectra scan", f"{shlex.quote(sys.executable)} -m spectra_cli.cli scan", 1)
    command = command.replace("| python", f"| {shlex.quote(sys.executable)}")
    said = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "stable_rank" in said.stdout


def test_the_family_that_the_contributing_page_shows_is_the_one_in_the_code():
    guide = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    (diff,) = [block for block in blocks("diff", guide) if "+PHI3 = " in block]
    pieces = re.split(r"^--- a/.*\n\+\+\+ b/(.*)\n", diff, flags=re.MULTILINE)[1:]
    for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
        added = "".join(line[1:] + "\n" for line in piece.splitlines() if line.startswith("+"))
        text = (ROOT / name).read_text(encoding="utf-8")
        for part in added.split("\n\n"):
            assert part.strip("\n") in text, f"{name} has not {part}"


def test_every_name_in_the_architecture_page_is_where_the_page_says():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for dotted in re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_]+)`", page):
        if dotted.endswith((".py", ".md")):
            continue
        parts = dotted.split(".")
        module = next(
            n for n in range(len(parts), 0, -1) if (ROOT / "spectra_cli" / Path(*parts[:n])).with_suffix(".py").exists()
            or (ROOT / "spectra_cli" / Path(*parts[:n])).is_dir()
        )  # fmt: skip
        found = importlib.import_module(".".join(("spectra_cli", *parts[:module])))
        for name in parts[module:]:
            assert hasattr(found, name), dotted
            found = getattr(found, name)
    for path in re.findall(r"`([a-z_/]+\.py)`", page):
        assert (ROOT / path).exists() or (ROOT / "spectra_cli" / path).exists(), path


def test_what_the_guide_for_contributors_adds_stands_where_it_says():
    guide = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    compared = 0
    for block in blocks("diff", guide):
        for name, added in re.findall(r"^\+\+\+ b/(\S+)\n((?:(?!---).*\n)*)", block, re.MULTILINE):
            lines = {line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()}
            wanted = {line[1:].strip() for line in added.splitlines() if line.startswith("+")}
            assert wanted <= lines, (name, wanted - lines)
            compared += 1
    assert compared >= 14
