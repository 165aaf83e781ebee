"""Trains a tiny byte-level GPT-NeoX on the Python standard library's own sources, so that there is a run to scan."""

from __future__ import annotations

import json
import math
import shlex
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    import torch

STEPS = 360
SAVED = (
    0, 1, 2, 4, 8, 12, 16, 20, 25, 30, 34, 38, 43, 48, 54, 60, 67, 75, 84, 94, 105, 118, 132, 148, 166, 186, 208, 233,
    261, 292, 327, STEPS,
)  # fmt: skip
WARMUP = 30
PEAK_RATE = 2e-3
BATCH, CONTEXT = 8, 128
SEED = 0
TEXT_BYTES = 6_000_000
HELD_OUT, HELD_OUT_BYTES = "held-out.txt", 20_000
STEADY_SHARE, STEP_SHARES = 0.8, (0.5, 0.8)
HELD_FROM, HELD_AT = 0.4, 0.03


@dataclass(frozen=True)
class Recipe:
    """How a run is trained. optimizer: `adamw`, or `muon` for the layers' matrices with AdamW for all else.

    schedule: after the warm-up `constant`, `cosine` down to a tenth, `held` (a cosine down to HELD_AT at HELD_FROM of
    the run, and no further), `wsd` (steady, then straight down to a tenth over the last fifth) or `step` (a third at
    half of the run, a tenth at four fifths). peak_rate: what the schedule starts from. layers: of the model. seed: of
    its first weights and of the order of what it reads.
    """

    optimizer: str = "adamw"
    schedule: str = "cosine"
    weight_decay: float = 0.1
    peak_rate: float = PEAK_RATE
    layers: int = 6
    seed: int = SEED


DEMO = Recipe(schedule="held")  # the variation falls with the rate, and is seen to settle where it no longer does


def train(
    folder: Path,
    *,
    on_progress: Callable[[str], None],
    on_step: Callable[[int, int], None] = lambda *_: None,
    steps: int = STEPS,
    saved: Sequence[int] = SAVED,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    start: Path | None = None,
) -> Path:
    """Train for so many steps, save Pythia-like checkpoints and `loss.jsonl`, and return the folder of the run.

    folder: must not exist, or be empty. on_progress: called with a line about what happens. on_step: called with how
    many steps are done, and of how many. saved: the steps that are saved; the last always is. start: the folder of a
    checkpoint of this model, to start from its weights.
    Deterministic for one machine and one seed; fp16 checkpoints. Raises SpectraError where the folder is taken or there
    is no text to train on.
    """
    import torch

    run = _make_folder(folder)
    text = _library_text()
    training = text[: _cut(text)]
    torch.manual_seed(recipe.seed)
    model = _model(recipe.layers, start)
    size = f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M parameters"
    on_progress(f"training a GPT-NeoX of {size} for {steps} steps on {len(text) / 1e6:.1f} MB of Python sources")
    optimizers = _optimizers(model, recipe)
    batches = torch.Generator().manual_seed(recipe.seed)
    fixed = held_out(4 * BATCH)
    loss = math.nan
    with open(run / "loss.jsonl", "w", encoding="utf-8") as log:
        for step in range(steps + 1):
            on_step(step, steps)
            rate = learning_rate(step, steps, recipe)
            if step in saved or step == steps:
                _save(model, run / f"step{step}")
                losses = {"train_loss": None if math.isnan(loss) else loss, "val_loss": _loss(model, fixed)}
                line = {"step": step, **losses, "lr": rate}
                log.write(json.dumps(line) + "\n")
                on_progress(f"step {step:>4} · held-out loss {line['val_loss']:.3f}")
            if step < steps:
                loss = _train_step(
                    model, optimizers, _batch(training, batches, BATCH), learning_rate(step + 1, steps, recipe)
                )
    return run


def learning_rate(step: int, steps: int = STEPS, recipe: Recipe = Recipe()) -> float:  # noqa: B008 - frozen
    """Return the rate used for a step: linear warm-up, then what the recipe's schedule says.

    >>> learning_rate(WARMUP), round(learning_rate(STEPS), 6)
    (0.002, 0.0002)
    >>> [round(learning_rate(step, 360, Recipe(schedule="step")), 6) for step in (179, 180, 288)]
    [0.002, 0.000667, 0.0002]
    >>> [round(learning_rate(step, 360, DEMO), 6) for step in (30, 144, 360)]
    [0.002, 6e-05, 6e-05]
    """
    if step <= WARMUP:
        return recipe.peak_rate * step / WARMUP
    if recipe.schedule == "constant":
        return recipe.peak_rate
    if recipe.schedule == "wsd":
        progress = max(0.0, step / steps - STEADY_SHARE) / (1 - STEADY_SHARE)
        return recipe.peak_rate * (1 - 0.9 * progress)
    if recipe.schedule == "step":
        return recipe.peak_rate * (1, 1 / 3, 1 / 10)[sum(step >= share * steps for share in STEP_SHARES)]
    end, least = (HELD_FROM * steps, HELD_AT) if recipe.schedule == "held" else (steps, 0.1)
    progress = min(1.0, (step - WARMUP) / max(1, end - WARMUP))
    return recipe.peak_rate * (least + (1 - least) * (1 + math.cos(math.pi * progress)) / 2)


