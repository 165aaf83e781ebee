"""One event of a run, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PHASE_TWO, COLLAPSE, SPIKE, BROKEN = KINDS = ("phase II", "collapse", "spike", "broken")
NAN, ZERO, UNMOVED, REPEATED = ("NaN or Inf", "zero", "unmoved", "repeated")


@dataclass(frozen=True)
class Event:
    """Something that happened in a run. kind: one of KINDS. revision, step: the checkpoint at which it was seen.

    matrices: those that it happened to; none where it is the whole model's. numbers: by kind.

    phase II: `onset`, `low` and `high`, its 90% interval, and `phase`, `floor`, `slow decline` or `flatter`. collapse:
    by matrix, `stable_rank` and what it was `before`. spike: by matrix, `z` and the `growth` of σ₁ since the checkpoint
    before as a factor; `loss_step` and `loss_z` where the loss jumps nearby. broken: `what`, one of `NaN or Inf`,
    `zero`, `unmoved` (entries of the checkpoint before) and `repeated` (all matrices as at the step `repeats`).
    """

    kind: str
    revision: str
    step: int | None
    matrices: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def as_line(self) -> str:
        """Return the event as one line of JSON.

        >>> Event(BROKEN, "step4", 4, ("embed",), {"what": ZERO}).as_line()
        '{"event": "broken", "revision": "step4", "step": 4, "matrices": ["embed"], "what": "zero"}'
        """
        about = {"event": self.kind, "revision": self.revision, "step": self.step, "matrices": list(self.matrices)}
        return json.dumps({**about, **self.numbers})

    @classmethod
    def from_line(cls, line: str) -> Event:
        """Return the event that a line holds. Raises ValueError, KeyError or TypeError where it holds none.

        >>> Event.from_line(Event(SPIKE, "step4", 4, ("embed",), {"z": [7.5]}).as_line()).numbers
        {'z': [7.5]}
        """
        line_facts = dict(json.loads(line))
        names = ("event", "revision", "step", "matrices")
        kind, revision, step, matrices = (line_facts.pop(name) for name in names)
        sound = kind in KINDS and isinstance(revision, str) and isinstance(step, int | None)
        if not sound or not isinstance(matrices, list) or not all(isinstance(name, str) for name in matrices):
            raise ValueError(line)
        return cls(kind, revision, step, tuple(matrices), line_facts)
