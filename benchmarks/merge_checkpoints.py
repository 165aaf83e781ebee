"""Times a merge of ten checkpoints beside reading and writing the same bytes, and beside mergekit's linear merge.

    python benchmarks/merge_checkpoints.py FOLDER [MERGEKIT-YAML]

MERGEKIT-YAML is the path of mergekit's command; without it, only the bytes are compared. All are processes of their own
on the same files, in turn, ROUNDS times; the times are of the wall and of the processor. The checkpoints have the
shapes of Pythia-160m, in bfloat16, and differ by small steps.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from multiprocessing import Process
from pathlib import Path
from statistics import median

CHECKPOINTS, ROUNDS = 10, 3
LAYERS, WIDTH, HEADS, TOKENS, CONTEXT = 12, 768, 12, 50304, 2048
CHUNK = 1 << 24

# Reads every byte of the checkpoints, and writes as many as one has, flushed to the disk.
BYTES = """
import os, sys
*sources, target = sys.argv[1:]
buffer = bytearray(1 << 24)
for number, source in enumerate(sources):
    kept = target if number == 0 else os.devnull
    with open(source, "rb", buffering=0) as file, open(kept, "wb", buffering=0) as copy:
        while count := file.readinto(buffer):
            if number == 0:
                copy.write(memoryview(buffer)[:count])
        if number == 0:
            os.fsync(copy.fileno())
"""


def write_checkpoints(folder: Path) -> None:
    """Write the checkpoints."""
    import torch
    from safetensors.torch import save_file
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        vocab_size=TOKENS, dtype="bfloat16",
    )  # fmt: skip
    torch.manual_seed(0)
    state = GPTNeoXForCausalLM(config).bfloat16().state_dict()
    state["embed_out.weight"] = state.pop("lm_head.weight")
    weights = list(state.values())
    for layer in range(LAYERS):  # the buffers that Pythia's files hold, without which mergekit refuses them
        at = f"gpt_neox.layers.{layer}.attention"
        state[f"{at}.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT, dtype=torch.bool).tril()
        state[f"{at}.masked_bias"] = torch.tensor(-1e9, dtype=torch.bfloat16)
        state[f"{at}.rotary_emb.inv_freq"] = torch.ones(8, dtype=torch.bfloat16)
    for path in paths_in(folder):
        path.mkdir(parents=True, exist_ok=True)
        for tensor in weights:
            tensor.mul_(1.0 + 0.01 * torch.rand(()).item())
        save_file(state, path / "model.safetensors", {"format": "pt"})
        config.architectures = ["GPTNeoXForCausalLM"]
        config.save_pretrained(path)


def paths_in(folder: Path) -> list[Path]:
    """Return where the checkpoints are."""
    return [folder / "run" / f"step{number}" for number in range(CHECKPOINTS)]


def timed(command: list[str], output: Path) -> tuple[float, float, float]:
    """Run a process; return seconds of the wall and of the processor, and its peak of memory in MB."""
    shutil.rmtree(output, ignore_errors=True)
    output.unlink(missing_ok=True)
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{command[0]} failed: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def without_start(code: str) -> tuple[float, float]:
    """Return the wall and processor time that a command needs before it does anything."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    folder = Path(sys.argv[1])
    paths = paths_in(folder)
    if not (paths[-1] / "config.json").exists():  # in a process of its own: memory that this one had would be counted
        writing = Process(target=write_checkpoints, args=(folder,))
        writing.start()
        writing.join()
    files = [str(path / "model.safetensors") for path in paths]
    output = folder / "merged"
    models = [{"model": str(path), "parameters": {"weight": 1}} for path in paths]
    (folder / "linear.yaml").write_text(
        json.dumps({"merge_method": "linear", "models": models, "dtype": "bfloat16", "parameters": {"normalize": True}})
    )
    merge = ["-m", "spectra_cli.cli", "merge", str(folder / "run"), "--window", str(CHECKPOINTS), "-o", str(output)]
    commands = {
        "bytes": [sys.executable, "-c", BYTES, *files, str(output)],
        "spectra merge": [sys.executable, *merge],
    }
    if len(sys.argv) > 2:
        commands["mergekit linear"] = [sys.argv[2], str(folder / "linear.yaml"), str(output)]
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    starts = []
    for _ in range(ROUNDS):
        for name, command in commands.items():
            rows[name].append(timed(command, output))
        starts.append(without_start("import torch, spectra_cli.jobs.merge, spectra_cli.views.console.merge"))
    print(f"{CHECKPOINTS} checkpoints of {Path(files[0]).stat().st_size / 1e6:.0f} MB, medians of {ROUNDS} rounds")
    for name, row in rows.items():
        wall, cpu, peak = (median(values) for values in zip(*row, strict=True))
        print(f"{name:>16}: {wall:6.2f} s of the wall, {cpu:6.2f} s of the processor, at most {peak:,.0f} MB")
    wall, cpu = (median(values) for values in zip(*starts, strict=True))
    print(f"{'imports alone':>16}: {wall:6.2f} s of the wall, {cpu:6.2f} s of the processor")
    ratios = [ours[0] / bytes_[0] for ours, bytes_ in zip(rows["spectra merge"], rows["bytes"], strict=True)]
    print(f"spectra merge over the bytes, by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
