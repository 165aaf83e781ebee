"""Names that no record has a rule for: their layer, and a note where a tensor looks fused. No role is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spectra_cli.architectures.matching import matcher
from spectra_cli.architectures.record import Architecture, Rule

LOOKS_FUSED = re.compile(
    r"qkv|query_key_value|c_attn$|kv_proj$|gate_up|in_proj$|in_proj_weight$|W_pack$", re.IGNORECASE
)
SIZE = re.compile(r"[a-z_]+")
NUMBER = re.compile(r"[0-9]{1,6}")


def stored_word(name: str) -> str:
    """Return the last word of a stored name that says what the tensor is.

    >>> stored_word("h.0.attn.c_attn.weight")
    'c_attn'
    """
    return name.removesuffix(".weight").rsplit(".", 1)[-1]


def guess_layer(name: str) -> int | None:
    """Return the first number that is a part by itself of a dotted name.

    >>> guess_layer("blocks.3.experts.7.up"), guess_layer("head.weight")
    (3, None)
    """
    numbers = (int(word) for word in name.split(".") if NUMBER.fullmatch(word))
    return next(numbers, None)


def looks_fused(name: str) -> bool:
    """Whether a name suggests that the tensor stacks several matrices.

    >>> looks_fused("attn.c_attn.weight"), looks_fused("attn.q_proj.weight")
    (True, False)
    """
    return LOOKS_FUSED.search(stored_word(name)) is not None


def fused_note(names: Iterable[str], why: str, architectures: Iterable[Architecture]) -> str | None:
    """Return a note on tensors that look fused and are kept whole, with what would split them; None without any.

    why: the reason in words, `there is no config`.

    >>> from spectra_cli.architectures.record import Split
    >>> mine = Architecture("mine", (), (), (), (Rule("a.c_attn.weight", None, Split("blocks", "3 *, *", ())),))
    >>> fused_note(["h.0.c_attn.weight", "h.1.c_attn.weight"], "there is no config", [mine])
    'h.0.c_attn.weight and 1 more look fused and are kept whole, as there is no config: --arch mine, or --arch FILE.toml, would split them'
    """  # noqa: E501 - a doctest's line cannot be broken
    fused = [name for name in names if looks_fused(name)]
    if not fused:
        return None
    candidates = _candidates(fused[0], tuple(architectures))
    choice = f"--arch {' or '.join(candidates)}, or --arch FILE.toml," if candidates else "--arch FILE.toml"
    more = f" and {len(fused) - 1} more look" if len(fused) > 1 else " looks"
    verb, them = ("are kept", "them") if len(fused) > 1 else ("is kept", "it")
    return f"{fused[0]}{more} fused and {verb} whole, as {why}: {choice} would split {them}"


def _candidates(name: str, architectures: tuple[Architecture, ...]) -> list[str]:
    """Return the records that split a tensor of that name, each with the sizes it lacks: `a (with heads)`.

    Records whose rules match the whole name come first; only without any, those that match its last word.
    """
    splits = {record.name: matcher(record)(name).rules for record in architectures}
    exact = {own: [rule for rule in rules if rule.split] for own, rules in splits.items()}
    word = stored_word(name)
    close = {a.name: [r for r in _splitting(a) if stored_word(r.stored) == word] for a in architectures}
    chosen = exact if any(exact.values()) else close
    return [own + _needs(rules) for own, rules in chosen.items() if rules]


def _needs(rules: list[Rule]) -> str:
    """Return the sizes that the simplest of the rules for one name takes from a config, in words."""
    views = [rule.split.view for rule in rules if rule.split]
    needed = min((list(dict.fromkeys(SIZE.findall(view))) for view in views), key=len, default=[])
    return f" (with {' and '.join(needed)} from a config.json, or from the file's [dimensions])" if needed else ""


def _splitting(architecture: Architecture) -> list[Rule]:
    return [rule for rule in (*architecture.in_layer, *architecture.outside) if rule.split]
