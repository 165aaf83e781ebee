"""Tensors that are read at once: what each is by itself, from one look at the file."""

import zipfile

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli import weights
from spectra_cli.errors import SpectraError

TENSORS = {
    "byte": torch.arange(3, dtype=torch.uint8),  # the next ones begin at odd bytes
    "a": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "b": torch.arange(6, dtype=torch.float64).reshape(2, 3),
    "empty": torch.zeros(0, 4),
    "far": torch.ones(5000, dtype=torch.bfloat16),
    "z": torch.tensor(2.0),
}


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_each_is_what_it_is_by_itself(tmp_path, kind):
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pt")
    tensors = dict(TENSORS)
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        tensors["turned"] = torch.arange(6.0).reshape(2, 3).T
        torch.save(tensors, path)
    with weights.open_weights(path) as opened:
        for names in (list(tensors), ["z", "a"], ["far"], []):
            together = opened.read_together(names)
            assert set(together) == set(names)
            for name in names:
                assert together[name].dtype == tensors[name].dtype
                assert torch.equal(together[name], tensors[name])


def test_a_checksum_that_does_not_match_is_told(tmp_path):
    torch.save({"a": torch.ones(4), "b": torch.ones(4)}, tmp_path / "model.pt")
    data = bytearray((tmp_path / "model.pt").read_bytes())
    with zipfile.ZipFile(tmp_path / "model.pt") as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
    at = data.index(torch.ones(4).numpy().tobytes(), info.header_offset)
    data[at] ^= 1
    (tmp_path / "model.pt").write_bytes(data)
    with weights.open_weights(tmp_path / "model.pt") as opened:
        opened.read_together(["a", "b"])
        assert [note for note in opened.notes if "checksum" in note]


def test_a_file_that_changed_since_it_was_opened_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    with weights.open_weights(path) as opened:
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(SpectraError, match="shrank"):
            opened.read_together(["a", "b", "far"])
