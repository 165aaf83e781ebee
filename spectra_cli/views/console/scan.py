"""What `spectra scan` shows when it is done: the table, what is in it, the facts a person wants first, what is next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import count, ellipsis, number, size

if TYPE_CHECKING:
    from spectra_cli.jobs.scan import Scan
    from spectra_cli.studies.summary import RoleSummary

COUNTED = {
    "random_baseline": "no different from random entries",
    "equal_to_first": "unchanged since the first checkpoint",
    "equal_to_previous": "entries equal to the previous checkpoint's, where others moved",
    "equal_to_reference": "entries equal to {reference}",
}
ASKED = {
    "fused": "fused tensors are kept whole, as --fused asks: the spectrum of q, k and v together is none of theirs",
    "ema": "the weights are averages over the training, as --ema asks",
}
LOG = "loss.jsonl"  # what a run may keep beside its checkpoints, as that of `spectra demo` does
ENOUGH_STEPS = 8  # with fewer, a study over steps finds nothing


def show_scan(console: Console, scan: Scan, roles: Sequence[RoleSummary], name: str) -> None:
    """Print where the table is, what is in it, and the facts a person wants first."""
    skipped = scan.metadata["skipped"]
    reasons = sorted({reason for _, reason in skipped})
    left = f"{count(len(skipped), 'tensor')} skipped ({ellipsis(reasons, 4)})" if skipped else "nothing skipped"
    where = f"{printable(name)} · {count(scan.rows, 'row')} · {size(scan.output.stat().st_size)} · {left}"
    print_lines(console, where)
    if not scan.computed:
        print_lines(console, "complete already, from the same files and options: --restart computes it anew")
    if scan.losses:
        print_lines(console, f"{printable(str(scan.losses))} · the run's loss and learning rate, for --loss")
    for line in _facts(scan.metadata):
        print_lines(console, line)
    if roles:
        console.print()
        console.print(roles_table(roles))
        if scan.metadata["reference"]:
            print_lines(console, f"\n{closeness_lines(roles, scan.metadata['reference'])}")


def _facts(metadata: Mapping[str, Any]) -> list[str]:
    """Return what a reader should know of the checkpoints before the numbers, a line each."""
    lines = []
    if metadata["duplicates"]:
        pairs = [f"{twin} repeats {first}" for twin, first in metadata["duplicates"].items()]
        lines.append(f"identical weights: {ellipsis(pairs)}")
    if metadata["stages"]:
        lines.append(stages_line(metadata["stages"]))
    lines += warnings_of(metadata)
    lines += [f"note: {words}" for option, words in ASKED.items() if metadata["options"].get(option)]
    notes = dict.fromkeys(note for layout in metadata["layouts"] for note in layout["notes"])
    lines += [f"note: {printable(note, 400)}" for note in notes]
    if metadata["unread"]:
        names = [f"{name} ({reason})" for name, reason in metadata["unread"]]
        lines.append(f"not read: {ellipsis(names)}")
    return lines


def stages_line(stages: Mapping[str, Any]) -> str:
    """Return the order in which the stages were taken, and what says so.

    >>> stages_line({"order": [None, "sft"], "by": "their names"})
    'stages in order: those without a name, sft (by their names)'
    """
    names = ["those without a name" if stage is None else printable(stage) for stage in stages["order"]]
    return f"stages in order: {ellipsis(names, 8)} (by {stages['by']})"


def warnings_of(metadata: Mapping[str, Any]) -> list[str]:
    """Return lines: which matrices are as at initialisation or as elsewhere, and which numbers are uncertain.

    >>> warnings_of({"random_baseline": {"step0": 38, "step1": 38, "step9": 2}, "uncertain": {}})
    ['no different from random entries: 38 matrices at step0 … step1, 2 at step9']
    """
    lines = []
    order = {line[0]: index for index, line in enumerate(metadata.get("checkpoints", ()))}  # files sort their keys
    for key, words in COUNTED.items():
        parts: list[str] = []
        counts = sorted(metadata.get(key, {}).items(), key=lambda item: order.get(item[0], 0))
        for many, run in groupby(counts, lambda item: item[1]):
            names = [printable(name) for name, _ in run]
            span = f"{names[0]} … {names[-1]}" if names[1:] else names[0]
            parts.append(f"{many if parts else count(many, 'matrix', 'matrices')} at {span}")
        if parts:
            lines.append(f"{words.format(reference=printable(str(metadata.get('reference'))))}: {ellipsis(parts, 4)}")
    uncertain = metadata["uncertain"]
    if uncertain:
        where = sorted({f"{matrix} at {revision}" for places in uncertain.values() for revision, matrix in places})
        lines.append(f"uncertain in the third digit: {ellipsis(list(uncertain), 4)}, of {ellipsis(where)}")
    return lines


def show_next(console: Console, scan: Scan, roles: Sequence[RoleSummary]) -> None:
    """Print the commands that go on from the table, where it holds enough steps and what they read."""
    logged = Path(str(scan.metadata["source"])) / LOG
    losses = scan.losses or (logged if logged.is_file() else None)
    if not roles or not (losses or scan.steps >= ENOUGH_STEPS):
        return
    table = printable(shlex.join([str(scan.output), *(["--loss", str(losses)] if losses else [])]), 8192)
    page = printable(shlex.quote(str(scan.output.with_suffix(".html"))), 4096)
    moved = any(role.peak and role.peak[0] > 0 for role in roles)
    commands = [f"spectra stability {table}"] * moved + [f"spectra report {table} -o {page}"]
    console.print("\nnext: " + "\n      ".join(commands), soft_wrap=True)


def roles_table(roles: Sequence[RoleSummary]) -> PlainTable:
    """Return a table of one line a role."""
    compared = any(role.start is not None for role in roles)
    headers = ["role"]
    if compared:
        headers += ["spectra\n≥ 0.99", "weights\n≥ 0.99", "SD variation,\npeak"]
    table = PlainTable(*headers, "stable rank", "α")
    for role in roles:
        cells = [role.role]
        if compared:
            peak = f"{number(role.peak[0], 2)}, step {role.peak[1]}" if role.peak else "–"
            cells += [_since(role.spectra_close, role), _since(role.weights_close, role), peak]
        table.add_row(*(printable(cell) for cell in cells), _change(role.stable_rank, 3), _change(role.alpha, 2))
    return table


def _since(step: int | None, role: RoleSummary) -> str:
    if step is None:
        return "–"
    return "the start" if step == role.first_step else f"step {step}"


def _change(ends: tuple[float, float] | None, digits: int) -> str:
    if ends is None:
        return "–"
    return f"{number(ends[0], digits)} → {number(ends[1], digits)}" if ends[0] != ends[1] else number(ends[0], digits)


def closeness_lines(roles: Sequence[RoleSummary], reference: str) -> str:
    """Return what the columns of closeness mean, and which role's weights moved furthest and which least."""
    known = sorted((role.start, role.role) for role in roles if role.start is not None and role.start == role.start)
    closeness = f"≥ 0.99: from then on the cosine to {printable(reference)} stays at or above 0.99"
    if len(known) < 2:
        return closeness
    (low, most), (high, least) = known[0], known[-1]
    first = f"weights of {most} moved most (cosine to {printable(reference)} {number(low)} at the start)"
    return f"{closeness}\n{first}, of {least} least ({number(high)})"


def scan_json(scan: Scan, roles: Sequence[RoleSummary]) -> dict[str, Any]:
    """Return the result as one object that json.dumps takes."""
    return {
        "output": str(scan.output),
        "losses": str(scan.losses) if scan.losses else None,
        "rows": scan.rows,
        "computed": scan.computed,
        "problems": [asdict(problem) for problem in scan.problems],
        "metadata": scan.metadata,
        "roles": [asdict(role) for role in roles],
    }
