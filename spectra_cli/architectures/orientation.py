"""Which way round the axes of a stored matrix are: what a rule assumes, held against the sizes that a config gives.

Rules are data: WIDTHS says what the two sides of each role's matrix are. Knows no family and no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spectra_cli.architectures.dimensions import config_value
from spectra_cli.architectures.expressions import Contradiction, Names, UnknownSizeError, size
from spectra_cli.architectures.matching import Match
from spectra_cli.architectures.record import Rule
from spectra_cli.records import StoredTensor

# Rows and columns of a role's matrix, [out features, in features].
WIDTHS = {
    "q": ("heads*head_dim", "hidden"), "k": ("kv_heads*head_dim", "hidden"), "v": ("kv_heads*head_dim", "hidden"),
    "o": ("hidden", "heads*head_dim"),
    "gate": ("inner", "hidden"), "up": ("inner", "hidden"), "gate_up": ("2*inner", "hidden"),
    "down": ("hidden", "inner"),
}  # fmt: skip
INNER = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "d_ff")
INNER_OF_EXPERTS = ("moe_intermediate_size", "expert_intermediate_size", "moe_ffn_hidden_size", *INNER)
AXES, STACKED_AXES = 2, 3
Shape = tuple[int, int]
NAME = re.compile(r"[a-z_]+")
ROTARY_PAIRS = (
    "kept with the pairs of the rotary embedding side by side, as Meta orders rows, because no config gives the heads: "
    "cosines to a checkpoint in Hugging Face's order say nothing (put its config.json beside the weights, or into the "
    "run's folder)"
)


@dataclass(frozen=True)
class Stored:
    """A stored tensor, the rule for it, and the layer it is in."""

    tensor: StoredTensor
    rule: Rule
    layer: int | None

    @property
    def role(self) -> str:
        """The last word of what it becomes: `gate_up`."""
        return (self.rule.becomes or "").rsplit(".", 1)[-1]

    @property
    def stacked(self) -> bool:
        """Whether it stacks the experts' matrices, and its rule leaves the sizes of their sides open."""
        split = self.rule.split
        axes = split.view.split(",") if split else []
        return (
            len(self.tensor.shape) == len(axes) == STACKED_AXES
            and axes[0].strip() == "experts"
            and all("*" in axis for axis in axes[1:])
            and self.role in WIDTHS
        )

    @property
    def is_one(self) -> bool:
        """Whether it is one matrix, whose role says what its sides are."""
        return self.rule.split is None and len(self.tensor.shape) == AXES and self.role in WIDTHS

    @property
    def sides(self) -> Shape:
        """Rows and columns of each expert's matrix, as the rule reads it."""
        first, second = self.tensor.shape[-2:]
        return (second, first) if self.rule.transposed else (first, second)


