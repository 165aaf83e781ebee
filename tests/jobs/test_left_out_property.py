"""The rule of what may be left out, held over random checkpoints: of any format, dtypes, helpers and unknown tensors.

A stored tensor of two axes or more, of floating or quantised numbers, is measured, or belongs to one that is, or is
named and the exit code is 3. What is measured has the singular values that NumPy gives. SPECTRA_FUZZ=N makes N.
"""

import contextlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_saver

from spectra_cli.cli.app import main
from spectra_cli.storage.table import read_metadata, read_rows
from tests.support.checkpoints import save_torch

Tensors = dict[str, torch.Tensor]
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64]
LOW = [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8]


@dataclass
class Piece:
    """Some stored tensors. truth: by stored name, the matrix that one of them must give. lost: those to be named."""

    stored: Tensors
    truth: Tensors = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


def entries(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def plain(draw: st.DrawFn, name: str) -> Piece:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    tensor = entries(draw(st.integers(0, 99)), *shape).to(draw(st.sampled_from(FLOATS)))
    sides = shape if len(shape) == 2 else tuple(size for size in shape if size != 1)
    if len(sides) < 2:
        return Piece({name: tensor})
    if len(sides) > 2 or tensor.is_complex():
        return Piece({name: tensor}, lost={name})
    return Piece({name: tensor}, {name: tensor.double().reshape(sides)})


@st.composite
def scaled(draw: st.DrawFn, name: str) -> Piece:
    """Eight bits, with a scale of some name, dtype and shape, and perhaps zero points; or without a scale."""
    rows, groups = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    codes = (entries(draw(st.integers(0, 99)), rows, groups * 4) * 20).to(draw(st.sampled_from(LOW)))
    ends = draw(st.sampled_from(["_scale", "_scale_inv", ".scale", "SCB", "scale_weight", "scale", None]))
    if ends is None:
        return Piece({name: codes}, lost={name})
    beside = f"{name}{ends}" if ends[0] in "._" else f"{name.removesuffix('weight')}{ends}"
    shape = draw(st.sampled_from([(), (1,), (1, 1), (rows,), (rows, 1), (rows, groups), (7, 7)]))
    scale, factor = entries(draw(st.integers(0, 99)), *shape).abs() + 0.1, 1 / 127 if ends == "SCB" else 1.0
    if draw(st.booleans()) and shape:
        scale = torch.randint(118, 130, shape, dtype=torch.uint8)
    stored = {name: codes, beside: scale}
    if shape == (7, 7):
        return Piece(stored, lost={name})
    values = 2.0 ** (scale.double() - 127) if scale.dtype == torch.uint8 else scale.double()
    each = values if values.numel() == 1 else values.reshape(rows, -1)
    each = each.repeat_interleave(4, 1) if each.ndim == 2 and each.shape[1] == groups > 1 else each
    numbers = codes.double()
    if draw(st.booleans()) and codes.dtype == torch.int8:
        stored[f"{name}_zero_point"] = torch.full(shape, 3, dtype=torch.int8)
        numbers = numbers - 3
    return Piece(stored, {name: numbers * each.reshape(()) * factor if each.numel() == 1 else numbers * each * factor})


@st.composite
def harmless(draw: st.DrawFn, name: str) -> Piece:
    stem = name.removesuffix(".weight")
    kinds: list[Tensors] = [
        {f"{stem}.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8)},
        {f"{stem}.attn_mask": torch.ones(4, 4)},
        {f"{stem}.flags": torch.ones(4, 4, dtype=torch.bool)},
        {f"{stem}.position_ids": torch.arange(6)[None]},
        {f"{stem}.norm": torch.ones(5), f"{stem}.count": torch.tensor(3), f"{stem}.token": torch.ones(1, 1, 5)},
    ]
    return Piece(draw(st.sampled_from(kinds)))


@st.composite
def packed(draw: st.DrawFn, name: str) -> Piece:
    stem = name.removesuffix(".weight")
    integers = torch.ones(4, 4, dtype=draw(st.sampled_from([torch.int32, torch.uint8])))
    kinds: list[Tensors] = [
        {f"{stem}.qweight": integers, f"{stem}.scales": torch.ones(2, 4), f"{stem}.qzeros": integers.clone()},
        {name: integers, f"{name}.absmax": torch.ones(4, 4)},
        {f"{name}_packed": integers, f"{name}_scale": torch.ones(4, 2)},
        {f"{stem}.codes": integers},
        {name: integers},
        {name: torch.ones(0, 4)},
    ]
    stored = draw(st.sampled_from(kinds))
    return Piece(stored, lost={next(iter(stored))})


@st.composite
def checkpoints(draw: st.DrawFn) -> Piece:
    whole = Piece({}, {})
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from([plain, scaled, harmless, packed]))
        piece = draw(kind(f"blocks.{number}.weight"))
        whole.stored |= piece.stored
        whole.truth |= piece.truth
        whole.lost |= piece.lost
    return whole


def save_shards(stored: Tensors, folder: Path) -> None:
    for number, name in enumerate(stored, 1):
        save_file({name: stored[name]}, folder / f"model-{number:05}-of-{len(stored):05}.safetensors")


def save_dcp(stored: Tensors, folder: Path) -> None:
    state_dict_saver.save({"model": stored}, checkpoint_id=folder, no_dist=True)


SAVERS: dict[str, Callable[[Tensors, Path], object]] = {
    "safetensors": lambda stored, folder: save_file(stored, folder / "model.safetensors"),
    "shards": save_shards,
    "torch": lambda stored, folder: save_torch({"model": stored, "step": 1}, folder / "model.pt"),
    "distributed": save_dcp,
}


def scan(folder: Path, target: Path) -> tuple[int, list[str]]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["scan", str(folder), "-o", str(target), "-q", "--threads", "1", "--metrics", "sd,nuclear_norm"])
    return code, said.getvalue().splitlines()


