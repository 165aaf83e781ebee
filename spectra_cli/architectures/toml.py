"""Records as TOML: what a user writes for `--arch FILE.toml`, and what `inspect` prints to start from."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from spectra_cli.architectures.families import ARCHITECTURES
from spectra_cli.architectures.matching import once_each
from spectra_cli.architectures.record import Architecture, Rule, Split
from spectra_cli.budget import bounded, check_clock, spend
from spectra_cli.errors import SpectraError, printable

Value = TypeVar("Value")

LONGEST = 1_000_000  # signs; the largest record of this package has 3,000
START_FROM = "spectra inspect prints a record to start from"

KEYS = {"name", "model_types", "layers", "tied", "dimensions", "in_layer", "outside", "signs"}
CONDITIONS = [[str, kind] for kind in (str, int, bool)]
RULE_KEYS = {"stored", "becomes", "split", "view", "parts", "whole", "reshape", "swapped", "transposed", "when"}


def load(name_or_path: str | Path) -> Architecture:
    """Return the record for `--arch`: one of this package's by its name, or one that a TOML file holds.

    Raises SpectraError, naming the file and the key, where the file is not such a record.

    >>> load("phi3").model_types
    ('phi3',)
    """
    for record in ARCHITECTURES:
        if record.name == str(name_or_path):
            return record
    path = Path(name_or_path)
    try:
        if not path.is_file() and path.exists():
            raise SpectraError(f"{path} is no file", hint="give a TOML file to --arch")
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
        return from_toml(text, source=str(path))
    except FileNotFoundError as problem:
        raise SpectraError(
            f"{path} is neither a file nor the name of an architecture",
            hint=f"the names are {', '.join(record.name for record in ARCHITECTURES)}",
        ) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise SpectraError(f"{path} cannot be read as text", hint="give a TOML file to --arch") from problem


def from_toml(text: str, *, source: str = "the record") -> Architecture:
    """Return the record in a TOML text; source: the file's name, for errors.

    >>> from_toml(to_toml(load("gpt2"))) == load("gpt2")
    True
    """
    if len(text) > LONGEST:
        raise SpectraError(f"{source} has more than {LONGEST:,} signs", hint=START_FROM)
    try:
        with bounded(source):
            spend(len(text) * 100)
            data = tomllib.loads(text)
            check_clock()
    except (ValueError, RecursionError) as problem:  # also numbers of thousands of digits
        why = f": {printable(problem)}" if isinstance(problem, tomllib.TOMLDecodeError) else ""
        raise SpectraError(f"{source} is not TOML{why}", hint=START_FROM) from None
    _only(data, KEYS, source)
    layers = _strings(data, "layers", source)
    if not all(once_each(template, "layer") for template in layers):
        raise _wrong(source, "layers", "names with {layer} once each")
    dimensions = _get(data, "dimensions", dict, {}, source)
    if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in dimensions.values()):
        raise _wrong(source, "dimensions", "names with config keys or whole numbers")
    return Architecture(
        name=_get(data, "name", str, "own", source),
        model_types=_strings(data, "model_types", source),
        layers=layers,
        in_layer=tuple(_rule(rule, f"{source}, in_layer") for rule in _get(data, "in_layer", list, [], source)),
        outside=tuple(_rule(rule, f"{source}, outside") for rule in _get(data, "outside", list, [], source)),
        dimensions=tuple(dimensions.items()),
        tied=_get(data, "tied", bool, False, source),
        signs=_strings(data, "signs", source),
    )


def _rule(data: object, source: str) -> Rule:
    if not isinstance(data, Mapping) or not isinstance(data.get("stored"), str):
        raise _wrong(source, "stored", "the name in the file")
    if not once_each(data["stored"]):
        raise _wrong(source, "stored", "a name with each placeholder once")
    where = f"{source}, {data['stored']}"
    _only(data, RULE_KEYS, where)
    when = data.get("when")
    if when is not None and not (isinstance(when, list) and [*map(type, when)] in CONDITIONS):
        raise _wrong(where, "when", "a config key and the text, whole number or truth that it must have")
    return Rule(
        stored=data["stored"],
        becomes=_get(data, "becomes", str, None, where),
        split=_split(data, where) if "view" in data else None,
        transposed=_get(data, "transposed", bool, False, where),
        when=None if when is None else (when[0], when[1]),
    )


def _split(data: Mapping[str, Any], where: str) -> Split:
    parts = _get(data, "parts", dict, {}, where)
    if not parts or not all(isinstance(text, str) for text in parts.values()):
        raise _wrong(where, "parts", "canonical names with an index each")
    swapped = data.get("swapped")
    if swapped is not None and not (isinstance(swapped, list) and [type(axis) for axis in swapped] == [int, int]):
        raise _wrong(where, "swapped", "the numbers of two axes of the view")
    return Split(
        title=_get(data, "split", str, "split", where),
        view=_get(data, "view", str, "", where),
        parts=tuple(parts.items()),
        whole=_get(data, "whole", str, "", where),
        reshape=_get(data, "reshape", str, "", where),
        swapped=None if swapped is None else (swapped[0], swapped[1]),
    )


def _get(data: Mapping[str, Any], key: str, kind: type[Value], otherwise: Any, source: str) -> Any:
    value = data.get(key, otherwise)
    if value is not otherwise and not isinstance(value, kind):
        raise _wrong(source, key, f"a {kind.__name__}")
    return value


def _strings(data: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    values = _get(data, key, list, [], source)
    if not all(isinstance(value, str) for value in values):
        raise _wrong(source, key, "a list of strings")
    return tuple(values)


def _only(data: Mapping[str, Any], keys: set[str], source: str) -> None:
    if unknown := sorted(data.keys() - keys):
        allowed = ", ".join(sorted(keys))
        raise SpectraError(f"{source}: {unknown[0]!r} is no key of a record", hint=f"the keys are {allowed}")


def _wrong(source: str, key: str, meant: str) -> SpectraError:
    return SpectraError(f"{source}: {key} should be {meant}", hint=START_FROM)


def to_toml(architecture: Architecture) -> str:
    """Return a record as the TOML that `--arch` reads.

    >>> print(to_toml(Architecture("mine", ("mine",), ("h.{layer}.",), (Rule("q.weight", "attn.q"),))))
    name = "mine"
    model_types = ["mine"]
    layers = ["h.{layer}."]
    tied = false
    <BLANKLINE>
    [[in_layer]]
    stored = "q.weight"
    becomes = "attn.q"
    """
    lines = [
        f"name = {_written(architecture.name)}",
        f"model_types = {_written(list(architecture.model_types))}",
        f"layers = {_written(list(architecture.layers))}",
        f"tied = {_written(architecture.tied)}",
    ]
    if architecture.signs:
        lines.append(f"signs = {_written(list(architecture.signs))}")
    if architecture.dimensions:
        lines += ["", "[dimensions]", *(f"{_written(name)} = {_written(key)}" for name, key in architecture.dimensions)]
    for table, rules in (("in_layer", architecture.in_layer), ("outside", architecture.outside)):
        for rule in rules:
            lines += ["", f"[[{table}]]", *_rule_lines(rule)]
    return "\n".join(lines)


def _rule_lines(rule: Rule) -> list[str]:
    lines = [f"stored = {_written(rule.stored)}"]
    if rule.becomes is not None:
        lines.append(f"becomes = {_written(rule.becomes)}")
    if rule.split:
        parts = ", ".join(f"{_written(name)} = {_written(text)}" for name, text in rule.split.parts)
        lines += [f"split = {_written(rule.split.title)}", f"view = {_written(rule.split.view)}"]
        lines.append(f"parts = {{ {parts} }}")
        optional = (("whole", rule.split.whole), ("reshape", rule.split.reshape))
        lines += [f"{key} = {_written(text)}" for key, text in optional if text]
        lines += [f"swapped = {_written(list(rule.split.swapped))}"] if rule.split.swapped else []
    if rule.transposed:
        lines.append("transposed = true")
    if rule.when:
        lines.append(f"when = {_written(list(rule.when))}")
    return lines


def _written(value: object) -> str:
    """Return a value as TOML writes it: as JSON does, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
