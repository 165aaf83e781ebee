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
GUIDE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("name", ["commands.md", "spectra.1", "metrics.md", "architectures.md"])
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

    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]]
    shown = "\n".join(block for page in pages for block in blocks(r"\w*", page) + re.findall(r"^    (.*)$", page, re.M))
    commands = {line.split()[1] for line in re.findall(r"^\$? ?spectra [a-z]+.*$", shown, re.MULTILINE)}
    assert commands
    for command in commands:
        assert main([command, "--help"]) == 0


@pytest.fixture
def demo(kept_run, table_path, tmp_path):
    """A folder in which the demo seems to have been run, and what the first example of README writes."""
    (tmp_path / "spectra-demo").mkdir()
    (tmp_path / "spectra-demo" / "run").symlink_to(kept_run)
    for name in ("spectra-demo/demo.parquet", "mine.parquet"):
        (tmp_path / name).write_bytes(table_path.read_bytes())
    return tmp_path


def run(command, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/notebooks.md"])
def test_the_python_of_a_page_runs_on_a_real_table(page, demo):
    code = "\n".join(blocks("python", (ROOT / page).read_text(encoding="utf-8")))
    assert run(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", demo)


@pytest.mark.slow
def test_the_readme_s_pipe_works(demo):
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if " -o - " in line]
    command = line.replace("spectra scan", f"{shlex.quote(sys.executable)} -m spectra_cli scan", 1)
    assert "stable_rank" in run(command.replace("| python", f"| {shlex.quote(sys.executable)}"), demo)


def test_the_family_that_the_contributing_page_shows_is_the_one_in_the_code():
    (diff,) = (part for part in blocks("diff", GUIDE) if "PHI3 =" in part)
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
    compared = 0
    for block in blocks("diff", GUIDE):
        for name, added in re.findall(r"^\+\+\+ b/(\S+)\n((?:(?!---).*\n)*)", block, re.MULTILINE):
            lines = {line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()}
            wanted = {line[1:].strip() for line in added.splitlines() if line.startswith("+")}
            assert wanted <= lines, (name, wanted - lines)
            compared += 1
    assert compared >= 14
