"""Which entries of which stored matrices a model's forward pass brings together, found by gradients. Knows no rules.

Every matrix is applied to an input cut off from what made it, so that the gradient of any later value is not zero only
in the entries of those matrices that were applied last. The operands of q·kᵀ so show the entries of q and those of k.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.baddbmm, Tensor.baddbmm}
NAMED = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "tanh")
ACTIVATIONS = (*{type(ACT2FN[name]) for name in NAMED}, nn.GELU, nn.SiLU, nn.ReLU)
FUNCTIONS = {nn.functional.gelu, nn.functional.silu, nn.functional.relu, torch.erf}

Entries = dict[str, Tensor]  # by the parameter's name, a mask of its entries


@dataclass
class Flow(TorchFunctionMode):
    """What was seen: the operands of products, what activations got, and what each matrix was applied to."""

    matrices: dict[str, nn.Parameter]
    products: list[tuple[Entries, Entries]] = field(default_factory=list)
    activated: list[Entries] = field(default_factory=list)
    fed: dict[str, Entries] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def entries(self, value: Tensor) -> Entries:
        """Return the entries that a value depends on."""
        if not value.requires_grad or not value.dtype.is_floating_point:
            return {}
        gradients = torch.autograd.grad(
            value, list(self.matrices.values()), torch.rand_like(value) + 0.5, retain_graph=True, allow_unused=True
        )
        masks = {
            name: gradient != 0 for name, gradient in zip(self.matrices, gradients, strict=True) if gradient is not None
        }
        return {name: mask for name, mask in masks.items() if mask.any()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in PRODUCTS:
            left, right = (kwargs["batch1"], kwargs["batch2"]) if "batch1" in kwargs else args[-2:]
            if min(left.dim(), right.dim()) > 2:  # a matrix by itself has two axes
                self.products.append((self.entries(left), self.entries(right)))
        if func in FUNCTIONS:
            self.activated.append(self.entries(args[0]))
        return func(*args, **kwargs)


@contextmanager
def _hooked(model: nn.Module, flow: Flow) -> Iterator[None]:
    names = {parameter: name for name, parameter in flow.matrices.items()}

    def cut_off(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        flow.fed[names[module.weight]] = flow.entries(args[0])
        return (args[0].detach(), *args[1:])

    def activate(_: nn.Module, args: tuple[Any, ...]) -> None:
        flow.activated.append(flow.entries(args[0]))

    hooks = [
        module.register_forward_pre_hook(cut_off if hasattr(module, "weight") else activate)
        for module in model.modules()
        if (isinstance(module, nn.Linear | Conv1D) and module.weight in names) or isinstance(module, ACTIVATIONS)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def flow_of(model: nn.Module, **inputs: Tensor) -> Flow:
    """Run a model on its inputs and return what flowed from which entries to where."""
    applied = [module for module in model.modules() if isinstance(module, nn.Linear | Conv1D)]
    names: dict[Any, str] = {parameter: name for name, parameter in model.named_parameters(remove_duplicate=True)}
    flow = Flow({names[module.weight]: module.weight for module in applied if module.weight.dim() == 2})
    with _hooked(model, flow), flow:
        model(**inputs)
    return flow
