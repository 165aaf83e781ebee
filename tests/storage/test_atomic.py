"""A file is written whole or not at all, and never through a link that lies under the name it has meanwhile."""

import os

import pytest

from spectra_cli.storage.atomic import replace_file, temporary_name


@pytest.mark.parametrize("shared", [False, True])
def test_a_link_under_the_other_name_is_not_written_through(tmp_path, shared):
    path, victim = tmp_path / "figure.svg", tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in (temporary_name(path), tmp_path / f".figure.svg.{os.getpid()}"):
        name.symlink_to(victim)
    assert replace_file(path, lambda file: file.write(b"drawn"), shared=shared) == 5
    assert (path.read_bytes(), victim.read_bytes()) == (b"drawn", b"precious")
    assert not path.is_symlink()


@pytest.mark.parametrize("shared", [False, True])
def test_what_cannot_be_written_whole_leaves_the_file_as_it_was(tmp_path, shared):
    path = tmp_path / "figure.svg"
    path.write_bytes(b"before")

    def fail(file):
        file.write(b"half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        replace_file(path, fail, shared=shared)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("figure.svg", b"before")]
