"""How often the events of a run are right: small models trained on text, healthy and broken on purpose.

    python benchmarks/events.py [KIND …] [--runs N] [--first SEED]

Prints, for each kind of run, in how many each event was seen. A run is a byte-level GPT-NeoX (4 layers, width 64),
trained for 240 steps on Python sources, AdamW, saved every 6 steps and scanned as any other.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.utils import logging

from spectra_cli.jobs.demo import held_out_text
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import row_groups
from spectra_cli.studies.events import METRICS, Detector, measurement_of

STEPS, EVERY, WARMUP, RATE = 240, 6, 24, 3e-3
BREAKS_AT = 120
CONTEXT, BATCH = 64, 8
Spoil = Callable[[Any, int], None]


@dataclass(frozen=True)
class Kind:
    """A kind of run: its peak learning rate, its warm-up, and what is done to the model after each step."""

    rate: float = RATE
    warmup: int = WARMUP
    clipped: bool = True
    schedule: str = "cosine"
    spoil: Spoil = lambda *_: None


def dead_layer(model: Any, step: int) -> None:
    """Let a layer's MLP no longer learn."""
    if step == BREAKS_AT:
        for weight in model.gpt_neox.layers[2].mlp.parameters():
            weight.requires_grad_(False)


def zeroed_layer(model: Any, step: int) -> None:
    if step == BREAKS_AT:
        with torch.no_grad():
            model.gpt_neox.layers[1].attention.dense.weight.zero_()


def overflow(model: Any, step: int) -> None:
    """Let Inf into the weights, as a loss scale does that nobody checks."""
    if step == BREAKS_AT:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.inf * weight.sign())


def rank_collapse(model: Any, step: int) -> None:
    """Let one direction take over in one matrix, by a tenth more a step."""
    if BREAKS_AT <= step < BREAKS_AT + 24:
        weight = model.gpt_neox.layers[2].mlp.dense_h_to_4h.weight
        with torch.no_grad():
            left, sigma, right = torch.linalg.svd(weight, full_matrices=False)
            weight += 0.1 * sigma[0] * torch.outer(left[:, 0], right[0])


def jump(model: Any, step: int) -> None:
    """Let a bad batch push one matrix along its first direction."""
    if step == BREAKS_AT + 3:
        weight = model.gpt_neox.layers[1].attention.dense.weight
        with torch.no_grad():
            left, sigma, right = torch.linalg.svd(weight, full_matrices=False)
            weight += 0.6 * sigma[0] * torch.outer(left[:, 0], right[0])


KINDS = {
    "healthy, cosine": Kind(),
    "healthy, constant": Kind(schedule="constant"),
    "learning rate too high": Kind(rate=0.3, clipped=False, schedule="constant"),
    "no warm-up": Kind(rate=0.03, warmup=0, schedule="constant"),
    "a layer stops learning": Kind(spoil=dead_layer),
    "a layer is zeroed": Kind(spoil=zeroed_layer),
    "loss scale overflow": Kind(spoil=overflow),
    "one direction takes over": Kind(spoil=rank_collapse),
    "one bad batch": Kind(spoil=jump),
}


def learning_rate(step: int, kind: Kind) -> float:
    if step < kind.warmup:
        return kind.rate * (step + 1) / kind.warmup
    if kind.schedule == "constant":
        return kind.rate
    progress = torch.tensor((step - kind.warmup) / (STEPS - kind.warmup))
    return float(kind.rate * (0.55 + 0.45 * torch.cos(torch.pi * progress)))


def train(folder: Path, kind: Kind, seed: int, text: torch.Tensor) -> Path:
    """Train one run, and leave a checkpoint of every EVERY steps."""
    torch.manual_seed(seed)
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=256, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256,
            max_position_embeddings=CONTEXT, dtype="float32",
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1, betas=(0.9, 0.95))
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            model.save_pretrained(folder / f"step{step}")
        starts = torch.randint(0, len(text) - CONTEXT, (BATCH,)).tolist()
        batch = torch.stack([text[start : start + CONTEXT] for start in starts])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, kind)
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        if kind.clipped:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        kind.spoil(model, step + 1)
    return folder


def events_of(run: Path) -> Iterator[str]:
    """Yield the events of a run, in words that can be counted."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "run.parquet"
        with contextlib.redirect_stderr(io.StringIO()):
            scan_checkpoints(run, table, metrics=METRICS, threads=1)
        detector = Detector()
        for rows in row_groups(table):
            for event in detector.see(measurement_of(rows)):
                yield f"{event.kind}{': ' + str(event.numbers['what']) if 'what' in event.numbers else ''}"
                print(f"      step {event.step} {event.kind} {event.matrices[:3]} {dict(event.numbers)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    text = torch.frombuffer(bytearray(held_out_text(200, 2000)), dtype=torch.uint8).long()
    for name in options.kinds or KINDS:
        seen: Counter[str] = Counter()
        for seed in range(options.first, options.first + options.runs):
            with tempfile.TemporaryDirectory() as folder:
                events = set(events_of(train(Path(folder) / "run", KINDS[name], seed, text)))
            seen.update(events)
            seen["none at all"] += not events
        print(f"{name}: {options.runs} runs; {', '.join(f'{event} in {count}' for event, count in seen.items())}")


if __name__ == "__main__":
    main()
