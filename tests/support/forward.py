"""The matrices that a model's own forward pass applies, measured by feeding it unit vectors; no names, no rules.

At a sequence's first position rotary embeddings turn nothing and attention can attend to one position only, so that the
queries of an attention module, fed with the unit vectors as a batch, are the columns of the matrix applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

BATCH = 128  # at least as many as a tiny model's widest attention
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.baddbmm, Tensor.baddbmm}


@dataclass
class Seen:
    """What passed through one attention module: the operands of its two products, and what it returned."""

    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    output: Tensor | None = None


@dataclass
class Probe(TorchFunctionMode):
    """Watches the products of two batches inside attention modules; replaces the second's by unit vectors."""

    hidden: int
    unit_input: bool = False
    unit_context: bool = False
    inside: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func not in PRODUCTS or not self.inside:
            return result
        left, right = (kwargs["batch1"], kwargs["batch2"]) if "batch1" in kwargs else args[-2:]
        if left.dim() < 3 or right.dim() < 3:
            return result
        seen = self.inside[-1]
        if seen.query is None:
            width = left.shape[-1]
            seen.query, seen.key = left.reshape(BATCH, -1, width), right.reshape(BATCH, -1, width)
            return result
        seen.value = right.reshape(BATCH, -1, right.shape[-1])
        context = torch.zeros(BATCH, result.numel() // BATCH, dtype=result.dtype)
        if self.unit_context:
            context.fill_diagonal_(1.0)
        return context.reshape(result.shape)

    def input(self, like: Tensor) -> Tensor:
        unit = torch.zeros(BATCH, self.hidden, dtype=like.dtype)
        if self.unit_input:
            unit.fill_diagonal_(1.0)
        return unit.reshape(BATCH, 1, self.hidden)


@contextmanager
def _watched(attention: nn.Module, output: nn.Module, probe: Probe, seen: Seen) -> Iterator[None]:
    def replace_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        probe.inside.append(seen)
        if args:
            return (probe.input(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": probe.input(kwargs["hidden_states"])}

    def leave(*_: Any) -> None:
        probe.inside.pop()

    def after(_: nn.Module, __: Any, result: Any) -> None:
        seen.output = (result if isinstance(result, Tensor) else result[0]).reshape(BATCH, -1)

    hooks = [
        attention.register_forward_pre_hook(replace_input, with_kwargs=True),
        attention.register_forward_hook(leave),
        output.register_forward_hook(after),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def attention_matrices(model: nn.Module, attention: nn.Module, output: nn.Module, hidden: int) -> dict[str, Tensor]:
    """Read q, k, v and o of one attention module: [out, in], the heads in the order of the forward pass."""

    def run(*, unit_input: bool, unit_context: bool) -> Seen:
        seen = Seen()
        probe = Probe(hidden, unit_input, unit_context)
        with torch.no_grad(), _watched(attention, output, probe, seen), probe:
            model(torch.zeros(BATCH, 1, dtype=torch.long))
        return seen

    nothing = run(unit_input=False, unit_context=False)
    inner = run(unit_input=True, unit_context=False)
    outer = run(unit_input=False, unit_context=True)
    matrices = {
        "q": _matrix(inner.query, nothing.query, hidden),
        "k": _matrix(inner.key, nothing.key, hidden),
        "v": _matrix(inner.value, nothing.value, hidden),
    }
    assert outer.output is not None
    assert nothing.output is not None
    assert inner.query is not None
    assert inner.value is not None
    context = inner.query.shape[1] * inner.value.shape[2]
    matrices["o"] = (outer.output - nothing.output)[:context].T
    return matrices


def _matrix(unit: Tensor | None, nothing: Tensor | None, hidden: int) -> Tensor:
    """[batch, heads, head_dim] to [distinct heads · head_dim, hidden]: shared key heads may come repeated."""
    assert unit is not None
    assert nothing is not None
    by_head = (unit - nothing)[:hidden].permute(1, 2, 0)
    distinct = [head for index, head in enumerate(by_head) if index == 0 or not torch.equal(head, by_head[index - 1])]
    return torch.cat(distinct)


def innermost_attention(layer: nn.Module) -> nn.Module:
    named = [module for module in layer.modules() if "attention" in type(module).__name__.lower()]
    return next(
        module for module in named
        if not any(child is not module and "SelfAttention" in type(child).__name__ for child in module.modules())
        and not type(module).__name__.endswith("Output")
    )  # fmt: skip


def without_norms(attention: nn.Module) -> None:
    """Norms of queries and keys are not part of the matrices: let them pass what they get."""
    for name, _ in list(attention.named_children()):
        if "norm" in name.lower():
            setattr(attention, name, nn.Identity())
