"""Writes docs/architectures.md: the records of the known families as a page to read."""

from __future__ import annotations

from spectra_cli.architectures import ARCHITECTURES, Architecture, Rule

# Text families of transformers 5.23 that no record covers, grouped by what their modules and stored names show.
UNCOVERED = (
    (
        "bart, bigbird_pegasus, blenderbot, blenderbot-small, marian, mbart, mvp, pegasus, plbart, prophetnet, t5, "
        "trocr, whisper",
        "an encoder and a decoder, or two attentions in a layer, which canonical names do not tell apart",
    ),
    ("mamba, mamba2, falcon_mamba, rwkv, xlstm", "no attention"),
    (
        "bamba, falcon_h1, granitemoehybrid, jamba, lfm2_moe, lfm3, nemotron_h, recurrent_gemma, zamba, zamba2, zaya",
        "state spaces, recurrences or convolutions between the layers that attend",
    ),
    (
        "bailing_hybrid, beam, kimi_linear, minimax, olmo_hybrid, qwen3_5, qwen3_5_text, qwen3_5_moe, "
        "qwen3_5_moe_text, qwen3_next, qwen4_exp, qwen4_exp_text",
        "linear attention in most layers, with fused tensors and gates of its own",
    ),
    (
        "axk1, axk2, deepseek_v32, deepseek_v4, dots3_note, dots3_note_text, glm_moe_dsa, hy_v4, longcat_flash",
        "latent attention with an index of its own, or several attentions in a layer",
    ),
    (
        "diffllama, doge, gemma3n, gemma3n_text, hrm_text, inkling, inkling_text, inkling2_text, jetmoe, moshi, "
        "phi4_multimodal",
        "parts in attention or feed-forward that no canonical name speaks of",
    ),
    (
        "aria_text, blt, cohere_compass_text, emu3, mllama, minimax_m3_vl_text",
        "close to a known family; nobody has yet held them to their forward pass",
    ),
    (
        "gemma4_assistant, git, musicgen, musicgen_melody",
        "a part that drafts, or speaks of images or sounds, for another",
    ),
    ("cpmant, ctrl, reformer, xlm, xlnet, xmod", "names of their own that no later family took up"),
)

INTRODUCTION = """# Architectures

Which models are known, and how the tensors of each become matrices. Written from the records in
`spectra_cli/architectures/families/`; `spectra inspect` prints the record it used, as the TOML that `--arch` reads.

A view takes each axis of the stored tensor apart into factors, axes separated by commas; an index into it gives one
matrix. Names such as `heads` come from `config.json`; `*` is whatever remains of its axis. Every other family works
under its stored names, without a split and with a note.
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
    rows = [f"| {model_types} | {reason} |" for model_types, reason in UNCOVERED]
    head = "## Read under their stored names\n\nText families of transformers 5.23 that no record covers.\n"
    return "\n".join([head, "| `model_type` | why |", "|---|---|", *rows])
