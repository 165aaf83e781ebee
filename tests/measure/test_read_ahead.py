"""What reads ahead fills the page cache in order, keeps its bound, and never stands in the way."""

import ctypes
import mmap
import os
import time

import pytest

from spectra_cli.measure.read_ahead import reading_ahead
from spectra_cli.records import FileRange

MB = 1 << 20

if not hasattr(os, "RWF_NOWAIT"):
    pytest.skip("this system cannot say what its page cache has", allow_module_level=True)


def is_cached(path, start):
    """Whether the page cache has a page of a file, asked without reading it."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped)) + start // mmap.PAGESIZE * mmap.PAGESIZE
        state = (ctypes.c_ubyte * 1)()
        assert ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(1), state) == 0
    return bool(state[0] & 1)


@pytest.fixture
def cold_file(tmp_path):
    """16 MB that the page cache has not; skipped where it cannot be emptied of them."""
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(16 * MB))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(path, 12 * MB):
        pytest.skip("this file system keeps files in memory")
    return path


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_ranges_are_read_ahead_in_order_as_far_as_the_bound_lets_them(cold_file):
    ranges = [FileRange(cold_file, 8 * MB, 2 * MB), FileRange(cold_file, 0, 2 * MB), FileRange(cold_file, 12 * MB, MB)]
    with reading_ahead(ranges, most=3 * MB) as note_done:
        wait_for(lambda: is_cached(cold_file, 10 * MB - 1) and is_cached(cold_file, 0))
        time.sleep(0.1)
        assert not is_cached(cold_file, 12 * MB)
        note_done(2 * MB)
        wait_for(lambda: is_cached(cold_file, 13 * MB - 1))
    assert not is_cached(cold_file, 6 * MB)


def test_what_cannot_be_read_is_left_out_and_what_follows_is_not(tmp_path, cold_file):
    short = tmp_path / "short"
    short.write_bytes(b"x")
    ranges = [FileRange(tmp_path / "none", 0, MB), FileRange(short, 0, 4 * MB), FileRange(cold_file, 12 * MB, MB)]
    with reading_ahead(ranges):
        wait_for(lambda: is_cached(cold_file, 12 * MB))


def test_a_piece_of_which_only_an_end_is_cached_is_read(cold_file):
    with cold_file.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # the kernel reads nothing ahead by itself
        for end in (4 * MB, 9 * MB - 1):
            os.pread(file.fileno(), 1, end)
    assert not is_cached(cold_file, 5 * MB - 1)
    assert not is_cached(cold_file, 8 * MB)
    with reading_ahead([FileRange(cold_file, 4 * MB, MB), FileRange(cold_file, 8 * MB, MB)]):
        wait_for(lambda: is_cached(cold_file, 5 * MB - 1) and is_cached(cold_file, 8 * MB))


def test_it_ends_with_the_block_whatever_happens(cold_file):
    def work():
        with reading_ahead([FileRange(cold_file, 0, 16 * MB)], most=MB):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
