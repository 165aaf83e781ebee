"""Small real checkpoints and the check of an error's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.errors import SpectraError
from spectra_cli.weights import open_weights


def example(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "embed.weight": torch.randn(11, 4, generator=generator),
        "layers.0.up.weight": torch.randn(6, 4, generator=generator).bfloat16(),
        "layers.0.down.weight": torch.randn(4, 6, generator=generator).half(),
        "norm.weight": torch.randn(4, generator=generator),
    }


def save_safetensors(folder: Path, tensors: dict[str, torch.Tensor], name: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    return folder / name


def save_config(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def save_shards(folder: Path) -> dict[str, torch.Tensor]:
    """Two shards with an index; returns what they hold."""
    tensors = example()
    names = sorted(tensors)
    first, second = names[:2], names[2:]
    first_file, second_file = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    save_safetensors(folder, {name: tensors[name] for name in first}, first_file)
    save_safetensors(folder, {name: tensors[name] for name in second}, second_file)
    weight_map = {**dict.fromkeys(first, first_file), **dict.fromkeys(second, second_file)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return tensors


def same(path: Path, expected: dict[str, torch.Tensor], **options: bool) -> None:
    """Check that a checkpoint gives exactly these tensors: names, shapes, dtypes, every bit."""
    with open_weights(path, **options) as weights:
        assert set(weights.tensors) == set(expected)
        for name, tensor in expected.items():
            declared = weights.tensors[name]
            assert (declared.shape, declared.dtype) == (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            read = weights.read(name)
            assert read.dtype == tensor.dtype
            assert torch.equal(read, tensor)


def read_all(path: Path, **options: bool) -> None:
    with open_weights(path, **options) as weights:
        for name in weights.tensors:
            weights.read(name)


def refusal(path: Path, **options: bool) -> str:
    """Open and read all of a checkpoint that is to be refused; returns the message, after a look at its form."""
    with pytest.raises(SpectraError) as caught:
        read_all(path, **options)
    error = caught.value
    assert error.hint
    assert error.message.isprintable()
    assert error.hint.isprintable()
    for danger in ("weights_only", "add_safe_globals", "Traceback"):
        assert danger not in error.message + error.hint
    return error.message


def save_torch(content: object, path: Path, as_zip: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    return path
