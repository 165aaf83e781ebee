"""Plain data that comes out of files, parsed within bounds. Knows no weight format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from spectra_cli.budget import bounded, spend, spend_on_json
from spectra_cli.errors import SpectraError, printable

# A header of 200,000 tensors (DeepSeek-V3 has 91,000 in all its shards) takes about 30 MB and 2.2 million marks.
JSON_BYTES = 64 * 2**20
NAME_LENGTH = 1000  # of a tensor; the longest that programs write have some 150 signs
PLAIN_ITEM = 1000  # so that a configuration has at most half a million values


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Parse one JSON object, refusing what is too large, nests too deep or holds one key twice.

    what: how the error names it.

    >>> parse_json(b'{"n_layer": 2}', "config.json")
    {'n_layer': 2}
    """
    hint = "copy the file again; if it stays so, it was not written by a program that saves weights"
    if len(data) > JSON_BYTES:
        raise SpectraError(f"{what} is too large to be a description of weights ({len(data):,} bytes)", hint=hint)
    try:
        with bounded(what):
            spend_on_json(data)
            value = json.loads(data, object_pairs_hook=_without_repeats)
            written = b"\\u" not in data or is_text(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        raise SpectraError(f"{what} nests too deep to be a description of weights", hint=hint) from None
    except _RepeatedKeyError as repeated:
        raise SpectraError(f"{what} holds the key '{printable(repeated)}' twice", hint=hint) from None
    except ValueError:  # also UnicodeDecodeError, and integers of more digits than Python converts
        raise SpectraError(f"{what} is not valid JSON", hint=hint) from None
    if not isinstance(value, dict):
        raise SpectraError(f"{what} is not a JSON object", hint=hint)
    if not written:
        raise SpectraError(f"{what} holds half a surrogate pair, which is no character", hint=hint)
    return value


def is_text(value: str) -> bool:
    r"""Whether a text can be written: it holds no half of a surrogate pair.

    >>> is_text("layers.0"), is_text("layers.\ud800")
    (True, False)
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def long_name(name: str) -> SpectraError:
    """Return the error for a tensor whose name nobody could have meant."""
    return SpectraError(
        f"the name of a tensor has {len(name):,} signs: {printable(name, 60)}",
        hint=f"leave this checkpoint out: a name has at most {NAME_LENGTH:,}",
    )


class _RepeatedKeyError(Exception):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    spend(0)
    merged = dict(pairs)
    if len(merged) < len(pairs):
        seen: set[str] = set()
        raise _RepeatedKeyError(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return merged


SCALAR = re.compile(r"(?P<key>[A-Za-z_]\w{0,99}):[ ]+(?P<value>[^\s#].{0,999})")


def flat_yaml(text: str) -> dict[str, Any]:
    r"""Return the scalars at the top level of a YAML text; what nests is left out, and nothing is expanded.

    >>> flat_yaml("n_head: 4\nbias: false\nname: pythia  # small\nhf_config:\n  name: x\nscale: 0.5\n")
    {'n_head': 4, 'bias': False, 'name': 'pythia', 'scale': 0.5}
    """
    matches = filter(None, map(SCALAR.fullmatch, text.splitlines()))
    return {match["key"]: _scalar(match["value"].split(" #")[0].strip()) for match in matches}


def _scalar(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text in ("null", "~") else text.strip("'\"")


def plain(value: object, depth: int = 6) -> Any:
    """Keep what JSON could hold of a value: scalars, lists and dicts of them; the rest becomes None.

    What is shared is written out: the budget bounds how often.

    >>> plain({"n_embd": 768, "act": object(), 3: [1, (2.5, "x")]})
    {'n_embd': 768, 'act': None, '3': [1, [2.5, 'x']]}
    """
    if isinstance(value, str | int | float | bool):
        return value
    spend(PLAIN_ITEM)
    if depth and isinstance(value, Mapping):
        return {str(k): plain(v, depth - 1) for k, v in value.items() if isinstance(k, str | int)}
    if depth and isinstance(value, list | tuple):
        return [plain(v, depth - 1) for v in value]
    return None
