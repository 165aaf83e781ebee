"""Every way out that an error proposes is followed to the letter, and the error is gone."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support import runs

Words = list[str]


class Failed(NamedTuple):
    """A command that failed: its hint, its words, and the folder of its input."""

    hint: str
    words: Words
    folder: Path


class Hint(NamedTuple):
    """A cause, built as real files, and how its hint is followed.

    build: makes the input in a folder and returns the words of a command that fails. follow: returns the words of the
    command that the hint proposes. code: of the command then.
    """

    build: Callable[[Path], Words]
    follow: Callable[[Failed], Words]
    code: int = 0


Follow = Callable[[Failed], Words]


def tiny(*names: str) -> Callable[[Path], Words]:
    def build(folder: Path) -> Words:
        for seed, name in enumerate(names):
            runs.write_checkpoint(folder / "run" / name, runs.neox_tensors(seed))
        return ["scan", str(folder / "run")]

    return build


def small(*words: str) -> Callable[[Path], Words]:
    """A run of three checkpoints; RUN stands for it, OUT for the folder."""

    def build(folder: Path) -> Words:
        runs.write_run(folder / "run", (0, 1, 2))
        return [word.replace("RUN", str(folder / "run")).replace("OUT", str(folder)) for word in words]

    return build


def command(failed: Failed) -> Words:
    """The command between backticks, as it stands."""
    return shlex.split(re.search(r"`spectra ([^`]+)`", failed.hint)[1])


def option(name: str, *, in_place_of: str | None = None) -> Follow:
    """The option with the value that the hint gives it, in place of the one that failed."""

    def follow(failed: Failed) -> Words:
        value = re.search(rf"{name} (?:'([^']*)'|([\w.:/*-]*[\w*]))", failed.hint)
        return [*_without(failed.words, in_place_of or name), name, value[1] or value[2]]

    return follow


def value(name: str, expression: str) -> Follow:
    """The option that failed, with the value that the expression finds in the hint."""

    def follow(failed: Failed) -> Words:
        return [*_without(failed.words, name), name, re.search(expression, failed.hint)[1]]

    return follow


def _without(words: Words, name: str) -> Words:
    if name not in words:
        return words
    at = words.index(name)
    return [*words[:at], *words[at + 2 :]]


def without(name: str) -> Follow:
    """The same command without an option that the hint says to leave out."""

    def follow(failed: Failed) -> Words:
        assert f"leave out {name}" in failed.hint
        return [word for word in failed.words if word != name]

    return follow


def flag(name: str) -> Follow:
    """The same command with an option that takes no value."""

    def follow(failed: Failed) -> Words:
        assert name in failed.hint
        return [*failed.words, name]

    return follow


def map_lines(failed: Failed) -> Words:
    """A map of the lines that the hint proposes."""
    lines = re.search(r"lines (?:such as )?(\S.*)$", failed.hint)[1].split(" then ")
    (failed.folder / "map.csv").write_text("\n".join(lines) + "\n")
    return [*failed.words, "--map", str(failed.folder / "map.csv")]


def map_of_names(failed: Failed) -> Words:
    """A map with a step for each name that the hint lists."""
    assert "--map FILE (revision,step on each line)" in failed.hint
    names = re.search(r"read from ([^:]+):", failed.hint)[1].split(", ")
    (failed.folder / "map.csv").write_text("".join(f"{name},{step}\n" for step, name in enumerate(names)))
    return [*failed.words, "--map", str(failed.folder / "map.csv")]


def only_that_folder(failed: Failed) -> Words:
    return ["scan", *shlex.split(re.search(r"the folder that holds them: (\S+),", failed.hint)[1])]


def named(failed: Failed) -> str:
    """The name that the hint gives as an example."""
    return re.search(r"such as (\w+)", failed.hint)[1]


def linked(folder: Path) -> Words:
    words = tiny("step1", "step2")(folder)
    weights = folder / "run" / "step1" / "model.safetensors"
    shutil.move(weights, folder / "elsewhere.safetensors")
    os.symlink(folder / "elsewhere.safetensors", weights)
    return words


def begun_otherwise(folder: Path) -> Words:
    """A scan that was stopped after one checkpoint, and is asked for other numbers now."""
    words = tiny("step1", "step2")(folder)

    def stop(checkpoint: object, matrix: object) -> None:
        if matrix is None and getattr(checkpoint, "step", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_checkpoints(words[1], folder / "out.parquet", metrics=("alpha",), on_done=stop)
    return [*words, "-o", str(folder / "out.parquet")]


def damaged_manifest(folder: Path) -> Words:
    words = begun_otherwise(folder)
    (path,) = (folder / "out.parquet.parts").glob("*.json")
    path.write_text("{}")
    return words


def unnamed_files(folder: Path) -> Words:
    (folder / "run").mkdir(parents=True)
    for name in ("first", "second"):
        torch.save({"w": torch.eye(3)}, folder / "run" / f"{name}.pt")
    return ["scan", str(folder / "run")]


def table_for(command_name: str) -> Callable[[Path], Words]:
    def build(folder: Path) -> Words:
        runs.write_run(folder / "run", (0, 1, 2, 4))
        scan_checkpoints(folder / "run", folder / "t.parquet", metrics=("nuclear_norm",))
        return [command_name, str(folder / "t.parquet")]

    return build


def scan_again(failed: Failed) -> Words:
    assert "scan again" in failed.hint
    assert "without --metrics" in failed.hint
    (failed.folder / "t.parquet").unlink()
    scan_checkpoints(failed.folder / "run", failed.folder / "t.parquet")
    return failed.words


def one_scanned(folder: Path) -> Words:
    runs.write_run(folder / "run", (0, 1, 2, 4))
    scan_checkpoints(folder / "run", folder / "t.parquet", steps="0")
    return ["stability", str(folder / "t.parquet")]


def scan_more(failed: Failed) -> Words:
    assert "scan two or more" in failed.hint
    scan_checkpoints(failed.folder / "run", failed.folder / "t.parquet", restart=True)
    return failed.words


HINTS = {
    "one checkpoint for a study of changes": Hint(one_scanned, scan_more),
    "two of one step": Hint(tiny("step1", "step4", "global_step4"), option("--revisions")),
    "two of one step, otherwise called": Hint(tiny("step1", "step4", "step4-fp16"), option("--revisions")),
    "stages, one alone": Hint(tiny("code-step10", "math-step5"), option("--revisions")),
    "stages, in order": Hint(tiny("code-step10", "math-step5"), map_lines),
    "a stage beside none, in order": Hint(tiny("step1", "step10", "retry-step5"), map_lines),
    "seeds": Hint(tiny("seed1-step10", "seed2-step10"), option("--revisions")),
    "a run that lies deeper": Hint(tiny("checkpoints/step1", "checkpoints/step2"), command),
    "a folder of runs": Hint(tiny("a b/step1", "a b/step2", "c/step1"), command),
    "sizes of models": Hint(tiny("70M", "160M", "410M"), command),
    "two models under each step": Hint(
        tiny(*(f"global_step_{step}/{part}/hf" for step in (10, 20) for part in ("actor", "critic"))), map_lines
    ),
    "names without a step": Hint(tiny("first", "second"), map_of_names),
    "files without a step": Hint(unnamed_files, map_of_names),
    "several folders": Hint(small("scan", "RUN/step0", "RUN/step1"), only_that_folder),
    "a pattern that the shell resolved": Hint(
        small("scan", "RUN", "RUN/step1", "--revisions", "step0"),
        lambda failed: option("--revisions")(failed._replace(words=[*failed.words[:2], *failed.words[3:]])),
    ),
    "a pattern that fits nothing": Hint(
        small("scan", "RUN", "--revisions", "stepp1"), value("--revisions", r"nearest is '([^']+)'")
    ),
    "a range that is none": Hint(small("scan", "RUN", "--steps", "5:x"), value("--steps", r" as in \S+ or (\S+)$")),
    "steps that are not there": Hint(
        small("scan", "RUN", "--steps", "100:"), value("--steps", r"run from (\d+) to \d+")
    ),
    "a reference that is not there": Hint(
        small("scan", "RUN", "--reference", "step99"), value("--reference", r"such as ([^ ,]+)")
    ),
    "a device that is none": Hint(small("scan", "RUN", "--device", "tpu"), value("--device", r"use (\w+),")),
    "too few threads": Hint(small("scan", "RUN", "--threads", "0"), value("--threads", r"give (\d+) or more")),
    "no vectors": Hint(small("scan", "RUN", "--vectors", "0"), value("--vectors", r"give (\d+) or more")),
    "vectors' numbers without a number": Hint(
        small("scan", "RUN", "--metrics", "overlap_left_vectors_prev"), option("--vectors")
    ),
    "an unknown metric": Hint(small("scan", "RUN", "--metrics", "alhpa"), command),
    "an unknown role": Hint(small("scan", "RUN", "--roles", "query"), value("--roles", r"the roles are (\w+) ")),
    "layers that are none": Hint(small("scan", "RUN", "--layers", "first"), value("--layers", r"write ([-\d,]+),")),
    "averages that are not there": Hint(small("scan", "RUN", "--ema"), without("--ema")),
    "a folder as output": Hint(
        small("scan", "RUN", "-o", "RUN"),
        lambda failed: [*failed.words[:-1], str(failed.folder / re.search(r"such as (\S+)$", failed.hint)[1])],
    ),
    "an architecture that is none": Hint(
        small("scan", "RUN", "--arch", "gptneox"), value("--arch", r"the names are (\w+),")
    ),
    "a run in place of a checkpoint": Hint(
        small("diff", "RUN", "RUN/step1"),
        lambda failed: ["diff", str(failed.folder / "run" / named(failed)), failed.words[2]],
    ),
    "a link": Hint(linked, flag("--follow-links")),
    "an output that was begun otherwise": Hint(begun_otherwise, flag("--restart")),
    "a damaged manifest": Hint(damaged_manifest, flag("--restart")),
    "a table without what stability needs": Hint(table_for("stability"), scan_again),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("cause", HINTS)
def test_what_a_hint_proposes_helps(tmp_path, spectra, monkeypatch, cause):
    monkeypatch.chdir(tmp_path)
    hint = HINTS[cause]
    words = hint.build(tmp_path)
    refused = spectra(*words)
    assert refused.code in (1, 2, 3), refused.err
    what, way_out = refused.err.rstrip("\n").split("\n")[-2:]
    assert what.startswith("spectra: ")
    followed = spectra(*hint.follow(Failed(way_out.strip(), words, tmp_path)))
    assert followed.code == hint.code, followed.err
    assert what not in followed.err
