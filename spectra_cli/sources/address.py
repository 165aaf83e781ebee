"""Parses what a user writes to name a place on the Hub, a size or a time. Opens nothing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from spectra_cli.errors import SpectraError

PREFIX = "hf:"
REPOSITORY = re.compile(r"(?P<repository>[\w.-]+(?:/[\w.-]+)?)(?P<rest>(?:[@/].*)?)")
SIZES = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9, "T": 10**12,
         "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip
SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Address:
    """`hf:owner/name[@revision][/subfolder]`. revision: all after the @; folder: the subfolder where there is no @.

    A revision may hold slashes, so that only the repository's own list of them says where a subfolder begins.
    """

    repository: str
    revision: str | None = None
    folder: str = ""


def is_hub(source: str) -> bool:
    """Whether a source is on the Hub."""
    return source.startswith(PREFIX)


def addresses(source: str) -> tuple[Address, ...]:
    """Return one address, or several written with spaces between them. Raises SpectraError for what is none.

    >>> addresses("hf:EleutherAI/pythia-1b@step1000")
    (Address(repository='EleutherAI/pythia-1b', revision='step1000', folder=''),)
    >>> addresses("hf:a/b/checkpoints hf:a/c")[0]
    Address(repository='a/b', revision=None, folder='checkpoints')
    """
    return tuple(_address(word) for word in source.split())


def _address(text: str) -> Address:
    """Return one address."""
    match = REPOSITORY.fullmatch(text.removeprefix(PREFIX))
    if not is_hub(text) or not match:
        raise SpectraError(
            f"'{text}' is no place on the Hub", hint="write hf:owner/name[@revision][/subfolder]", code=2
        )
    rest = match["rest"]
    if rest.startswith("@") and len(rest) > 1:
        return Address(match["repository"], rest[1:].strip("/"))
    return Address(match["repository"], None, rest.strip("@/"))


def join(sources: Sequence[str], revisions: Sequence[str]) -> str:
    """Return one source from the words of a command line, which are several only where all are repositories.

    Raises SpectraError otherwise: a shell may have put file names in the place of a pattern.

    >>> join(["hf:a/x-step1", "hf:a/x-step2"], [])
    'hf:a/x-step1 hf:a/x-step2'
    """
    strays = [source for source in sources if not is_hub(source)]
    if len(sources) == 1 or not strays:
        return " ".join(sources)
    if revisions:
        raise SpectraError(
            f"--revisions was given {revisions[0]} and {len(strays)} more words: the shell has put names of files here"
            " in the place of a pattern",
            hint="put the pattern in quotes, as in --revisions 'step*'",
            code=2,
        )
    if len(strays) < len(sources):
        both = "they are on this machine and on the Hub: scan one after the other"
        raise SpectraError(f"{strays[0]} is one source too many", hint=both, code=2)
    parent = os.path.commonpath([os.path.abspath(source) for source in sources])
    raise SpectraError(
        f"{sources[1]} is one source too many",
        hint=f"give the folder that holds them: {shlex.quote(parent)}, perhaps with --revisions",
        code=2,
    )


def parse_size(text: str) -> int:
    """Return a size in bytes. Raises SpectraError for what is none.

    >>> parse_size("10GB"), parse_size("1.5 MiB")
    (10000000000, 1572864)
    """
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].upper() not in SIZES or float(match[1]) <= 0:
        raise SpectraError(f"'{text}' is no size", hint="write 10GB, 500MB or 2GiB", code=2)
    return int(float(match[1]) * SIZES[match[2].upper()])


def parse_seconds(text: str) -> float:
    """Return a time in seconds. Raises SpectraError for what is none.

    >>> parse_seconds("90"), parse_seconds("10m")
    (90.0, 600.0)
    """
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)\s*", text)
    if not match or match[2] not in SECONDS:
        raise SpectraError(f"'{text}' is no time", hint="write 30s, 10m or 2h", code=2)
    return float(match[1]) * SECONDS[match[2]]
