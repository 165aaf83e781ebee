"""Which checkpoints a folder holds, and which of them are chosen."""

import os
import shutil

import pytest
import torch

from spectra_cli import weights
from spectra_cli.errors import SpectraError
from spectra_cli.sources import StepRange, choose, list_folder, pick_reference, with_tokens
from tests.support import runs


def listed(path, **options):
    return list_folder(path, weights.recognise, **options)


def test_checkpoints_come_in_numeric_order(run):
    assert [checkpoint.step for checkpoint in listed(run).checkpoints] == [0, 1, 2, 4, 8, 16]
    assert listed(run).model == "small"


def test_a_stage_is_a_sort_key_of_its_own(tmp_path):
    for name in ("stage2-step5", "stage1-step10", "stage1-step9", "extension-step1"):
        runs.write_checkpoint(tmp_path / "staged" / name, runs.neox_tensors(0))
    names = [checkpoint.revision for checkpoint in listed(tmp_path / "staged").checkpoints]
    assert names == ["stage1-step9", "stage1-step10", "stage2-step5", "extension-step1"]


def test_a_folder_of_files_is_a_run(tmp_path):
    for step in (500, 1000):
        torch.save({"w": torch.ones(2, 2)}, tmp_path / f"model_{step:06}.pt")
    assert [checkpoint.step for checkpoint in listed(tmp_path).checkpoints] == [500, 1000]


@pytest.mark.parametrize("inside", ["", "model.safetensors"])
def test_one_checkpoint_is_a_run_of_one(run, inside):
    listing = listed(run / "step4" / inside)
    assert len(listing.checkpoints) == 1


def test_final_weights_beside_checkpoints_are_named_not_mixed_in(run):
    runs.write_checkpoint(run / "other", runs.neox_tensors(0))
    os.rename(run / "other" / "model.safetensors", run / "model.safetensors")
    os.remove(run / "other" / "config.json")
    unread = {left_out.revision: left_out.reason for left_out in listed(run).unread}
    assert "." in unread
    assert "other" in unread
    assert len(listed(run).checkpoints) == 6


def test_what_a_trainer_leaves_beside_its_checkpoints_is_named_once(run):
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        shutil.copy(run / "step4" / "model.safetensors", run / name)
    for name in ("config.json", "generation_config.json", "latest", "odd.txt"):
        (run / name).write_text("{}")
    assert [left_out.revision for left_out in listed(run).unread] == ["odd.txt", "."]


def test_a_name_without_a_step_is_listed_never_dropped(run):
    runs.write_checkpoint(run / "final", runs.neox_tensors(0))
    assert [left_out.revision for left_out in listed(run).unread] == ["final"]


def test_a_map_gives_steps_to_names_that_say_none(run, tmp_path):
    runs.write_checkpoint(run / "final", runs.neox_tensors(0))
    mapping = tmp_path / "steps.csv"
    mapping.write_text("revision,step,tokens,stage\nfinal,32,4000,\n")
    last = listed(run, mapping=mapping).checkpoints[-1]
    assert (last.revision, last.step, last.tokens, last.stage) == ("final", 32, 4000, None)


@pytest.mark.parametrize("name", ["odd", "odd.pt", "some/where/odd.pt"])
def test_a_map_takes_paths_and_revisions_from_a_spreadsheet(tmp_path, name):
    for file in ("odd.pt", "even.pt"):
        torch.save({"w": torch.ones(2, 2)}, tmp_path / file)
    mapping = tmp_path / "steps.csv"
    mapping.write_text(f"\ufeffrevision,step\r\n{name},7\r\neven,8,,stage2\r\n", encoding="utf-8")
    checkpoints = listed(tmp_path, mapping=mapping).checkpoints
    assert [(checkpoint.revision, checkpoint.step, checkpoint.stage) for checkpoint in checkpoints] == [
        ("odd", 7, None),
        ("even", 8, "stage2"),
    ]


def test_a_line_of_a_map_that_speaks_of_nothing_is_listed(run, tmp_path):
    mapping = tmp_path / "steps.csv"
    mapping.write_text("finale,32\n")
    assert ("finale", "named by --map, and no checkpoint here") in [
        (left_out.revision, left_out.reason) for left_out in listed(run, mapping=mapping).unread
    ]


def test_two_seeds_of_one_step_are_two_runs(tmp_path):
    for seed in (1, 2):
        runs.write_checkpoint(tmp_path / "seeds" / f"seed{seed}-step4", runs.neox_tensors(seed))
    with pytest.raises(SpectraError) as caught:
        choose(listed(tmp_path / "seeds"))
    assert "seed1-step*" in caught.value.hint


def test_a_bad_map_names_its_line(run, tmp_path):
    mapping = tmp_path / "steps.csv"
    mapping.write_text("final,soon\n")
    with pytest.raises(SpectraError, match="line 1"):
        listed(run, mapping=mapping)


def test_tokens_are_steps_times_tokens_per_step_where_unknown(run):
    assert [checkpoint.tokens for checkpoint in with_tokens(listed(run), 10).checkpoints] == [0, 10, 20, 40, 80, 160]
    with pytest.raises(SpectraError, match="more tokens than a table can hold"):
        with_tokens(listed(run), 10**18)


@pytest.mark.parametrize(
    ("revisions", "steps", "expected"),
    [
        (["step1*"], None, [1, 16]),
        (["step1,step2"], None, [1, 2]),
        (["step1", "step8"], None, [1, 8]),
        ([], "1:8", [1, 2, 4, 8]),
        ([], "4:", [4, 8, 16]),
        ([], ":2", [0, 1, 2]),
        ([], "::2", [1, 4, 16]),
        ([], "4", [4]),
        (["step1*"], ":8", [1]),
    ],
)
def test_checkpoints_are_chosen_by_name_and_step(run, revisions, steps, expected):
    chosen = choose(listed(run), revisions, StepRange.parse(steps) if steps else None).checkpoints
    assert [checkpoint.step for checkpoint in chosen] == expected


@pytest.mark.parametrize("text", ["1:2:3:4", "0:9:0", "0::", "soon", "1:x"])
def test_what_is_no_range_of_steps_is_refused(text):
    with pytest.raises(SpectraError, match="is not a range of steps"):
        StepRange.parse(text)


def test_two_checkpoints_of_one_step_are_refused(run):
    runs.write_checkpoint(run / "global_step4", runs.neox_tensors(0))
    with pytest.raises(SpectraError, match="global_step4 and step4") as caught:
        choose(listed(run))
    assert "--revisions" in caught.value.hint


def test_the_reference_is_the_last_unless_named(run):
    checkpoints = listed(run).checkpoints
    assert pick_reference(checkpoints, None).step == 16
    assert pick_reference(checkpoints, "step2").step == 2
    assert pick_reference(checkpoints, "2").step == 2
