"""Small files of every format with bytes changed, cut, doubled or put in: only SpectraError may leave, and soon."""

import contextlib
import io
import json
import os
import shutil
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectra_cli.errors import SpectraError
from spectra_cli.weights import open_weights, recognise
from spectra_cli.weights.formats.pickle_objects import UnreadablePickleError
from spectra_cli.weights.formats.unpickling import read_pickle
from tests.support.checkpoints import read_all, save_shards
from tests.support.fuzzing import CHANGES, FORMATS, changed, save_adapter

FEW = settings(deadline=2000, max_examples=60, suppress_health_check=list(HealthCheck), database=None)
MANY = settings(FEW, max_examples=int(os.environ.get("SPECTRA_FUZZ", "300")))


def only_ours(path: Path) -> None:
    """Open and read everything; a SpectraError is fine, whatever else leaves is not."""
    with contextlib.suppress(SpectraError), warnings.catch_warnings():
        warnings.simplefilter("error")
        recognise(path)
        read_all(path)


@pytest.fixture(scope="module")
def folders() -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory() as top:
        made = {}
        for name, save in FORMATS.items():
            made[name] = Path(top, name)
            made[name].mkdir()
            save(made[name])
        yield made


def one_changed(folder: Path, which: int, changes: list[tuple[str, float, bytes]]) -> None:
    """Copy a checkpoint, change one of its files, and read it."""
    with tempfile.TemporaryDirectory() as top:
        copy = Path(shutil.copytree(folder, Path(top, "run")))
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        file = files[which % len(files)]
        file.write_bytes(changed(file.read_bytes(), changes))
        only_ours(copy)
        only_ours(file)


@pytest.mark.parametrize("name", FORMATS)
@FEW
@given(which=st.integers(0, 9), changes=CHANGES)
def test_a_changed_file_is_read_or_refused(
    folders: dict[str, Path], name: str, which: int, changes: list[tuple[str, float, bytes]]
) -> None:
    one_changed(folders[name], which, changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@MANY
@given(which=st.integers(0, 9), changes=CHANGES)
def test_many_changed_files_are_read_or_refused(
    folders: dict[str, Path], name: str, which: int, changes: list[tuple[str, float, bytes]]
) -> None:
    one_changed(folders[name], which, changes)


@FEW
@given(changes=CHANGES)
def test_a_changed_pickle_within_a_sound_archive_is_read_or_refused(
    folders: dict[str, Path], changes: list[tuple[str, float, bytes]]
) -> None:
    with zipfile.ZipFile(folders["zip"] / "model.pt") as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with tempfile.TemporaryDirectory() as top:
        path = Path(top, "a.pt")
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in records.items():
                archive.writestr(name, changed(data, changes) if name.endswith("data.pkl") else data)
        only_ours(path)


@FEW
@given(pickled=st.binary(max_size=200))
def test_any_bytes_are_a_pickle_or_not(pickled: bytes) -> None:
    with contextlib.suppress(UnreadablePickleError):
        read_pickle(io.BytesIO(pickled))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ENTRY = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {
            "dtype": st.one_of(st.sampled_from(["F32", "BF16", "F4", "BOOL"]), JSON),
            "shape": st.one_of(st.lists(st.integers(0, 4), max_size=3), JSON),
            "data_offsets": st.one_of(st.tuples(st.integers(0, 64), st.integers(0, 64)), JSON),
        }
    ),
)


@FEW
@given(header=st.dictionaries(st.text(max_size=4), ENTRY, max_size=4), data=st.integers(0, 64))
def test_any_json_is_a_header_or_not(header: dict[str, object], data: int) -> None:
    text = json.dumps(header).encode()
    with tempfile.TemporaryDirectory() as top:
        path = Path(top, "a.safetensors")
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
        only_ours(path)


@FEW
@given(
    index=st.one_of(JSON, st.fixed_dictionaries({"weight_map": st.dictionaries(st.text(max_size=9), JSON, max_size=3)}))
)
def test_any_json_is_an_index_a_configuration_or_not(index: object) -> None:
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "run")
        folder.mkdir()
        save_shards(folder)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        only_ours(folder)
        (folder / "model.safetensors.index.json").unlink()
        (folder / "config.json").write_text(json.dumps(index))
        only_ours(folder)
        (Path(top, "adapter")).mkdir()
        save_adapter(Path(top, "adapter"))
        Path(top, "adapter", "adapter_config.json").write_text(json.dumps(index))
        only_ours(Path(top, "adapter"))


def test_a_file_that_nothing_was_changed_in_is_read(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        with open_weights(folder) as weights:
            assert weights.tensors
            assert not weights.unreadable
