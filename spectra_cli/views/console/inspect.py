"""What `spectra inspect` shows: the checkpoints, what their tensors become, what is skipped, and the cost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import count, duration, ellipsis, size

if TYPE_CHECKING:
    from spectra_cli.jobs.inspect import Fetching, Inspection
    from spectra_cli.jobs.pricing import Elsewhere
    from spectra_cli.records import Layout, Matrix, StoredTensor

FEW = 8


def show_inspection(console: Console, inspection: Inspection, *, everything: bool) -> None:
    """Print the whole inspection."""
    print_lines(console, _headline(inspection))
    for line in _hygiene(inspection):
        print_lines(console, line)
    print_lines(console, _cost_line(inspection))
    if inspection.elsewhere:
        print_lines(console, _elsewhere_line(inspection.elsewhere, inspection.work.checkpoints))
    if inspection.fetching:
        print_lines(console, _fetching_line(inspection.fetching))
    console.print()
    console.print(_checkpoints(inspection, everything=everything))
    console.print()
    console.print(_tensors(inspection.layout, inspection.tensors))
    for line in skipped_lines(inspection.layout):
        print_lines(console, line)
    if inspection.layout.architecture != "unknown":
        print_lines(console, "rules: --record prints them as TOML, which --arch reads back once you have edited it")
    for note in inspection.layout.notes:
        print_lines(console, f"note: {printable(note, 300)}")


def _headline(inspection: Inspection) -> str:
    plan = inspection.plan
    total = len(plan.checkpoints) + plan.not_chosen
    steps = [checkpoint.step for checkpoint in plan.checkpoints if checkpoint.step is not None]
    span = f" · steps {steps[0]} … {steps[-1]}" if len(steps) > 1 else ""
    chosen = f"{len(plan.checkpoints)} of {total} checkpoints chosen" if plan.not_chosen else count(total, "checkpoint")
    matrices = count(len(inspection.layout.matrices), "matrix", "matrices")
    return f"{printable(plan.model)} · {printable(inspection.layout.architecture)} · {chosen}{span} · {matrices} each"


def _hygiene(inspection: Inspection) -> list[str]:
    lines = []
    repeats = [
        f"{fact.checkpoint.revision} repeats {fact.duplicate_of}" for fact in inspection.facts if fact.duplicate_of
    ]
    if repeats:
        lines.append(f"identical files: {count(len(repeats), 'checkpoint')} cost nothing: {ellipsis(repeats)}")
    if inspection.gaps:
        lines.append(f"gaps: nothing between steps {', '.join(f'{a} and {b}' for a, b in inspection.gaps[:5])}")
    if inspection.differing:
        lines.append(f"other matrices or shapes than the last checkpoint: {ellipsis(list(inspection.differing))}")
    if inspection.plan.unread:
        names = [f"{entry.revision} ({entry.reason})" for entry in inspection.plan.unread]
        lines.append(f"not checkpoints: {ellipsis(names, 5)}")
    return lines


def _cost_line(inspection: Inspection) -> str:
    work, cost = inspection.work, inspection.cost
    priced = f"for {count(work.checkpoints, 'checkpoint')} like the last: " if inspection.is_priced_for_more else ""
    return (
        f"{priced}to read: {size(work.nbytes)} · {work.gigaflops:,.0f} GFLOP on {inspection.device}"
        f" · peak memory about {size(cost.peak_bytes)} · {_about(cost.seconds)} on this machine"
    )


def _elsewhere_line(elsewhere: Elsewhere, checkpoints: int) -> str:
    workers, cost = elsewhere.workers, elsewhere.cost
    gpus = f" and {count(workers.gpus, 'GPU')}" if workers.gpus else ""
    each = " each" if workers.count > 1 else ""
    computing = f"computing {duration(cost.computing)}"
    if workers.gpus:
        computing += (
            f" (GPUs: Gram matrices {duration(cost.products)}, eigenvalues {duration(cost.eigenvalues)};"
            f" processors {duration(cost.processors)})"
        )
    reading = "reading is not counted: give --bandwidth"
    if workers.bandwidth:
        reading = f"reading {duration(cost.reading)} at {size(workers.bandwidth)} a second{each}"
    assumed = " · the GPUs' speed is assumed, not measured" if workers.gpus and elsewhere.gpu_assumed else ""
    return (
        f"on {count(workers.count, 'worker')} of {count(workers.processors, 'processor')}{gpus}: {_about(cost.seconds)}"
        f" for {count(checkpoints, 'checkpoint')} · {computing}, {reading}"
        f" · peak memory about {size(cost.peak_bytes)}{each}{assumed}"
    )


def _about(seconds: float) -> str:
    return duration(seconds) if seconds < 1 else f"about {duration(seconds)}"


def _fetching_line(fetching: Fetching) -> str:
    how = "byte ranges of the tensors asked for" if fetching.in_parts else "whole files"
    cached = f", {size(fetching.cached)} are in the cache of this machine" if fetching.cached else ""
    kept = "the reference stays there" if fetching.keeps_reference else "the reference is read again by byte ranges"
    asked = f"{count(fetching.calls, 'listing')} and about {count(fetching.requests, 'request')}"
    return (
        f"to fetch: {size(fetching.nbytes)} of {size(fetching.total)}, {how}{cached} · {asked}"
        f" · scratch space up to {size(fetching.disk)}; {kept}"
    )


def _checkpoints(inspection: Inspection, *, everything: bool) -> PlainTable:
    table = PlainTable(
        "checkpoint", "step", "tokens", "stage", "format", "size", "stored as", least=["stage", "tokens"]
    )
    facts = (
        inspection.facts
        if everything or len(inspection.facts) <= 2 * FEW
        else (*inspection.facts[:FEW], *inspection.facts[-FEW:])
    )
    for index, fact in enumerate(facts):
        if index == FEW and len(facts) < len(inspection.facts):
            table.add_row(f"… {len(inspection.facts) - len(facts)} more; --all for each")
        checkpoint = fact.checkpoint
        numbers = [f"{value:,}" if value is not None else "–" for value in (checkpoint.step, checkpoint.tokens)]
        if fact.problem:
            rest = ["cannot be read: " + fact.problem.message]
        else:
            rest = [fact.format, size(fact.nbytes), " ".join(fact.dtypes)]
        table.add_row(*(printable(cell) for cell in (checkpoint.revision, *numbers, checkpoint.stage or "–", *rest)))
    return table


def family(name: str) -> str:
    """Return a tensor's name with its layer and expert numbers left open.

    >>> family("model.layers.12.mlp.experts.3.up_proj.weight")
    'model.layers.*.mlp.experts.*.up_proj.weight'
    >>> family("layer_02.mlp.dense_h_to_4h.weight")
    'layer_*.mlp.dense_h_to_4h.weight'
    """
    return re.sub(r"(?<=\.)\d+(?=\.|$)|(?<=^layer_)\d+(?=\.)", "*", name)


def _tensors(layout: Layout, tensors: dict[str, StoredTensor]) -> PlainTable:
    """One line for each kind of stored tensor, over all layers alike."""
    kinds: dict[tuple[Any, ...], list[Matrix]] = {}
    for matrix in layout.matrices:
        stored = tensors.get(matrix.tensor)
        kinds.setdefault((family(matrix.tensor), stored.shape if stored else (), matrix.rule), []).append(matrix)
    table = PlainTable("stored tensor", "becomes", "shape", "how many", "rule", least=["rule", "shape"])
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
    """Return names that differ in their last word as one.

    >>> _together(["layers.*.attn.q", "layers.*.attn.k"])
    'layers.*.attn.{q,k}'
    """
    stems = {name.rpartition(".")[0] for name in names}
    if len(names) < 2 or len(stems) > 1:
        return " ".join(names)
    return f"{stems.pop()}.{{{','.join(name.rpartition('.')[2] for name in names)}}}"


def skipped_lines(layout: Layout) -> list[str]:
    """Return lines: what is skipped, by kind and reason."""
    kinds = Counter((family(tensor.tensor), tensor.reason) for tensor in layout.skipped)
    if not kinds:
        return ["skipped: nothing"]
    reasons: dict[str, list[str]] = {}
    for (name, reason), number in kinds.items():
        reasons.setdefault(reason, []).append(f"{number} × {name}")
    return [f"skipped, {printable(reason)}: {ellipsis(names, 6)}" for reason, names in reasons.items()]


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return the whole inspection as one object that json.dumps takes."""
    return {
        "model": inspection.plan.model,
        "architecture": inspection.layout.architecture,
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
            for fact in inspection.facts
        ],
        "not_chosen": inspection.plan.not_chosen,
        "unread": [{"revision": entry.revision, "reason": entry.reason} for entry in inspection.plan.unread],
        "gaps": [list(pair) for pair in inspection.gaps],
        "matrices": [
            {"name": m.name, "role": m.role, "tensor": m.tensor, "rows": m.rows, "cols": m.cols, "rule": m.rule}
            for m in inspection.layout.matrices
        ],
        "skipped": [{"tensor": entry.tensor, "reason": entry.reason} for entry in inspection.layout.skipped],
        "notes": list(inspection.layout.notes),
        "cost": _cost_json(inspection),
        "elsewhere": asdict(inspection.elsewhere) | {"seconds": inspection.elsewhere.cost.seconds}
        if inspection.elsewhere
        else None,
        "device": inspection.device,
        "fetching": asdict(inspection.fetching) if inspection.fetching else None,
    }


def _cost_json(inspection: Inspection) -> dict[str, float]:
    """Return what the scan would take on this machine."""
    work, cost = inspection.work, inspection.cost
    return {
        "checkpoints": work.checkpoints,
        "gigaflops": work.gigaflops,
        "bytes_read": work.nbytes,
        "peak_bytes": cost.peak_bytes,
        "processor_seconds": cost.starting + sum(work.steps.values()),
        "seconds": cost.seconds,
    }
