"""Checkpoints that lie deeper than in the folder of their step: which are taken, and how a map names the others."""

import re
import shlex

import pytest

from spectra_cli import weights
from spectra_cli.errors import SpectraError
from spectra_cli.sources import list_folder
from tests.support import runs


def run_of(folder, paths):
    for path in paths:
        runs.write_checkpoint(folder / path, runs.neox_tensors(0))
    return folder


def listed(folder, mapping=None):
    return list_folder(folder, weights.recognise, mapping=mapping)


def facts(listing):
    return [(checkpoint.revision, checkpoint.step) for checkpoint in listing.checkpoints]


@pytest.mark.parametrize(
    "paths",
    [
        ["global_step_10/actor/huggingface", "global_step_20/actor/huggingface"],
        ["checkpoint-10/policy", "checkpoint-20/policy"],
        ["iter_10/a/b/c", "iter_20/a/b/c"],
    ],
)
def test_weights_alone_below_a_folder_with_a_step_are_its_checkpoint(tmp_path, paths):
    listing = listed(run_of(tmp_path / "run", paths))
    assert [(c.step, c.path) for c in listing.checkpoints] == [
        (step, tmp_path / "run" / path) for step, path in zip((10, 20), paths, strict=True)
    ]
    assert [c.revision for c in listing.checkpoints] == [path.partition("/")[0] for path in paths]


def test_of_two_below_one_step_none_is_guessed_and_the_map_names_one(tmp_path):
    paths = [f"global_step_{step}/{part}/huggingface" for step in (10, 20) for part in ("actor", "critic")]
    folder = run_of(tmp_path / "run", [*paths, "global_step_30/actor/huggingface"])
    listing = listed(folder)
    assert facts(listing) == [("global_step_30", 30)]
    assert [left_out.revision for left_out in listing.unread] == ["global_step_10", "global_step_20"]
    assert "critic/huggingface" in listing.unread[0].reason
    mapping = tmp_path / "map.csv"
    mapping.write_text("".join(f"global_step_{step}/actor/huggingface,{step}\n" for step in (10, 20)))
    assert facts(listed(folder, mapping)) == [
        ("global_step_10/actor/huggingface", 10),
        ("global_step_20/actor/huggingface", 20),
        ("global_step_30", 30),
    ]


def test_where_every_step_holds_two_models_the_lines_that_are_proposed_work(tmp_path):
    paths = [f"global_step_{step}/{part}/huggingface" for step in (10, 20) for part in ("actor", "critic")]
    folder = run_of(tmp_path / "run", paths)
    with pytest.raises(SpectraError) as caught:
        listed(folder)
    mapping = tmp_path / "map.csv"
    mapping.write_text("\n".join(caught.value.hint.partition("lines such as ")[2].split(" then ")) + "\n")
    assert [step for _, step in facts(listed(folder, mapping))] == [10, 20]


@pytest.mark.parametrize("start", ["", "run/", "/somewhere/run/"])
def test_a_map_may_write_a_path_from_anywhere(tmp_path, start):
    folder = run_of(tmp_path / "run", ["a/x", "a/y"])
    mapping = tmp_path / "map.csv"
    mapping.write_text(f"{start}a/x,1\n{start}a/y,2\n")
    assert facts(listed(folder, mapping)) == [("a/x", 1), ("a/y", 2)]


def test_a_map_may_take_patterns(tmp_path):
    folder = run_of(tmp_path / "run", ["a/step1", "a/step2"])
    mapping = tmp_path / "map.csv"
    mapping.write_text("a/step*,,,first\n")
    assert [(c.revision, c.step, c.stage) for c in listed(folder, mapping).checkpoints] == [
        ("a/step1", 1, "first"),
        ("a/step2", 2, "first"),
    ]


@pytest.mark.parametrize(
    "paths",
    [
        ["checkpoints/step1", "checkpoints/step2"],
        ["run-a/step1", "run-a/step2", "run-b/step1"],
        ["out/model/checkpoint-1", "out/model/checkpoint-2"],
    ],
)
def test_a_folder_of_runs_is_told_from_a_run_and_the_command_that_is_proposed_works(tmp_path, paths):
    folder = run_of(tmp_path / "all of it", paths)
    with pytest.raises(SpectraError) as caught:
        listed(folder)
    command = shlex.split(re.search("`([^`]+)`", caught.value.hint)[1])
    assert command[:2] == ["spectra", "scan"]
    assert [step for _, step in facts(list_folder(type(folder)(command[2]), weights.recognise))] == [1, 2]
