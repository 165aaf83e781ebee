"""Prints what two large scans would take: computed from the counts of operations and bytes, nothing of it measured.

`python benchmarks/plans.py` prints the tables of docs/scaling.md, stage by stage, by the rates that `spectra inspect
--workers` assumes; `inspect` itself does so for a source of yours. The rest below are assumptions about a GPU's share
of the storage; put your own in their place.
"""

from __future__ import annotations

from dataclasses import dataclass

from spectra_cli.jobs.pricing import GPU_EIGENVALUES, GPU_PRODUCTS
from spectra_cli.measure.open_checkpoint import MOST_OPEN

GRAM, EIGEN = 2e9 * GPU_PRODUCTS, 1e9 * GPU_EIGENVALUES  # float64 operations per second, both triangles counted
READING = 1e9  # bytes per second that one GPU's job gets from shared storage
HOST = 20e9  # bytes per second from the machine's memory to the GPU
PRICE = 2.5  # dollars for one GPU for an hour


@dataclass(frozen=True)
class Scan:
    """A model's matrices as (how many, rows, cols), how many checkpoints of it, and on how many GPUs."""

    name: str
    matrices: tuple[tuple[int, int, int], ...]
    checkpoints: int
    gpus: int


PLANS = (
    Scan(
        "pythia-12b, all 154 revisions",
        ((4 * 36, 5120, 5120), (2 * 36, 5120, 20480), (2, 50688, 5120)),
        154,
        8,
    ),
    Scan(
        "a 70 B model, 1,000 checkpoints",
        ((2 * 80, 8192, 8192), (2 * 80, 1024, 8192), (3 * 80, 8192, 28672), (2, 128256, 8192)),
        1000,
        64,
    ),
)


def lines(scan: Scan) -> list[tuple[str, str, float]]:
    """Give stage, amount for one checkpoint, and seconds of one GPU for one checkpoint."""
    sides = [(count, min(rows, cols), max(rows, cols)) for count, rows, cols in scan.matrices]
    products = sum(count * 2 * long * short**2 for count, short, long in sides)
    eigen = sum(count * 4 / 3 * short**3 for count, short, _ in sides)
    compared = sum(count * 2 * 5 * long * short for count, short, long in sides)
    nbytes = sum(2 * count * short * long for count, short, long in sides)
    return [
        ("read from storage, three times", f"{MOST_OPEN * nbytes / 1e9:,.0f} GB", MOST_OPEN * nbytes / READING),
        ("to the GPU", f"{MOST_OPEN * nbytes / 1e9:,.0f} GB", MOST_OPEN * nbytes / HOST),
        ("Gram matrices, float64", f"{products / 1e12:,.0f} TFLOP", products / GRAM),
        ("their eigenvalues", f"{eigen / 1e12:,.0f} TFLOP", eigen / EIGEN),
        ("inner products and distances", f"{compared / 1e12:,.1f} TFLOP", compared / GRAM),
    ]


def main() -> None:
    for scan in PLANS:
        found = lines(scan)
        whole = sum(seconds for *_, seconds in found)
        hours = whole * scan.checkpoints / 3600
        print(f"\n{scan.name}, {scan.gpus} GPUs\n")
        print("| stage | one checkpoint | one GPU, one checkpoint | all checkpoints, all GPUs |\n|---|---|---|---|")
        for stage, amount, seconds in found:
            print(f"| {stage} | {amount} | {seconds:,.0f} s | {seconds * scan.checkpoints / scan.gpus / 3600:,.1f} h |")
        print(f"| sum, nothing overlapped | | {whole:,.0f} s | {hours / scan.gpus:,.1f} h |")
        print(f"\n{hours:,.0f} GPU hours, {PRICE * hours:,.0f} dollars at {PRICE} an hour")


if __name__ == "__main__":
    main()
