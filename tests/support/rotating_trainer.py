"""transformers' Trainer on a tiny model, which deletes all but its last checkpoints; resumed where it was killed.

    python -m tests.support.rotating_trainer RUN KEPT STEPS

Every checkpoint is also copied to KEPT, as it was when it was whole.
"""

import shutil
import sys
import time
import warnings
from pathlib import Path

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests.support.training import SIZES, neox

SECONDS_A_STEP = 1.0


class Tokens(torch.utils.data.Dataset):
    """Random tokens, the same each time."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        tokens = torch.randint(0, SIZES["vocab_size"], (8,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": tokens, "labels": tokens}


class Keep(TrainerCallback):
    """Takes its time at each step, and copies each checkpoint."""

    def __init__(self, kept: Path) -> None:
        self.kept = kept

    def on_step_end(self, *_, **__):
        time.sleep(SECONDS_A_STEP)

    def on_save(self, args, state, *_, **__):
        self.copy(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def copy(self, checkpoint: Path) -> None:
        shutil.rmtree(self.kept / checkpoint.name, ignore_errors=True)
        shutil.copytree(checkpoint, self.kept / checkpoint.name)


def main(run: Path, kept: Path, steps: int) -> None:
    warnings.simplefilter("ignore")
    arguments = TrainingArguments(
        output_dir=str(run), max_steps=steps, save_steps=1, save_total_limit=3, per_device_train_batch_size=2,
        report_to=[], disable_tqdm=True, use_cpu=True, logging_steps=1,
    )  # fmt: skip
    keep = Keep(kept)
    trainer = Trainer(neox(), arguments, train_dataset=Tokens(), callbacks=[keep])
    whole = [int(path.parent.name.removeprefix("checkpoint-")) for path in run.glob("*/trainer_state.json")]
    for step in whole:  # it may have been killed before it copied the last one
        keep.copy(run / f"checkpoint-{step}")
    trainer.train(resume_from_checkpoint=str(run / f"checkpoint-{max(whole)}") if whole else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
