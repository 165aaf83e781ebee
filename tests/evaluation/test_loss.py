"""The loss of a model on text is transformers' own, whatever the tokens, the windows and the blocks."""

import math

import numpy as np
import pytest
import torch
import transformers

from spectra_cli.evaluation.estimates import ratio
from spectra_cli.evaluation.windowed_loss import Windows, windows_over
from spectra_cli.jobs.evaluate import EvaluationOptions, evaluate_models
from tests.support.language_models import BYTES, TEXT, write_model, write_tokenizer

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def loss_of_transformers(folder, ids, context, stride, start=()):
    """The mean of transformers' own loss over windows, each token counted once: labels of −100 are not counted."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    nats, counted, done, stop = 0.0, 0, 0 if start else 1, min(context - len(start), len(ids))
    while done < len(ids):
        row = [*start, *ids[max(0, stop - context + len(start)) : stop]]
        labels = [-100] * (len(row) - (stop - done)) + row[len(row) - (stop - done) :]
        with torch.no_grad():
            loss = model(torch.tensor([row]), labels=torch.tensor([labels])).loss
        nats, counted = nats + float(loss) * (stop - done), counted + stop - done
        done, stop = stop, min(stop + stride, len(ids))
    return nats / counted, counted


@pytest.mark.parametrize(("context", "stride"), [(64, 32), (48, 48), (20, 7)])
def test_a_model_of_bytes_has_the_loss_that_transformers_gives(tmp_path, text, context, stride):
    write_model(tmp_path / "m", "gpt_neox", BYTES)
    (model,) = evaluate_models([tmp_path / "m"], text, EvaluationOptions(context=context, stride=stride)).models
    # A first token that nothing goes before is read and never predicted: a whole new window holds one fewer.
    expected, counted = loss_of_transformers(tmp_path / "m", text.read_bytes(), context, min(stride, context - 1))
    assert model.loss.value == pytest.approx(expected, abs=1e-6)
    assert model.losses.tokens.sum() == counted == len(text.read_bytes()) - 1
    assert model.bits_per_byte.value == pytest.approx(model.loss.value / math.log(2), rel=1e-12)


@pytest.mark.parametrize("begins", [True, False])
def test_a_model_with_a_tokenizer_has_the_loss_that_transformers_gives(tmp_path, text, begins):
    write_model(tmp_path / "m", "llama", BYTES | {"vocab_size": 300, "num_key_value_heads": 2})
    tokenizer = write_tokenizer(tmp_path / "m", begins=begins)
    (model,) = evaluate_models([tmp_path / "m"], text, EvaluationOptions(context=32, stride=16)).models
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    expected, counted = loss_of_transformers(tmp_path / "m", ids, 32, 16, (0,) if begins else ())
    assert model.loss.value == pytest.approx(expected, abs=1e-6)
    read = len(TEXT.encode()) - (0 if begins else len(tokenizer.decode(ids[:1]).encode()))
    assert int(model.losses.nbytes.sum()) == read
    assert model.bits_per_byte.value == pytest.approx(expected * counted / math.log(2) / read, rel=1e-6)
    assert model.lm_eval.startswith(f"lm_eval --model hf --model_args pretrained={tmp_path / 'm'}")


def test_models_are_compared_on_the_same_blocks(tmp_path, text):
    names = [tmp_path / "a", tmp_path / "b", tmp_path / "words"]
    write_model(names[0], "gpt_neox", BYTES)
    write_model(names[1], "gpt_neox", BYTES, seed=1)
    write_model(names[2], "llama", BYTES | {"vocab_size": 300, "num_key_value_heads": 2})
    write_tokenizer(names[2], begins=False)
    evaluation = evaluate_models(names, text, EvaluationOptions(context=64))
    a, b, words = evaluation.models
    second, third = evaluation.differences
    per_block = (b.losses.nats - a.losses.nats) / a.losses.tokens
    assert (second.unit, third.unit) == ("nats per token", "bits per byte")
    assert second.difference.value == pytest.approx(b.loss.value - a.loss.value, abs=1e-12)
    assert second.difference.stderr == pytest.approx(per_block.std(ddof=1) / math.sqrt(32), rel=0.05)
    assert third.difference.value == pytest.approx(words.bits_per_byte.value - a.bits_per_byte.value, rel=0.01)


def test_the_standard_error_of_blocks_is_the_spread_of_their_means():
    random = np.random.default_rng(0)
    sizes = random.integers(80, 120, (2000, 32))
    sums = sizes * 1.5 + np.sqrt(sizes) * random.standard_normal((2000, 32)) * 5
    estimates = [ratio(some, over) for some, over in zip(sums, sizes, strict=True)]
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.stderr for estimate in estimates]) == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("length", [2, 9, 40])
@pytest.mark.parametrize("windows", [Windows(8, 8), Windows(8, 3), Windows(2, 1), Windows(64, 64)])
def test_every_token_is_scored_once_with_as_much_before_it_as_there_is(windows, length, begun):
    every = list(windows_over(length, windows, begun))
    scored = [token for window in every for token in range(window.scored, window.stop)]
    assert scored == list(range(0 if begun else 1, length))
    assert {window.stop - window.first for window in every} == {min(windows.context - begun, length)}
