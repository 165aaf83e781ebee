import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.weights import open_weights, recognise
from tests.support.checkpoints import refusal

A = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
B = torch.randn(5, 2, generator=torch.Generator().manual_seed(2))
Q = "base_model.model.model.layers.0.self_attn.q_proj"


def save(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Path:
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def change(folder: Path, name: str = "model.layers.0.self_attn.q_proj.weight") -> torch.Tensor:
    with open_weights(folder) as weights:
        factors = weights.factors(name)
        assert factors is not None
        whole = weights.read(name)
        assert weights.tensors[name].shape == tuple(whole.shape)
        torch.testing.assert_close(factors.scale * factors.b @ factors.a, whole)
        return whole


def test_an_adapter_gives_the_change_under_the_name_of_the_matrix_it_changes(tmp_path: Path) -> None:
    save(tmp_path, {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B})
    assert recognise(tmp_path) == "peft"
    torch.testing.assert_close(change(tmp_path), 4.0 * B @ A)


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"alpha_pattern": {"self_attn.q_proj": 2}}, 1.0),
        ({"alpha_pattern": {"k_proj": 2}}, 4.0),
        ({"lora_alpha": 0.5}, 0.25),
    ],
)
def test_the_scale_is_that_of_the_configuration(tmp_path: Path, settings: dict[str, object], scale: float) -> None:
    save(tmp_path, {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B}, **settings)
    torch.testing.assert_close(change(tmp_path), scale * B @ A)


def test_an_embeddings_change_is_the_transpose(tmp_path: Path) -> None:
    name = "base_model.model.model.embed_tokens"
    save(tmp_path, {f"{name}.lora_embedding_A": A, f"{name}.lora_embedding_B": B})
    torch.testing.assert_close(change(tmp_path, "model.embed_tokens.weight"), 4.0 * (B @ A).T)


def test_modules_saved_whole_stay_whole(tmp_path: Path) -> None:
    save(
        tmp_path,
        {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B, "base_model.model.lm_head.weight": torch.ones(3, 3)},
    )
    with open_weights(tmp_path) as weights:
        assert weights.factors("base_model.model.lm_head.weight") is None
        assert torch.equal(weights.read("base_model.model.lm_head.weight"), torch.ones(3, 3))


def test_dora_is_skipped_with_the_reason(tmp_path: Path) -> None:
    save(tmp_path, {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B, f"{Q}.lora_magnitude_vector": torch.ones(5)})
    with open_weights(tmp_path) as weights:
        assert not weights.tensors
        assert "DoRA" in weights.unreadable[0].reason


def test_factors_that_are_missing_or_do_not_fit_are_errors(tmp_path: Path) -> None:
    save(tmp_path, {f"{Q}.lora_A.weight": A})
    assert "only one of its two factors" in refusal(tmp_path)
    save(tmp_path, {f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": torch.ones(5, 3)})
    assert "do not fit" in refusal(tmp_path)


def test_other_kinds_of_adapter_are_refused_by_name(tmp_path: Path) -> None:
    assert "the kind IA3" in refusal(save(tmp_path, {"w": A}, peft_type="IA3"))
