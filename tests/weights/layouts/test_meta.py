"""Meta's files by rank, cut here as Meta's code cuts them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spectra_cli.weights import open_weights, recognise
from tests.support import models
from tests.support.checkpoints import refusal, save_config
from tests.support.models import HEADS, HIDDEN, KV_HEADS, LAYERS
from tests.support.read_matrices import same_matrices

PARAMS = {"dim": HIDDEN, "n_heads": HEADS, "n_kv_heads": KV_HEADS, "n_layers": LAYERS, "vocab_size": -1}
NARROWS = ("wo.weight", "w2.weight")


def in_pairs(whole: np.ndarray, heads: int) -> np.ndarray:
    """Order the rows of q or k as Meta does: of each head, the two that turn together side by side."""
    return whole.reshape(heads, 2, -1, whole.shape[1]).swapaxes(1, 2).reshape(whole.shape)


def write(folder: Path, ranks: int, *, words: bool = True, params: dict[str, int] | None = PARAMS) -> models.Truth:
    """Write a model by rank; words: the embedding is cut along its words, as since Llama 3, else along the width."""
    truth = models.gated(3)
    own = {
        name: in_pairs(array, HEADS if name.endswith(".q") else KV_HEADS) if name.endswith((".q", ".k")) else array
        for name, array in truth.items()
    }
    state = models.named(own, models.LLAMA_OF_META)
    folder.mkdir(exist_ok=True)
    for rank in range(ranks):
        part = {"rope.freqs": torch.ones(2)}
        for name, whole in state.items():
            axis = 1 if name.endswith(NARROWS) or (name.startswith("tok_") and not words) else 0
            part[name] = whole.clone() if whole.ndim == 1 else whole.chunk(ranks, axis)[rank].clone()
        torch.save(part, folder / f"consolidated.{rank:02}.pth")
    if params:
        (folder / "params.json").write_text(json.dumps(params))
    return truth


@pytest.mark.parametrize("words", [True, False], ids=["embedding by words", "embedding by width"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_ranks_make_one_model_in_hugging_faces_order(tmp_path: Path, ranks: int, words: bool) -> None:
    truth = write(tmp_path, ranks, words=words)
    assert recognise(tmp_path) == "meta"
    assert not [note for note in same_matrices(tmp_path, truth) if "rotary" in note]


def test_a_config_of_hugging_face_beside_it_gives_the_heads_as_well(tmp_path: Path) -> None:
    truth = write(tmp_path, 2, params=None)
    with open_weights(tmp_path) as weights:
        assert weights.tensors["layers.0.attention.wo.weight"].shape == (HIDDEN, HIDDEN)
    save_config(tmp_path, **models.LLAMA_CONFIG)
    assert not [note for note in same_matrices(tmp_path, truth) if "rotary" in note]


def test_heads_that_do_not_give_the_rows_are_refused(tmp_path: Path, spectra) -> None:
    write(tmp_path / "a", 2, params={**PARAMS, "n_kv_heads": HEADS})
    said = spectra("scan", tmp_path / "a", "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 1
    assert "kv_heads head_dim//2 2 is 16, the axis 8" in said.err


def test_a_rank_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, 2)
    (tmp_path / "consolidated.00.pth").unlink()
    assert "lacks part 0 of 2" in refusal(tmp_path)


def test_one_ranks_file_by_itself_is_refused_and_its_folder_is_what_the_hint_says(tmp_path: Path, spectra) -> None:
    write(tmp_path / "a", 2)
    said = spectra("scan", tmp_path / "a" / "consolidated.01.pth", "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 1
    assert "one of 2 ranks' files" in said.err
    assert "give the folder" in said.err
    assert spectra("scan", tmp_path / "a", "-o", tmp_path / "a.parquet", "-q").code == 0


def test_an_embedding_that_fits_the_width_neither_way_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 2)
    for rank in range(2):
        path = tmp_path / f"consolidated.{rank:02}.pth"
        torch.save({**torch.load(path), "tok_embeddings.weight": torch.ones(16, 10)}, path)
    assert "10 columns of tok_embeddings.weight, and a model 16 wide" in refusal(tmp_path)
