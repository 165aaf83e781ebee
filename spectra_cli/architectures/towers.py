"""The parts of a model of several kinds of input that see or hear: each with a record and sizes of its own.

Knows no family: which record a tower has is said by its own config, as the language model's is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spectra_cli.architectures.record import Architecture


@dataclass(frozen=True)
class Kind:
    """A kind of tower: what its canonical names begin with, the config's keys for it, and what stored names begin with.

    A stored name may begin with several of the words, one after the other, in whatever wraps the model.
    """

    name: str
    keys: tuple[str, ...]
    stored: tuple[str, ...]


KINDS = (
    Kind("vision", ("vision_config", "vit_config", "image_config", "vision_tower_config"),
         ("vision_tower", "vision_model", "visual", "vision_encoder", "vision_backbone", "image_encoder", "image_model",
          "vision", "vit")),
    Kind("audio", ("audio_config", "encoder_config", "speech_config"),
         ("audio_tower", "audio_model", "audio_encoder", "speech_encoder", "speech_model", "sound_encoder", "audio")),
)  # fmt: skip
WRAPPERS = re.compile(r"(?:(?:_orig_mod|module|base_model|model|thinker)\.)*")


@dataclass(frozen=True)
class Tower:
    """A tower of one model: what its canonical names begin with, its record, its config, and how to know its tensors.

    stored: what a stored name begins with that belongs to it.
    """

    name: str
    record: Architecture
    config: Mapping[str, Any]
    stored: re.Pattern[str]

    def holds(self, name: str) -> bool:
        """Whether a stored name begins as this tower's do."""
        return self.stored.match(name) is not None

    def own_name(self, name: str) -> str | None:
        """Return what follows the words by which a stored name is known to be this tower's; None for any other."""
        match = self.stored.match(name)
        return name[match.end() :] if match else None


def towers_of(config: Mapping[str, Any], records: Iterable[Architecture]) -> Iterator[Tower]:
    """Yield the towers that a config speaks of and that a record is known for.

    >>> from spectra_cli.architectures.record import Rule
    >>> mine = Architecture("mine", ("eye",), ("blocks.{layer}.",), (Rule("q.weight", "attn.q"),))
    >>> (tower,) = towers_of({"vision_config": {"model_type": "eye"}}, [mine])
    >>> tower.name, tower.own_name("model.visual.blocks.0.q.weight"), tower.own_name("model.layers.0.q.weight")
    ('vision', 'blocks.0.q.weight', None)
    """
    nested = [config, *(value for key in ("thinker_config",) if isinstance(value := config.get(key), Mapping))]
    known = tuple(records)
    for kind in KINDS:
        words = "|".join(kind.stored)
        pattern = re.compile(rf"{WRAPPERS.pattern}(?:(?:{words})\.)+{WRAPPERS.pattern}")
        for outer in nested:
            own = next((outer[key] for key in kind.keys if isinstance(outer.get(key), Mapping)), None)
            if own is not None and (record := _record(kind, own, outer, known)):
                yield Tower(kind.name, record, own, pattern)
                break


def _record(
    kind: Kind, own: Mapping[str, Any], outer: Mapping[str, Any], records: tuple[Architecture, ...]
) -> Architecture | None:
    """Return the tower's record: by its own `model_type`, or by the whole model's where it only repeats that."""
    stated = [value for value in (own.get("model_type"), outer.get("model_type")) if isinstance(value, str)]
    endings = ("_vision", "_vision_model", "_audio", "_audio_encoder", "_encoder")
    ours = [ending for ending in endings if (kind.name == "audio") != ("vision" in ending)]
    names = [*stated[:1], *(value + ending for value in stated for ending in ours)]
    return next((record for name in names for record in records if name in record.model_types), None)
