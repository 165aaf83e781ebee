"""The layers of a language model: what each does to its input, and the model without some of them. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.model import LanguageModel

if TYPE_CHECKING:
    import torch

NO_LAYERS = "its layers are not one list: evaluate the whole model with `spectra evaluate`"


def layers_of(model: LanguageModel) -> Any:
    """Return the list of a model's layers, in their order. Raises SpectraError where it has no such list."""
    return layers_in(model.module)


def layers_in(module: Any) -> Any:
    """Return the list of layers of a language model of transformers."""
    import torch

    count = getattr(module.config.get_text_config(decoder=True), "num_hidden_layers", None)
    lists = [
        (name.count("."), inner)
        for within in (module.get_decoder(), module)  # what some models call their decoder is the last matrix
        for name, inner in within.named_modules()
        if isinstance(inner, torch.nn.ModuleList) and len(inner) == count
    ]
    if not lists:
        kind = module.config.model_type
        raise SpectraError(f"no list of {count} layers is found in a model of type {kind}", hint=NO_LAYERS)
    return min(lists, key=lambda nested: nested[0])[1]


@dataclass
class BlockInfluence:
    """How far each layer turns what goes through it: 1 − the mean cosine between its input and its output.

    Source: ShortGPT, arXiv 2403.03853.
    """

    cosines: NDArray[np.float64]
    positions: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Begin at nothing."""
        self.positions = np.zeros(len(self.cosines), np.int64)

    def add(self, layer: int, before: torch.Tensor, after: torch.Tensor) -> None:
        """Count the positions of a batch, (rows, positions, width)."""
        from torch.nn.functional import cosine_similarity

        self.cosines[layer] += float(cosine_similarity(before.float(), after.float(), dim=-1).double().sum())
        self.positions[layer] += before.shape[0] * before.shape[1]

    @property
    def values(self) -> NDArray[np.float64]:
        """The influence of each layer, (layers,)."""
        return 1.0 - self.cosines / self.positions


@contextmanager
def recording_influence(model: LanguageModel) -> Iterator[BlockInfluence]:
    """Record what every layer does to its input while the block runs."""
    layers = layers_of(model)
    influence = BlockInfluence(np.zeros(len(layers)))

    def record(number: int) -> Any:
        def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            influence.add(number, _entering(given, named), output[0] if isinstance(output, tuple | list) else output)

        return hook

    with ExitStack() as hooks:
        for number, layer in enumerate(layers):
            hooks.callback(layer.register_forward_hook(record(number), with_kwargs=True).remove)
        yield influence


@contextmanager
def without_layers(model: LanguageModel, removed: Iterable[int]) -> Iterator[None]:
    """Let the input of some layers go past them while the block runs: the model as it is without them."""
    layers = [layers_of(model)[number] for number in removed]
    with ExitStack() as restoring:
        for layer in layers:
            layer.forward = _passing(layer.forward)
            restoring.callback(delattr, layer, "forward")
        yield


def _passing(forward: Any) -> Any:
    """Return a function that returns its input in the form of a layer's output, which the first call shows."""
    rest: list[Any] = []

    def passing(*given: Any, **named: Any) -> Any:
        if not rest:
            output = forward(*given, **named)
            rest.append(output[1:] if isinstance(output, tuple | list) else None)
        entering = _entering(given, named)
        return entering if rest[0] is None else type(rest[0])((entering, *rest[0]))

    return passing


def _entering(given: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor:
    """Return what goes into a layer: its first argument, or the one that transformers names so."""
    entering: torch.Tensor = given[0] if given else named["hidden_states"]
    return entering
