"""Loss of a model on every block of a text, in windows that overlap. Knows no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.model import LanguageModel
from spectra_cli.evaluation.text import Tokens

if TYPE_CHECKING:
    import torch

MOST_CONTEXT = 2048  # unless more is asked for: windows cost the square of their length
LOGITS_BYTES = {"cpu": 1 << 28}
LOGITS_BYTES_ELSEWHERE = 1 << 31


@dataclass(frozen=True)
class Windows:
    """How a text is read: at most `context` tokens at once, the start among them; `stride` new ones in each window."""

    context: int
    stride: int


@dataclass(frozen=True, eq=False)
class BlockLosses:
    """The loss of a model on each block of a text. nats: (blocks,) sums of −ln p; tokens, nbytes: over what."""

    nats: NDArray[np.float64]
    tokens: NDArray[np.int64]
    nbytes: NDArray[np.int64]

    def of(self, blocks: slice) -> BlockLosses:
        """Return the losses of some of the blocks."""
        return BlockLosses(self.nats[blocks], self.tokens[blocks], self.nbytes[blocks])


class Window(NamedTuple):
    """Tokens first to stop of a text are read, and those from `scored` on have their loss counted."""

    first: int
    stop: int
    scored: int


def choose_windows(most_context: int | None, context: int | None = None, stride: int | None = None) -> Windows:
    """Return the windows for a model: its whole context up to MOST_CONTEXT, and half of that new in each.

    Raises SpectraError, code 2, where what was asked for cannot be.

    >>> choose_windows(4096), choose_windows(256, stride=256)
    (Windows(context=2048, stride=1024), Windows(context=256, stride=256))
    """
    if context is not None and most_context is not None and context > most_context:
        raise SpectraError(
            f"--context {context:,} is more than the {most_context:,} tokens that the model was made for",
            hint=f"give at most --context {most_context}", code=2,
        )  # fmt: skip
    context = context or min(most_context or MOST_CONTEXT, MOST_CONTEXT)
    stride = stride or max(1, context // 2)
    if context < 2 or not 1 <= stride <= context:
        raise SpectraError(
            f"--context {context} and --stride {stride} leave nothing to predict from",
            hint="give a context of two or more, and a stride of at most that", code=2,
        )  # fmt: skip
    return Windows(context, stride)


def windows_over(length: int, windows: Windows, begun: bool) -> Iterator[Window]:
    """Yield windows of one length that score every token once, but the first where nothing goes before it.

    begun: whether every window begins with a start of its own, which takes one place.

    >>> list(windows_over(7, Windows(4, 2), begun=False))
    [Window(first=0, stop=4, scored=1), Window(first=2, stop=6, scored=4), Window(first=3, stop=7, scored=6)]
    >>> [window.scored for window in windows_over(7, Windows(4, 2), begun=True)]
    [0, 3, 5]
    """
    width = min(windows.context - begun, length)
    stride = max(1, min(windows.stride, width if begun else width - 1))
    scored = 0 if begun else 1
    stop = width
    while scored < length:
        yield Window(stop - width, stop, scored)
        scored, stop = stop, min(stop + stride, length)


def token_losses(model: LanguageModel, tokens: Tokens, windows: Windows) -> NDArray[np.float64]:
    """Return −ln p of every token, given those before it in its window; NaN for a first one with nothing before it."""
    import torch

    begun = len(tokens.start)
    every = list(windows_over(len(tokens.ids), windows, bool(begun)))
    losses = np.full(len(tokens.ids), np.nan)
    width = every[0].stop - every[0].first + begun
    bound = LOGITS_BYTES.get(model.device, LOGITS_BYTES_ELSEWHERE)
    batch = max(1, bound // (width * model.vocabulary * 4))
    for begin in range(0, len(every), batch):
        part = every[begin : begin + batch]
        rows = np.stack([np.append(tokens.start, tokens.ids[w.first : w.stop]).astype(np.int64) for w in part])
        with torch.inference_mode():
            predicted = _losses_of(model, torch.from_numpy(rows)).cpu().numpy()
        for window, row in zip(part, predicted, strict=True):
            new = window.stop - window.scored
            losses[window.scored : window.stop] = row[len(row) - new :]
    return losses


def block_losses(model: LanguageModel, tokens: Tokens, windows: Windows) -> BlockLosses:
    """Return the loss of a model on every block of a text."""
    losses = token_losses(model, tokens, windows)
    scored = slice(0 if tokens.start else 1, None)
    block = tokens.block[scored]
    return BlockLosses(
        np.bincount(block, losses[scored], tokens.blocks).astype(np.float64),
        np.bincount(block, minlength=tokens.blocks),
        np.bincount(block, tokens.nbytes[scored], tokens.blocks).astype(np.int64),
    )


def _losses_of(model: LanguageModel, ids: torch.Tensor) -> torch.Tensor:
    """Return −ln p of the tokens of each row but its first."""
    from torch.nn.functional import cross_entropy

    ids = ids.to(model.device)
    logits = model.module(input_ids=ids, use_cache=False).logits.float()
    return cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
