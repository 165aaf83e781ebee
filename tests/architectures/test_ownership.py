"""Which matrix each element belongs to, against the elements that a cut really takes."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from spectra_cli.architectures import cut, element_owners, layout
from spectra_cli.records import StoredTensor

KINDS = {
    "gpt_neox": {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 32},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 1, "vocab_size": 32},
    "gpt_oss": {
        "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_hidden_layers": 1,
        "vocab_size": 32, "intermediate_size": 16, "num_local_experts": 2, "num_experts_per_tok": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_owners_are_the_matrices_whose_cut_takes_the_element(kind):
    config = AutoConfig.for_model(kind, **KINDS[kind])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    stored = {name: StoredTensor(name, tuple(t.shape), "float32") for name, t in model.state_dict().items()}
    matrices = layout(config.to_dict(), stored).matrices
    several = [name for name in stored if sum(matrix.tensor == name for matrix in matrices) > 1]
    assert several
    for name in {matrix.tensor for matrix in matrices}:
        shape = stored[name].shape
        own = [(matrix, number) for number, matrix in enumerate(matrices) if matrix.tensor == name]
        expected = np.full(np.prod(shape), -1)
        for matrix, number in own:
            expected[cut(np.arange(expected.size).reshape(shape), matrix).ravel()] = number
        marks, inner = element_owners(shape, own)
        assert np.array_equal(np.repeat(marks, inner), expected)
