"""What a run logged, read from the files that trainers leave."""

import json

import numpy as np
import pandas as pd
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.parse import parse_columns
from spectra_cli.studies.inputs.training_logs import read_losses

LINES = [
    {"step": 0, "train_loss": None, "val_loss": 5.5, "lr": 0.0},
    {"step": 10, "train_loss": 4.1, "val_loss": 4.0, "lr": 1e-3},
    {"step": 20, "train_loss": 3.1, "val_loss": 3.0, "lr": 1e-4},
]


def write_jsonl(path):
    path.write_text("\n".join(map(json.dumps, LINES)) + "\n")


def write_csv(path):
    pd.DataFrame(LINES).to_csv(path, index=False)


def write_semicolons(path):
    pd.DataFrame(LINES).rename(columns={"val_loss": "Eval/Loss", "lr": "Learning Rate"}).to_csv(
        path, index=False, sep=";", encoding="utf-8-sig"
    )


def write_parquet(path):
    pd.DataFrame(LINES).to_parquet(path)


def write_trainer_state(path):
    """Transformers logs training and evaluation of one step apart, and a summary line at the end."""
    train = [
        {"step": one["step"], "loss": one["train_loss"], "learning_rate": one["lr"]} for one in LINES if one["step"]
    ]
    evaluation = [{"step": one["step"], "eval_loss": one["val_loss"]} for one in LINES]
    history = [*train, *evaluation, {"step": 20, "train_runtime": 1.0}]
    path.write_text(json.dumps({"log_history": history, "global_step": 20}))


WRITERS = (write_jsonl, write_csv, write_semicolons, write_parquet, write_trainer_state)


@pytest.mark.parametrize("write", WRITERS, ids=lambda one: one.__name__)
def test_every_kind_of_log_gives_the_same_frame(write, tmp_path):
    path = tmp_path / "log"
    write(path)
    losses = read_losses(path)
    assert losses.kind == "validation"
    assert losses.frame["step"].tolist() == [0, 10, 20]
    assert losses.frame["loss"].tolist() == [5.5, 4.0, 3.0]
    assert losses.frame["train_loss"].tolist()[1:] == [4.1, 3.1]
    assert losses.frame["lr"].tolist()[1:] == [1e-3, 1e-4]


def test_without_a_validation_loss_the_training_loss_counts(tmp_path):
    (tmp_path / "log.csv").write_text("iter,loss\n1,5\n2,4\n")
    losses = read_losses(tmp_path / "log.csv")
    assert losses.kind == "training"
    assert not losses.has_rate
    assert losses.frame["loss"].tolist() == [5, 4]


def test_named_columns_are_taken_before_known_ones(tmp_path):
    (tmp_path / "log.csv").write_text("n,step,loss,bpb\n100,1,5,1.1\n200,2,4,0.9\n")
    frame = read_losses(tmp_path / "log.csv", {"step": "n", "loss": "bpb"}).frame
    assert frame["step"].tolist() == [100, 200]
    assert frame["loss"].tolist() == [1.1, 0.9]


def test_a_step_that_was_logged_again_counts_as_logged_last(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 5}\n{"step": 2, "loss": 9}\n{"step": 2, "loss": 4}\n')
    assert read_losses(tmp_path / "log.jsonl").frame["loss"].tolist() == [5, 4]


def test_a_last_line_cut_short_by_a_kill_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 5}\n{"step": 2, "lo')
    assert read_losses(tmp_path / "log.jsonl").frame["step"].tolist() == [1]


def test_losses_that_are_no_numbers_are_undefined(tmp_path):
    lines = '{"step": 1, "loss": NaN}\n{"step": 2, "loss": Infinity}\n{"step": 3, "loss": 1, "lr": 5e-324}\n'
    lines += '{"step": 4, "loss": 1e308, "lr": 1e308}\n{"step": 5, "loss": 0, "lr": 0}\n'
    (tmp_path / "log.jsonl").write_text(lines)
    assert np.isnan(read_losses(tmp_path / "log.jsonl").frame[["loss", "lr"]]).to_numpy().T.tolist() == [
        [True, True, False, True, False],
        [True, True, True, True, False],
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "logs nothing|cannot be read"),
        ("a,b\n1,2\n", "no column of steps; it has a, b"),
        ("step,b\n1,2\n", "no column of losses; it has step, b"),
        ("step,loss\n1,high\n", "something else than numbers in its column 'loss'"),
        ('{"step": 1, "loss": 2}\n{"step": \n{"step": 3, "loss": 1}\n', r"read as a log of losses \(line 2\)"),
        ("step,loss\n1,nan\n", "holds no loss that is a number"),
    ],
)
def test_a_bad_log_says_what_is_wrong_with_it(text, says, tmp_path):
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(SpectraError, match=says):
        read_losses(tmp_path / "log.txt")


def test_a_log_that_is_not_there_and_a_binary_one_are_named(tmp_path):
    with pytest.raises(SpectraError, match="nowhere is not there"):
        read_losses(tmp_path / "nowhere")
    (tmp_path / "weights").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(SpectraError, match="weights cannot be read as a log"):
        read_losses(tmp_path / "weights")


@pytest.mark.parametrize("text", ["loss", "loss=", "epoch=e"])
def test_columns_that_are_not_understood_are_bad_usage(text):
    with pytest.raises(SpectraError, match="--loss-columns does not understand") as raised:
        parse_columns(text)
    assert raised.value.code == 2
