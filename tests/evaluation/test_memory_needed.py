"""What a whole model takes is said where it is much, and refused where the machine does not have it."""

import json

import pytest
import transformers

from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.memory_needed import announce, machine_memory
from tests.support import models_of_transformers as models


def of_share(share):
    """A configuration whose embedding takes this share of the machine in float32; no memory is taken for it."""
    tokens = int(share * machine_memory() / 4 / 1024)
    return transformers.GPTNeoXConfig(
        vocab_size=tokens, hidden_size=1024, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        tie_word_embeddings=True,
    )  # fmt: skip


def test_a_large_model_is_announced_and_one_that_cannot_fit_refused():
    said = []
    announce(of_share(0.01), 10, "m", said.append)
    assert said == []
    announce(of_share(0.5), 10, "m", said.append)
    assert len(said) == 1
    assert f"and this machine has {machine_memory() / 1e9:,.1f} GB" in said[0]
    with pytest.raises(SpectraError, match="m takes .* GB of memory in float32"):
        announce(of_share(1.5), 10, "m", said.append)
    announce(of_share(1.5), 10, "m", said.append, "bfloat16")
    assert len(said) == 2


@pytest.mark.parametrize("command", [("warmup",), ("prune", "--layers", "1", "--protect", "0:0")])
def test_a_command_ends_before_it_takes_what_is_not_there(spectra, tmp_path, command):
    folder = models.save(models.random_model("llama", 3), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": machine_memory() // 32}))
    result = spectra(command[0], folder, "-o", tmp_path / "new", *command[1:])
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 2), result.err
    assert "GB of memory in float32, and this machine has" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
