"""What a copy of a checkpoint is made of: every tensor as its files hold it, or a refusal in two lines."""

import json

import pytest
import torch
from safetensors.torch import load_file

from spectra_cli.errors import SpectraError
from spectra_cli.sources import LocalFiles
from spectra_cli.surgery import Description, open_original, write_checkpoint
from tests.support import runs


def open_at(path):
    return open_original(LocalFiles(path, str(path)))


def test_a_copy_holds_codes_and_scales_and_buffers_to_the_bit(tmp_path):
    tensors = runs.neox_tensors(1) | {
        "q.weight": torch.ones(128, 128).to(torch.float8_e4m3fn),
        "q.weight_scale_inv": torch.full((1, 1), 0.5),
    }
    folder = runs.write_checkpoint(tmp_path / "step1", tensors)
    (folder / "tokenizer.json").write_text("{}")
    with open_at(folder) as original:
        description = Description(original.config, dict, "", original.companions)
        write_checkpoint(tmp_path / "copy", [original.tensor(name) for name in original.stored.tensors], description)
    copied = load_file(tmp_path / "copy" / "model.safetensors")
    assert copied.keys() == tensors.keys()
    assert all(copied[name].view(torch.uint8).equal(tensors[name].view(torch.uint8)) for name in tensors)
    assert json.loads((tmp_path / "copy" / "config.json").read_text()) == runs.CONFIG
    assert (tmp_path / "copy" / "tokenizer.json").exists()


def test_what_transformers_could_not_load_is_refused(tmp_path):
    plain = runs.write_checkpoint(tmp_path / "plain", runs.neox_tensors(1), {"hidden_size": 16})
    torch.save({"model": {"w": torch.ones(2, 2)}}, tmp_path / "alone.pt")
    for path in (plain, tmp_path / "alone.pt"):
        with pytest.raises(SpectraError, match=r"no config.json that names a model_type"), open_at(path):
            pass
