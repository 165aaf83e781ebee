"""How `spectra watch` keeps up with a run of many checkpoints: memory, and how soon each one is seen.

    python benchmarks/watch_folder.py [--checkpoints N] [--seconds S] [--quiet-period Q]

Writes a small checkpoint every S seconds into a folder that a process of its own watches, and prints for each tenth of
the run: the time from a checkpoint's completion, which is Q after its last byte, to its line on standard error (median
and longest), the resident memory of the process, and the size of the table.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

LAYERS, WIDTH = 2, 32
LINE = re.compile(r"· step ([\d,]+), ")


def write_checkpoint(folder: Path, random: np.random.Generator) -> None:
    """Write a Llama of two layers, random."""
    shapes = {"model.embed_tokens.weight": (64, WIDTH), "lm_head.weight": (64, WIDTH)}
    for layer in range(LAYERS):
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (WIDTH, WIDTH)
        for name in ("mlp.gate_proj", "mlp.up_proj"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (2 * WIDTH, WIDTH)
        shapes[f"model.layers.{layer}.mlp.down_proj.weight"] = (WIDTH, 2 * WIDTH)
    folder.mkdir(parents=True)
    config = {"model_type": "llama", "hidden_size": WIDTH, "num_attention_heads": 2, "num_hidden_layers": LAYERS}
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 2 * WIDTH, "vocab_size": 64}))
    tensors = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Seen:
    """When each step was seen, from the lines of the process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Begin to read."""
        self.process, self.times = process, dict[int, float]()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        for line in self.process.stderr or ():
            if match := LINE.search(line):
                step = int(match[1].replace(",", ""))
                self.times[step] = time.monotonic()
            else:
                print(line, end="", flush=True)


def tell(seen: Seen, complete: dict[int, float], table: Path, last: int) -> None:
    """Print how the last steps were seen, those of them that were."""
    late = [seen.times[step] - complete[step] for step in list(complete)[-last:] if step in seen.times]
    if late:
        print(
            f"to step {max(seen.times)}: seen {statistics.median(late):.2f} s after completion, at most "
            f"{max(late):.2f} s; {resident(seen.process.pid):.0f} MB; table {table.stat().st_size / 1e6:.1f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=1.8)
    parser.add_argument("--quiet-period", type=float, default=2.0)
    options = parser.parse_args()
    random, complete, tenth = np.random.default_rng(0), dict[int, float](), max(1, options.checkpoints // 10)
    with tempfile.TemporaryDirectory() as folder:
        run, table = Path(folder) / "run", Path(folder) / "run.parquet"
        waits = ["--quiet-period", f"{options.quiet_period}s", "--idle", "20s"]
        command = [sys.executable, "-m", "spectra_cli", "watch", str(run), "-o", str(table), "--threads", "1"]
        process = subprocess.Popen([*command, *waits], stderr=subprocess.PIPE, text=True)
        seen = Seen(process)
        while not table.with_name("run.parquet.parts").exists():
            time.sleep(0.01)
        began = time.monotonic()
        for step in range(options.checkpoints):
            write_checkpoint(run / f"step{step}", random)
            complete[step] = time.monotonic() + options.quiet_period
            time.sleep(max(0.0, began + (step + 1) * options.seconds - time.monotonic()))
            if (step + 1) % tenth == 0:
                tell(seen, complete, table, tenth)
        process.wait()
        seen.thread.join()
    late = [seen.times[step] - complete[step] for step in complete if step in seen.times]
    print(f"{len(late)} of {options.checkpoints} seen; at most {max(late):.2f} s after completion")


if __name__ == "__main__":
    main()
