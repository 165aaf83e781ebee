"""Every family's matrices are those that its forward pass applies, from whichever file transformers saved."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectra_cli.architectures import ARCHITECTURES, architecture_of, cut, layout
from spectra_cli.architectures.matching import matcher
from spectra_cli.architectures.skipping import skip
from spectra_cli.architectures.towers import towers_of
from spectra_cli.records import Layout, StoredTensor
from spectra_cli.weights import open_weights
from tests.support.docs_scripts import docs_script
from tests.support.every_model import MODEL_TYPES, Skeleton, skeleton
from tests.support.forward import attention_matrices, innermost_attention, without_norms
from tests.support.stored import named
from tests.support.tiny_models import FAMILIES, Tiny

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers
    from transformers.activations import ACT2FN

KEPT = {
    model_type for kept in docs_script("architectures_page")["KEPT_AS_STORED"] for model_type in kept["model_types"]
}
LAYERS = 2
EXPERTS = 3
TOLERANCE = 1e-5  # single precision, and the tiny models are an order of magnitude above it when mixed up
SAVED = ("one file", "shards", "state dict")


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def build(tiny: Tiny) -> Any:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(tiny.model_type, **tiny.config)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    auto = transformers.AutoModel if tiny.base else transformers.AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name and "embed_positions" not in name:
                parameter.normal_(0.0, 0.3)
            if name.endswith("bias") and parameter.dtype.is_floating_point:
                parameter.zero_()
    return model


def save(model: Any, folder: Path, how: str) -> None:
    """Save a model in one of the ways in which transformers does, or once did."""
    if how == "state dict":
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, max_shard_size="5GB" if how == "one file" else "20KB")
        assert how == "one file" or len(list(folder.glob("*.safetensors"))) > 1


def read(folder: Path) -> tuple[Layout, dict[str, Tensor]]:
    """Read a saved model as a scan does: its files, its config, its rules."""
    with open_weights(folder) as weights:
        read_layout = layout(weights.config, weights.tensors)
        matrices = {matrix.name: cut(weights.read(matrix.tensor), matrix) for matrix in read_layout.matrices}
    assert all(tuple(matrices[m.name].shape) == (m.rows, m.cols) for m in read_layout.matrices)
    return read_layout, matrices


def layers_of(model: nn.Module) -> nn.ModuleList:
    lists = (m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == LAYERS)
    return next(lists)


def truth_of_attention(tiny: Tiny, model: Any, layer: nn.Module) -> dict[str, Tensor]:
    attention = innermost_attention(layer)
    for part in (attention, getattr(layer, "mlp", layer), getattr(layer, "intermediate", layer)):
        if part is not layer:
            without_norms(part)
    hidden = model.get_input_embeddings().weight.shape[1]
    output = layer.get_submodule(tiny.output) if tiny.output else attention
    applied_matrices = attention_matrices(model, attention, output, hidden)
    if tiny.scaled:
        heads = tiny.config.get("num_attention_heads", 4)
        applied_matrices["q"] *= (applied_matrices["q"].shape[0] // heads) ** 0.5
    applied_matrices["o"] /= tiny.gate
    return {role: applied_matrices[role] for role in tiny.roles}


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.linalg.norm(a - b) <= TOLERANCE * torch.linalg.norm(b))


def applied(prefix: str, matrices: dict[str, Tensor], tiny: Tiny, layer: nn.Module, x: Tensor) -> Tensor:
    named = tiny.activation
    activation = layer.get_submodule(named) if "." in named else ACT2FN[named]
    gate, up, down = (matrices.get(f"{prefix}.{role}") for role in ("gate", "up", "down"))
    assert up is not None
    assert down is not None
    if gate is None:
        return activation(x @ up.T) @ down.T
    if tiny.model_type == "gpt_oss":  # its own gate: x·σ(1.702·x)·(up + 1)
        return (x @ gate.T * torch.sigmoid(1.702 * x @ gate.T) * (x @ up.T + 1)) @ down.T
    return (activation(x @ gate.T) * (x @ up.T)) @ down.T


def one_expert(tiny: Tiny, experts: nn.Module, expert: int, x: Tensor) -> Tensor:
    if tiny.model_type == "llama4_text":  # it takes the tokens of all experts, in the experts' order
        return experts(x.repeat(EXPERTS, 1)).reshape(EXPERTS, *x.shape)[expert]
    indices = torch.full((len(x), 1), expert)
    return experts(x, indices, torch.ones(len(x), 1)).reshape(x.shape)


@pytest.mark.parametrize("tiny", FAMILIES, ids=str)
def test_matrices_are_those_of_the_forward_pass(tiny: Tiny, tmp_path: Path) -> None:
    model = build(tiny)
    for how in SAVED:
        save(model, tmp_path / how, how)
    by_saving = {how: read(tmp_path / how) for how in SAVED}
    names = [matrix.name for matrix in by_saving["one file"][0].matrices]
    assert all([matrix.name for matrix in read_layout.matrices] == names for read_layout, _ in by_saving.values())
    hidden = model.get_input_embeddings().weight.shape[1]
    x = torch.randn(7, hidden)
    layers = layers_of(model)
    for number, layer in enumerate(layers):
        attention = truth_of_attention(tiny, model, layer)
        for read_layout, matrices in by_saving.values():
            assert not read_layout.notes
            for role, matrix in attention.items():
                ours = matrices[f"layers.{number}.attn.{role}"]
                assert close(torch.linalg.svdvals(ours), torch.linalg.svdvals(matrix))
                assert tiny.reordered or close(ours, matrix)
            check_feed_forward(tiny, number, layer, matrices, x)
    for _, matrices in by_saving.values():
        assert close(matrices["embed"], model.get_input_embeddings().weight)
        if not tiny.base:
            assert close(matrices.get("unembed", matrices["embed"]), model.get_output_embeddings().weight)


def check_feed_forward(tiny: Tiny, number: int, layer: nn.Module, matrices: dict[str, Tensor], x: Tensor) -> None:
    with torch.no_grad():
        if tiny.mlp:
            truth = tiny.mlp(layer, x[:, None])[:, 0]
            assert close(applied(f"layers.{number}.mlp", matrices, tiny, layer, x), truth)
        if tiny.experts:
            for expert in range(EXPERTS):
                truth = one_expert(tiny, layer.get_submodule(tiny.experts), expert, x)
                assert close(applied(f"layers.{number}.experts.{expert}", matrices, tiny, layer, x), truth)
            assert matrices[f"layers.{number}.router"].shape == (EXPERTS, x.shape[1])
        if tiny.shared:
            truth = layer.get_submodule(tiny.shared)(x)
            assert close(applied(f"layers.{number}.shared_expert", matrices, tiny, layer, x), truth)


IN_A_LAYER = re.compile(r"\.[0-9]+\.(?!weight$)")


def without_rule(model: Skeleton) -> list[str]:
    """Return the matrices in layers that no rule speaks of, under the names in memory and those in files."""
    tensors = {name: StoredTensor(name, shape, "float32") for name, shape in model.shapes.items()}
    inside = [n for n, t in tensors.items() if IN_A_LAYER.search(n) and len(t.shape) == 2 and not skip(t, tensors)]
    record = architecture_of(model.config, tensors)
    towers = tuple(towers_of(model.config, ARCHITECTURES))
    own = matcher(record) if record else None
    match_by_tower = {tower.name: matcher(tower.record, tower) for tower in towers}

    def has_rule(name: str) -> bool:
        tower = next((tower for tower in towers if tower.holds(name)), None)
        match = match_by_tower[tower.name] if tower else own
        return match is not None and bool(match(name).rules)

    return [name for name in inside if 1 not in tensors[name].shape and not has_rule(name)]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_model_type_of_transformers_has_rules_for_its_layers_or_is_listed_with_the_reason(part: int) -> None:
    """Every one that transformers knows: a new version with a new type fails here, with its name."""
    tested = {tiny.model_type for tiny in FAMILIES}
    unread, needless = {}, []
    for model_type in MODEL_TYPES[part::8]:
        model = skeleton(model_type)
        names = without_rule(model) if model else []
        if (names or model is None) and model_type not in KEPT and (names or model_type not in tested):
            unread[model_type] = names[:3] or "cannot be built"
        if model_type in KEPT and model is not None and not names:
            needless.append(model_type)
        if model_type not in KEPT and model is not None:
            layout(model.config, named(model.shapes))  # its rules fit its own sizes
    assert not unread
    assert not needless


def test_what_is_listed_as_kept_is_a_model_type_of_transformers() -> None:
    assert set(MODEL_TYPES) >= KEPT
