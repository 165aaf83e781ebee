"""Times a merge of ten checkpoints beside reading and writing the same bytes, and beside mergekit's linear merge.

    python benchmarks/merge_checkpoints.py FOLDER [MERGEKIT-PYTHON] [--cold]

MERGEKIT-PYTHON is the Python of an environment with mergekit; without it, only the bytes are compared. All are
processes of their own on the same files, in turn, ROUNDS times. Each says how long its work took after everything was
imported, and that is compared: the bytes need no imports. `--cold` lets the system forget the files before each, so
that they are read from the disk. The bytes: every byte of the ten is read, one file after another, and as many as one
holds are written and flushed to the disk. The checkpoints have the shapes of Pythia-160m, in bfloat16, and differ by
small steps.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from multiprocessing import Process
from pathlib import Path
from statistics import median

CHECKPOINTS, ROUNDS = 10, 5
LAYERS, WIDTH, HEADS, TOKENS, CONTEXT = 12, 768, 12, 50304, 2048

# What each process does: its imports, then its work, then the seconds of the wall and of the processor.
TIMED = """
import resource, sys, time
{imports}
began, used = time.perf_counter(), time.process_time()
{work}
took = time.perf_counter() - began, time.process_time() - used
print(*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
BYTES = (
    "import os",
    """
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
""",
)
MERGE = (
    "import torch\nfrom spectra_cli.jobs.merge import merge_checkpoints\n"
    "from spectra_cli.surgery.recipes import MergeOptions",
    "merge_checkpoints(sys.argv[1], sys.argv[2], MergeOptions(window=sys.argv[3]))",
)
MERGEKIT = (
    "import torch\nfrom mergekit.config import MergeConfiguration\nfrom mergekit.merge import run_merge\n"
    "from mergekit.options import MergeOptions",
    "recipe = MergeConfiguration.model_validate_json(open(sys.argv[1]).read())\n"
    "run_merge(recipe, sys.argv[2], MergeOptions(quiet=True))",
)


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


def timed(python: str, code: tuple[str, str], arguments: list[str], output: Path) -> tuple[float, ...]:
    """Run a process; return seconds of the wall and of the processor after its imports, and its peak memory in MB."""
    shutil.rmtree(output, ignore_errors=True) if output.is_dir() else output.unlink(missing_ok=True)
    os.sync()
    imports, work = code
    command = [python, "-c", TIMED.format(imports=imports, work=work), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{work.strip()[:60]} failed: {done.stderr[-2000:]}")
    return tuple(map(float, done.stdout.splitlines()[-1].split()))


def forget(files: list[str]) -> None:
    """Let the system forget files that it keeps in memory."""
    for name in files:
        with open(name, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(rows: dict[str, list[tuple[float, ...]]]) -> None:
    """Print medians, and the ratios of the rounds."""
    for name, row in rows.items():
        wall, cpu, peak = (median(values) for values in zip(*row, strict=True))
        print(f"{name:>16}: {wall:6.2f} s of the wall, {cpu:6.2f} s of the processor, at most {peak:,.0f} MB")
    for name in list(rows)[1:]:
        for index, what in enumerate(("wall", "processor")):
            ratios = [own[index] / base[index] for own, base in zip(rows[name], rows["bytes"], strict=True)]
            by_round = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"{name} over the bytes, {what}: {median(ratios):.2f} (by round {by_round})")


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--cold"]
    cold = len(arguments) < len(sys.argv) - 1
    folder = Path(arguments[0])
    paths = paths_in(folder)
    if not (paths[-1] / "config.json").exists():  # in a process of its own: memory that this one had would be counted
        writing = Process(target=write_checkpoints, args=(folder,))
        writing.start()
        writing.join()
    files = [str(path / "model.safetensors") for path in paths]
    output, recipe = folder / "merged", folder / "linear.yaml"
    models = [{"model": str(path), "parameters": {"weight": 1}} for path in paths]
    settings = {"merge_method": "linear", "models": models, "dtype": "bfloat16", "parameters": {"normalize": True}}
    recipe.write_text(json.dumps(settings))
    runs = {
        "bytes": (sys.executable, BYTES, [*files, str(output)]),
        "spectra merge": (sys.executable, MERGE, [str(folder / "run"), str(output), str(CHECKPOINTS)]),
    }
    if len(arguments) > 1:
        runs["mergekit linear"] = (arguments[1], MERGEKIT, [str(recipe), str(output)])
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (python, code, given) in runs.items():
            if cold:
                forget(files)
            rows[name].append(timed(python, code, given, output))
    size = Path(files[0]).stat().st_size / 1e6
    print(f"{CHECKPOINTS} checkpoints of {size:.0f} MB, {'cold' if cold else 'warm'}, medians of {ROUNDS} rounds")
    report(rows)


if __name__ == "__main__":
    main()
