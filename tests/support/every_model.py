"""The names and shapes of every model type that transformers knows, built without any memory for its weights."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tests.support.small_configs import small_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

MODEL_TYPES: tuple[str, ...] = tuple(sorted(transformers.CONFIG_MAPPING.keys()))
FEW = 4  # layers: enough for one of each kind in a model whose layers take turns
NEEDED: dict[str, dict[str, Any]] = {"esm": {"vocab_size": 33}}  # what has no default and cannot do without
LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
                "num_encoder_layers", "num_decoder_layers", "depth", "num_blocks", "num_hidden_groups")  # fmt: skip


@dataclass(frozen=True)
class Skeleton:
    """A model's config as plain data, and the shapes of its tensors, by their names in memory and those in files."""

    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]


def skeleton(model_type: str) -> Skeleton | None:
    """Return one of a model type's default sizes and few layers, or a small one; None where neither can be built."""
    for make in (_shallow, transformers.AutoConfig.for_model, small_config):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = make(model_type, **NEEDED.get(model_type, {}))
            with torch.device("meta"):
                model = _class_of(config)(config)
            return Skeleton(config.to_dict(), _shapes(model, model.state_dict()))
    return None


def _shapes(model: nn.Module, state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    saved = revert_weight_conversion(model, dict(state))
    return {name: tuple(tensor.shape) for name, tensor in (*state.items(), *saved.items())}


def _shallow(model_type: str, **needed: Any) -> Any:
    config = transformers.AutoConfig.for_model(model_type, **needed)
    _make_shallow(config)
    return config


def _make_shallow(config: Any) -> None:
    for key, value in list(vars(config).items()):
        if isinstance(value, transformers.PretrainedConfig):
            _make_shallow(value)
        elif key in LAYER_COUNTS and type(value) is int and value > FEW:
            with contextlib.suppress(Exception):  # a config may forbid it; it is then built as it is
                setattr(config, key, FEW)


def _class_of(config: Any) -> Any:
    """Return the model class of a config: AutoModel's, or for a part of a model the first that has such a config."""
    with contextlib.suppress(KeyError, ValueError):
        found = transformers.AutoModel._model_mapping[type(config)]
        return found[0] if isinstance(found, tuple | list) else found
    module = importlib.import_module(type(config).__module__.replace("configuration_", "modeling_"))
    return next(
        each
        for name, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, transformers.PreTrainedModel)
        and each.config_class is type(config)
        and each.__module__ == module.__name__
        and not name.endswith("PreTrainedModel")
    )
