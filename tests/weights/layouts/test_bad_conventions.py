"""Configs and tensors that do not fit together, through the command line: said with names and numbers, not guessed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import models, runs

CONFIG = runs.CONFIG


def change_config(run: Path, **changes: object) -> None:
    for path in run.glob("*/config.json"):
        config = {**CONFIG, **changes}
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_heads_that_do_not_divide_name_tensor_numbers_and_rule(run, tmp_path, spectra) -> None:
    change_config(run, num_attention_heads=3)
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 1
    what, todo = said.err.splitlines()
    assert re.search(r"attention\.query_key_value\.weight \[\d+, \d+\] does not fit the rule 'by head: heads 3 ", what)
    assert re.search(r"\d+ does not divide by 3", what)
    assert "--fused" in todo
    assert "--arch FILE.toml" in todo
    assert not (tmp_path / "a.parquet").exists()
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q", "--fused").code == 0


def test_a_fused_tensor_whose_size_fits_no_rule_is_an_error(run, tmp_path, spectra) -> None:
    width = runs.WIDTH
    runs.edit(run / "step4", gpt_neox__layers__0__attention__query_key_value__weight=torch.ones(3 * width + 8, width))
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert f"is {3 * width}, the axis {3 * width + 8}" in said.err
    assert 4 not in set(pd.read_parquet(tmp_path / "a.parquet").step)


@pytest.mark.slow  # 4 s: three commands
def test_without_a_config_a_fused_tensor_says_which_arch_would_split_it_and_that_one_does(
    run, tmp_path, spectra
) -> None:
    assert spectra("scan", run, "-o", tmp_path / "whole.parquet", "-q").code == 0
    for path in run.glob("*/config.json"):
        path.unlink()
    said = spectra("inspect", run)
    assert said.code == 0
    assert "kept whole, as there is no config: --arch gpt_neox (with heads and head_dim from a config.json" in said.out
    bare = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q", "--arch", "gpt_neox")
    assert "the config does not give heads" in bare.err
    assert "[dimensions]" in bare.err
    record = tmp_path / "mine.toml"
    sizes = f"\n[dimensions]\nheads = {runs.HEADS}\nhead_dim = {runs.WIDTH // runs.HEADS}\n"
    record.write_text(spectra("inspect", run, "--arch", "gpt_neox", "--record").out + sizes)
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q", "--arch", record).code == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "whole.parquet"))


def test_an_unknown_family_says_what_was_assumed(run, spectra) -> None:
    change_config(run, model_type="my_own")
    said = spectra("inspect", run)
    assert (
        "no architecture is known for model_type 'my_own': every matrix keeps its stored name, with role other"
        in said.out
    )


def test_code_that_a_config_names_is_not_run(run, tmp_path, spectra) -> None:
    mark = tmp_path / "ran"
    (run / "step4" / "modeling.py").write_text(f"open({str(mark)!r}, 'w')\n")
    change_config(run, auto_map={"AutoModel": "modeling.Model", "AutoConfig": "modeling.Config"})
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q").code == 0
    assert not mark.exists()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_quantised_tensors_without_scales_are_named_and_the_rest_is_measured(tmp_path, spectra, dtype) -> None:
    folder = tmp_path / "run" / "step1"
    folder.mkdir(parents=True)
    state = models.named(models.gated(1), models.LLAMA)
    name = "model.layers.1.self_attn.q_proj.weight"
    save_file({**state, name: state[name].to(dtype)}, folder / "model.safetensors")
    config = {**models.LLAMA_CONFIG, "quantization_config": {"quant_method": "fp8"}}
    (folder / "config.json").write_text(json.dumps(config))
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert f"{name} is left out:" in said.err
    assert "without a scale beside it" in said.err
    measured = set(pd.read_parquet(tmp_path / "a.parquet").matrix)
    assert measured == set(models.gated(1)) - {"layers.1.attn.q"}


def test_names_from_files_reach_the_terminal_harmless(tmp_path, spectra) -> None:
    folder = tmp_path / "run" / "step1"
    folder.mkdir(parents=True)
    save_file({"evil\x1b[31m.c_attn.weight": torch.ones(4, 4)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "a\\u001b[2Jb"}')
    for said in (spectra("inspect", tmp_path / "run"), spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")):
        assert "\x1b" not in said.out + said.err
    assert load_file(folder / "model.safetensors")
