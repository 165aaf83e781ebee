"""Prints what two large scans would take, as `spectra inspect` prices them: nothing of them is run.

    python benchmarks/plans.py

It writes headers and sizes of one checkpoint each, no numbers, and asks for so many like it, on machines of so many
processors, GPUs and bytes a second. The GPUs' rates are assumed unless there is one here; what processors do is tried
on this machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from spectra_cli.jobs.inspect import Inspection, inspect_source
from spectra_cli.jobs.pricing import ON_GPU

PRICE = 2.5  # dollars for one GPU for an hour
PROCESSORS, GPUS = 64, 8  # of a machine

Shapes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Scan:
    """A model: its configuration, tensors outside and inside its layers; how many checkpoints, on how many machines.

    bandwidth: what a machine reads in a second.
    """

    name: str
    config: dict[str, object]
    outside: Shapes
    layer: Shapes
    layers: int
    checkpoints: int
    machines: int
    bandwidth: str


PLANS = (
    Scan(
        "pythia-12b, all 154 revisions",
        {"model_type": "gpt_neox", "hidden_size": 5120, "num_attention_heads": 40},
        {"gpt_neox.embed_in.weight": (50688, 5120), "embed_out.weight": (50688, 5120)},
        {
            "gpt_neox.layers.{}.attention.query_key_value.weight": (15360, 5120),
            "gpt_neox.layers.{}.attention.dense.weight": (5120, 5120),
            "gpt_neox.layers.{}.mlp.dense_h_to_4h.weight": (20480, 5120),
            "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight": (5120, 20480),
        },
        layers=36,
        checkpoints=154,
        machines=1,
        bandwidth="1GB",
    ),
    Scan(
        "a 70 B model, 1,000 checkpoints",
        {"model_type": "llama", "hidden_size": 8192, "num_attention_heads": 64, "num_key_value_heads": 8},
        {"model.embed_tokens.weight": (128256, 8192), "lm_head.weight": (128256, 8192)},
        {
            "model.layers.{}.self_attn.q_proj.weight": (8192, 8192),
            "model.layers.{}.self_attn.k_proj.weight": (1024, 8192),
            "model.layers.{}.self_attn.v_proj.weight": (1024, 8192),
            "model.layers.{}.self_attn.o_proj.weight": (8192, 8192),
            "model.layers.{}.mlp.gate_proj.weight": (28672, 8192),
            "model.layers.{}.mlp.up_proj.weight": (28672, 8192),
            "model.layers.{}.mlp.down_proj.weight": (8192, 28672),
        },
        layers=80,
        checkpoints=1000,
        machines=8,
        bandwidth="8GB",
    ),
)


def tensors(scan: Scan) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield every tensor of a model."""
    yield from scan.outside.items()
    for layer in range(scan.layers):
        yield from ((name.format(layer), shape) for name, shape in scan.layer.items())


def write_headers(scan: Scan, folder: Path) -> Path:
    """Write a checkpoint in fp16 whose file has a header, its full size, and no data on the disk."""
    header, end = {}, 0
    for name, shape in tensors(scan):
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(scan.config))
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return folder


def table(scan: Scan, priced: Inspection) -> Iterator[str]:
    """Yield the lines of a plan's table."""
    assert priced.elsewhere is not None
    work, cost = priced.work, priced.elsewhere.cost
    machines, share = scan.machines, priced.work.checkpoints / scan.machines
    rest = f"{sum(seconds for step, seconds in work.steps.items() if step not in ON_GPU) / 3600:,.0f} h of one"
    stages = (
        ("read from storage", f"{work.reads * work.nbytes / 1e12:,.1f} TB", cost.reading),
        ("Gram matrices, float64, on GPUs", f"{work.products / 1e6:,.1f} PFLOP", cost.products),
        ("their eigenvalues, on GPUs", f"{work.eigenvalues / 1e6:,.1f} PFLOP", cost.eigenvalues),
        ("everything else, on processors", rest, cost.processors),
    )
    yield f"{scan.name}: {machines} × ({PROCESSORS} processors, {GPUS} GPUs, {scan.bandwidth} a second)\n"
    yield "| stage | in all | one checkpoint, one machine | all, on all machines |\n|---|---|---|---|"
    for stage, amount, seconds in stages:
        yield f"| {stage} | {amount} | {seconds / share:,.0f} s | {seconds / 3600:,.1f} h |"
    hours = cost.seconds / 3600
    yield f"| the longest, as they go side by side | | {cost.seconds / share:,.0f} s | {hours:,.1f} h |"
    gpu_hours = hours * machines * GPUS
    yield f"\n{gpu_hours:,.0f} GPU hours, {PRICE * gpu_hours:,.0f} dollars at {PRICE} an hour\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        for number, scan in enumerate(PLANS):
            priced = inspect_source(
                write_headers(scan, Path(place) / str(number)),
                checkpoints=scan.checkpoints,
                workers=scan.machines,
                processors_per_worker=PROCESSORS,
                gpus_per_worker=GPUS,
                bandwidth=scan.bandwidth,
            )
            print("\n".join(table(scan, priced)))


if __name__ == "__main__":
    main()
