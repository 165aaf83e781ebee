"""Weights kept as length and direction by torch's weight normalisation: one tensor of the two. Reads no data."""

from __future__ import annotations

import re
from dataclasses import replace

from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.tensors.length_and_direction import WeightNormTensor
from spectra_cli.weights.tensors.source import TensorSource

# The name of a length, and of the direction beside it: before torch 2.0, and since.
NAMES = (
    (re.compile(r"(?P<before>.*)(?P<weight>\bweight)_g"), "{}{}_v"),
    (re.compile(r"(?P<before>.*\b)parametrizations\.(?P<weight>\w+)\.original0"), "{}parametrizations.{}.original1"),
)
PART = "part of a weight that is stored as length and direction"


def join_weight_norms(contents: Contents) -> Contents:
    """Put each pair of length and direction together under the name of the weight that they make."""
    stored = contents.tensors
    tensors = dict(stored)
    parts: list[str] = []
    for name, lengths in stored.items():
        for pattern, beside in NAMES:
            match = pattern.fullmatch(name)
            direction = beside.format(match["before"], match["weight"]) if match else ""
            weight = match["before"] + match["weight"] if match else ""
            if direction in stored and weight not in tensors and _fit(lengths, stored[direction]):
                parts += (name, direction)
                tensors[weight] = WeightNormTensor(lengths, stored[direction])
    for name in parts:
        del tensors[name]
    helpers = (Skipped(name, PART, harmless=True) for name in parts)
    return replace(contents, tensors=tensors, helpers=(*contents.helpers, *helpers))


def _fit(lengths: TensorSource, directions: TensorSource) -> bool:
    """Whether there is a length for all, or one for each index of some of the directions' axes."""
    if all(size == 1 for size in lengths.shape):
        return len(directions.shape) > 1
    pairs = zip(lengths.shape, directions.shape, strict=False)
    return len(lengths.shape) == len(directions.shape) > 1 and all(own in (1, whole) for own, whole in pairs)
