"""What `spectra inspect` shows: the checkpoints, what their tensors become, what is skipped, and the cost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from spectra_cli.errors import printable
from spectra_cli.views.console.plain import plain_table
from spectra_cli.views.formatting import count, duration, ellipsis, size

if TYPE_CHECKING:
    from spectra_cli.jobs.inspect import Fetching, Inspection
    from spectra_cli.records import Layout, Matrix, StoredTensor

FEW = 8


def show_inspection(console: Console, found: Inspection, *, everything: bool) -> None:
    """Print the whole inspection."""
    console.print(_headline(found), soft_wrap=True)
    for line in _hygiene(found):
        console.print(line, soft_wrap=True)
    console.print(_cost_line(found), soft_wrap=True)
    if found.fetching:
        console.print(_fetching_line(found.fetching), soft_wrap=True)
    console.print()
    console.print(_checkpoints(found, everything=everything))
    console.print()
    console.print(_tensors(found.layout, found.tensors))
    for line in skipped_lines(found.layout):
        console.print(line, soft_wrap=True)
    if found.layout.architecture != "unknown":
        console.print("rules: --record prints them as TOML, which --arch reads back once you have edited it")
    for note in found.layout.notes:
        console.print(f"note: {printable(note, 300)}", soft_wrap=True)


def _headline(found: Inspection) -> str:
    plan = found.plan
    total = len(plan.checkpoints) + plan.not_chosen
    steps = [one.step for one in plan.checkpoints if one.step is not None]
    span = f" · steps {steps[0]} … {steps[-1]}" if len(steps) > 1 else ""
    chosen = f"{len(plan.checkpoints)} of {total} checkpoints chosen" if plan.not_chosen else count(total, "checkpoint")
    matrices = count(len(found.layout.matrices), "matrix", "matrices")
    return f"{printable(plan.model)} · {printable(found.layout.architecture)} · {chosen}{span} · {matrices} each"


def _hygiene(found: Inspection) -> list[str]:
    lines = []
    repeats = [f"{fact.checkpoint.revision} repeats {fact.duplicate_of}" for fact in found.facts if fact.duplicate_of]
    if repeats:
        lines.append(f"identical files: {count(len(repeats), 'checkpoint')} cost nothing: {ellipsis(repeats)}")
    if found.gaps:
        lines.append(f"gaps: nothing between steps {', '.join(f'{a} and {b}' for a, b in found.gaps[:5])}")
    if found.differing:
        lines.append(f"other matrices or shapes than the last checkpoint: {ellipsis(list(found.differing))}")
    if found.plan.unread:
        names = [f"{one.revision} ({one.reason})" for one in found.plan.unread]
        lines.append(f"not checkpoints: {ellipsis(names, 5)}")
    return lines


def _cost_line(found: Inspection) -> str:
    cost = found.cost
    return (
        f"to read: {size(cost.bytes_read)} · {cost.gigaflops:,.0f} GFLOP on {found.device}"
        f" · peak memory about {size(cost.peak_bytes)} · about {duration(cost.seconds)} on this machine"
    )


def _fetching_line(fetching: Fetching) -> str:
    how = "byte ranges of the tensors asked for" if fetching.in_parts else "whole files"
    cached = f", {size(fetching.cached)} are in the cache of this machine" if fetching.cached else ""
    kept = "the reference stays there" if fetching.keeps_reference else "the reference is read again by byte ranges"
    asked = f"{count(fetching.calls, 'listing')} and about {count(fetching.requests, 'request')}"
    return (
        f"to fetch: {size(fetching.nbytes)} of {size(fetching.total)}, {how}{cached} · {asked}"
        f" · scratch space up to {size(fetching.disk)}; {kept}"
    )


def _checkpoints(found: Inspection, *, everything: bool) -> Table:
    table = plain_table("checkpoint", "step", "tokens", "stage", "format", "size", "stored as")
    facts = found.facts if everything or len(found.facts) <= 2 * FEW else (*found.facts[:FEW], *found.facts[-FEW:])
    for index, fact in enumerate(facts):
        if index == FEW and len(facts) < len(found.facts):
            table.add_row(f"… {len(found.facts) - len(facts)} more; --all for each")
        one = fact.checkpoint
        numbers = [f"{value:,}" if value is not None else "–" for value in (one.step, one.tokens)]
        if fact.problem:
            rest = ["cannot be read: " + fact.problem.message]
        else:
            rest = [fact.format, size(fact.nbytes), " ".join(fact.dtypes)]
        table.add_row(*(printable(cell) for cell in (one.revision, *numbers, one.stage or "–", *rest)))
    return table


def family(name: str) -> str:
    """Give a tensor's name with its layer and expert numbers left open.

    >>> family("model.layers.12.mlp.experts.3.up_proj.weight")
    'model.layers.*.mlp.experts.*.up_proj.weight'
    >>> family("layer_02.mlp.dense_h_to_4h.weight")
    'layer_*.mlp.dense_h_to_4h.weight'
    """
    return re.sub(r"(?<=\.)\d+(?=\.|$)|(?<=^layer_)\d+(?=\.)", "*", name)


def _tensors(layout: Layout, tensors: dict[str, StoredTensor]) -> Table:
    """One line for each kind of stored tensor, over all layers alike."""
    kinds: dict[tuple[Any, ...], list[Matrix]] = {}
    for matrix in layout.matrices:
        stored = tensors.get(matrix.tensor)
        kinds.setdefault((family(matrix.tensor), stored.shape if stored else (), matrix.rule), []).append(matrix)
    table = plain_table("stored tensor", "becomes", "shape", "how many", "rule")
    for (stored_name, shape, rule), matrices in kinds.items():
        names = list(dict.fromkeys(family(matrix.name) for matrix in matrices))
        shapes = list(dict.fromkeys(f"{matrix.rows}×{matrix.cols}" for matrix in matrices))
        stored_shape = "×".join(str(side) for side in shape)
        table.add_row(
            printable(stored_name),
            printable(_together(names)),
            f"{stored_shape} → {' '.join(shapes)}",
            str(len(matrices)),
            printable(rule),
        )
    return table


def _together(names: list[str]) -> str:
    """Write names that differ in their last word as one.

    >>> _together(["layers.*.attn.q", "layers.*.attn.k"])
    'layers.*.attn.{q,k}'
    """
    stems = {name.rpartition(".")[0] for name in names}
    if len(names) < 2 or len(stems) > 1:
        return " ".join(names)
    return f"{stems.pop()}.{{{','.join(name.rpartition('.')[2] for name in names)}}}"


def skipped_lines(layout: Layout) -> list[str]:
    """Say what is skipped, by kind and reason."""
    kinds = Counter((family(one.tensor), one.reason) for one in layout.skipped)
    if not kinds:
        return ["skipped: nothing"]
    reasons: dict[str, list[str]] = {}
    for (name, reason), number in kinds.items():
        reasons.setdefault(reason, []).append(f"{number} × {name}")
    return [f"skipped, {printable(reason)}: {ellipsis(names, 6)}" for reason, names in reasons.items()]


def inspection_json(found: Inspection) -> dict[str, Any]:
    """Give the whole inspection as plain data."""
    return {
        "model": found.plan.model,
        "architecture": found.layout.architecture,
        "checkpoints": [
            {
                "revision": fact.checkpoint.revision,
                "step": fact.checkpoint.step,
                "tokens": fact.checkpoint.tokens,
                "stage": fact.checkpoint.stage,
                "format": fact.format or None,
                "bytes": fact.nbytes,
                "dtypes": list(fact.dtypes),
                "duplicate_of": fact.duplicate_of,
                "problem": fact.problem.message if fact.problem else None,
            }
            for fact in found.facts
        ],
        "not_chosen": found.plan.not_chosen,
        "unread": [{"revision": one.revision, "reason": one.reason} for one in found.plan.unread],
        "gaps": [list(pair) for pair in found.gaps],
        "matrices": [
            {"name": m.name, "role": m.role, "tensor": m.tensor, "rows": m.rows, "cols": m.cols, "rule": m.rule}
            for m in found.layout.matrices
        ],
        "skipped": [{"tensor": one.tensor, "reason": one.reason} for one in found.layout.skipped],
        "notes": list(found.layout.notes),
        "cost": {
            "gigaflops": found.cost.gigaflops,
            "bytes_read": found.cost.bytes_read,
            "peak_bytes": found.cost.peak_bytes,
            "seconds": found.cost.seconds,
        },
        "device": found.device,
        "fetching": asdict(found.fetching) if found.fetching else None,
    }
