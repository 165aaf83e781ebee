"""From a stored name to the rules of an architecture that speak of it. Knows no shapes and no config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from spectra_cli.architectures.record import Architecture, Rule

# What stands before a model's own names, depending on who saved it: a wrapper, a head around a base model.
PREFIXES = (
    "_orig_mod.", "module.", "model.", "transformer.", "gpt_neox.", "language_model.", "text_model.",
    "base_model.", "backbone.", "gpt_neox_japanese.", "biogpt.",
    "bert.", "roberta.", "electra.", "ernie.", "rembert.", "roc_bert.", "roformer.", "data2vec_text.",
    "roberta_prelayernorm.",
)  # fmt: skip
# What torch.compile, FSDP and activation checkpointing put anywhere inside a name.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")

PLACEHOLDER = re.compile(r"\{(layer|expert)([+-][0-9]+)?\}")


@dataclass(frozen=True)
class Match:
    """What a name says: its layer and expert, and the rules for that name, in the record's order."""

    layer: int | None
    expert: int | None
    rules: tuple[Rule, ...]

    def canonical(self, part: str, expert: int | None) -> str:
        """Give the full canonical name of a rule's part.

        >>> Match(3, None, ()).canonical("experts.{expert}.up", 7)
        'layers.3.experts.7.up'
        """
        named = part.replace("{expert}", str(self.expert if expert is None else expert))
        return named if self.layer is None else f"layers.{self.layer}.{named}"


def own_name(name: str) -> str:
    """Strip what stands before and between a model's own names.

    >>> own_name("module.model._orig_mod.layers.0._orig_mod.mlp.up_proj.weight")
    'layers.0.mlp.up_proj.weight'
    """
    plain = ".".join(part for part in name.split(".") if part not in WRAPPERS)
    while prefix := next((prefix for prefix in PREFIXES if plain.startswith(prefix)), None):
        plain = plain[len(prefix) :]
    return plain


def match(name: str, architecture: Architecture) -> Match:
    """Find a stored name's layer, expert and rules; no rules where the architecture does not speak of it.

    >>> mine = Architecture("mine", (), ("layer_{layer+2}.",), (Rule("q.weight", "attn.q"),))
    >>> match("module.layer_05.q.weight", mine)
    Match(layer=3, expert=None, rules=(Rule(stored='q.weight', becomes='attn.q', split=None, transposed=False, when=None),))
    """  # noqa: E501 - a doctest's line cannot be broken
    own = own_name(name)
    compiled = _compile(architecture)
    if rules := tuple(rule for pattern, rule in compiled.outside if pattern.fullmatch(own)):
        return Match(None, None, rules)
    for prefix, offset in compiled.layers:
        if (found := prefix.match(own)) and int(found["layer"]) >= offset:
            return _in_layer(int(found["layer"]) - offset, own[found.end() :], compiled)
    return Match(None, None, ())


def _in_layer(layer: int, rest: str, compiled: _Compiled) -> Match:
    found = [(rule, pattern.fullmatch(rest)) for pattern, rule in compiled.in_layer]
    matched = [(rule, named) for rule, named in found if named]
    experts = (int(named["expert"]) for _, named in matched if "expert" in named.groupdict())
    return Match(layer, next(experts, None), tuple(rule for rule, _ in matched))


@dataclass(frozen=True)
class _Compiled:
    layers: tuple[tuple[re.Pattern[str], int], ...]
    in_layer: tuple[tuple[re.Pattern[str], Rule], ...]
    outside: tuple[tuple[re.Pattern[str], Rule], ...]


@cache
def _compile(architecture: Architecture) -> _Compiled:
    return _Compiled(
        tuple((_pattern(template), _offset(template)) for template in architecture.layers),
        tuple((_pattern(rule.stored), rule) for rule in architecture.in_layer),
        tuple((_pattern(rule.stored), rule) for rule in architecture.outside),
    )


def _pattern(template: str) -> re.Pattern[str]:
    """Literal text and whole numbers of at most six digits: matching is linear in the name, whatever it holds."""
    pieces, end = [], 0
    for found in PLACEHOLDER.finditer(template):
        pieces += [re.escape(template[end : found.start()]), rf"(?P<{found[1]}>[0-9]{{1,6}})"]
        end = found.end()
    return re.compile("".join(pieces) + re.escape(template[end:]))


def _offset(template: str) -> int:
    found = PLACEHOLDER.search(template)
    return int(found[2] or 0) if found else 0
