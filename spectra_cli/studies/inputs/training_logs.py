"""Reads what a training run logged: step, loss, learning rate. Knows the usual files and names, and judges nothing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectra_cli.errors import SpectraError

# What a column may be called, best name first, once it is lower case with `_` for every other sign.
NAMES: Mapping[str, tuple[str, ...]] = {
    "step": ("step", "steps", "global_step", "iteration", "iter", "iter_num", "iters", "it", "train_step", "n_iter"),
    "val_loss": (
        "val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "dev_loss", "test_loss",
        "lm_loss_validation",
    ),
    "train_loss": ("train_loss", "training_loss", "loss_train", "loss", "lm_loss", "ce_loss"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate", "lr_group0"),
}  # fmt: skip
LARGEST = 500_000_000  # bytes; a line for each of 2 million steps has 300 MB
LARGEST_NUMBER = (
    1e100  # what is larger, or smaller than its inverse, is no number that a run logs, and overflows in sums
)
COLUMNS_HINT = "name them with --loss-columns step=…,loss=…,lr=…"


@dataclass(frozen=True, eq=False)
class Losses:
    """What one run logged, in the order of its steps.

    frame: one line a step, with the columns step (int64), loss (the validation loss where there is one, else the
    training loss), train_loss, val_loss and lr (float64, NaN where nothing was logged). kind: `validation` or
    `training`, what `loss` is. names: what each column is called in the file.
    """

    path: Path
    frame: pd.DataFrame
    kind: str
    names: Mapping[str, str]

    @property
    def has_rate(self) -> bool:
        """Whether the learning rate was logged."""
        return bool(self.frame["lr"].notna().any())


def read_losses(path: str | Path, columns: Mapping[str, str] | None = None) -> Losses:
    """Read a log of losses: JSONL, CSV or TSV, Parquet, or the `trainer_state.json` of transformers.

    columns: the file's names for step, loss, train_loss, val_loss, lr, where NAMES does not know them; `loss` is the
    one to be judged. Lines of one step are joined, the later one counting, as after a restart. Raises SpectraError
    where the file cannot be read, has no step or no loss, or holds text where a number belongs.
    """
    path = Path(path)
    given = dict(columns or {})
    table = _read(path)
    names = _names(path, [str(name) for name in table.columns], given)
    logged = pd.DataFrame({role: _numbers(path, table, name) for role, name in names.items()})
    logged = logged[np.isfinite(logged["step"])]
    joined = logged.groupby(logged["step"].astype(np.int64), sort=True).last()  # the last value that was logged
    frame = joined.drop(columns="step").reindex(columns=["loss", "train_loss", "val_loss", "lr"]).reset_index()
    validated = bool(frame["val_loss"].notna().any())
    if frame["loss"].isna().all():
        frame["loss"] = frame["val_loss"] if validated else frame["train_loss"]
    frame = frame.astype({"step": np.int64, "loss": float, "train_loss": float, "val_loss": float, "lr": float})
    if frame["loss"].isna().all():
        raise SpectraError(f"{path} holds no loss that is a number", hint=COLUMNS_HINT)
    return Losses(path, frame, _kind(names, validated), names)


def _kind(names: Mapping[str, str], validated: bool) -> str:
    if "loss" in names:
        return "validation" if _plain(names["loss"]) in NAMES["val_loss"] else "training"
    return "validation" if validated else "training"


def _names(path: Path, columns: list[str], given: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in given.values() if name not in columns]
    if missing:
        raise SpectraError(f"{path} has no column '{missing[0]}'", hint=f"it has {_few(columns)}")
    plain = {_plain(name): name for name in reversed(columns)}
    known = {role: [plain[name] for name in names if name in plain] for role, names in NAMES.items()}
    chosen = {role: names[0] for role, names in known.items() if names} | dict(given)
    if "step" not in chosen:
        raise SpectraError(f"{path} has no column of steps; it has {_few(columns)}", hint=COLUMNS_HINT)
    if not {"loss", "train_loss", "val_loss"} & set(chosen):
        raise SpectraError(f"{path} has no column of losses; it has {_few(columns)}", hint=COLUMNS_HINT)
    return chosen


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _few(columns: list[str]) -> str:
    return ", ".join(columns[:8]) + (f" and {len(columns) - 8} more" if len(columns) > 8 else "") or "none"


def _numbers(path: Path, table: pd.DataFrame, name: str) -> pd.Series:
    try:
        values = pd.to_numeric(table[name].replace("", None)).astype(float)
    except (ValueError, TypeError, OverflowError):
        raise SpectraError(
            f"{path} holds something else than numbers in its column '{name}'", hint=COLUMNS_HINT
        ) from None
    size = values.abs()
    return values.where((size < LARGEST_NUMBER) & ((size > 1 / LARGEST_NUMBER) | (size == 0)))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        what = "is not there" if not path.exists() else "is no file"
        raise SpectraError(f"{path} {what}", hint="give the file in which the run logged its losses")
    if path.stat().st_size > LARGEST:
        raise SpectraError(f"{path} has more than {LARGEST:,} bytes", hint="cut it to the columns of --loss-columns")
    try:
        table = _reader(path)(path)
    except (ValueError, OSError, csv.Error, RecursionError) as error:
        line = getattr(error, "line", None)
        where = f" (line {line})" if line else ""
        raise SpectraError(
            f"{path} cannot be read as a log of losses{where}",
            hint="known are JSONL, CSV, TSV, Parquet and the trainer_state.json of transformers",
        ) from None
    if table.empty:
        raise SpectraError(f"{path} logs nothing", hint="give the file in which the run logged its losses")
    table.columns = pd.Index([str(name) for name in table.columns])  # numbers and pairs, as pandas lets them be
    return table.loc[:, ~table.columns.duplicated()]


def _reader(path: Path) -> Callable[[Path], pd.DataFrame]:
    with open(path, "rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"PAR1"):
        return _read_parquet
    return _read_json if start[:1] in (b"{", b"[") else _read_csv


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.DataFrame(pd.read_parquet(path))


def _read_csv(path: Path) -> pd.DataFrame:
    with open(path, encoding="utf-8-sig") as file:
        head = file.readline()
    separator = max("\t;,", key=head.count)
    return pd.read_csv(path, sep=separator, encoding="utf-8-sig")


def _read_json(path: Path) -> pd.DataFrame:
    text = path.read_text(encoding="utf-8-sig")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return pd.DataFrame(_lines(text))
    if isinstance(whole, dict):  # the file of a transformers Trainer, or a log of one line
        whole = whole.get("log_history", [whole])
    if not isinstance(whole, list) or not all(isinstance(entry, dict) for entry in whole):
        raise ValueError
    return pd.DataFrame(whole)


class _BadLine(ValueError):
    """A line that is not a JSON object, with its number."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def _lines(text: str) -> list[dict[str, Any]]:
    """Read one object a line; a last line that was cut short, as by a kill, is left out."""
    lines = [(index, line) for index, line in enumerate(text.splitlines(), 1) if line.strip()]
    entries: list[dict[str, Any]] = []
    for index, line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            if index == lines[-1][0] and entries and not text.endswith("\n"):
                break
            raise _BadLine(index) from None
        if not isinstance(entry, dict):
            raise _BadLine(index)
        entries.append(entry)
    return entries
