"""The whole of `scan` over small checkpoints with bytes changed, and over names that mean harm; a few by default.

SPECTRA_FUZZ=2000 makes as many of each kind; SECURITY.md says what long runs found.
"""

import contextlib
import io
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from spectra_cli.cli.app import main
from spectra_cli.jobs.verify import verify_table
from tests.support import runs
from tests.support.fuzzing import CHANGES, FORMATS, changed

BOUNDED = settings(
    max_examples=int(os.environ.get("SPECTRA_FUZZ", "15")),
    deadline=10_000,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def scan(source: Path, folder: Path) -> None:
    """Scan, and check all that must hold whatever the input is."""
    before = {path for path in folder.rglob("*") if source not in path.parents}
    said, target = io.StringIO(), folder / "out.parquet"
    with warnings.catch_warnings(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()) as out:
        warnings.simplefilter("error")
        code = main(["scan", str(source), "-o", str(target), "-q", "--threads", "1"])
    lines = said.getvalue().splitlines()
    assert code in (0, 1, 3)
    assert out.getvalue() == ""
    assert all(line.startswith("spectra: ") for line in lines[::2])
    assert all(line.startswith("  ") for line in lines[1::2])
    assert len(lines) % 2 == 0
    assert (code == 0) == (not lines)
    assert all(character.isprintable() for line in lines for character in line)
    after = {path for path in folder.rglob("*") if source not in path.parents}
    assert after - before == ({target} if code != 1 else set())
    if code != 1:
        assert verify_table(target).findings == ()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    top = tmp_path_factory.mktemp("sources")
    for name, save in FORMATS.items():
        (top / name).mkdir()
        save(top / name)
    runs.write_run(top / "run", (0, 1, 2))
    return top


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, "run"])
@BOUNDED
@given(which=st.integers(0, 9), changes=CHANGES)
def test_a_scan_of_changed_files_ends_as_a_scan_may(sources, name, which, changes):
    with tempfile.TemporaryDirectory() as top:
        copy = Path(shutil.copytree(sources / name, Path(top, "in")))
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        file = files[which % len(files)]
        file.write_bytes(changed(file.read_bytes(), changes))
        scan(copy, Path(top))


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    ["../../x", "/etc/passwd", "a\x1b[31m", "\u202eb", "x\ny", "<script>", "layers.1e9.q", "-o", "$(x)", "%s{0}", "²"]
)


@pytest.mark.slow
@BOUNDED
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), bad=st.booleans())
def test_a_scan_of_any_tensor_names_ends_as_a_scan_may(names, bad):
    with tempfile.TemporaryDirectory() as top:
        for step in (0, 1):
            folder = Path(top, "in", f"step{step}")
            folder.mkdir(parents=True)
            value = float("nan") if bad and step else 1.0
            save_file({name: torch.full((3, 2), value) for name in names}, folder / "model.safetensors")
        scan(Path(top, "in"), Path(top))


@pytest.mark.slow
@BOUNDED
@given(name=NAMES.filter(lambda name: "/" not in name and "\0" not in name and len(name.encode()) < 200))
def test_a_scan_of_any_folder_name_ends_as_a_scan_may(name):
    with tempfile.TemporaryDirectory() as top:
        for folder in (f"{name}1", f"step2{name}", "step3"):
            runs.write_checkpoint(Path(top, "in", folder), {"q.weight": torch.eye(3)}, {})
        scan(Path(top, "in"), Path(top))
