"""Merges late checkpoints of a run into a new one, and chooses how far along their line by the loss on a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from spectra_cli import weights
from spectra_cli.errors import printable
from spectra_cli.gram import block_bytes, tensor_grams
from spectra_cli.jobs.evaluate import EvaluationOptions
from spectra_cli.jobs.judging import Judgement, Judging
from spectra_cli.measure.plan import OnWait, Plan, make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import RunOptions
from spectra_cli.records import Checkpoint, Problem, Remote
from spectra_cli.surgery import (
    Description,
    Original,
    Written,
    check_output,
    model_card,
    open_original,
    provenance,
    write_checkpoint,
)
from spectra_cli.surgery.averaging import Rounding, adding_up, check_alike, is_averaged
from spectra_cli.surgery.combinations import Array
from spectra_cli.surgery.recipes import Candidate, MergeOptions
from spectra_cli.surgery.windows import Run

OnDone = Callable[[str], None]


@dataclass(frozen=True)
class Merge:
    """What `spectra merge` did, or would do.

    chosen: None where nothing could choose among the candidates. judgement: by the text, where one was given. written:
    None for a dry run. rounding: what storing the result cost, by dtype: its share of the way from the last checkpoint.
    problems: what of the source may be a checkpoint and could not be looked into.
    """

    options: MergeOptions
    run: Run
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    judgement: Judgement | None = None
    written: Written | None = None
    rounding: dict[str, float] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def used(self) -> tuple[tuple[Checkpoint, float], ...]:
        """The checkpoints that the result is made of, with their coefficients; of the first candidate without one."""
        coefficients = (self.chosen or self.candidates[0]).coefficients
        pairs = zip(self.run.checkpoints, coefficients, strict=True)
        return tuple((checkpoint, coefficient) for checkpoint, coefficient in pairs if coefficient)


def merge_checkpoints(
    source: str | Path,
    output: str | Path | None,
    options: MergeOptions = MergeOptions(),  # noqa: B008 - frozen
    *,
    text: str | Path | None = None,
    evaluation: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    on_wait: OnWait = lambda _: None,
    on_done: OnDone = lambda _: None,
    **reading: Unpack[RunOptions],
) -> Merge:
    """Merge the last checkpoints of a run into a new one: what `spectra merge` does.

    source: as for `scan`. output: the new folder; None to find out which checkpoints and weights it would
    be made of. text: a file by whose loss the coefficient is chosen. on_done: called with what was done, step by step.
    reading: the options of ScanOptions that choose checkpoints and say how they are read. Raises SpectraError where
    nothing can be merged; nothing is written then.

    >>> import spectra_cli
    >>> merged = spectra_cli.merge("run", None, spectra_cli.MergeOptions(window="2"))
    >>> [checkpoint.step for checkpoint in merged.run.checkpoints], merged.chosen.coefficients
    ([8, 16], (0.5, 0.5))
    """
    if output is not None:
        check_output(Path(output))
        options.check_choice(by_text=text is not None)
    plan = make_plan(Request.of(source, **reading), on_wait, wanted=weights.files_of_copy)
    run = options.run_of(plan.checkpoints)
    if output is None and not options.follows_component:
        return _planned(options, run, plan, None)
    with _originals(plan, run) as originals:
        check_alike(originals)
        gram = _gram(originals) if options.follows_component else None
        merge = _planned(options, run, plan, gram)
        if output is None:
            return merge
        if text is not None:
            mean = Candidate.on(options.line(run, gram), 0.0)
            judging = Judging(originals, Path(output), plan.request.workers, evaluation, on_done)
            judgement = judging.judge(merge.candidates, mean, text)
            merge = replace(merge, judgement=judgement, chosen=judgement.chosen)
        return _write(merge, plan, originals, Path(output))


def _planned(options: MergeOptions, run: Run, plan: Plan, gram: Array | None) -> Merge:
    candidates = options.candidates(options.line(run, gram))
    chosen = candidates[0] if len(candidates) == 1 else None
    return Merge(options, run, candidates, chosen, problems=plan.problems)


@contextmanager
def _originals(plan: Plan, run: Run) -> Iterator[tuple[Original, ...]]:
    """Open the run's checkpoints side by side, wherever they are."""
    of_run = replace(plan, checkpoints=run.checkpoints, reference=None)
    request = plan.request
    with of_run.checkpoint_files() as checkpoint_files, ExitStack() as stack:
        opened = []
        for checkpoint in run.checkpoints:
            files = stack.enter_context(checkpoint_files.materialize(checkpoint))
            original = open_original(files, follow_links=request.follow_links, ema=request.ema)
            opened.append(stack.enter_context(original))
        yield tuple(opened)


def _gram(originals: Sequence[Original]) -> Array:
    """Return the inner products of all numbers of the checkpoints, about the first of them."""
    last = originals[-1]
    tensors = [tensor for tensor in last.stored.tensors.values() if is_averaged(last, tensor)]
    most = block_bytes(max((tensor.nbytes for tensor in tensors), default=0))
    gram = np.zeros((len(originals), len(originals)))
    for tensor in tensors:
        readers = [partial(original.elements, tensor.name) for original in originals]
        gram += tensor_grams(readers, int(np.prod(tensor.shape)), most)[0]
    return gram


def _write(merge: Merge, plan: Plan, originals: Sequence[Original], output: Path) -> Merge:
    assert merge.chosen is not None  # noqa: S101 - check_choice saw to it
    last = originals[-1]
    with adding_up(originals, merge.chosen.coefficients, plan.request.workers) as total:
        made_of = partial(_provenance, merge, plan, total.rounding)
        description = Description(last.config, made_of, _card(merge, plan), last.companions)
        written = write_checkpoint(output, total.tensors(), description)
        return replace(merge, written=written, rounding=total.rounding.shares())


def _provenance(merge: Merge, plan: Plan, rounding: Rounding) -> dict[str, Any]:
    """Return what the new checkpoint was made of, as provenance.json says it."""
    assert merge.chosen is not None  # noqa: S101 - as above
    made: dict[str, Any] = {
        **asdict(merge.options), "c": merge.chosen.c, "lead": merge.chosen.lead,
        "checkpoints": [
            {
                "revision": checkpoint.revision, "stage": checkpoint.stage, "step": checkpoint.step,
                "tokens": checkpoint.tokens, "weight": weight,
                "commit": checkpoint.path.commit if isinstance(checkpoint.path, Remote) else None,
            }
            for checkpoint, weight in merge.used
        ],
    }  # fmt: skip
    judged = {"text": merge.judgement.facts()} if merge.judgement else {}
    return provenance("merge", plan.request.source, made | judged, rounding.shares())


def _card(merge: Merge, plan: Plan) -> str:
    used = merge.used
    sentences = [
        f"The weights are a sum of {len(used)} checkpoints of one run, {printable(plan.model)}, made by `spectra merge "
        f"--method {merge.options.method}`. Integers, scales and the files beside are those of the last one.",
        "`provenance.json` says it for programs.",
    ]
    table = [("checkpoint", "step", "weight"), *((c.revision, c.step, f"{weight:.6g}") for c, weight in used)]
    return model_card(f"{plan.model}, merged", sentences, table)
