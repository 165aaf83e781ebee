"""Writes docs/architectures.md: the records of the known families as a page to read."""

from __future__ import annotations

import tomllib
from pathlib import Path

from spectra_cli.architectures import ARCHITECTURES, Architecture, Rule

KEPT_AS_STORED = tomllib.loads((Path(__file__).parent / "kept_as_stored.toml").read_text(encoding="utf-8"))["kept"]

INTRODUCTION = """# Architectures

Which models are known, and how the tensors of each become matrices. Written from the records in
`spectra_cli/architectures/families/`; `spectra inspect` prints the record it used, as the TOML that `--arch` reads.

A view takes each axis of the stored tensor apart into factors, axes separated by commas; an index into it gives one
matrix. Names such as `heads` come from `config.json`; `*` is whatever remains of its axis. A tensor without a rule
keeps its stored name and has the role `other`, without a split and with a note: no role is guessed from a name.

`{stack}` stands for `encoder` or `decoder`, and the canonical name then begins with it: `encoder.layers.0.attn.q`,
`decoder.layers.0.cross_attn.q`. In a model of several kinds of input the language model keeps the plain names, and the
towers have records by their own config: `vision.layers.0.attn.q`, `audio.layers.0.attn.q`. State spaces and linear
attention have roles of their own: `in_proj` (from the stream into the mixer, as stored: channels, gate and, from
Mamba 2 on, B, C and the step), `x_proj`, `dt_proj` and `out_proj`.
"""


def architectures_page() -> str:
    """Return docs/architectures.md."""
    sections = [INTRODUCTION, *(_section(record) for record in ARCHITECTURES), _uncovered()]
    return "\n".join(sections).rstrip() + "\n"


def _section(record: Architecture) -> str:
    covered = ", ".join(f"`{model_type}`" for model_type in record.model_types)
    in_layer = [_row(rule, "layers.N.") for rule in record.in_layer]
    outside = [_row(rule, "") for rule in record.outside]
    layers = ", ".join(f"`{prefix}`" for prefix in record.layers)
    head = f"## {record.name}\n\n`model_type` {covered}; layers under {layers}.\n"
    return "\n".join([head, "| stored | becomes | how |", "|---|---|---|", *in_layer, *outside, ""])


def _row(rule: Rule, prefix: str) -> str:
    becomes = f"`{prefix}{rule.becomes}`" if rule.becomes else "keeps its name, role `other`"
    how = ["stored as [in, out]"] if rule.transposed else []
    if rule.split:
        becomes = ", ".join(f"`{prefix}{name}`" for name, _ in rule.split.parts)
        places = ", ".join(f"`[{text}]`" for _, text in rule.split.parts)
        first = f"`{rule.split.reshape}`, then " if rule.split.reshape else ""
        how.insert(0, f"{rule.split.title}: {first}`{rule.split.view}`, then {places}")
    if rule.when:
        key, value = rule.when
        how.append(f"where `{key}` is {str(value).lower()}")
    return f"| `{rule.stored}` | {becomes} | {'; '.join(how)} |"


def _uncovered() -> str:
    rows = [f"| {', '.join(kept['model_types'])} | {kept['why']} |" for kept in KEPT_AS_STORED]
    head = "## Read under their stored names\n\nModel types of transformers 5.23 that no record covers in whole.\n"
    return "\n".join([head, "| `model_type` | why |", "|---|---|", *rows])
