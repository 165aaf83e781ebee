"""What `spectra stability` shows: findings in sentences, a line a group, ratios between runs; or all of it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.stability import GroupStability, LossStability, Onset, Ratio, RunComparison, RunStability
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.console.seeds import pools_json, show_pools
from spectra_cli.views.formatting import count, number
from spectra_cli.views.sentences.stability import NOUNS, ratio, ratio_sentences, stability_sentences, step

MOST_LAYERS = 8
LEAST = ("bound loose", "onset\nper lr", "weights\n≥ 0.99", "spectra\n≥ 0.99", "settled")  # left out first


def show_stability(
    console: Console, compared: RunComparison, *, everything: bool = False, ratios_only: bool = False
) -> None:
    """Print each run's findings and its groups, then the runs against the first; of pools, what their runs share.

    ratios_only: print only how runs, or pools, compare with the first.
    """
    if compared.pools:
        show_pools(console, () if ratios_only else compared.pools, compared.contrasts)
        return
    if not ratios_only:
        _show_runs(console, compared, everything=everything)
    if len(compared.runs) > 1:
        if not ratios_only:
            console.print()
        console.print(f"against {printable(compared.runs[0].label)}, with 90% intervals")
        for line in ratio_sentences(compared):
            print_lines(console, line)
        console.print()
        console.print(_ratios(compared))


def _show_runs(console: Console, compared: RunComparison, *, everything: bool) -> None:
    for index, run in enumerate(compared.runs):
        if index:
            console.print()
        span = f"steps {run.steps[0]} … {run.steps[-1]}"
        print_lines(console, f"{printable(run.label)} · {count(len(run.steps), 'checkpoint')}, {span}")
        for line in stability_sentences(run):
            print_lines(console, line)
        console.print()
        console.print(_groups(run, everything=everything))


def _groups(run: RunStability, *, everything: bool) -> PlainTable:
    layers = [group for group in run.groups if group.group.startswith("layer ")]
    others = [group for group in run.groups if not group.group.startswith("layer ")]
    shown = layers if everything or len(layers) <= MOST_LAYERS else []
    per_lr = any(group.onset_per_lr for group in run.groups)
    headers = ["", "peak,\nper step", "at step", "floor", "onset"] + ["onset\nper lr"] * per_lr
    table = PlainTable(*headers, "settled", "spectra\n≥ 0.99", "weights\n≥ 0.99", "bound loose", least=LEAST)
    for group in others + shown:
        table.add_row(*_cells(group, per_lr=per_lr))
    if layers and not shown:
        table.caption = f"{len(layers)} layers left out; --all shows them"
    return table


def _cells(group: GroupStability, *, per_lr: bool) -> list[str]:
    close = next((pair for pair in group.decoupling if pair.threshold == 0.99), None)
    return [
        printable(group.group),
        number(group.peak.value, 2),
        str(group.peak.step),
        number(group.floor.value, 2),
        _onset(group.onset),
        *([_onset(group.onset_per_lr)] if per_lr else []),
        _at(group.settled),
        _at(close.spectrum_step if close else None),
        _at(close.weights_step if close else None),
        f"× {number(1 / group.tightness, 2)}" if group.tightness else "–",
    ]


def _at(where: int | None) -> str:
    return "–" if where is None else str(where)


def _onset(onset: Onset | None) -> str:
    if onset is None or onset.step is None or onset.interval is None:
        return "–"
    return f"{step(onset.step)} ({step(onset.interval[0])} … {step(onset.interval[1])})"


def _ratios(compared: RunComparison) -> PlainTable:
    quantities = [name for name in NOUNS if any(entry.quantity == name for entry in compared.ratios)]
    table = PlainTable("", "", *quantities)
    lines: dict[tuple[str, str], dict[str, Ratio]] = {}
    for entry in compared.ratios:
        lines.setdefault((entry.label, entry.group), {})[entry.quantity] = entry
    for (label, group), cells in lines.items():
        table.add_row(printable(label), printable(group), *(ratio(cells.get(name)) for name in quantities))
    return table


def stability_json(compared: RunComparison) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes; None where there is no number."""
    return {
        "runs": [_run(run) for run in compared.runs],
        "ratios": [asdict(entry) for entry in compared.ratios],
        **pools_json(compared.pools, compared.contrasts),
    }


def _run(run: RunStability) -> dict[str, Any]:
    return {
        "label": run.label,
        "steps": list(run.steps),
        "groups": [_group(entry) for entry in run.groups],
        "loss": _loss(run.loss) if run.loss else None,
        "lr_response": [asdict(entry) for entry in run.lr_response],
        "constant": run.constant,
        "attention_over_mlp": asdict(run.attention_over_mlp) if run.attention_over_mlp else None,
        "theory": [{"claim": each.claim, "says": each.says, **asdict(each.answer)} for each in run.theory],
        "notes": list(run.notes),
        "findings": stability_sentences(run),
    }


def _group(group: GroupStability) -> dict[str, Any]:
    return {
        "group": group.group,
        "matrices": group.matrices,
        "peak": asdict(group.peak),
        "floor": asdict(group.floor),
        "settled": group.settled,
        "onset": _onset_facts(group.onset),
        "onset_per_lr": _onset_facts(group.onset_per_lr) if group.onset_per_lr else None,
        "decoupling": [asdict(pair) for pair in group.decoupling],
        "tightness": group.tightness,
        "pairs": group.pairs,
        "over_bound": group.over_bound,
    }


def _onset_facts(onset: Onset) -> Mapping[str, Any]:
    names = [name for name in Onset.__dataclass_fields__ if name not in ("draws", "line")]
    facts = {"bends" if name == "breakpoints" else name: getattr(onset, name) for name in names}
    return {**facts, "line": [{"step": at, "value": value} for at, value in onset.line]}


def _loss(loss: LossStability) -> dict[str, Any]:
    return {
        "kind": loss.kind,
        "last": loss.last,
        "onset": _onset_facts(loss.onset),
        "fastest": loss.fastest,
        "synchrony": loss.synchrony,
        "synchrony_of": loss.synchrony_of,
        "spearman": loss.spearman,
        "spearman_p": loss.spearman_p,
    }
