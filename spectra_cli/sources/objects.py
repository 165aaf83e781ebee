"""Asks object storage, through fsspec, for listings and for ranges of objects. Knows nothing of checkpoints.

Credentials, endpoint and region are those that each library finds by itself; nothing of them is kept or shown.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import ByteRange
from spectra_cli.sources.hub.forms import check_apart, check_file
from spectra_cli.sources.hub.retry import RetryPolicy, TryAgainError

PIECE = 32 << 20  # bytes of one request: what a broken connection costs at most
PIN = re.compile(r"[a-z0-9]+-[0-9a-z-]{1,200}")


@dataclass(frozen=True)
class Kind:
    """A kind of object storage. package: what fsspec needs for it, an extra of the same name as the scheme.

    pin: what fsspec's facts of an object call that which is another after each writing. of_content: equal pins mean
    equal bytes, wherever the objects lie. options: given to fsspec.
    """

    package: str
    pin: str
    of_content: bool
    options: Mapping[str, Any] = field(default_factory=dict)


KINDS = {
    "s3": Kind(
        "s3fs",
        "ETag",
        True,
        {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"total_max_attempts": 1}}},
    ),
    "gs": Kind("gcsfs", "generation", False),
}
SETTINGS = ("AWS_", "GOOGLE_", "FSSPEC_")
"""How the variables of the environment begin that the libraries read."""

NO_RIGHTS = {"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}
NO_ADDRESS = {"ParamValidationError", "InvalidRegionError", "UnknownEndpointError"}


def is_object(source: str) -> bool:
    """Whether a source is in object storage.

    >>> is_object("s3://bucket/run"), is_object("runs/s3")
    (True, False)
    """
    return source.partition("://")[0] in KINDS and "://" in source


def list_folder_of_objects(retry_policy: RetryPolicy, root: str) -> tuple[RemoteFile, ...]:
    """Return the objects below a folder, named within it and pinned. One request for each thousand of them.

    Raises SpectraError where it cannot be listed.
    """
    scheme, _, path = root.partition("://")

    def attempt() -> dict[str, dict[str, Any]]:
        retry_policy.check()
        with _translated(root):
            objects: dict[str, dict[str, Any]] = _file_system(scheme).find(path, detail=True)
            return objects

    listed = retry_policy.call(attempt, scheme)
    names = {name: name.removeprefix(path).strip("/") for name in listed if not name.endswith("/")}
    return check_apart(
        root,
        tuple(
            check_file(root, names[name], listed[name].get("size"), _pin(scheme, name, listed[name]), form=PIN)
            for name in sorted(names)
            if names[name]
        ),
    )


def fetch_object(
    retry_policy: RetryPolicy, remote: Remote, file: RemoteFile, byte_range: ByteRange,
    write: Callable[[memoryview], None],
) -> None:  # fmt: skip
    """Call `write` with the bytes of a range of an object, in order, each once; a broken download is resumed.

    Raises SpectraError where they cannot be had, or where the object is not any more what was listed.
    """
    scheme, _, root = remote.repository.partition("://")
    path = "/".join(part for part in (root, remote.folder, file.name) if part)
    position, stop = byte_range

    def attempt() -> None:
        nonlocal position
        while position < stop:
            retry_policy.check()
            upto = min(stop, position + PIECE)
            with _translated(f"{scheme}://{path}"):
                data = _file_system(scheme).cat_file(path, start=position, end=upto)
            if len(data) != upto - position:
                raise TryAgainError(f"asked for {upto - position:,} bytes of {file.name}, it sends {len(data):,}")
            write(memoryview(data))
            position = upto
        with _translated(f"{scheme}://{path}"):  # after the bytes: those of another object are never taken for these
            now = _pin(scheme, path, _file_system(scheme).info(path))
        if now != file.blob:
            raise SpectraError(
                f"{scheme}://{path} was written anew since it was listed",
                hint="the same command lists it again; with --restart, where a scan of it had begun",
            )

    retry_policy.keep_trying(attempt, lambda: position, scheme)


def pin_of(files: tuple[RemoteFile, ...]) -> str:
    """Return what stands for a checkpoint's objects as a commit does on the Hub: a digest of names, sizes and pins."""
    lines = "\n".join(f"{file.name} {file.size} {file.blob}" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


def _pin(scheme: str, name: str, facts: Mapping[str, Any]) -> str | None:
    """Return what names the bytes of an object; None where the storage says nothing of the kind."""
    pin = re.sub(r"[^0-9a-z-]", "", str(facts.get(KINDS[scheme].pin) or "").lower())
    where = "" if KINDS[scheme].of_content else hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{scheme}-{pin}-{where}".rstrip("-") if pin else None


def _file_system(scheme: str) -> Any:
    """Return fsspec's file system, another one where credentials or addresses in the environment have changed."""
    return _made_for(scheme, tuple(item for item in os.environ.items() if item[0].startswith(SETTINGS)))


@cache
def _made_for(scheme: str, _: tuple[tuple[str, str], ...]) -> Any:
    """Return a file system that takes its settings from the environment as it is now, and remembers no listing."""
    import fsspec

    kind = KINDS[scheme]
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **kind.options)
    except ImportError:
        raise SpectraError(
            f"{scheme}:// needs {kind.package}, which is not installed",
            hint=f"pip install 'spectra-scan[{scheme}]'",
            code=2,
        ) from None


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Translate what the libraries raise: each has its own errors for what may pass, and shares those for what not."""
    shown = printable(where)
    try:
        yield
    except (SpectraError, TryAgainError):
        raise
    except FileNotFoundError:
        raise SpectraError(f"{shown} is not there", hint="check the address, as s3://bucket/folder") from None
    except Exception as error:
        kind = type(error).__name__
        if isinstance(error, PermissionError) or kind in NO_RIGHTS:
            raise SpectraError(
                f"{shown} may not be read with the credentials that were found",
                hint="give some as the storage's own tools take them: AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS",
                stops=True,
            ) from None
        if isinstance(error, ValueError) or kind in NO_ADDRESS:
            hint = "check the address, and AWS_ENDPOINT_URL where it is set"
            raise SpectraError(f"the address {shown} does not work", hint=hint, stops=True) from None
        raise TryAgainError(f"it fails with {kind}") from None
