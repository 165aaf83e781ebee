"""A model in training seen as its checkpoint: names, shapes and configuration as a file of it would have them.

Knows nothing of measuring. Parameters are looked up anew at each step: a wrapper may have replaced them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Matrix, StoredTensor

if TYPE_CHECKING:
    import torch
    from torch import nn

COMPILED = "_orig_mod"  # torch.compile's name for what it wraps, at the top or inside
DEEPSPEED = "DeepSpeedEngine"  # DeepSpeed's wrapper, recognised by its name: it is not imported for this
WATCH = "or let `spectra watch` scan the checkpoints that the run saves"


def live_tensors(model: nn.Module, saved_as: Mapping[str, str] = MappingProxyType({})) -> dict[str, torch.Tensor]:
    """Return the tensors of a model by the names that its checkpoint gives them, in one order on every process.

    saved_as: what `saved_names` returns, by the model's own names.

    Parameters and persistent buffers in place, whatever torch.compile or DistributedDataParallel put around the model;
    of tied weights of transformers the copies are left out, as `save_pretrained` does.

    >>> import torch
    >>> list(live_tensors(torch.nn.Linear(2, 3)))
    ['weight', 'bias']
    """
    inner = unwrapped(model)
    ignored = {*(getattr(inner, "_keys_to_ignore_on_save", None) or ())}
    tied = {*(getattr(inner, "all_tied_weights_keys", None) or ())}
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    state = inner.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if not hasattr(tensor, "shape") or name in ignored:
            continue  # what `get_extra_state` adds is no tensor
        if not (name in tied and id(tensor) in seen):
            own = ".".join(part for part in name.split(".") if part != COMPILED)
            tensors[saved_as.get(own, own)] = tensor
        seen.add(id(tensor))
    return tensors


def saved_names(model: nn.Module) -> dict[str, str]:
    """Return, for tensors that `save_pretrained` of transformers calls otherwise than the model, both names.

    Those that it writes in several pieces, or several as one, keep the model's own.
    """
    inner: Any = unwrapped(model)
    if not hasattr(inner, "save_pretrained"):
        return {}
    import torch

    try:
        from transformers.core_model_loading import revert_weight_conversion
    except ImportError:  # transformers before 5 saved what it had
        return {}
    empty = {name: torch.empty(tensor.shape, device="meta") for name, tensor in live_tensors(model).items()}
    names = {id(tensor): name for name, tensor in empty.items()}
    saved = revert_weight_conversion(inner, dict(empty))
    return {names[id(tensor)]: name for name, tensor in saved.items() if id(tensor) in names}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside of what torch.compile, a DataParallel of torch or DeepSpeed put around it."""
    from torch import nn

    while True:
        inner = getattr(model, COMPILED, None)
        copied = isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)
        if inner is None and (copied or type(model).__name__ == DEEPSPEED):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def config_of(model: nn.Module, config: Any = None) -> dict[str, Any]:
    """Return the configuration as a checkpoint's config.json would have it, empty where the model has none.

    config: what to take in place of the model's own: a mapping, a dataclass or a configuration of transformers.
    """
    source = config if config is not None else _own_config(unwrapped(model))
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return dict(source)
    if hasattr(source, "to_json_string"):
        return dict(json.loads(source.to_json_string()))
    if dataclasses.is_dataclass(source) and not isinstance(source, type):
        return dataclasses.asdict(source)
    raise SpectraError(
        f"config is a {printable(type(source).__name__, 60)}, which says nothing of the model",
        hint="give a dictionary like config.json, a dataclass or a configuration of transformers",
    )


def _own_config(model: nn.Module) -> Any:
    """Return the configuration of transformers of a model, or of the one that it holds."""
    owners = (model, *model.children())
    return next((owner.config for owner in owners if hasattr(getattr(owner, "config", None), "to_json_string")), None)


def refuse_hidden_weights(model: nn.Module) -> None:
    """Raise SpectraError for a model whose parameters do not hold its weights, each whole or as a DTensor."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    if any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
        raise SpectraError(
            "the model is wrapped by FSDP1, whose parameters are flat pieces without names",
            hint=f"use FSDP2 (fully_shard; in accelerate fsdp_version: 2), {WATCH}",
        )
    if any(hasattr(weight, "ds_id") for weight in model.parameters()):
        raise SpectraError(
            "the model is partitioned by DeepSpeed's ZeRO-3, whose parameters are empty between steps",
            hint=f"use ZeRO stage 2, {WATCH}",
        )
    if hasattr(unwrapped(model), "peft_config"):
        raise SpectraError(
            "the model has adapters of PEFT, whose change of the weights is no parameter",
            hint="let `spectra watch` scan the adapters that the run saves",
        )


def stored_as(tensors: Mapping[str, torch.Tensor]) -> dict[str, StoredTensor]:
    """Return what live tensors are in a checkpoint: their names, whole shapes and dtypes.

    >>> import torch
    >>> stored_as({"w": torch.zeros(2, 3)})["w"]
    StoredTensor(name='w', shape=(2, 3), dtype='float32', outputs_first=False)
    """
    return {
        name: StoredTensor(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A model as it was when its monitor was made.

    config: as in its checkpoints. stored: what their tensors are. saved_as: names in them that the model has otherwise.
    sharded_on: the kind of device on which each process has its part of the weights; None where it has them whole.
    """

    model: nn.Module
    config: Mapping[str, Any]
    stored: Mapping[str, StoredTensor]
    saved_as: Mapping[str, str]
    sharded_on: str | None

    @classmethod
    def of(cls, model: nn.Module, config: Any = None) -> LiveModel:
        """Look at a model; config: in place of its own. Raises SpectraError where it cannot be monitored."""
        refuse_hidden_weights(model)
        names = saved_names(model)
        tensors = live_tensors(model, names)
        sharded = (tensor.device.type for tensor in tensors.values() if hasattr(tensor, "full_tensor"))
        return cls(model, config_of(model, config), stored_as(tensors), names, next(sharded, None))

    def tensors(self) -> dict[str, torch.Tensor] | None:
        """Return its tensors as they are now; None where they are not those that it had."""
        tensors = live_tensors(self.model, self.saved_as)
        return tensors if stored_as(tensors) == self.stored else None

    def shares(self, first: Matrix, second: Matrix) -> bool:
        """Whether two matrices are one parameter under two names."""
        tensors = live_tensors(self.model, self.saved_as)
        return tensors[first.tensor] is tensors[second.tensor]
