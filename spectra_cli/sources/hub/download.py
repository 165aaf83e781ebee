"""Downloads a blob, or a range of it, into its place in the scratch folder, and checks the hash of a whole one."""

from __future__ import annotations

import os
from collections.abc import Callable

from spectra_cli.errors import SpectraError
from spectra_cli.sources.hub.byte_ranges import ByteRange
from spectra_cli.sources.hub.cache import begin_digest
from spectra_cli.sources.hub.cached_blob import CachedBlob
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.objects import fetch_object


def download_whole(client: Client, blob: CachedBlob) -> None:
    """Download a blob and check its bytes against its name, where that is their hash; once more where they differ.

    Raises SpectraError where they differ twice, and then marks the blob as broken.
    """
    file = blob.file
    for attempt in range(2):
        digest = begin_digest(file.blob, file.size)
        download_range(client, blob, (0, file.size), digest.update if digest else lambda _: None)
        if digest is None or digest.hexdigest() == file.blob:
            return
        if attempt == 0:
            client.retry_policy.on_wait(f"{file.name} came with other bytes than its hash says: fetched again")
    blob.broken = SpectraError(
        f"hf:{blob.remote.repository}@{blob.remote.commit[:12]}/{file.name} does not match its hash, fetched twice",
        hint="the copy on the Hub is damaged: tell the repository's owner; the other checkpoints are measured",
    )
    raise blob.broken


def download_range(
    client: Client, blob: CachedBlob, byte_range: ByteRange, also: Callable[[memoryview], None] = lambda _: None
) -> None:
    """Download a range of a blob; `also` is called with the same bytes, in order.

    Raises SpectraError where the bytes cannot be had or written, RangeIgnoredError where the server sends all of them.
    """
    position = byte_range[0]
    root = blob.path.parents[2]  # TMPDIR, in which the scratch folder has a folder for blobs
    try:
        descriptor = os.open(blob.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, blob.file.size)

            def write(data: memoryview) -> None:
                nonlocal position
                also(data)
                while data:
                    count = os.pwrite(descriptor, data, position)
                    position, data = position + count, data[count:]

            if blob.remote.on_hub:
                client.fetch(blob.remote, blob.file, byte_range, write)
            else:
                fetch_object(client.retry_policy, blob.remote, blob.file, byte_range, write)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SpectraError(
            f"{blob.file.name} cannot be kept in the scratch folder {root}:"
            f" {os.strerror(error.errno or 0)}; {byte_range[1] - byte_range[0]:,} bytes are needed for it",
            hint="what was computed is kept: free space, set TMPDIR to a larger disk, or give a smaller --disk",
            stops=True,
        ) from None
