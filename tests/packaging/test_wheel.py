"""The sdist holds what builds the wheel, and the wheel with what it declares, and nothing else, measures.

The version is the tag's; what has no tag can be installed too.
"""

import re
import runpy
import shutil
import subprocess
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]
DEPENDENCIES = runpy.run_path(str(ROOT / "benchmarks" / "dependencies.py"))
conditions, extra_of, needed = (DEPENDENCIES[name] for name in ("conditions", "extra_of", "needed"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """The Python of an environment that has what a build needs, by pyproject.toml, and nothing else."""
    folder = tmp_path_factory.mktemp("builder")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    system = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    subprocess.run([python, "-m", "pip", "install", "-q", "build", *system["requires"]], check=True)
    return python


@pytest.fixture(scope="module")
def built(builder, tmp_path_factory):
    """A folder with the sdist, and the wheel that is built of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [builder, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def version_of(built):
    """The version in the name of the wheel."""
    (wheel,) = built.glob("*.whl")
    return wheel.name.split("-")[1]


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    """An environment with the wheel and, of what is installed here, only what the wheel needs without any extra."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    wheel = next(built.glob("*.whl"))
    subprocess.run([folder / "bin" / "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    (facts,) = packages.glob("spectra_scan-*.dist-info")
    declared = conditions(metadata.Distribution.at(facts).requires)
    for name in needed(name for name, condition in declared.items() if not extra_of(condition)):
        link_distribution(name, packages)
    return folder / "bin"


def link_distribution(name, packages):
    for file in metadata.files(name):
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not (packages / top).exists():
            (packages / top).symlink_to(Path(metadata.distribution(name).locate_file(top)))


def test_the_archives_hold_the_package_and_nothing_of_this_machine(built):
    (sdist,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")
    with tarfile.open(sdist) as archive:
        sources = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if name.startswith("spectra_cli/")}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "spectra_cli").rglob("*") if path.is_file()}
    package = {path for path in package if "__pycache__" not in path}
    assert installed == package
    assert (
        package | {"README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", "tests/conftest.py", "conftest.py"}
        <= sources
    )
    assert [name for name in sources if re.search(r"__pycache__|\.venv|\.git/|/build/", name)] == []


def test_the_version_is_the_tag_s_and_is_there_without_one(builder, tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)

    def git(*arguments):
        author = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def version():
        command = [builder, "-m", "hatchling", "version"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert version() == "0.0"
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert re.fullmatch(r"0\.1\.dev1\+g[0-9a-f]+", version())
    git("tag", "v1.2.3")
    assert version() == "1.2.3"
    git("commit", "--allow-empty", "-m", "second")
    assert re.fullmatch(r"1\.2\.4\.dev1\+g[0-9a-f]+", version())


def test_the_core_alone_measures_and_names_the_extra_for_figures(built, clean, tmp_path):
    save_file({"layers.0.up.weight": np.eye(4, dtype=np.float32)}, tmp_path / "one.safetensors")

    def run(*arguments):
        command = [clean / "spectra", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)}
        )

    assert run("--version").stdout == f"spectra {version_of(built)}\n"
    scanned = run("scan", "one.safetensors", "-o", "one.parquet", "-q")
    assert (scanned.returncode, scanned.stderr) == (0, "")
    drawn = run("plot", "one.parquet", "--kind", "roles", "-o", "one.png")
    assert (drawn.returncode, len(drawn.stderr.splitlines())) == (1, 2)
    assert "is not installed" in drawn.stderr
    assert "[report]" in drawn.stderr


def test_a_cold_import_of_the_wheel_is_quick_and_needs_nothing(clean):
    code = "import sys; before = set(sys.modules); import spectra_cli; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([clean / "python", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
