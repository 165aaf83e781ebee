"""What `spectra rank1` shows: shares beside their nulls, the verdict, a line a role or layer; and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.rank1 import Beside, GroupFindings, Halves, Rank1, SequenceFindings
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.console.progress import BarOrLines
from spectra_cli.views.formatting import count, duration, size
from spectra_cli.views.sentences.rank1 import decimal, rank1_sentences, run_sentence, share, signed

if TYPE_CHECKING:
    from spectra_cli.measure.side_by_side import OpenRun

KINDS = ("raw", "merged")


class TensorProgress(BarOrLines):
    """Shows how many tensors are read: without a terminal, a headline alone."""

    done = total = kept = 0
    started = 0.0

    def begin(self, run: OpenRun) -> None:
        """Print what is about to be read, and start the bar."""
        many, self.total = len(run.checkpoints), len(run.tensors)
        if not self.quiet:
            bytes_read = sum(item.tensor.nbytes for item in run.tensors) * many
            text = f"{count(many, 'checkpoint')} · {count(self.total, 'tensor')} each · {size(bytes_read)} to read"
            print_lines(self.console, text)

    def __call__(self, done: int, total: int) -> None:
        """Note how many tensors are done; at first, how many an earlier run finished."""
        if not self.started:
            self.started, self.kept = time.monotonic(), done
        self.done, self.total = done, total
        self.move(done, total)

    def parts(self) -> Sequence[str]:
        """Return how far the reading is."""
        if not self.started:
            return [self.doing]
        parts, read = [f"tensor {min(self.done + 1, self.total)} of {self.total}"], self.done - self.kept
        if read:
            left = (time.monotonic() - self.started) / read * (self.total - self.done)
            parts.append(f"{duration(left)} left")
        return [*parts, *([f"{self.kept} were read before"] if self.kept else [])]


def show_rank1(console: Console, findings: Rank1, *, everything: bool) -> None:
    """Print the findings. everything: each layer too."""
    print_lines(console, run_sentence(findings))
    console.print()
    table = PlainTable("", "first component", "a walk\nwith these steps", "a persistent walk", "neighbouring\nupdates")
    for kind in KINDS[: 2 if findings.window > 1 else 1]:
        sequence: SequenceFindings = getattr(findings.whole, kind)
        nulls = (_null(null) for null in (sequence.null_walk, sequence.null_persistent))
        table.add_row(kind, share(sequence), *nulls, signed(sequence.update_cosine))
    console.print(table)
    console.print()
    for sentence in rank1_sentences(findings):
        print_lines(console, sentence)
    console.print()
    console.print(_groups(findings, everything=everything))
    hidden = sum(group.layer is not None for group in findings.groups)
    if hidden and not everything:
        console.print(f"… {count(hidden, 'layer')}; --all for each")


def _groups(findings: Rank1, *, everything: bool) -> Any:
    table = PlainTable(
        "", "weights", "raw", "walk, persistent", "merged", "walk, persistent", "halves", "verdict on merged",
        least=["weights", "walk, persistent", "raw"],
    )  # fmt: skip
    for group in findings.groups:
        if group.layer is None or everything:
            halves, verdict = signed(group.halves.cosine), group.merged.verdict
            table.add_row(
                printable(group.name), f"{group.elements:,}", *_pair(group.raw), *_pair(group.merged), halves, verdict
            )
    return table


def _pair(sequence: SequenceFindings) -> tuple[str, str]:
    walk, persistent = sequence.null_walk.share, sequence.null_persistent.share
    return share(sequence), f"{decimal(walk)}, {decimal(persistent)}"


def _null(null: Beside) -> str:
    low, high = (decimal(end, like=null.share) for end in null.interval)
    return f"{decimal(null.share)} ({low}–{high})"


def rank1_json(findings: Rank1) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes, without NaN."""
    whole = findings.whole
    return {
        "checkpoints": len(findings.revisions),
        "window": findings.window,
        "model": findings.model,
        "revisions": list(findings.revisions),
        "steps": list(findings.numbers),
        **_group_json(whole),
        "verdict": findings.verdict,
        "groups": [{"group": group.name, "role": group.role, "layer": group.layer, **_group_json(group)}
                   for group in findings.groups if group is not whole],
        "findings": rank1_sentences(findings),
    }  # fmt: skip


def _group_json(group: GroupFindings) -> dict[str, Any]:
    halves = {"cosine": _plain(group.halves.cosine), **_nulls_json(group.halves, "cosine")}
    return {
        "weights": group.elements,
        "raw": _sequence_json(group.raw),
        "merged": _sequence_json(group.merged),
        "halves_cosine": _plain(group.halves.cosine),
        "halves": halves,
        "step": {name: _plain(part) for name, part in vars(group.steps).items()},
        "dimensions": _plain(group.dimensions),
        "verdict": group.merged.verdict,
    }


def _sequence_json(sequence: SequenceFindings) -> dict[str, Any]:
    return {
        "shares": list(sequence.shares),
        **_nulls_json(sequence, "share"),
        "update_cosine": _plain(sequence.update_cosine),
        "verdict": sequence.verdict,
    }


def _nulls_json(holder: SequenceFindings | Halves, name: str) -> dict[str, Any]:
    nulls = {"null_walk": holder.null_walk, "null_persistent": holder.null_persistent}
    return {key: {name: null.share, "interval": list(null.interval), "p": null.p} for key, null in nulls.items()}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
