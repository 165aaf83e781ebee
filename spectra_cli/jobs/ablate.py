"""Removes each layer of a language model in turn, and puts the rise in loss beside what the layer's spectra say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectra_cli import svd
from spectra_cli.evaluation.estimates import Estimate, loss_per_token, paired_difference
from spectra_cli.evaluation.layers import layers_of, recording_influence, without_layers
from spectra_cli.evaluation.model import LanguageModel
from spectra_cli.evaluation.text import Text, Tokens, read_text
from spectra_cli.evaluation.windowed_loss import BlockLosses, Windows, block_losses, choose_windows
from spectra_cli.jobs.evaluate import EvaluationOptions, OnModel, finite_loss
from spectra_cli.jobs.layer_measures import layer_measures
from spectra_cli.studies.ablate import Correlation, core_layers, correlations

INFLUENCE = "block_influence"


@dataclass(frozen=True, eq=False)
class AblatedLayer:
    """One layer: the rise in loss per token without it, paired by block, and its numbers by metric."""

    layer: int
    core: bool
    rise: Estimate
    measures: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Ablation:
    """What `spectra ablate` found. loss: of the whole model."""

    model: str
    text: Text
    windows: Windows
    device: str
    dtype: str
    loss: Estimate
    layers: tuple[AblatedLayer, ...]
    correlations: tuple[Correlation, ...]

    @property
    def core(self) -> tuple[AblatedLayer, ...]:
        """The layers that are not protected."""
        return tuple(layer for layer in self.layers if layer.core)


def ablate_layers(
    model: str | Path,
    text: str | Path,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    *,
    protect: str | None = None,
    on_wait: OnModel = lambda _: None,
    on_layer: OnModel = lambda _: None,
) -> Ablation:
    """Remove each layer of a model in turn: what `spectra ablate` does.

    protect: how many first and last layers are no core layers, as `2:2`. on_wait: called with what is waited for.
    on_layer: called with a line before each step. Raises SpectraError where the model or the text cannot be read.

    >>> import spectra_cli
    >>> [layer.layer for layer in spectra_cli.ablate("model", "text.txt").layers]
    [0, 1, 2, 3, 4, 5]
    """
    device, read = svd.choose_device(options.device), read_text(text, options.blocks)
    core_layers(1000, protect)  # a mistake in it is told before anything is read
    with options.open(str(model), on_wait) as files:
        on_layer("reading the model")
        loaded = files.load(device, options.dtype)
        count = len(layers_of(loaded))
        core = core_layers(count, protect)
        tokens = files.tokens(read, loaded)
        windows = choose_windows(loaded.most_context, options.context, options.stride)
        on_layer("measuring the spectra of its layers")
        measures = layer_measures(files, count)
    whole, influence = whole_model(loaded, tokens, windows, str(model))
    measures[INFLUENCE] = influence
    rises = []
    for number in range(count):
        on_layer(f"without layer {number} of {count}")
        rises.append(rise_without(loaded, tokens, windows, whole, [number]))
    layers = tuple(
        AblatedLayer(number, number in core, rise, {name: float(values[number]) for name, values in measures.items()})
        for number, rise in enumerate(rises)
    )
    judged = correlations(measures, np.array([rise.value for rise in rises]), core)
    return Ablation(str(model), read, windows, device, options.dtype, loss_per_token(whole), layers, judged)


def whole_model(
    model: LanguageModel, tokens: Tokens, windows: Windows, called: str
) -> tuple[BlockLosses, NDArray[np.float64]]:
    """Return the losses of the whole model and the Block Influence of its layers, from one pass over the text."""
    with recording_influence(model) as influence:
        losses = block_losses(model, tokens, windows)
    finite_loss(losses, called)
    return losses, influence.values


def rise_without(
    model: LanguageModel, tokens: Tokens, windows: Windows, whole: BlockLosses, removed: list[int]
) -> Estimate:
    """Return how much the loss rises without some layers, on the same blocks."""
    with without_layers(model, removed):
        return paired_difference(block_losses(model, tokens, windows), whole)
