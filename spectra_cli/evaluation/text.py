"""A text cut into contiguous blocks, and its tokens with the block of each. Knows no model."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError, printable

BLOCKS = 32
LEAST_TOKENS = 4  # a block, on average: with fewer, some blocks have none to score
MOST_BYTES = 1 << 30
OTHER_TEXT = "give --text a longer file of plain text"


@dataclass(frozen=True)
class Text:
    """A text as the bytes of its file, in so many contiguous blocks of equal length in bytes."""

    name: str
    data: bytes
    blocks: int = BLOCKS


@dataclass(frozen=True, eq=False)
class Tokens:
    """A text as a model reads it.

    ids, nbytes, block: (n,) a number in the vocabulary for each token, the bytes of text that it stands for, and the
    block that its first byte lies in. blocks: how many there are. start: what every window begins with: the number of
    the token that marks a beginning, or none.
    """

    ids: NDArray[np.int64]
    nbytes: NDArray[np.int64]
    block: NDArray[np.int64]
    blocks: int
    start: tuple[int, ...] = ()


def read_text(path: str | Path, blocks: int = BLOCKS) -> Text:
    """Read a file of text. Raises SpectraError where it cannot be read, or is too short for so many blocks."""
    name = printable(path, 400)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise SpectraError(f"{name} is not a file of text", hint="give --text a regular file")
        if status.st_size > MOST_BYTES:
            raise SpectraError(f"{name} holds more than 1 GiB", hint="give --text a part of it: head -c 10M FILE")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be one of a file"
        raise SpectraError(f"{name} cannot be read: {reason}", hint="check the path of --text") from None
    if len(data) < blocks * LEAST_TOKENS:
        raise SpectraError(f"{name} is too short: {len(data):,} bytes for {blocks} blocks", hint=OTHER_TEXT)
    return Text(name, data, blocks)


def tokenize(text: Text, tokenizer: Any | None) -> Tokens:
    """Return the tokens of a text; each byte is one where there is no tokenizer.

    Raises SpectraError where the text is no UTF-8, gives too few tokens, or the tokenizer does not say which part of
    the text each token stands for.
    """
    if tokenizer is None:
        ids = np.frombuffer(text.data, np.uint8).astype(np.int64)
        starts = np.arange(len(ids))
    else:
        ids, starts = _with_places(text, tokenizer)
    if len(ids) < text.blocks * LEAST_TOKENS:
        raise SpectraError(f"{text.name} is too short: {len(ids):,} tokens for {text.blocks} blocks", hint=OTHER_TEXT)
    ends = np.append(starts[1:], len(text.data))
    return Tokens(ids, ends - starts, starts * text.blocks // len(text.data), text.blocks, _start_of(tokenizer))


def _with_places(text: Text, tokenizer: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each token, and the byte of the text at which it begins."""
    try:
        characters = text.data.decode()
    except UnicodeDecodeError as error:
        raise SpectraError(
            f"{text.name} is not UTF-8 text (byte {error.start:,})", hint="give --text a file of plain text in UTF-8"
        ) from None
    if not getattr(tokenizer, "is_fast", False):
        raise SpectraError(
            "this tokenizer does not say which part of the text each token stands for",
            hint="save it as tokenizer.json beside the model, or name a folder that has one with --tokenizer",
        )
    encoded = tokenizer(characters, add_special_tokens=False, return_offsets_mapping=True)
    ids = np.asarray(encoded["input_ids"], np.int64)
    lengths = _utf8_lengths(np.frombuffer(characters.encode("utf-32-le"), np.uint32))
    places = np.append(0, np.cumsum(lengths))
    first = np.asarray([begin for begin, _ in encoded["offset_mapping"]], np.int64)
    starts = np.maximum.accumulate(places[first]) if len(ids) else first
    starts[:1] = 0  # what some tokenizers drop before the first token belongs to it
    return ids, starts


def _utf8_lengths(points: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return how many bytes each character takes in UTF-8.

    >>> _utf8_lengths(np.array([ord(c) for c in "aé€😀"], np.uint32))
    array([1, 2, 3, 4])
    """
    return 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)


def _start_of(tokenizer: Any | None) -> tuple[int, ...]:
    """Return the token that the tokenizer itself puts before a text, where it is the one that marks a beginning."""
    if tokenizer is None:
        return ()
    begun = tokenizer("a")["input_ids"]
    return (begun[0],) if tokenizer.bos_token_id is not None and begun[:1] == [tokenizer.bos_token_id] else ()
