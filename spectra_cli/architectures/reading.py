"""What the tensors of one checkpoint mean: every one becomes matrices or is skipped with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from spectra_cli.architectures.cutting import matrices_of
from spectra_cli.architectures.dimensions import config_value, named_sizes, text_config
from spectra_cli.architectures.fallback import fused_note, guess_layer
from spectra_cli.architectures.families import ARCHITECTURES
from spectra_cli.architectures.matching import Match, matcher
from spectra_cli.architectures.order import in_order
from spectra_cli.architectures.orientation import Orientation, Stored, without_unknown_order
from spectra_cli.architectures.record import Architecture, Rule
from spectra_cli.architectures.skipping import is_convolution, skip
from spectra_cli.architectures.towers import Tower, towers_of
from spectra_cli.errors import SpectraError
from spectra_cli.records import Layout, Matrix, Skipped, StoredTensor

UNKNOWN = Architecture("unknown", (), (), ())
Equal = Callable[[Matrix, Matrix], bool]


def layout(
    config: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
    *,
    fused: bool = False,
    architecture: Architecture | None = None,
    equal: Equal = lambda *_: True,
) -> Layout:
    """Return what each stored tensor is: matrices, with names that mean the same in every family, or skipped.

    config: config.json's plain data, `{}` when there is none. tensors: by stored name. fused: keep fused tensors
    whole. architecture: the record to use instead of the one that the config's `model_type` names. equal: whether two
    matrices have the same entries; asked where the config ties one to the other. Raises SpectraError where config and
    shapes contradict each other.

    >>> stored = {name: StoredTensor(name, shape, "float32") for name, shape in (
    ...     ("h.0.attn.c_attn.weight", (8, 24)), ("h.0.ln_1.weight", (8,)), ("wte.weight", (50, 8)))}
    >>> result = layout({"model_type": "gpt2", "n_embd": 8}, stored)
    >>> [(matrix.name, matrix.rows, matrix.cols) for matrix in result.matrices]
    [('embed', 50, 8), ('layers.0.attn.q', 8, 8), ('layers.0.attn.k', 8, 8), ('layers.0.attn.v', 8, 8)]
    >>> result.skipped
    (Skipped(tensor='h.0.ln_1.weight', reason='vector', harmless=True),)
    """
    plain = text_config(config)
    family = architecture or architecture_of(config, tensors)
    record = family or UNKNOWN
    no_matrices = {stored.name: skip(stored, tensors) for stored in tensors.values()}
    skipped = [skipped for skipped in no_matrices.values() if skipped]
    candidates = [stored for stored in tensors.values() if no_matrices[stored.name] is None]
    towers = () if architecture else tuple(towers_of(config, ARCHITECTURES))
    outside = [stored for stored in candidates if not any(tower.holds(stored.name) for tower in towers)]
    matrices, left, assumed = _by_rules(outside, record, plain, fused=fused)
    for tower in towers:
        inside = [stored for stored in candidates if tower.holds(stored.name)]
        more, remaining, also = _by_rules(inside, tower.record, tower.config, fused=fused, tower=tower)
        matrices |= more
        left += remaining
        assumed += also
    skipped += _by_stored_names(left, matrices, record, guess=family is None)
    skipped += _drop_tied(matrices, plain, record, equal)
    unnamed = architecture is None and not (plain.get("model_type") or config.get("model_type"))
    notes = (*_notes(config, family, left, unnamed=unnamed), *assumed)
    return Layout(record.name, tuple(in_order(matrices.values())), tuple(skipped), notes)


def architecture_of(config: Mapping[str, Any], names: Iterable[str] = ()) -> Architecture | None:
    """Return the record for a config's `model_type`, the nested text model's first; None where no record has it.

    names: of the stored tensors, by which some families are recognised where no config names one, or where it names one
    that has no rule for any of them: a record's signs and rules must both match one.

    >>> architecture_of({"model_type": "mistral"}).name
    'llama'
    >>> architecture_of({}, ["blocks.0.attn.qkvo_w"]).name
    'modded_nanogpt'
    """
    model_types = [text_config(config).get("model_type"), config.get("model_type")]
    # Before transformers 4.52 a model of text and images kept its language model's sizes in its own, flat config.
    own_text = [f"{model_type}_text" for model_type in model_types if isinstance(model_type, str)]
    known = (record for kind in (*model_types, *own_text) for record in ARCHITECTURES if kind in record.model_types)
    named = next(known, None)
    stored = tuple(names)
    if (named is None and any(model_types)) or (named is not None and (not stored or _reads(named, stored))):
        return named
    return next((record for record in ARCHITECTURES if _shows(record, stored)), named)


def _reads(record: Architecture, names: Iterable[str]) -> bool:
    match = matcher(record)
    return any(match(name).rules for name in names)


def _shows(record: Architecture, names: Iterable[str]) -> bool:
    signed = [name for name in names if record.signs and name.endswith(record.signs)]
    match = matcher(record) if signed else None
    return match is not None and any(match(name).rules for name in signed)


Left = list[tuple[StoredTensor, Match, Rule | None]]


def _by_rules(
    candidates: Iterable[StoredTensor],
    record: Architecture,
    config: Mapping[str, Any],
    *,
    fused: bool,
    tower: Tower | None = None,
) -> tuple[dict[str, Matrix], Left, list[str]]:
    """Return the matrices that rules name, the tensors left, and notes on what was assumed.

    Left are those without a rule, without a new name, or with a name already taken.
    """
    sizes = named_sizes(config, record.dimensions)
    match = matcher(record, tower)
    matched = [(stored, match(stored.name)) for stored in candidates]
    ruled = [(stored, matching, _rule_for(stored, matching.rules, config)) for stored, matching in matched]
    ruled, unordered = without_unknown_order(ruled, sizes)
    orientation = Orientation(config, sizes)
    orientation.learn(Stored(stored, rule, matching.layer) for stored, matching, rule in ruled if rule)
    matrices: dict[str, Matrix] = {}
    left: Left = []
    for stored, matching, rule in ruled:
        cuts = {matrix.name: matrix for matrix in _cuts(stored, rule, matching, sizes, orientation, fused=fused)}
        if cuts and matrices.keys().isdisjoint(cuts):
            matrices |= cuts
        else:
            left.append((stored, matching, rule))
    return matrices, left, [*orientation.notes(), *unordered]


def _by_stored_names(left: Left, matrices: dict[str, Matrix], record: Architecture, *, guess: bool) -> list[Skipped]:
    """Add to the matrices what is left, under stored names; return what has too many axes for a matrix."""
    skipped = []
    for stored, match, _ in left:
        if _sides(stored) is not None:
            layer = guess_layer(stored.name) if guess and match.layer is None else match.layer
            matrix = _under_stored_name(stored, matrices, layer)
            matrices[matrix.name] = matrix
        else:
            skipped.append(Skipped(stored.name, f"{len(stored.shape)} axes, and no rule of {record.name} speaks of it"))
    return skipped


def _rule_for(stored: StoredTensor, rules: tuple[Rule, ...], config: Mapping[str, Any]) -> Rule | None:
    """Return the first rule that holds for the config, of those with as many axes as the tensor if there are any."""
    holding = [rule for rule in rules if _holds(rule, config)]
    fitting = [rule for rule in holding if rule.becomes is None or _axes(rule) == len(stored.shape)]
    splitting = [rule for rule in holding if rule.split]
    return next(iter(fitting + splitting), None)


def _axes(rule: Rule) -> int:
    """Return how many axes a rule expects in the file: two for a rule that reshapes first."""
    return rule.split.view.count(",") + 1 if rule.split and not rule.split.reshape else 2


def _cuts(
    stored: StoredTensor,
    rule: Rule | None,
    matched: Match,
    sizes: Callable[[str], int],
    orientation: Orientation,
    *,
    fused: bool,
) -> Iterator[Matrix]:
    if rule is None or rule.becomes is None:
        return
    own = Stored(stored, rule, matched.layer)
    against_rule = rule.transposed and stored.outputs_first
    if own.is_one and (against_rule or orientation.is_turned_matrix(own, expert=matched.expert is not None)):
        rule = replace(rule, transposed=not rule.transposed)
    is_turned = partial(orientation.is_turned, own) if own.stacked else lambda: against_rule and rule.split is not None
    yield from matrices_of(rule, stored, matched, sizes, fused=fused, is_turned=is_turned)


def _holds(rule: Rule, config: Mapping[str, Any]) -> bool:
    if rule.when is None:
        return True
    key, value = rule.when
    return bool(config_value(config, key) == value)


def _under_stored_name(stored: StoredTensor, matrices: Mapping[str, Matrix], layer: int | None) -> Matrix:
    """Return a matrix that no rule names, of the sides that `_sides` gives."""
    name = next((name for name in (stored.name.removesuffix(".weight"), stored.name) if name not in matrices), None)
    if name is None:
        raise SpectraError(
            f"{stored.name} has the name that another tensor's matrix is given",
            hint="rename it, or describe this model with --arch FILE.toml",
        )
    rows, cols = _sides(stored) or (0, 0)
    return Matrix(
        name=name,
        role="other",
        tensor=stored.name,
        rows=rows,
        cols=cols,
        layer=layer,
        view=None if len(stored.shape) == 2 else (rows, cols),
        rule="convolution: out, in times kernel" if is_convolution(stored) else "as stored",
    )


def _sides(stored: StoredTensor) -> tuple[int, int] | None:
    """Return the rows and columns of a tensor without a rule, axes of one entry left out; None where it has more."""
    if is_convolution(stored):
        return stored.shape[0], math.prod(stored.shape[1:])
    sides = stored.shape if len(stored.shape) == 2 else tuple(size for size in stored.shape if size != 1)
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _drop_tied(
    matrices: dict[str, Matrix], config: Mapping[str, Any], record: Architecture, equal: Equal
) -> list[Skipped]:
    """Remove what repeats the embedding: a tied unembedding, or the embeddings of an encoder and a decoder.

    Where the two differ the config's word is not taken: transformers from 5 on does not tie such ones either.
    """
    stated = config.get("tie_word_embeddings")
    tied = stated if isinstance(stated, bool) else record.tied
    original = matrices.get("embed", matrices.get("decoder.embed"))
    skipped = []
    for name in ("encoder.embed", "decoder.embed", *(("unembed",) if tied else ())):
        copy = matrices.get(name)
        if (
            copy is None
            or original is None
            or copy is original
            or (copy.rows, copy.cols) != (original.rows, original.cols)
        ):
            continue
        if equal(original, copy):
            del matrices[name]
            skipped.append(Skipped(copy.tensor, "tied: the same weights as the embedding", harmless=True))
    return skipped


def _notes(config: Mapping[str, Any], family: Architecture | None, left: Left, *, unnamed: bool) -> Iterator[str]:
    unknown = [stored.name for stored, _, rule in left if rule is None]
    twice = [stored.name for stored, _, rule in left if rule and rule.becomes]
    if family:
        why = f"{family.name} has no rule for the name"
    elif config and unnamed:
        why = "the config names no model_type"
    elif config:
        why = f"no architecture is known for model_type {str(config.get('model_type'))[:60]!r}"
    else:
        why = "there is no config"
    if family is None:
        yield f"{why}: every matrix keeps its stored name, with role other"
    elif unnamed:
        shown = f"the tensors' names show {family.name}, and it is read so"
        yield f"no config names a family: {shown}; --arch names another"
    if family and unknown:
        yield f"{_and_more(unknown)} kept under the stored name, as {family.name} has no rule for it"
    if twice:
        yield f"{_and_more(twice)} kept under the stored name, as another tensor has the canonical one"
    if note := fused_note(unknown, why, ARCHITECTURES):
        yield note


def _and_more(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more are" if len(names) > 1 else f"{names[0]} is"
