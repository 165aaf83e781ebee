"""Other forms of a table, for programs that read no Parquet or want a column for each metric. Streamed, and whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from spectra_cli.errors import SpectraError, printable
from spectra_cli.jobs.export_scalars import Opener, mlflow, tensorboard, wandb, write_scalars
from spectra_cli.storage.atomic import replace_file
from spectra_cli.storage.new_folder import check_output, new_folder, scratch_beside
from spectra_cli.storage.table import METADATA_KEY, WITHOUT_VECTORS, read_metadata, row_groups
from spectra_cli.storage.wide import plain_schema, whole_checkpoints, wide_schema, widened
from spectra_cli.studies.inputs.runs import metrics_in


@dataclass(frozen=True)
class Exported:
    """What was written. columns: their names. metadata_kept: whether the file says how the table was made."""

    output: Path
    form: str
    rows: int
    columns: tuple[str, ...]
    metadata_kept: bool


@dataclass(frozen=True)
class Material:
    """What is to be written. facts: how the table was made. parts: of `schema`, read as they are asked for."""

    schema: pa.Schema
    facts: dict[str, Any]
    parts: Iterator[pa.Table]


@dataclass(frozen=True)
class Form:
    """A form that `-o` chooses by its ending. write: returns the number of rows. long: it has no wide form."""

    ending: str
    what: str
    write: Callable[[Path, Material], int]
    keeps_metadata: bool = True
    long: bool = False


def export_table(table: str | Path, output: str | Path, *, long: bool = False) -> Exported:
    """Write another form of a table: a row for each matrix of a checkpoint, a column for each metric.

    table: a file that `scan` or `diff` wrote. output: a .parquet, .csv or .duckdb file; a folder .tensorboard, .wandb
    or .mlflow of means over the matrices of a role; or a folder, with a slash at its end, that the `datasets` library
    loads. long: a row for each metric, as in the table, instead. Spectra (`sd`) are left out. One checkpoint is in
    memory at a time. Raises SpectraError where the table cannot be read, or where the output cannot be written.

    >>> import spectra_cli
    >>> spectra_cli.export("run.parquet", "wide.csv").rows
    84
    """
    form, target = _form(str(output)), Path(output)
    if target.exists() and Path(table).exists() and target.samefile(table):
        raise SpectraError(f"{printable(target, 400)} is the table itself", hint="give another name to -o", code=2)
    metrics, long = metrics_in(table), long or form.long
    schema = plain_schema(WITHOUT_VECTORS) if long else wide_schema(metrics)

    def parts() -> Iterator[pa.Table]:
        for rows in whole_checkpoints(row_groups(table, WITHOUT_VECTORS), table):
            yield rows.cast(schema) if long else widened(rows, metrics, schema, table)

    rows = form.write(target, Material(schema, read_metadata(table), parts()))
    return Exported(target, form.what, rows, tuple(schema.names), form.keeps_metadata)


def _form(output: str) -> Form:
    for form in FORMS:
        if output.endswith(form.ending) and Path(output).name not in ("", form.ending):
            return form
    endings = ", ".join(form.ending for form in FORMS)
    raise SpectraError(
        f"{printable(output, 400)} does not say by its ending which form is wanted",
        hint=f"end -o with one of {endings}",
        code=2,
    )


def _parquet(output: Path, material: Material) -> int:
    return replace_file(output, lambda file: _write_parquet(file, material))


def _write_parquet(file: IO[bytes], material: Material) -> int:
    count = 0
    facts = {METADATA_KEY: json.dumps(material.facts, sort_keys=True)}
    with pq.ParquetWriter(file, material.schema.with_metadata(facts), compression="zstd") as writer:
        for part in material.parts:
            writer.write_table(part)
            count += len(part)
    return count


def _csv(output: Path, material: Material) -> int:
    def write(file: IO[bytes]) -> int:
        count = 0
        with pyarrow.csv.CSVWriter(file, material.schema) as writer:
            for part in material.parts:
                writer.write_table(part)
                count += len(part)
        return count

    return replace_file(output, write)


def _duckdb(output: Path, material: Material) -> int:
    """Write a table `spectra` and a table `metadata` of one text, named so, into a database of their own."""
    try:
        import duckdb
    except ImportError:
        raise SpectraError("DuckDB is not installed, which writes such files", hint="pip install duckdb") from None
    batches = (batch for part in material.parts for batch in part.to_batches())
    reader = pa.RecordBatchReader.from_batches(material.schema, batches)
    with scratch_beside(output, "export") as inside:
        inside.mkdir()
        with duckdb.connect(inside / "new.duckdb") as database:
            database.register("stream", reader)
            database.execute("CREATE TABLE spectra AS SELECT * FROM stream")
            database.execute("CREATE TABLE metadata AS SELECT ? AS spectra", [json.dumps(material.facts)])
            (count,) = database.execute("SELECT count(*) FROM spectra").fetchall()[0]
        with open(inside / "new.duckdb", "rb") as source:
            replace_file(output, lambda file: _copy(source, file))
    return int(count)


def _copy(source: IO[bytes], file: IO[bytes]) -> int:
    shutil.copyfileobj(source, file)
    return file.tell()


def _tracked(opened: Opener, output: Path, material: Material) -> int:
    check_output(output)
    with new_folder(output) as folder, opened(folder) as tracker:
        return write_scalars(material.parts, tracker)


def _dataset(output: Path, material: Material) -> int:
    check_output(output)
    with new_folder(output) as folder:
        (folder / "data").mkdir()
        with open(folder / "data" / "train.parquet", "xb") as file:
            count = _write_parquet(file, material)
        (folder / "README.md").write_text(_card(material, count), encoding="utf-8")
    return count


def _card(material: Material, count: int) -> str:
    """Return the card of a dataset: how it is loaded, and what its numbers are of."""
    names = ("source", "model", "tool", "reference", "device", "precision")
    facts = [f"- {name}: {_text(material.facts[name])}" for name in names if material.facts.get(name) is not None]
    columns = ", ".join(map(_text, material.schema.names))
    return "\n".join(
        [
            "---", "configs:", "- config_name: default", "  data_files: data/train.parquet", "tags: [spectra]", "---",
            "", "# Singular value spectra of weights", "", f"{count:,} rows. Columns: {columns}.", "",
            "Definitions: `spectra metrics`. The key `spectra` of the file's metadata says how the numbers were made:",
            "", *facts, "",
        ]
    )  # fmt: skip


def _text(value: object) -> str:
    """Return a name from a file as one line of Markdown without any mark of it."""
    plain = printable(json.dumps(value) if isinstance(value, dict | list) else value, 400)
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|!" else sign for sign in plain)


FORMS = (
    Form(".parquet", "Parquet", _parquet),
    Form(".csv", "CSV", _csv, keeps_metadata=False),
    Form(".duckdb", "a DuckDB database", _duckdb),
    *(
        Form(ending, f"a folder for {name}", partial(_tracked, opened), keeps_metadata=False, long=True)
        for ending, name, opened in (
            (".tensorboard", "TensorBoard", tensorboard),
            (".wandb", "Weights & Biases", wandb),
            (".mlflow", "MLflow", mlflow),
        )
    ),
    Form("/", "a folder for datasets", _dataset),
)
