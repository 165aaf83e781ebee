"""From a stored name to the rules of an architecture that match it. Knows no shapes and no config."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from spectra_cli.architectures.record import Architecture, Rule
from spectra_cli.architectures.towers import Tower

# What comes before a model's own names, depending on who saved it: a wrapper, a head around a base model.
PREFIXES = (
    "_orig_mod.", "module.", "model.", "transformer.", "gpt_neox.", "language_model.", "text_model.",
    "base_model.", "backbone.", "gpt_neox_japanese.", "biogpt.",
    "bert.", "roberta.", "electra.", "ernie.", "rembert.", "roc_bert.", "roformer.", "data2vec_text.",
    "roberta_prelayernorm.", "distilbert.", "deberta.", "mpnet.", "albert.", "longformer.", "luke.", "markuplm.",
    "esm.", "xlm.", "vit.", "deit.", "beit.", "dinov2.", "wav2vec2.", "hubert.", "wavlm.",
)  # fmt: skip
# What torch.compile, FSDP and activation checkpointing put anywhere inside a name.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")

PLACEHOLDER = re.compile(r"\{(layer|expert|stack)([+-][0-9]+)?\}")
VALUES = {"stack": "encoder|decoder"}  # of a placeholder; the others are numbers, of six digits at most
NUMBERS = "[0-9]{1,6}"

MOST_NAMES = 1 << 15
"""Names of which a family remembers the rules."""


@dataclass(frozen=True)
class Match:
    """What a stored name was matched to: its layer and expert, and the rules for it, in the record's order.

    within: what comes before its canonical name: `encoder.` or `decoder.` in a model of both, `vision.` in a tower.
    """

    layer: int | None
    expert: int | None
    rules: tuple[Rule, ...]
    within: str = ""

    def canonical(self, part: str, expert: int | None) -> str:
        """Return the full canonical name of a rule's part.

        >>> Match(3, None, ()).canonical("experts.{expert}.up", 7)
        'layers.3.experts.7.up'
        """
        named = part.replace("{expert}", str(self.expert if expert is None else expert))
        return self.within + (named if self.layer is None else f"layers.{self.layer}.{named}")


def own_name(name: str) -> str:
    """Return a stored name without the prefixes and wrappers around a model's own names.

    >>> own_name("module.model._orig_mod.layers.0._orig_mod.mlp.up_proj.weight")
    'layers.0.mlp.up_proj.weight'
    """
    wrapped = any(wrapper in name for wrapper in WRAPPERS)
    plain = ".".join(part for part in name.split(".") if part not in WRAPPERS) if wrapped else name
    start = 0  # and no cutting as we go: a name of a million prefixes would be copied as often
    while plain.startswith(PREFIXES, start):
        start += next(len(prefix) for prefix in PREFIXES if plain.startswith(prefix, start))
    return plain[start:]


def matcher(architecture: Architecture, tower: Tower | None = None) -> Callable[[str], Match]:
    """Return the function from a stored name to its layer, expert and rules; no rules for a name that none matches.

    tower: the part of a larger model that the record is for; names outside of it match nothing.

    >>> mine = Architecture("mine", (), ("layer_{layer+2}.",), (Rule("q.weight", "attn.q"),))
    >>> match = matcher(mine)("module.layer_05.q.weight")
    >>> match.layer, match.rules[0].becomes
    (3, 'attn.q')
    """
    match_own = _matcher_of_own(architecture)

    def match(name: str) -> Match:
        if tower is not None:
            rest = tower.own_name(name)
            inside = match_own(rest) if rest is not None else Match(None, None, ())
            return replace(inside, within=f"{tower.name}.{inside.within}")
        return match_own(own_name(name))

    return match


@lru_cache(maxsize=16)
def _matcher_of_own(architecture: Architecture) -> Callable[[str], Match]:
    """Return the function from an own name, which remembers names: every checkpoint of a run has the same."""
    layers = tuple((_pattern(template), _offset(template)) for template in architecture.layers)
    in_layer, outside = _Templates.of(architecture.in_layer), _Templates.of(architecture.outside)

    @lru_cache(maxsize=MOST_NAMES)
    def match_own(own: str) -> Match:
        if matches := _matching(own, outside):
            return Match(None, None, tuple(rule for rule, _ in matches), _stack(matches[0][1]))
        for prefix, offset in layers:
            if (layer := prefix.match(own)) and int(layer["layer"]) >= offset:
                matched = _in_layer(int(layer["layer"]) - offset, own[layer.end() :], in_layer)
                return replace(matched, within=_stack(layer))
        return Match(None, None, ())

    return match_own


def _in_layer(layer: int, rest: str, templates: _Templates) -> Match:
    matches = _matching(rest, templates)
    experts = (int(named["expert"]) for _, named in matches if "expert" in named.groupdict())
    return Match(layer, next(experts, None), tuple(rule for rule, _ in matches))


def _stack(match: re.Match[str]) -> str:
    stack = match.groupdict().get("stack")
    return f"{stack}." if stack else ""


@dataclass(frozen=True)
class _Stored:
    """A rule's template, compiled; ending: its literal end, which rules most names out at once."""

    ending: str
    pattern: re.Pattern[str]
    rule: Rule


@dataclass(frozen=True)
class _Templates:
    """Templates, and the endings of all of them."""

    stored: tuple[_Stored, ...]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> _Templates:
        stored = tuple(_stored(rule) for rule in rules)
        return cls(stored, tuple(template.ending for template in stored))


def _matching(name: str, templates: _Templates) -> list[tuple[Rule, re.Match[str]]]:
    if not name.endswith(templates.endings):
        return []
    likely = [(t.rule, t.pattern.fullmatch(name)) for t in templates.stored if name.endswith(t.ending)]
    return [(rule, match) for rule, match in likely if match]


def _stored(rule: Rule) -> _Stored:
    ending = PLACEHOLDER.sub("{}", rule.stored).rsplit("{}", 1)[-1]
    return _Stored(ending, _pattern(rule.stored), rule)


def _pattern(template: str) -> re.Pattern[str]:
    """Compile literal text and numbers of at most six digits: matching is linear in the name, whatever it holds."""
    pieces, end = [], 0
    for match in PLACEHOLDER.finditer(template):
        pieces += [re.escape(template[end : match.start()]), f"(?P<{match[1]}>{VALUES.get(match[1], NUMBERS)})"]
        end = match.end()
    return re.compile("".join(pieces) + re.escape(template[end:]))


def once_each(template: str, needed: str | None = None) -> bool:
    """Whether a template names no placeholder twice, and the needed one, if any.

    >>> once_each("h.{layer}.", "layer"), once_each("h.", "layer"), once_each("{expert}.{expert}")
    (True, False, False)
    """
    names = [match[1] for match in PLACEHOLDER.finditer(template)]
    return len(names) == len(set(names)) and (needed is None or needed in names)


def _offset(template: str) -> int:
    match = PLACEHOLDER.search(template)
    return int(match[2] or 0) if match else 0
