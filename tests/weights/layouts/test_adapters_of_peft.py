"""The change of an adapter that PEFT itself made and saved is that of PEFT's own merge."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights

SETTINGS = (
    {},
    {"use_rslora": True},
    {"alpha_pattern": {r"0\.(first|other)": 5}, "rank_pattern": {"second": 3}},
)


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 9, bias=False), torch.nn.Linear(9, 6, bias=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_change_is_that_of_the_merge(tmp_path: Path, settings: dict[str, object]) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(5)
    model = torch.nn.Sequential(Block(), Block())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["first", "second"], init_lora_weights=False, **settings)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(tmp_path)
    after = adapted.merge_and_unload().state_dict()
    with open_weights(tmp_path) as weights:
        assert set(weights.tensors) == set(before)
        for name, tensor in before.items():
            torch.testing.assert_close(weights.read(name), after[name] - tensor, atol=1e-5, rtol=1e-4)
