"""Says what the Lifecycle study costs on a dense trajectory, and which reader takes its rows from the table fastest.

`python benchmarks/dense.py` makes up a table of 1,000 checkpoints of 300 matrices with every default metric and 64
singular values each (--checkpoints and --layers, of six matrices, change that), and prints, for each contender in
a process of its own, in turn: median seconds with their range, and peak memory. Readers give the study's rows as a
pandas frame; those of other libraries take part where they are installed: pip install polars duckdb.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

ROLES = ("q", "k", "v", "o", "up", "down")
EVERY = 25  # steps between checkpoints
RANKS = 64
METRICS = ("stable_rank", "entropy", "alpha")
COLUMNS = (
    "model",
    "revision",
    "stage",
    "step",
    "tokens",
    "matrix",
    "role",
    "layer",
    "expert",
    "rows",
    "cols",
    "metric",
    "value",
)


def write(path: Path, checkpoints: int, layers: int) -> int:
    """Write the table: three series that the study reads, noise for all other metrics. Gives the rows."""
    from spectra_cli.metrics import METRICS as ALL
    from spectra_cli.storage.table import write_table

    names = [metric.name for metric in ALL if metric.default]
    return write_table(path, _parts(checkpoints, layers, names), {"tool": "spectra", "source": "made up"})


def _parts(checkpoints: int, layers: int, names: list[str]) -> Iterator[pa.Table]:
    from spectra_cli.storage.schema import SCHEMA

    random = np.random.default_rng(0)
    matrices = layers * len(ROLES)
    of = np.repeat(np.arange(matrices), len(names))
    layer, role = of // len(ROLES), of % len(ROLES)
    metric = np.tile(np.arange(len(names)), matrices)
    spectrum = np.sort(random.random(RANKS).astype(np.float32))[::-1]
    is_sd = metric == names.index("sd")

    def told(values: np.ndarray, words: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), pa.array(words, pa.string()))

    zero = np.zeros(len(of), np.int64)
    ends = np.concatenate(([0], np.cumsum(np.where(is_sd, RANKS, 0)))).astype(np.int32)
    vectors = pa.ListArray.from_arrays(
        pa.array(ends), pa.array(np.tile(spectrum, matrices), pa.float32()), mask=pa.array(~is_sd)
    )
    for order in range(checkpoints):
        step = order * EVERY
        values = random.random(len(of))
        lost = 0.8 / (1 + np.exp(-(np.log1p(step) - np.log(2000) - 0.02 * layer) * 3))
        for name, series in (
            ("stable_rank", 40 * (1 - lost)),
            ("entropy", 5 - lost + 0.2 * layer / layers),
            ("alpha", 0.5 - 0.3 * np.exp(-step / 4000) - 0.4 * (layer / layers - 0.6) ** 2),
        ):
            here = metric == names.index(name)
            values[here] = (series * (1 + 0.01 * random.standard_normal(len(of))))[here]
        columns = [
            told(zero, ["m"]), told(zero, [f"step{step}"]), pa.nulls(len(of), SCHEMA.field("stage").type),
            pa.array(zero + step), pa.nulls(len(of), pa.int64()),
            told(of, [f"layers.{at // len(ROLES)}.{ROLES[at % len(ROLES)]}" for at in range(matrices)]),
            told(role, list(ROLES)), told(of, [f"tensor.{at}.weight" for at in range(matrices)]),
            pa.array(layer, pa.int32()), pa.nulls(len(of), pa.int32()),
            pa.array(zero + 64, pa.int32()), pa.array(zero + 64, pa.int32()), told(metric, names),
            pa.array(values, mask=is_sd), vectors,
        ]  # fmt: skip
        yield pa.Table.from_arrays(columns, schema=SCHEMA)


def study(table: str) -> int:
    from spectra_cli.studies.lifecycle import compare_lifecycles

    return len(compare_lifecycles([table], None, "alpha").runs[0].steps)


def read_here(table: str) -> int:
    from spectra_cli.storage.table import read_rows

    return len(read_rows(table, metrics=METRICS, columns=COLUMNS).to_pandas())


def read_polars(table: str) -> int:
    import polars

    rows = polars.scan_parquet(table).filter(polars.col("metric").cast(polars.String).is_in(METRICS)).select(COLUMNS)
    return len(rows.collect().to_pandas())


def read_duckdb(table: str) -> int:
    import duckdb

    wanted = ", ".join(f"'{name}'" for name in METRICS)
    chosen = f"SELECT {', '.join(COLUMNS)} FROM '{table}' WHERE metric IN ({wanted})"
    return len(duckdb.connect().execute(chosen).df())


CONTENDERS = {
    "the study": (study, None),
    "read_table": (read_here, None),
    "polars": (read_polars, "polars"),
    "duckdb": (read_duckdb, "duckdb"),
}


def once(name: str, table: str) -> None:
    """Run one contender in this process, and print seconds, after its imports were made, and peak memory in MB."""
    import resource
    import time

    work = CONTENDERS[name][0]
    with tempfile.TemporaryDirectory() as place:  # imports are not what is measured
        small = Path(place) / "small.parquet"
        write(small, 8, 5)
        work(str(small))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    work(table)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([seconds, peak / 1024, before / 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        once(*asked.once)
        return
    there = [name for name, (_, needs) in CONTENDERS.items() if needs is None or importlib.util.find_spec(needs)]
    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "dense.parquet"
        rows = write(table, asked.checkpoints, asked.layers)
        matrices = asked.layers * len(ROLES)
        print(
            f"{asked.checkpoints} checkpoints × {matrices} matrices: {rows:,} rows, {table.stat().st_size / 1e6:.0f} MB"
        )
        found: dict[str, list[list[float]]] = {name: [] for name in there}
        for _ in range(asked.rounds):
            for name in there:
                command = [sys.executable, __file__, "--once", name, str(table)]
                found[name].append(
                    json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                )
        print(f"{'':<12} {'seconds':<26} {'peak MB':>8} {'of it, imports':>15}")
        for name, runs in found.items():
            seconds, peaks, before = zip(*runs, strict=True)
            spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} … {max(seconds):.2f})"
            print(f"{name:<12} {spread:<26} {max(peaks):8.0f} {max(before):15.0f}")


if __name__ == "__main__":
    main()
