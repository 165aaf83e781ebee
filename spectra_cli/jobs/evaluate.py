"""Measures the loss of language models on a text, paired on the same blocks of it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectra_cli import sources, svd
from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.estimates import Estimate, Unit, bits_per_byte, loss_per_token, paired_difference
from spectra_cli.evaluation.model import LanguageModel, most_context
from spectra_cli.evaluation.text import BLOCKS, Text, Tokens, read_text
from spectra_cli.evaluation.windowed_loss import BlockLosses, Windows, block_losses, choose_windows
from spectra_cli.jobs.language_model import ModelFiles, open_model
from spectra_cli.records import Problem

TASKS = "lambada_openai,hellaswag,piqa,arc_easy"
DTYPES = ("float32", "bfloat16", "float16", "float64")
OnModel = Callable[[str], None]


@dataclass(frozen=True)
class EvaluationOptions:
    """How models are evaluated. context, stride: tokens; by the models' own where they are not given.

    tokenizer: a folder whose tokenizer all models take. device: as torch names it, or auto. dtype: what is computed in.
    blocks: of the text, over which errors are estimated. disk, patience: of what is fetched from the Hub.
    """

    context: int | None = None
    stride: int | None = None
    tokenizer: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    blocks: int = BLOCKS
    disk: str | None = None
    patience: str | None = None

    def __post_init__(self) -> None:
        """Raise SpectraError, code 2, for what can never be carried out."""
        if self.dtype not in DTYPES:
            raise SpectraError(f"--dtype {self.dtype} is none of these", hint=f"give {', '.join(DTYPES)}", code=2)
        if self.blocks < 2:
            raise SpectraError("errors cannot be estimated from a single block", hint="give --blocks 32", code=2)
        _ = self.disk_bytes, self.patience_seconds

    @property
    def disk_bytes(self) -> int | None:
        """The bound on scratch space, in bytes; None where it was not given."""
        return sources.parse_size(self.disk) if self.disk is not None else None

    @property
    def patience_seconds(self) -> float:
        """How long a Hub that does not answer is tried."""
        return sources.parse_seconds(self.patience) if self.patience is not None else sources.RetryPolicy.seconds

    def open(self, model: str, on_wait: OnModel) -> AbstractContextManager[ModelFiles]:
        """Open a model's files, for a `with` block. on_wait: called with what is waited for."""
        # A client of its own: with the block all that it fetches ends.
        client = sources.Client(sources.RetryPolicy(self.patience_seconds, on_wait))
        return open_model(model, client, tokenizer=self.tokenizer, disk=self.disk_bytes)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One model's loss on the text.

    tokens: the text as it reads it. lm_eval: the line that runs a suite of benchmarks on it, None where that program
    could not load it.
    """

    model: str
    tokens: Tokens
    losses: BlockLosses
    loss: Estimate
    bits_per_byte: Estimate
    windows: Windows
    lm_eval: str | None


@dataclass(frozen=True)
class Difference:
    """How much more a model needs than the first one, on the same blocks."""

    model: str
    against: str
    unit: Unit
    difference: Estimate


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `spectra evaluate` found. problems: models that could not be evaluated, or not with all of their weights."""

    text: Text
    device: str
    dtype: str
    models: tuple[Evaluated, ...]
    differences: tuple[Difference, ...]
    problems: tuple[Problem, ...]


def evaluate_models(
    models: Sequence[str | Path],
    text: str | Path,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    *,
    on_wait: OnModel = lambda _: None,
    on_model: OnModel = lambda _: None,
) -> Evaluation:
    """Return the loss of language models on a text: what `spectra evaluate` does.

    models: a checkpoint's folder or file each, or its place on the Hub. on_wait: called with what is waited for.
    on_model: called with the name of each model before it is read. Raises SpectraError where the text cannot be read
    or no model can be evaluated.

    >>> import spectra_cli
    >>> loss = spectra_cli.evaluate(["model"], "text.txt").models[0].loss  # nats a token
    >>> 0 < loss.stderr < loss.value
    True
    """
    device, read = svd.choose_device(options.device), read_text(text, options.blocks)
    names = list(dict.fromkeys(str(model) for model in models))
    problems: dict[str, Problem] = {}
    windows = _shared_windows(names, on_wait, options, problems)
    evaluated: list[Evaluated] = []
    for name in names:
        if name in problems:
            continue
        on_model(name)
        with _naming(name, problems, exclusive=len(names) == 1), options.open(name, on_wait) as files:
            model = files.load(device, options.dtype)
            evaluated.append(_evaluate(files, model, files.tokens(read, model), windows))
            if model.unused:
                problems[name] = _unused(name, model.unused)
    if not evaluated:
        first = next(iter(problems.values()))
        raise SpectraError(first.message, hint=first.hint)
    differences = tuple(_difference(other, evaluated[0]) for other in evaluated[1:])
    return Evaluation(read, device, options.dtype, tuple(evaluated), differences, tuple(problems.values()))


def _shared_windows(
    names: Sequence[str], on_wait: OnModel, options: EvaluationOptions, problems: dict[str, Problem]
) -> Windows:
    """Return windows that every model can be given, from their configurations alone."""
    most: list[int] = []
    for name in names:
        with _naming(name, problems, exclusive=len(names) == 1), options.open(name, on_wait) as files:
            most += [context] if (context := most_context(files.config())) else []
    return choose_windows(min(most, default=None), options.context, options.stride)


@contextmanager
def _naming(name: str, problems: dict[str, Problem], *, exclusive: bool) -> Iterator[None]:
    """Note why a model cannot be evaluated, and go on with the others where there are any."""
    try:
        yield
    except SpectraError as error:
        if exclusive or error.stops or error.code == 2:
            raise
        problems[name] = Problem(error.message, error.hint)


def _evaluate(files: ModelFiles, model: LanguageModel, tokens: Tokens, windows: Windows) -> Evaluated:
    losses = block_losses(model, tokens, windows)
    loss = finite_loss(losses, files.called)
    return Evaluated(files.called, tokens, losses, loss, bits_per_byte(losses), windows, _lm_eval(files, model))


def finite_loss(losses: BlockLosses, called: str) -> Estimate:
    """Return the loss per token. Raises SpectraError where it is not finite, as that of a model that diverged."""
    loss = loss_per_token(losses)
    if not math.isfinite(loss.value):
        raise SpectraError(f"{called}: its loss is no finite number", hint="take an earlier checkpoint of its run")
    return loss


def _unused(name: str, weights: Sequence[str]) -> Problem:
    more = f" and {len(weights) - 1} more" if len(weights) > 1 else ""
    return Problem(
        f"{name}: {weights[0]}{more} of its files are no part of the model of its config.json",
        "compare config.json with the weights: `spectra inspect` lists them",
    )


def _difference(model: Evaluated, against: Evaluated) -> Difference:
    """Compare per token where both read the text in the same tokens, and per byte otherwise."""
    same = np.array_equal(model.tokens.ids, against.tokens.ids) and model.tokens.start == against.tokens.start
    unit: Unit = "nats per token" if same else "bits per byte"
    return Difference(model.model, against.model, unit, paired_difference(model.losses, against.losses, unit))


def _lm_eval(files: ModelFiles, model: LanguageModel) -> str | None:
    """Return the line that runs a suite of benchmarks on a model; None where that program cannot load it."""
    where = files.pretrained
    if where is None or files.tokenizer is None:
        return None
    given = ",".join([*where, f"dtype={model.dtype}"])
    return f"lm_eval --model hf --model_args {shlex.quote(given)} --tasks {TASKS} --batch_size auto"
