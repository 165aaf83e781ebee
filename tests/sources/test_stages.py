"""In which order the checkpoints of public runs are taken, by the names that those bear, and where none is guessed."""

import re

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli import weights
from spectra_cli.errors import SpectraError
from spectra_cli.sources import StepRange, choose, list_folder, pick_reference

# Names of branches, tags, folders or repositories, in the order of training, and where they are to be seen.
# (Of StarCoder2 no checkpoint from within the training is public.)
RUNS = {
    # The card of HuggingFaceTB/SmolLM3-3B-checkpoints: three stages, then two of long context.
    "SmolLM3": [
        "stage1-step-40000", "stage1-step-3440000", "stage2-step-3480000", "stage3-step-4240000",
        "stage3-step-4720000", "lc-4k-to-32k-step-4000", "lc-4k-to-32k-step-20000", "lc-32k-to-64k-step-4000",
        "lc-32k-to-64k-step-20000",
    ],
    # HuggingFaceTB/SmolLM2-1.7B-intermediate-checkpoints, its branches.
    "SmolLM2": ["step-125000", "step-250000", "step-1000000", "step-5125000"],
    # Branches of allenai/OLMoE-1B-7B-0924.
    "OLMoE": ["step50000-tokens209B", "step100000-tokens419B", "step1220000-tokens5117B"],
    # The table of checkpoints in the README of github.com/allenai/OLMo; branches of allenai/OLMo-2-1124-7B.
    "OLMo 2": [
        "stage1-step300000-tokens1259B", "stage1-step928646-tokens3896B", "stage2-ingredient1-step11931-tokens50B",
        "stage2-ingredient2-step11931-tokens50B", "stage2-ingredient3-step11931-tokens50B",
    ],
    # Branches of allenai/Olmo-3-1025-7B and of its 32B sibling.
    "OLMo 3": [
        "stage1-step337000", "stage1-step656000", "stage2-ingredient1-step0", "stage2-ingredient1-step21000",
        "stage3-step9000",
    ],
    # The card of LLM360/CrystalCoder (now IFM/Crystal), which names the first and the last of these.
    "CrystalCoder": [
        "CrystalCoder_phase1_checkpoint_055500", "CrystalCoder_phase1_checkpoint_064500",
        "CrystalCoder_phase2_checkpoint_018000", "CrystalCoder_phase2_checkpoint_214387",
        "CrystalCoder_phase3_checkpoint_027728",
    ],
    # Branches of LLM360/Amber.
    "Amber": ["ckpt_000", "ckpt_099", "ckpt_100", "ckpt_358"],
    # One repository each, in the README of github.com/jzhang38/TinyLlama.
    "TinyLlama": [
        "TinyLlama-1.1B-step-50K-105b", "TinyLlama-1.1B-intermediate-step-240k-503b",
        "TinyLlama-1.1B-intermediate-step-480k-1T", "TinyLlama-1.1B-intermediate-step-715k-1.5T",
        "TinyLlama-1.1B-intermediate-step-955k-token-2T", "TinyLlama-1.1B-intermediate-step-1195k-token-2.5T",
        "TinyLlama-1.1B-intermediate-step-1431k-3T",
    ],
    # Tags of bigscience/bloom-560m-intermediate and its siblings.
    "BLOOM": ["global_step1000", "global_step10000", "global_step100000", "global_step600000"],
    # Folders of m-a-p/neo_7b_intermediate.
    "MAP-Neo": ["iter_0002384", "iter_0004768", "iter_0444213"],
    # The card of OpenLLM-France/Lucie-7B: pre-training, then the extension of its context.
    "Lucie": ["step0005000", "step0753851", "extension_step0000250", "extension_step0000500"],
    # Branches of the models of the OlmPool collection: the end of pre-training and of the long-context extension.
    "OlmPool": ["step34000", "longcontext-step2385"],
    # Branches of swiss-ai/Apertus-8B-2509.
    "Apertus": ["step50000-tokens210B", "step675000-tokens6940B", "step875000-tokens10300B"],
    # The card of openeurollm/datamix-2b-90-10.
    "OpenEuroLLM": ["checkpoint_0005000", "checkpoint_0050000", "checkpoint_0953675"],
    # Branches of EleutherAI/pythia-160m-seed1 and the eight others: a repository holds one seed.
    "Pythia": ["step0", "step1", "step512", "step1000", "step143000"],
    # What TRL and its like leave where one folder takes both parts of a training.
    "alignment": ["sft-checkpoint-500", "sft-checkpoint-1000", "dpo-checkpoint-100", "dpo-checkpoint-700"],
    # A part that decays, saved beside the training that it leaves (WSD).
    "decay": ["step70000", "step80000", "step80000-decay", "decay_step81000"],
    # Lightning, Composer: numbers of epochs and losses differ along one run.
    "Lightning": ["epoch=0-val_loss=9.31-step=200.ckpt", "epoch=1-val_loss=8.05-step=400.ckpt"],
}  # fmt: skip

