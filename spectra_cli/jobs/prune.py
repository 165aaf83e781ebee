"""Writes a language model without some of its layers, chosen by spectra or by a text, and checks what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli import surgery, svd, weights
from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.layers import layers_of
from spectra_cli.evaluation.memory_needed import announce
from spectra_cli.evaluation.model import layer_count, make_config, make_model
from spectra_cli.evaluation.soundness import OTHER_LAYERS, Answer, answer_without, check_smaller, differing_layer
from spectra_cli.evaluation.text import read_text
from spectra_cli.jobs.evaluate import EvaluationOptions, OnModel
from spectra_cli.jobs.language_model import ModelFiles, in_dtype
from spectra_cli.jobs.layer_measures import SPECTRAL, layer_measures
from spectra_cli.jobs.prune_choices import Compared, TextChoices, choose_by_text, compare_choices
from spectra_cli.studies.ablate import core_layers
from spectra_cli.surgery.renumbering import layer_prefix, pruned_config, pruned_tensors

INFLUENCE, ABLATION = "bi", "ablation"
# Which end of a metric marks layers that can go: a spectrum that has hardly moved is flat, with a low rank–size
# exponent, a high exponent of the tail and a high stable rank.
HIGHEST = ("alpha_hill", "alpha_clauset", "alpha_tail", "stable_rank")
BY = (*SPECTRAL, INFLUENCE, ABLATION)
COMPARED = ("alpha", "alpha_hill", "stable_rank")  # beside what was asked for


@dataclass(frozen=True)
class PruneOptions:
    """Which layers go. layers: how many. by: of BY. protect: first and last layers that stay, as `2:2`.

    text: a file, for what is chosen or compared by it. compare: measure the loss of other choices of as many layers
    too. seeds: of the random ones. most_sets: of layers that are all tried for the best one.
    """

    layers: int
    by: str = "alpha"
    protect: str | None = None
    text: str | None = None
    compare: bool = False
    seeds: int = 8
    most_sets: int = 100

    def __post_init__(self) -> None:
        """Raise SpectraError, code 2, for what can never be carried out."""
        if self.by not in BY:
            raise SpectraError(f"--by {self.by} is none of these", hint=f"give {', '.join(BY)}", code=2)
        if self.text is None and (self.compare or self.by in (INFLUENCE, ABLATION)):
            what = "--compare" if self.compare else f"--by {self.by}"
            raise SpectraError(f"{what} needs a text", hint="add --text FILE", code=2)
        if self.layers < 1 or self.seeds < 2:
            raise SpectraError("there is nothing to do", hint="give --layers 1 or more, --seeds 2 or more", code=2)
        core_layers(1000, self.protect)


@dataclass(frozen=True, eq=False)
class Pruning:
    """What `spectra prune` did. removed, kept: layers by their old numbers. values: what they were chosen by, a layer.

    compared: losses of this and other choices, on the half of the text that nothing was chosen by; empty where they
    were not asked for. written: None where no output was named.
    """

    model: str
    by: str
    core: range
    removed: tuple[int, ...]
    kept: tuple[int, ...]
    values: tuple[float, ...]
    compared: tuple[Compared, ...]
    written: surgery.Written | None


def prune_layers(
    model: str | Path,
    output: str | Path | None,
    wanted: PruneOptions,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    *,
    on_wait: OnModel = lambda _: None,
    on_step: OnModel = lambda _: None,
) -> Pruning:
    """Write a model without some of its layers: what `spectra prune` does.

    output: the new folder; None only compares. on_wait, on_step: called with what is waited for, and with a line
    before each step. Raises SpectraError where the model cannot be read, its layers cannot be renumbered, or what was
    written does not compute what the model does without these layers: then nothing is left.

    >>> import spectra_cli
    >>> len(spectra_cli.prune("model", "smaller", spectra_cli.PruneOptions(layers=1)).kept)
    5
    """
    device = svd.choose_device(options.device)
    text = read_text(wanted.text, options.blocks) if wanted.text is not None else None
    output = Path(output) if output is not None else None
    if output is not None:
        surgery.check_output(output)
    with options.open(str(model), on_wait) as files:
        core = _core(files, wanted)
        announce(files.config(), len(files.weights.tensors), files.called, on_wait, options.dtype)
        on_step("reading the model")
        loaded = files.load(device, options.dtype)
        on_step("measuring its layers")
        count = len(layers_of(loaded))
        measured = layer_measures(files, count) if wanted.by in SPECTRAL or wanted.compare else {}
        chosen = choose_by_text(files, loaded, text, options, halves=wanted.compare, on_step=on_step) if text else None
        values = _values(wanted.by, measured, chosen, core)
        order = _order(wanted.by, values, core)
        removed = tuple(sorted(order[: wanted.layers]))
        kept = tuple(layer for layer in range(count) if layer not in removed)
        config = _smaller_config(files, kept) if output is not None else {}
        spectral = {by: _order(by, measured[by], core) for by in COMPARED if wanted.compare}
        orders = {wanted.by: order} | spectral
        compared = compare_choices(chosen, wanted, core, orders, on_step) if chosen and wanted.compare else ()
        written = None
        if output is not None:
            on_step("writing and checking the smaller model")
            described = _described(files, config, wanted, removed, kept, values)
            answer = answer_without(loaded, removed)
            del loaded, chosen  # one model at a time is held
            check = partial(_check, answer, device, options.dtype)
            written = _write(files, output, described, removed, kept, check)
    return Pruning(str(model), wanted.by, core, removed, kept, tuple(map(float, values)), compared, written)


def _core(files: ModelFiles, wanted: PruneOptions) -> range:
    """Return the layers that may go, from the configuration alone."""
    count = layer_count(files.config())
    core = core_layers(count, wanted.protect)
    if wanted.layers > len(core):
        raise SpectraError(
            f"--layers {wanted.layers} is more than the {len(core)} core layers of {count}",
            hint="remove fewer, or protect fewer with --protect", code=2,
        )  # fmt: skip
    return core


def _order(by: str, values: NDArray[np.float64], core: Sequence[int]) -> list[int]:
    """Return the core layers, those that go first before the others."""
    return sorted(core, key=lambda layer: -values[layer] if by in HIGHEST else values[layer])


def _values(
    by: str, measured: Mapping[str, NDArray[np.float64]], chosen: TextChoices | None, core: Sequence[int]
) -> NDArray[np.float64]:
    """Return what the layers are chosen by, (layers,). Raises SpectraError where a core layer has no such number."""
    of_text = {INFLUENCE: chosen.influence, ABLATION: chosen.rises} if chosen else {}
    values = {**measured, **of_text}[by]
    if without := [layer for layer in core if not np.isfinite(values[layer])]:
        raise SpectraError(f"layer {without[0]} has no finite {by}", hint="choose by another number: --by")
    return values


def _smaller_config(files: ModelFiles, kept: Sequence[int]) -> dict[str, Any]:
    """Return the new config.json. Raises SpectraError where a layer would be another one under its new number."""
    config = files.config()
    text = config.get_text_config(decoder=True)
    nested = None if text is config else next((key for key in config.sub_configs if getattr(config, key) is text), None)
    if text is not config and nested is None:
        raise SpectraError(f"{files.called}: its config.json keeps the layers out of reach", hint=OTHER_LAYERS)
    prefix = layer_prefix(files.weights.tensors, layer_count(config), files.called)
    changed = pruned_config(dict(files.weights.config), text.to_dict(), nested, prefix, kept)
    if other := differing_layer(config, make_config(changed, files.called), kept):
        raise SpectraError(f"{files.called}: {other}", hint=OTHER_LAYERS)
    return changed


def _described(
    files: ModelFiles,
    config: Mapping[str, Any],
    wanted: PruneOptions,
    removed: Sequence[int],
    kept: Sequence[int],
    values: NDArray[np.float64],
) -> surgery.Description:
    """Return what lies beside the weights, without the companions, which are read with them."""
    named = {str(layer): float(value) for layer, value in enumerate(values)}
    facts = {"by": wanted.by, "removed": list(removed), "kept": list(kept), "values": named}
    paragraphs = [
        f"{files.called} without {len(removed)} of its {len(removed) + len(kept)} layers, chosen by {wanted.by} with "
        "`spectra prune`. Nothing was trained afterwards.",
    ]
    rows = [("layer", wanted.by, "kept as")] + [
        (layer, f"{value:.4g}", kept.index(layer) if layer in kept else "removed") for layer, value in enumerate(values)
    ]
    card = surgery.model_card(f"{Path(files.called).name}, pruned", paragraphs, rows, tag="prune")
    made_of = partial(surgery.provenance, "prune", files.called, facts, {})
    return surgery.Description(config, made_of, card, {})


def _write(
    files: ModelFiles,
    output: Path,
    described: surgery.Description,
    removed: Sequence[int],
    kept: Sequence[int],
    check: Callable[[Path], None],
) -> surgery.Written:
    """Write the smaller model; it gets its name only once it computes what the larger one does without these layers."""
    with surgery.open_original(files.files) as original:
        layers = len(removed) + len(kept)
        tensors = pruned_tensors(original, layer_prefix(original.stored.tensors, layers, files.called), kept)
        whole = surgery.Description(described.config, described.provenance, described.card, original.companions)
        return surgery.write_checkpoint(output, tensors, whole, check=check)


def _check(answer: Answer, device: str, dtype: str, folder: Path) -> None:
    """Read what was written as a new checkpoint, and run it."""
    with weights.open_weights(folder, label="the smaller model") as opened:
        config = make_config(opened.config, "the smaller model")
        tensors = {name: in_dtype(opened.read(name), dtype) for name in opened.tensors}
    smaller = make_model(config, tensors, "the smaller model", device=device, dtype=dtype)
    check_smaller(smaller, answer)
