"""What `spectra merge` shows: the candidates and their losses, what was chosen and written, what rounding cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.views.console.evaluate import with_error
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import count, number, size

if TYPE_CHECKING:
    from spectra_cli.jobs.judging import Judgement
    from spectra_cli.jobs.merge import Merge
    from spectra_cli.surgery.recipes import Candidate


def show_merge(console: Console, merge: Merge) -> None:
    """Print the candidates' losses where a text was given, the weights of a dry run, and what was written."""
    if merge.judgement is not None:
        console.print(_losses(merge.judgement))
        print_lines(console, _chosen(merge.judgement))
    if merge.written is None:
        console.print(_weights(merge))
        for line in _planned(merge):
            print_lines(console, line)
        return
    written = merge.written
    files = f"{count(len(written.files), 'file')}, {size(written.nbytes)}"
    print_lines(console, f"{printable(written.folder)} · {_range(merge)} · {files} · provenance.json, README.md")
    for line in (*_lead(merge), *_rounding(merge)):
        print_lines(console, line)


def _losses(judgement: Judgement) -> PlainTable:
    table = PlainTable("c", "lead", "loss, half A", "loss, half B", "against the mean\n(paired, half B)")
    for judged in judgement.judged:
        against = with_error(judged.against_mean, signed=True) if judged.against_mean else "–"
        c, lead = f"{judged.candidate.c:g}", _signed(judged.candidate.lead)
        table.add_row(c, lead, f"{judged.loss_a.value:.4f}", f"{judged.loss_b.value:.4f}", against)
    return table


def _chosen(judgement: Judgement) -> str:
    over_last = f"{with_error(judgement.over_last, signed=True)} nats per token against the last checkpoint"
    line = f"chosen: c = {judgement.chosen.c:g} (half A of {judgement.text}). On half B: {over_last}"
    if judgement.over_mean is None:
        gain = "" if judgement.over_last.value < 0 and judgement.over_last.beyond(2) else ": merging is no gain here"
        return f"{line}{gain}."
    verdict = "" if judgement.gains_over_mean else ": the extrapolation is no gain over the mean"
    return f"{line}, {with_error(judgement.over_mean, signed=True)} against the mean{verdict}."


def _weights(merge: Merge) -> PlainTable:
    shown = [merge.chosen] if merge.chosen else list(merge.candidates)
    heads = [f"weight at c = {candidate.c:g}" for candidate in shown] if merge.options.extrapolates else ["weight"]
    table = PlainTable("checkpoint", "step", *heads)
    for index, checkpoint in enumerate(merge.run.checkpoints):
        cells = [number(candidate.coefficients[index], 4).replace("-", "−") for candidate in shown]
        step = "–" if checkpoint.step is None else f"{checkpoint.step:,}"
        table.add_row(printable(checkpoint.revision), step, *cells)
    return table


def _planned(merge: Merge) -> list[str]:
    shown = [merge.chosen] if merge.chosen else list(merge.candidates)
    leads = ", ".join(_signed(candidate.lead) for candidate in shown)
    return [f"nothing was written · {_range(merge)} · lead {leads} saves", *_uneven(merge)]


def _lead(merge: Merge) -> list[str]:
    assert merge.chosen is not None  # noqa: S101 - it was written
    return [f"lead {_signed(merge.chosen.lead)} saves: where it stands against the last checkpoint", *_uneven(merge)]


def _uneven(merge: Merge) -> list[str]:
    if merge.run.is_even:
        return []
    return ["The saves are not equally far apart: a weight counts a save, and leads are in saves, however long."]


def _rounding(merge: Merge) -> list[str]:
    return [
        f"rounding to {dtype} lost {number(100 * share, 2)}% of the way from the last checkpoint to the merged one"
        for dtype, share in merge.rounding.items()
    ]


def _range(merge: Merge) -> str:
    used = [checkpoint for checkpoint, _ in merge.used]
    steps = [checkpoint.step for checkpoint in used if checkpoint.step is not None]
    text = count(len(used), "checkpoint")
    if len(steps) < len(used):
        return text
    return f"{text}, steps {min(steps):,}–{max(steps):,}" if len(steps) > 1 else f"{text}, step {steps[0]:,}"


def _signed(lead: float) -> str:
    return f"{lead:+g}".replace("-", "−") if lead else "0"


def merge_json(merge: Merge) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    judged = {id(each.candidate): each for each in merge.judgement.judged} if merge.judgement else {}

    def facts(candidate: Candidate) -> dict[str, Any]:
        each = judged.get(id(candidate))
        against = each.against_mean if each else None
        return {
            "c": candidate.c,
            "lead": candidate.lead,
            "loss_a": each.loss_a.value if each else None,
            "loss_b": each.loss_b.value if each else None,
            "against_mean": {"difference": against.value, "stderr": against.stderr} if against else None,
        }

    return {
        "method": merge.options.method,
        "checkpoints": [{"revision": c.revision, "weight": weight} for c, weight in merge.used],
        "coefficients": [facts(candidate) for candidate in merge.candidates],
        "chosen": merge.chosen.c if merge.chosen else None,
    }
