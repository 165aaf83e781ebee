"""The columns of a table, and the one check that every table passes before anything reads it, whoever wrote it.

A table that went through pandas, Polars or DuckDB has texts for categories, floating numbers for integers with nulls,
and no vectors: it is brought back into form. What cannot be is damage, and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spectra_cli.errors import SpectraError, printable

CATEGORY = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("model", CATEGORY),
        pa.field("revision", CATEGORY),
        pa.field("stage", CATEGORY),
        pa.field("step", pa.int64()),
        pa.field("tokens", pa.int64()),
        pa.field("matrix", CATEGORY),
        pa.field("role", CATEGORY),
        pa.field("tensor", CATEGORY),
        pa.field("layer", pa.int32()),
        pa.field("expert", pa.int32()),
        pa.field("rows", pa.int32()),
        pa.field("cols", pa.int32()),
        pa.field("metric", CATEGORY),
        pa.field("value", pa.float64()),
        pa.field("vector", pa.list_(pa.float32())),
    ]
)
NEVER_NULL = frozenset({"model", "revision", "matrix", "role", "rows", "cols", "metric"})
NEEDED = NEVER_NULL | {"step", "layer", "value"}  # without the others a table can still be studied
SMALLEST = {"layer": 0, "expert": 0, "rows": 1, "cols": 1}
LONGEST_TEXT = 4096
DAMAGED = "take the file from where it came, or scan again"


def missing_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that a table lacks, or has twice, without which it is none.

    >>> missing_columns(["model", "revision", "step", "matrix", "role", "layer", "rows", "cols", "metric"])
    ['value']
    """
    return [name for name in SCHEMA.names if names.count(name) > 1 or (name in NEEDED and name not in names)]


def normalised(table: pa.Table, wanted: Sequence[str], where: object) -> pa.Table:
    """Return the wanted columns of a table, or part of one, in the types of SCHEMA, with what they hold checked.

    A column that is not there is null. where: the file, as errors name it. Raises SpectraError where a column holds
    something else than what it is for.
    """
    try:
        table.validate(full=True)
        fields = [SCHEMA.field(name) for name in wanted]
        columns = [_column(table, field, where) for field in fields]
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise_refusal(error)
        raise SpectraError(f"the rows of {printable(where, 400)} are damaged", hint=DAMAGED) from None
    for field, column in zip(fields, columns, strict=True):
        _check(field.name, column, where)
    return pa.table(columns, schema=pa.schema(fields))


def _column(table: pa.Table, field: pa.Field, where: object) -> pa.ChunkedArray:
    """Return a column in the type of its field."""
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column, kind = table[field.name], table[field.name].type
    if kind == field.type:
        return column
    for_text = field.type == CATEGORY
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    if not (_is_text(kind) if for_text else _fits(kind, field.type)):
        raise _wrong(field, kind, where)
    try:
        if for_text:
            return column.cast(pa.string()).dictionary_encode()
        if pa.types.is_integer(field.type) and pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        return column.cast(field.type)
    except pa.ArrowException as error:  # a fraction for an integer, or a number beyond its range
        raise_refusal(error)
        raise _wrong(field, kind, where) from None


def raise_refusal(error: Exception) -> None:
    """Raise what Arrow says where it had no memory, or no thread: that is no damage."""
    if isinstance(error, MemoryError) or "launch worker thread" in str(error):
        raise error


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether numbers of a type can be those of a column; of a list, whether its items can."""
    if pa.types.is_list(wanted):
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        return any(is_kind(kind) for is_kind in lists) and bool(pa.types.is_floating(kind.value_type))
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _wrong(field: pa.Field, kind: pa.DataType, where: object) -> SpectraError:
    what = "names" if field.type == CATEGORY else "spectra" if field.name == "vector" else "such numbers"
    text = f"{printable(where, 400)} holds {printable(kind, 60)} in its column {field.name}, which is for {what}"
    return SpectraError(text, hint=f"write it with the type {field.type}, or scan again")


def _check(name: str, column: pa.ChunkedArray, where: object) -> None:
    """Check what a column holds: nulls, texts of any length, numbers that no matrix has."""
    why = ""
    if name in NEVER_NULL and column.null_count:
        why = "it is empty in a row"
    elif column.type == CATEGORY:
        longest = pc.max(pc.binary_length(column.cast(pa.string()).unique())).as_py() or 0
        why = f"a name has {longest:,} bytes" if longest > LONGEST_TEXT else ""
    elif name in SMALLEST:
        low = pc.min(column).as_py()
        why = f"it says {low:,}" if low is not None and low < SMALLEST[name] else ""
    if why:
        raise SpectraError(f"{printable(where, 400)} has no sound column {name}: {why}", hint=DAMAGED)


def _texts(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, list) and len(item) == 2 and all(map(_texts, item)) for item in value
    )


def _names(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_texts, value.values()))


def _checkpoints(value: Any) -> bool:
    kinds = ((str,), (str, type(None)), (int, type(None)), (int, type(None)))
    return isinstance(value, list) and all(
        isinstance(line, list) and len(line) == 4 and all(map(isinstance, line, kinds)) for line in value
    )


def _groups(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(group, dict) and type(group.get("rows")) is int and isinstance(group.get("sha256"), str)
        for group in value
    )


# What the metadata say, of those entries that anything reads: each must be of its form.
FORMS: Mapping[str, Callable[[Any], bool]] = {
    "model": lambda value: value is None or _texts(value),
    "source": lambda value: _texts(value) or (isinstance(value, list) and all(map(_texts, value))),
    "reference": lambda value: value is None or _texts(value),
    "device": _texts,
    "precision": _texts,
    "packages": _names,
    "duplicates": _names,
    "options": lambda value: isinstance(value, dict),
    "skipped": _pairs,
    "unread": _pairs,
    "problems": lambda value: isinstance(value, list),
    "checkpoints": _checkpoints,
    "row_groups": _groups,
}


def check_metadata(facts: Any, where: object) -> dict[str, Any]:
    """Return what a table says of itself. Raises SpectraError where that is not what a scan writes."""
    wrong = "they are not" if not isinstance(facts, dict) else next(
        (f"`{name}` is not" for name, is_sound in FORMS.items() if name in facts and not is_sound(facts[name])), ""
    )  # fmt: skip
    if wrong:
        raise SpectraError(
            f"the metadata of {printable(where, 400)} are damaged: {wrong} what a scan writes", hint=DAMAGED
        )
    return dict(facts)
