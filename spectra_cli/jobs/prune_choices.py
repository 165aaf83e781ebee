"""Which layers can go by a text, and what each way of choosing them costs on text that it was not chosen by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.evaluation.estimates import Estimate, loss_per_token, paired_difference
from spectra_cli.evaluation.layers import without_layers
from spectra_cli.evaluation.model import LanguageModel
from spectra_cli.evaluation.text import Text, Tokens
from spectra_cli.evaluation.windowed_loss import BlockLosses, Windows, block_losses, choose_windows
from spectra_cli.jobs.ablate import whole_model
from spectra_cli.jobs.evaluate import EvaluationOptions, OnModel
from spectra_cli.jobs.language_model import ModelFiles

if TYPE_CHECKING:
    from spectra_cli.jobs.prune import PruneOptions

ALL = slice(None)


@dataclass(frozen=True)
class Compared:
    """A way of choosing k layers: the loss without them and its rise, paired by block.

    choice: `alpha` or another metric, `bi`, `ablation`, `last`, `worst`, `random`, `best`. removed: empty for random
    ones, whose errors are those of the mean over seeds. behind: how much more it costs than the choice asked for.
    """

    choice: str
    k: int
    removed: tuple[int, ...]
    loss: Estimate
    rise: Estimate
    behind: Estimate


@dataclass(frozen=True, eq=False)
class TextChoices:
    """A model on a text: its losses whole and without any layers, each set of layers evaluated once.

    chosen_on, reported_on: blocks. influence, rises: of each layer, (layers,), the rises on the first of these.
    """

    model: LanguageModel
    tokens: Tokens
    windows: Windows
    whole: BlockLosses
    influence: NDArray[np.float64]
    rises: NDArray[np.float64]
    chosen_on: slice
    reported_on: slice
    evaluated: dict[frozenset[int], BlockLosses]

    def without(self, removed: Sequence[int]) -> BlockLosses:
        """Return the losses without some layers."""
        key = frozenset(removed)
        if key not in self.evaluated:
            with without_layers(self.model, removed):
                self.evaluated[key] = block_losses(self.model, self.tokens, self.windows)
        return self.evaluated[key]

    def loss(self, removed: Sequence[int], blocks: slice) -> Estimate:
        """Return the loss per token without some layers."""
        return loss_per_token(self.without(removed).of(blocks))

    def rise(self, removed: Sequence[int], blocks: slice, instead: Sequence[int] = ()) -> Estimate:
        """Return how much higher the loss is without some layers than whole, or without others, on the same blocks."""
        against = self.without(instead) if instead else self.whole
        return paired_difference(self.without(removed).of(blocks), against.of(blocks))


def choose_by_text(
    files: ModelFiles, model: LanguageModel, text: Text, options: EvaluationOptions, *, halves: bool, on_step: OnModel
) -> TextChoices:
    """Measure every layer on a text. halves: on its first half, so that the second is left to report on."""
    tokens = files.tokens(text, model)
    windows = choose_windows(model.most_context, options.context, options.stride)
    whole, influence = whole_model(model, tokens, windows, files.called)
    middle = tokens.blocks // 2
    chosen_on, reported_on = (slice(0, middle), slice(middle, None)) if halves else (ALL, ALL)
    rises = np.zeros(len(influence))
    choices = TextChoices(model, tokens, windows, whole, influence, rises, chosen_on, reported_on, {})
    for layer in range(len(influence)):
        on_step(f"without layer {layer} of {len(influence)}")
        rises[layer] = choices.rise([layer], chosen_on).value
    return choices


def compare_choices(
    choices: TextChoices,
    wanted: PruneOptions,
    core: Sequence[int],
    orders: Mapping[str, Sequence[int]],
    on_step: OnModel,
) -> tuple[Compared, ...]:
    """Return the loss of every way of choosing one layer, two, and so on up to as many as are wanted.

    orders: the core layers as they go by each metric, what was asked for among them.
    """
    by_rise = sorted(core, key=lambda layer: choices.rises[layer])
    orders = {
        **orders,
        "bi": sorted(core, key=lambda layer: choices.influence[layer]),
        "ablation": by_rise,
        "last": list(reversed(core)),
        "worst": list(reversed(by_rise)),
    }
    compared: list[Compared] = []
    for k in range(1, wanted.layers + 1):
        on_step(f"comparing choices of {k} of {len(core)} layers")
        asked = sorted(orders[wanted.by][:k])
        compared += [_compared(choices, choice, sorted(ranked[:k]), asked) for choice, ranked in orders.items()]
        compared.append(_random(choices, core, asked, wanted.seeds))
        if math.comb(len(core), k) <= wanted.most_sets:
            compared.append(_compared(choices, "best", _best(choices, core, k), asked))
    return tuple(compared)


def _compared(choices: TextChoices, choice: str, removed: Sequence[int], asked: Sequence[int]) -> Compared:
    blocks = choices.reported_on
    loss, rise = choices.loss(removed, blocks), choices.rise(removed, blocks)
    return Compared(choice, len(removed), tuple(removed), loss, rise, choices.rise(removed, blocks, asked))


def _best(choices: TextChoices, core: Sequence[int], k: int) -> Sequence[int]:
    """Return the k layers that are missed least together on the half of the text that choices are made on."""
    return min(combinations(core, k), key=lambda removed: choices.loss(removed, choices.chosen_on).value)


def _random(choices: TextChoices, core: Sequence[int], asked: Sequence[int], seeds: int) -> Compared:
    """Return the means over random choices; their errors are those of the spread over seeds."""
    sets, blocks = list(random_sets(core, len(asked), seeds)), choices.reported_on
    losses = _mean([choices.loss(removed, blocks).value for removed in sets])
    rises = _mean([choices.rise(removed, blocks).value for removed in sets])
    behind = _mean([choices.rise(removed, blocks, asked).value for removed in sets])
    return Compared("random", len(asked), (), losses, rises, behind)


def random_sets(core: Sequence[int], k: int, seeds: int) -> Iterator[tuple[int, ...]]:
    """Yield k of the core layers for each seed, all sets alike in chance.

    >>> list(random_sets(range(2, 6), 2, 3))
    [(4, 5), (3, 4), (3, 4)]
    """
    for seed in range(seeds):
        yield tuple(sorted(np.random.default_rng(seed).choice(list(core), k, replace=False).tolist()))


def _mean(values: Sequence[float]) -> Estimate:
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values))))