# Names that do not say which came first, and a pair that the error may name.
UNORDERED = {
    "unknown words": ["code-step100", "math-step50"],
    "unknown beside none": ["step100", "step200", "retry-step50"],
    "two variants of one stage": ["sft-math-checkpoint-10", "sft-code-checkpoint-10"],
    "annealing and extension": ["step1000", "annealing-step5", "extension-step5"],
    "two ways of alignment": ["dpo-step5", "ppo-step9"],
    "numbered runs": ["run1-step10", "run2-step20"],
    "seeds": ["seed1-step10", "seed1-step20", "seed2-step30"],
    "a seed beside none": ["step10", "step20-seed2"],
    "seeds of stages": ["stage1-step10-seed1", "stage2-step10-seed2"],
}


def run_of(folder, names):
    for name in names:
        (folder / name).mkdir(parents=True)
        save_file({"w": torch.eye(2)}, folder / name / "model.safetensors")
    return folder


def chosen(folder, *revisions, mapping=None, steps=None):
    listing = list_folder(folder, weights.recognise, mapping=mapping)
    result = choose(listing, revisions, StepRange.parse(steps) if steps else None)
    return [checkpoint.revision for checkpoint in result.checkpoints]


def refused(folder):
    with pytest.raises(SpectraError) as caught:
        chosen(folder)
    return caught.value


@pytest.mark.parametrize("name", RUNS)
def test_a_public_run_is_taken_in_the_order_of_its_training(tmp_path, name):
    assert chosen(run_of(tmp_path / "run", sorted(RUNS[name]))) == RUNS[name]


def test_the_reference_is_the_end_of_the_last_stage(tmp_path):
    folder = run_of(tmp_path / "run", RUNS["SmolLM3"])
    checkpoints = choose(list_folder(folder, weights.recognise)).checkpoints
    assert pick_reference(checkpoints, None).revision == "lc-32k-to-64k-step-20000"


@pytest.mark.parametrize("name", RUNS)
def test_one_stage_comes_in_the_same_order_as_among_the_others(tmp_path, name):
    folder = run_of(tmp_path / "run", RUNS[name])
    half = RUNS[name][::2]
    assert chosen(folder, *half) == half


@pytest.mark.parametrize("names", UNORDERED.values(), ids=UNORDERED)
def test_what_nothing_orders_is_refused_and_the_first_way_out_works(tmp_path, names):
    folder = run_of(tmp_path / "run", names)
    error = refused(folder)
    pattern = re.search(r"--revisions '([^']+)'", error.hint)[1]
    left = chosen(folder, pattern)
    assert 0 < len(left) < len(names)


@pytest.mark.parametrize("names", [names for key, names in UNORDERED.items() if "seed" not in key])
def test_what_nothing_orders_is_refused_and_the_second_way_out_works(tmp_path, names):
    folder = run_of(tmp_path / "run", names)
    lines = re.search(r"--map FILE: lines (.+)$", refused(folder).hint)[1].split(" then ")
    for order in (lines, lines[::-1]):
        mapping = tmp_path / "map.csv"
        mapping.write_text("\n".join(order) + "\n")
        stages = choose(list_folder(folder, weights.recognise, mapping=mapping)).stages
        assert [stage for stage in stages.stages if stage] == [line.rpartition(",")[2] for line in order]


def test_a_range_of_steps_may_leave_one_stage(tmp_path):
    folder = run_of(tmp_path / "run", ["code-step100", "code-step200", "math-step50"])
    assert chosen(folder, steps="100:") == ["code-step100", "code-step200"]


def test_a_part_of_the_steps_is_taken_along_the_stages(tmp_path):
    folder = run_of(tmp_path / "run", RUNS["SmolLM3"])
    assert chosen(folder, steps="::2") == RUNS["SmolLM3"][::2]


def test_a_name_that_the_map_gives_is_not_read(tmp_path):
    folder = run_of(tmp_path / "run", ["code-step100", "math-step50"])
    mapping = tmp_path / "map.csv"
    mapping.write_text("math-step50,7\ncode-step100,9\n")
    assert chosen(folder, mapping=mapping) == ["math-step50", "code-step100"]