def check(checkpoint: Piece, target: Path, code: int, lines: list[str]) -> None:
    messages, hints = lines[::2], lines[1::2]
    assert all(line.startswith("spectra: ") for line in messages)
    assert all(line.startswith("  ") for line in hints)
    assert (code == 0) == (not lines)
    if not checkpoint.truth:
        assert code == 1
        return
    metadata = read_metadata(target)
    assert code == (3 if metadata["problems"] else 0)
    assert [line.removeprefix("spectra: ") for line in messages] == metadata["problems"]
    rows = read_rows(target, vectors=True).to_pandas()
    measured = set(rows["tensor"].astype(str))
    skipped = {name for name, _ in metadata["skipped"]}
    assert measured == checkpoint.truth.keys()
    assert measured | skipped == checkpoint.stored.keys()
    named = {name for name in checkpoint.stored if any(f": {name} is left out: " in text for text in messages)}
    assert checkpoint.lost <= named
    assert not named & measured
    for tensor in measured:
        own = rows[rows["tensor"] == tensor].set_index("metric")
        got = np.asarray(own["vector"]["sd"], np.float64) * own["value"]["nuclear_norm"]
        expected = np.linalg.svd(checkpoint.truth[tensor].numpy(), compute_uv=False)
        np.testing.assert_allclose(got, expected, atol=1e-5 * max(expected[0], 1e-30))


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("SPECTRA_FUZZ", "80")),
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(checkpoint=checkpoints(), saver=st.sampled_from(sorted(SAVERS)), described=st.booleans())
def test_nothing_that_looks_like_a_weight_is_left_out_in_silence(
    checkpoint: Piece, saver: str, described: bool
) -> None:
    codes = [name for name, tensor in checkpoint.stored.items() if tensor.dtype in LOW[:2] and name in checkpoint.lost]
    described = described or bool(codes)
    with tempfile.TemporaryDirectory() as top, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(top, "step1")
        folder.mkdir()
        SAVERS[saver](checkpoint.stored, folder)
        if described:
            (folder / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "any"}}))
        code, lines = scan(folder, Path(top, "table.parquet"))
        check(checkpoint, Path(top, "table.parquet"), code, lines)
