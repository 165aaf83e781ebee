"""Stored tensors as a file would declare them, for tests that need no weights."""

from __future__ import annotations

from spectra_cli.records import Layout, StoredTensor


def tensors(dtype: str = "float32", **shapes: tuple[int, ...]) -> dict[str, StoredTensor]:
    """Declare tensors; a double underscore in an argument's name is a dot in the tensor's."""
    return named({name.replace("__", "."): shape for name, shape in shapes.items()}, dtype)


def named(shapes: dict[str, tuple[int, ...]], dtype: str = "float32") -> dict[str, StoredTensor]:
    return {name: StoredTensor(name, shape, dtype) for name, shape in shapes.items()}


def names(result: Layout) -> list[str]:
    return [matrix.name for matrix in result.matrices]


NEOX_CONFIG = {"model_type": "gpt_neox", "hidden_size": 8, "num_attention_heads": 2}


def neox(prefix: str = "gpt_neox.", layers: int = 1) -> dict[str, StoredTensor]:
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_in.weight": (50, 8), "embed_out.weight": (50, 8)}
    for layer in range(layers):
        inner = f"{prefix}layers.{layer}."
        shapes |= {
            f"{inner}mlp.dense_4h_to_h.weight": (8, 32),
            f"{inner}mlp.dense_h_to_4h.weight": (32, 8),
            f"{inner}attention.dense.weight": (8, 8),
            f"{inner}attention.query_key_value.weight": (24, 8),
        }
    return named(shapes)