@dataclass
class Orientation:
    """Decides for each tensor whether its axes are the other way round than its rule says.

    turned, assumed: names of tensors that were, and of those whose sizes fit both ways while nothing decides.
    """

    config: Mapping[str, Any]
    sizes: Names
    turned: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    _partners: dict[tuple[int | None, str], Shape] = field(default_factory=dict)
    _widths: dict[tuple[str, bool], tuple[int | None, int | None]] = field(default_factory=dict)

    def learn(self, stored: Iterable[Stored]) -> None:
        """Note the shapes of all stacked experts: what leads into the inner width says how what leads out is read."""
        self._partners = {(each.layer, each.role): each.sides for each in stored if each.stacked}

    def is_turned(self, stored: Stored) -> bool:
        """Whether a stack of experts' matrices is kept the other way round; Contradiction where neither way fits."""
        rows, cols = self.widths(stored.role, expert=True)
        hidden = rows if stored.role == "down" else cols
        own = stored.sides
        fitting = [way for way in (False, True) if hidden in (None, _hidden_side(own, stored.role, turned=way))]
        if not fitting:
            raise Contradiction(f"hidden is {hidden} in the config, and the axes are {own[0]} and {own[1]}")
        inner = cols if stored.role == "down" else rows
        narrowed = (fitting, self._by_partner(stored, fitting), [
            turned for turned in fitting if inner == _hidden_side(own, stored.role, turned=not turned)
        ])  # fmt: skip
        choice = next((ways[0] for ways in narrowed if len(ways) == 1), None)
        if choice is None:
            self.assumed.append(stored.tensor.name)
            choice = stored.rule.transposed and stored.tensor.outputs_first
        if choice and not stored.tensor.outputs_first:
            self.turned.append(stored.tensor.name)
        return bool(choice)

    def _by_partner(self, stored: Stored, fitting: Iterable[bool]) -> list[bool]:
        """Return the ways in which it fits what the same experts keep besides: gate and up beside down, or the reverse.

        Both ways at once would take an inner width of zero.
        """
        into = {"down": ("gate_up", "up", "gate")}.get(stored.role, ("down",))
        partner = next((role for role in into if (stored.layer, role) in self._partners), None)
        if partner is None:
            return []
        shape = self._partners[stored.layer, partner]
        factor = 2 if "gate_up" in (partner, stored.role) else 1
        down, up = (stored.sides, shape) if stored.role == "down" else (shape, stored.sides)
        return [
            turned
            for turned in fitting
            for up_, down_ in [(up[::-1], down[::-1]) if turned else (up, down)]
            if up_[1] == down_[0] and up_[0] == factor * down_[1]
        ]

    def is_turned_matrix(self, stored: Stored, *, expert: bool) -> bool:
        """Whether one matrix has the sides that the config gives its role, but the other way round."""
        expected = self.widths(stored.role, expert=expert)
        turned = None not in expected and stored.sides != expected and stored.sides[::-1] == expected
        if turned:
            self.turned.append(stored.tensor.name)
        return turned

    def widths(self, role: str, *, expert: bool) -> tuple[int | None, int | None]:
        """Return rows and columns of a role's matrix, as the config gives them; None for what it does not."""
        if (role, expert) not in self._widths:
            texts = WIDTHS.get(role, ())
            names = self._with_inner(INNER_OF_EXPERTS if expert else INNER)
            known = [_size(text, names) for text in texts]
            self._widths[role, expert] = (known[0], known[1]) if known else (None, None)
        return self._widths[role, expert]

    def _with_inner(self, keys: Iterable[str]) -> Callable[[str], int]:
        def lookup(name: str) -> int:
            if name != "inner":
                return self.sizes(name)
            values = (config_value(self.config, key) for key in keys)
            value = next((value for value in values if type(value) is int and value > 0), None)
            if value is None:
                raise Contradiction("the config gives no inner width")
            return value

        return lookup

    def notes(self) -> Iterable[str]:
        """Yield what a reader should know of the axes."""
        if self.turned:
            yield f"{_and_more(self.turned)} kept the other way round than the rule says, as the sizes show, and turned"
        if self.assumed:
            yield (
                f"{_and_more(self.assumed)} read as the rule says: the sizes fit both ways round, and neither the "
                "config nor another tensor decides"
            )


Ruled = list[tuple[StoredTensor, Match, Rule | None]]


def without_unknown_order(ruled: Ruled, sizes: Names) -> tuple[Ruled, list[str]]:
    """Leave rows in their stored order where the config lacks the sizes to reorder them; with a note on those."""
    unordered = [stored.name for stored, _, rule in ruled if rule and _lacks_sizes(rule, sizes)]
    if not unordered:
        return ruled, []
    left = frozenset(unordered)
    kept = [(s, match, replace(rule, split=None) if rule and s.name in left else rule) for s, match, rule in ruled]
    return kept, [f"{_and_more(unordered)} {ROTARY_PAIRS}"]


def _lacks_sizes(rule: Rule, sizes: Names) -> bool:
    if rule.split is None or rule.split.swapped is None:
        return False
    for name in NAME.findall(rule.split.view):
        try:
            sizes(name)
        except UnknownSizeError:
            return True
        except Contradiction:  # it is said where the tensor is cut, with its name
            continue
    return False


def _hidden_side(sides: Shape, role: str, *, turned: bool) -> int:
    """Return the length of the axis that would be the model's width."""
    return sides[0 if (role == "down") != turned else 1]


def _size(text: str, names: Names) -> int | None:
    try:
        return size(text, names)
    except Contradiction:
        return None


def _and_more(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more are" if len(names) > 1 else f"{names[0]} is"
