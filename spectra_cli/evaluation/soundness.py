"""Whether a smaller model computes what a larger one does without some of its layers. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.layers import layers_in, without_layers
from spectra_cli.evaluation.model import LanguageModel, quiet_transformers

if TYPE_CHECKING:
    import torch

SEED = 0
ROWS, LENGTH, ASKED = 2, 24, 4  # of random tokens that are read, and how many are generated
EXACT = 1e-4  # of the largest logit: the same float32 arithmetic, in another order at most
CACHED = 1e-3  # with keys and values kept, products are taken in other shapes
NUMBERS = ("layer_idx", "layer_id", "layer_number", "layer_index", "seed")  # that a layer may have of its own
OTHER_LAYERS = "prune other layers, such as whole periods of the pattern, or another model"


def differing_layer(config: Any, smaller: Any, kept: Sequence[int]) -> str | None:
    """Return what would make a kept layer another one under its new number; None where all stay what they are.

    config, smaller: transformers' configurations. Every module of a layer is compared: its kind, the shapes of its
    weights, and each number, text or switch that it keeps, such as the width of its window.
    """
    layers, remaining = (layers_in(_without_weights(some)) for some in (config, smaller))
    for new, old in enumerate(kept):
        before, after = _described(layers[old]), _described(remaining[new])
        for key in dict.fromkeys((*before, *after)):
            if before.get(key) != after.get(key):
                name = ".".join(part for part in key if part)
                return f"layer {old} would be layer {new}, with {name} {after.get(key)} in place of {before.get(key)}"
    return None


def _without_weights(config: Any) -> Any:
    import torch

    transformers = quiet_transformers()
    with torch.device("meta"):
        return transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)


def _described(layer: Any) -> dict[tuple[str, str], object]:
    """Return what a layer is made of, by module and name."""
    facts: dict[tuple[str, str], object] = {}
    for name, module in layer.named_modules():
        facts[name, "kind"] = type(module).__name__
        facts |= {(name, key): value for key, value in vars(module).items() if _is_setting(key, value)}
    for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
        facts[name, "shape"] = tuple(tensor.shape)
    return facts


def _is_setting(key: str, value: object) -> bool:
    return isinstance(value, bool | int | float | str | None) and key not in NUMBERS and not key.startswith("_")


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says to some tokens, kept while another model takes its place in memory."""

    ids: torch.Tensor
    logits: torch.Tensor


def answer_without(larger: LanguageModel, removed: Sequence[int]) -> Answer:
    """Return what a model says to random tokens without some of its layers."""
    import torch

    length = min(LENGTH, (larger.most_context or LENGTH + ASKED) - ASKED)
    ids = _random_tokens(larger, max(2, length))
    with torch.inference_mode(), without_layers(larger, removed):
        return Answer(ids, larger.module(input_ids=ids, use_cache=False).logits.float())


def check_smaller(smaller: LanguageModel, expected: Answer) -> None:
    """Ask the smaller model the same, also with a cache and by `generate`. Raises SpectraError where it is another."""
    import torch

    ids = expected.ids
    with torch.inference_mode():
        whole = smaller.module(input_ids=ids, use_cache=False).logits.float()
        _same(whole, expected.logits, EXACT, "its logits are not those of the larger model without these layers")
        if (cached := _with_cache(smaller, ids)) is not None:
            _same(cached, whole, CACHED, "its logits with a cache are not those without one")
        mask = torch.ones_like(ids)
        made = smaller.module.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=ASKED, do_sample=False, eos_token_id=None, pad_token_id=0
        )
    if made.shape != (ids.shape[0], ids.shape[1] + ASKED) or not torch.equal(made[:, : ids.shape[1]], ids):
        raise _unsound("it does not generate from what it is given")


def _random_tokens(model: LanguageModel, length: int) -> torch.Tensor:
    """Return rows of random tokens, none of which stands for nothing: some models count places without those."""
    import torch

    padding = getattr(model.module.config.get_text_config(decoder=True), "pad_token_id", None)
    usable = torch.tensor([token for token in range(model.vocabulary) if token != padding])
    drawn = torch.randint(0, len(usable), (ROWS, length), generator=torch.Generator().manual_seed(SEED))
    return usable[drawn].to(model.device)


def _with_cache(model: LanguageModel, ids: torch.Tensor) -> torch.Tensor | None:
    """Return the logits of a text read in two parts; None for a model that keeps no keys and values."""
    import torch

    half = ids.shape[1] // 2
    first = model.module(input_ids=ids[:, :half], use_cache=True)
    cache = getattr(first, "past_key_values", None)
    if cache is None:
        return None
    second = model.module(input_ids=ids[:, half:], past_key_values=cache, use_cache=True)
    return torch.cat([first.logits, second.logits], dim=1).float()


def _same(logits: torch.Tensor, expected: torch.Tensor, tolerance: float, otherwise: str) -> None:
    bound = tolerance * max(1.0, float(expected.abs().max()))
    if logits.shape != expected.shape or not bool(((logits - expected).abs() <= bound).all()):
        raise _unsound(otherwise)


def _unsound(what: str) -> SpectraError:
    return SpectraError(f"the smaller model is not sound: {what}", hint=OTHER_LAYERS)
