"""Merges of checkpoints on a Hub: the same files as from this disk, within the bound on scratch space."""

import shutil

import pytest
from safetensors.torch import load_file

from tests.support import runs
from tests.support.hub_runs import write_wide_run

pytestmark = pytest.mark.slow


def merged_alike(spectra_process, workplace, hub, run, *arguments):
    """Merge a run from the Hub and from this disk, and compare the two; return what the first printed."""
    hub.add("own/merged", run)
    for source, name in (("hf:own/merged", "far"), (run, "near")):
        options = ("--revisions", "step*") if name == "far" else ()
        result = spectra_process("merge", source, *options, "-o", name, "--window", 3, *arguments)
        assert result.code == 0, result.err
    far, near = workplace.folder / "far", workplace.folder / "near"
    names = sorted(path.name for path in near.iterdir())
    assert sorted(path.name for path in far.iterdir()) == names
    for name in (name for name in names if name not in ("provenance.json", "README.md")):
        assert (far / name).read_bytes() == (near / name).read_bytes()
    return far


def test_a_merge_from_the_hub_is_that_of_the_same_files(spectra_process, workplace, hub, tmp_path):
    run = runs.write_run(tmp_path / "run")
    for folder in run.iterdir():
        (folder / "tokenizer_config.json").write_text('{"of": "' + folder.name + '"}')
        (folder / "merges.txt").touch()
    far = merged_alike(spectra_process, workplace, hub, run)
    assert "step16" in (far / "tokenizer_config.json").read_text()
    assert '"commit": "' in (far / "provenance.json").read_text()


def test_a_merge_keeps_to_the_scratch_space_that_it_is_given(spectra_process, workplace, hub, tmp_path):
    run = write_wide_run(tmp_path / "run", (0, 1, 2, 3), layers=4)
    far = merged_alike(spectra_process, workplace, hub, run, "--disk", "9MB")
    assert load_file(far / "model.safetensors").keys()
    shutil.rmtree(far)
