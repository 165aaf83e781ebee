"""One of two processes that train one model over gloo.

    python -m tests.support.two_processes FOLDER WRAP RANK [WHAT]

WRAP: fsdp2 or ddp. WHAT: `slow`, where the second is slow in every step; `killed`, where it ends itself at step 30.
Each process writes what it met into FOLDER/RANK.txt, and both save the checkpoints of some steps.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard

from spectra_cli.monitor import SpectralMonitor
from tests.support.gloo import leave_together
from tests.support.training import SIZES, tied_llama

STEPS, SAVED = 100, (0, 50, 100)


def wrapped(kind: str) -> Any:
    model = tied_llama()
    if kind == "ddp":
        return torch.nn.parallel.DistributedDataParallel(model)
    for layer in model.model.layers:
        fully_shard(layer)
    return fully_shard(model)


def save(model: Any, folder: Path) -> None:
    whole = {name: getattr(weight, "full_tensor", lambda w=weight: w)() for name, weight in model.state_dict().items()}
    if dist.get_rank() == 0:
        bare = tied_llama()
        bare.load_state_dict({name.removeprefix("module."): weight for name, weight in whole.items()})
        bare.save_pretrained(folder)


def train(folder: Path, kind: str, rank: int, what: str) -> None:
    model = wrapped(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(rank)
    with SpectralMonitor(model, every=1, out=folder / "run.parquet", metrics=("alpha", "sd_variation_prev")) as monitor:
        for step in range(STEPS + 1):
            if step:
                tokens = torch.randint(0, SIZES["vocab_size"], (2, 8), generator=generator)
                model(input_ids=tokens, labels=tokens).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            if rank == 1 and what == "slow":
                time.sleep(0.05)
            if rank == 1 and what == "killed" and step == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            monitor.step(step)
            if not what and step in SAVED:
                save(model, folder / "run" / f"step{step}")


def main(folder: Path, kind: str, rank: int, what: str = "") -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    try:
        train(folder, kind, rank, what)
        said = "done"
    except RuntimeError as error:
        said = f"{type(error).__name__}: {error}"
    (folder / f"{rank}.txt").write_text(said, encoding="utf-8")
    if said == "done":
        leave_together(folder, rank)
    else:
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
