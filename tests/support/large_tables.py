"""Tables of the size of a real run, made from one matrix's rows of a small one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from spectra_cli.storage.table import read_metadata, row_groups, write_table

PARTS = ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.up", "mlp.down")


def write_large(path: Path, small: Path, *, checkpoints: int, matrices: int, ranks: int) -> Path:
    """Repeat one matrix's rows of a small table as many matrices at many steps, with spectra of real length."""
    group = next(row_groups(small)).to_pandas()
    rows = group[(group.matrix == "layers.0.attn.q")].drop(columns="vector")
    names = [f"layers.{place // 6}.{PARTS[place % 6]}" for place in range(matrices)]
    frame = pd.concat([rows.assign(matrix=name, role=name[-1], layer=at // 6) for at, name in enumerate(names)])
    random = np.random.default_rng(0)
    schema = next(row_groups(small)).schema
    spectrum = random.random(ranks)

    def parts() -> Iterator[pa.Table]:
        for index in range(checkpoints):
            vectors = [spectrum if metric == "sd" else None for metric in frame.metric]
            new = frame.assign(
                revision=f"step{index * 1000}", step=index * 1000, vector=vectors,
                value=frame.value * random.uniform(0.9, 1.1, len(frame)),
            )  # fmt: skip
            yield pa.Table.from_pandas(new[schema.names], schema, preserve_index=False)

    write_table(path, parts(), read_metadata(small))
    return path