def what_next(folder: Path) -> str:
    """Return what to try on what the demo left."""
    table, run = folder / "demo.parquet", folder / "run"
    last = run / f"step{STEPS}"
    look = (
        f"import pandas as pd; t = pd.read_parquet({str(table)!r}); "
        "print(t[t.metric == 'stable_rank'].pivot_table('value', 'step', 'role', observed=True))"
    )
    commands = (
        ("spectra", "inspect", run),
        ("spectra", "diff", run / "step0", last),
        ("spectra", "stability", table, "--loss", run / "loss.jsonl"),
        ("spectra", "rank1", run, "--window", "3", "-o", folder / "demo.rank1.parquet"),
        ("spectra", "merge", run, "-o", folder / "merged", "--window", "3"),
        ("spectra", "ablate", last, "--text", folder / HELD_OUT),
    )
    lines = [shlex.join(map(str, words)) for words in commands]
    lines += [f"open {folder / 'demo.html'} in a browser", f'python -c "{look}"']
    return "\nnext: " + "\n      ".join(lines)


def _make_folder(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpectraError(f"{folder} is there already", hint="give another folder: spectra demo FOLDER, or remove it")
    try:
        run = folder / "run"
        run.mkdir(parents=True)
    except OSError as error:
        raise SpectraError(
            f"{folder} cannot be made: {error.strerror}", hint="give another folder: spectra demo FOLDER"
        ) from None
    return run


def _library_text() -> torch.Tensor:
    """Read the first TEXT_BYTES bytes of the standard library's top-level and near modules, in the order of names."""
    import numpy as np
    import torch

    library = Path(sysconfig.get_paths()["stdlib"])
    pieces, length = [], 0
    for path in sorted([*library.glob("*.py"), *library.glob("[a-z]*/*.py")]):
        if "site-packages" in path.parts or "test" in path.parts or length >= TEXT_BYTES:
            continue
        piece = path.read_bytes()
        pieces.append(piece)
        length += len(piece)
    if length < 20 * CONTEXT:
        raise SpectraError(
            f"{library} holds no Python sources to train on", hint="use a Python that ships its library as .py files"
        )
    return torch.from_numpy(np.frombuffer(b"".join(pieces)[:TEXT_BYTES], dtype=np.uint8).astype(np.int64))


def held_out(count: int) -> torch.Tensor:
    """Draw pieces of the text that no run is trained on, always the same: (count, CONTEXT) bytes."""
    import torch

    text = _library_text()
    return _batch(text[_cut(text) :], torch.Generator().manual_seed(SEED + 1), count)


def write_held_out(folder: Path) -> None:
    """Write text that no run is trained on as HELD_OUT, for commands that take a text."""
    text = _library_text()
    start = _cut(text)
    (folder / HELD_OUT).write_bytes(text[start : start + HELD_OUT_BYTES].numpy().astype("uint8").tobytes())


def held_out_text(blocks: int, length: int) -> bytes:
    """Return so many passages of the text that no run is trained on, evenly spaced, each of so many bytes."""
    import torch

    text = _library_text()
    starts = torch.linspace(_cut(text), len(text) - length, blocks).long().tolist()
    return b"".join(bytes(text[start : start + length].tolist()) for start in starts)


def _cut(text: torch.Tensor) -> int:
    return len(text) * 9 // 10


def _model(layers: int, start: Path | None) -> Any:
    """Make the model: byte level, of width 128."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if start is not None:
        return GPTNeoXForCausalLM.from_pretrained(start, dtype="float32")
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=256,
            hidden_size=128,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=512,
            max_position_embeddings=CONTEXT,
            dtype="float32",
        )
    )


def _batch(text: torch.Tensor, generator: torch.Generator, count: int) -> torch.Tensor:
    import torch

    starts = torch.randint(0, len(text) - CONTEXT, (count,), generator=generator)
    return torch.stack([text[start : start + CONTEXT] for start in starts.tolist()])


def _optimizers(model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Make AdamW for all weights, or Muon for the layers' matrices and AdamW for the rest.

    Muon's update is scaled to the size of an update of AdamW, so that both take the same learning rate.
    """
    import torch

    named = dict(model.named_parameters())
    muon = {
        name for name, weight in named.items() if recipe.optimizer == "muon" and ".layers." in name and weight.ndim == 2
    }
    rest = [weight for name, weight in named.items() if name not in muon]
    adamw = torch.optim.AdamW(rest, lr=recipe.peak_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.95))
    if not muon:
        return [adamw]
    matrices = [named[name] for name in sorted(muon)]
    return [
        adamw,
        torch.optim.Muon(
            matrices, lr=recipe.peak_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
    ]


def _train_step(model: Any, optimizers: Sequence[torch.optim.Optimizer], batch: torch.Tensor, rate: float) -> float:
    import torch

    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = rate
    loss = model(batch, labels=batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _loss(model: Any, batch: torch.Tensor) -> float:
    import torch

    with torch.no_grad():
        return float(model(batch, labels=batch).loss)


def _save(model: Any, folder: Path) -> None:
    """Save fp16 weights as transformers does."""
    import torch

    halves = {name: weight.to(torch.float16) for name, weight in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=halves)
