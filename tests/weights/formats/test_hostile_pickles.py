"""Files that were made to do harm: no code of theirs runs, and neither time nor memory runs away."""

import io
import os
import pickle
import pickletools
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from spectra_cli.weights.formats.pickle_objects import UnreadablePickleError
from spectra_cli.weights.formats.unpickling import read_pickle
from tests.support.checkpoints import example, refusal, same


def archive(path: Path, pickled: bytes, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3")
        for key, data in storages.items():
            file.writestr(f"archive/data/{key.removeprefix('k')}", data)
    return path


class Attack:
    def __init__(self, function: object, *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.args


@pytest.mark.parametrize("function", [os.system, exec, eval, open, __import__, getattr, subprocess.Popen, os.unlink])
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])
def test_no_function_that_a_file_names_is_run(tmp_path: Path, function: object, as_zip: bool) -> None:
    harm = tmp_path / "harm"
    attack = Attack(function, f"touch {harm}" if function is os.system else str(harm))
    path = tmp_path / "a.pt"
    torch.save({"model": example(), "extra": attack}, path, _use_new_zipfile_serialization=as_zip)
    harm.touch()
    message = refusal(path)
    assert "which no file of weights needs; nothing was run" in message
    assert harm.exists()
    harm.unlink()
    refusal(path)
    assert not harm.exists()


def test_a_pickle_that_is_no_file_of_torch_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(Attack(os.system, f"touch {tmp_path / 'harm'}")))
    assert "not one that torch.save wrote" in refusal(path)
    assert not (tmp_path / "harm").exists()


def test_names_of_a_file_are_escaped_in_messages() -> None:
    with pytest.raises(UnreadablePickleError) as caught:
        read_pickle(io.BytesIO(b"\x80\x02cos\n\x1b[2Jsystem\n."))
    assert r"os.\x1b[2Jsystem" in str(caught.value)


def test_classes_of_other_libraries_become_shells() -> None:
    shell = read_pickle(io.BytesIO(b"\x80\x02cevil.library\nrun_this\nX\x01\x00\x00\x00xq\x00\x85R."))
    assert (shell.kind, shell.args) == ("evil.library.run_this", ("x",))


def doubled_tuples(depth: int) -> bytes:
    """A dictionary whose key is a tuple of twice the tuple of twice …: hashing it takes 2^depth steps."""
    pairs = b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(depth))
    return b"\x80\x02})q\x00" + pairs + b"K\x01s."


@pytest.mark.parametrize(
    "pickled",
    [
        doubled_tuples(60),
        b"\x80\x02r\xff\xff\xff\xffN.",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.",
        b"\x80\x02X\xff\xff\xff\x7fx.",
        b"\x80\x02\x8b\xff\xff\xff\x7fx.",
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x02" + b"(" * 200_000,
        b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x02ctorch\nSize\n(K\x01K\x02tR.",
        b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
        b"\x80\x02ccopyreg\n_reconstructor\n)R.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02.",
        b"\x80",
        b"",
    ],
    ids=lambda pickled: pickled[:20].hex(),
)
def test_small_pickles_that_ask_for_much_cost_little(tmp_path: Path, pickled: bytes) -> None:
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert str(refusal(archive(tmp_path / "a.pt", pickled)))
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000


def test_a_dictionary_within_itself_is_passed_once(tmp_path: Path) -> None:
    content: dict[str, object] = {"model": example()}
    content["again"] = content
    torch.save(content, tmp_path / "a.pt")
    same(tmp_path / "a.pt", example())


def test_one_dictionary_in_a_thousand_places_of_another_and_so_on_is_passed_once(tmp_path: Path) -> None:
    inner: dict[str, object] = {}
    for _ in range(10):
        inner = {f"k{n}": inner for n in range(1000)}
    torch.save(inner, tmp_path / "a.pt")
    start = time.monotonic()
    assert "holds no tensors" in refusal(tmp_path / "a.pt")
    assert time.monotonic() - start < 5


def test_an_archive_that_claims_to_unpack_to_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(4, 4)}, path)
    with zipfile.ZipFile(path) as file:
        size = file.getinfo("a/data/0").file_size
    data = path.read_bytes()
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(b"a/data/0"))
    for field in (20, 24):  # compressed and plain size in the directory
        assert int.from_bytes(data[at + field : at + field + 4], "little") == size
        data = data[: at + field] + (2**31).to_bytes(4, "little") + data[at + field + 4 :]
    path.write_bytes(data)
    assert "claims to unpack to 2,147," in refusal(path)


def test_a_bomb_is_refused_within_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", bytes(300 * 2**20))
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (600 * 2**20,) * 2)\n"
        "from pathlib import Path\nfrom spectra_cli.weights import open_weights\n"
        "from spectra_cli.errors import SpectraError\n"
        "try:\n    open_weights(Path(sys.argv[1])).__enter__()\n"
        "except SpectraError as error:\n    print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=30)
    assert "compressed" in done.stdout


def test_the_largest_honest_pickle_is_read_in_no_time() -> None:
    content = {f"layers.{i}.weight": {"shape": (768, 768), "state": [0.9, 0.95, i]} for i in range(20_000)}
    pickled = pickle.dumps(content, protocol=2)
    assert sum(1 for _ in pickletools.genops(pickled)) > 200_000
    start = time.monotonic()
    assert read_pickle(io.BytesIO(pickled)) == content
    assert time.monotonic() - start < 10
