"""Tiny models that train for a few steps, with their checkpoints saved beside, for tests of the monitor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectra_cli.storage.table import read_rows

ROW = ["step", "matrix", "metric"]
SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 61,
    "max_position_embeddings": 16,
}  # fmt: skip


def neox(dtype: torch.dtype = torch.float32) -> Any:
    """Make a GPT-NeoX, whose q, k and v are one tensor."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)).to(dtype)


def tied_llama(dtype: torch.dtype = torch.float32) -> Any:
    """Make a Llama whose unembedding is its embedding, with fewer heads for k and v."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)).to(dtype)


def lightning_model() -> Any:
    """Make Lightning's module around a GPT-NeoX, as both of its tests train it."""
    import lightning

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = neox()

        def training_step(self, batch: Any, _: int) -> Any:
            return self.model(**batch).loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    return Model()


def train(model: Any, steps: int, after: Callable[[int], None]) -> None:
    """Train on random tokens, the same each time; after: called with 0 before the first step, and after each."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    after(0)
    for step in range(1, steps + 1):
        tokens = torch.randint(0, SIZES["vocab_size"], (2, 8), generator=generator)
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        after(step)


def rows_of(path: Path) -> pd.DataFrame:
    """Return a table's rows but for those that compare with the last checkpoint, in order, names as texts."""
    frame = read_rows(path, vectors=True).to_pandas()
    frame = frame[~frame["metric"].astype(str).str.endswith("_final")]
    texts = {name: frame[name].astype(object) for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    return frame.assign(**texts).sort_values(ROW).reset_index(drop=True)


def differing(first: pd.DataFrame, second: pd.DataFrame, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return the columns in which two tables differ in any bit; the revision's name is compared unless `but` has it."""
    if len(first) != len(second):
        return [f"{len(first)} rows, {len(second)} rows"]
    return [name for name in first if name not in but and not _same(name, first[name], second[name])]


def _same(name: str, first: pd.Series, second: pd.Series) -> bool:
    if name == "value":
        return first.to_numpy().tobytes() == second.to_numpy().tobytes()
    if name == "vector":
        pairs = zip(first, second, strict=True)
        return all((a is None) == (b is None) and (a is None or np.array_equal(a, b, equal_nan=True)) for a, b in pairs)
    return first.equals(second)
