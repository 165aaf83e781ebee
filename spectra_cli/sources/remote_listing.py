"""Finds checkpoints in places that are not on this machine: on the Hub, or in object storage, as folders below one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote
from spectra_cli.sources.address import is_hub
from spectra_cli.sources.folder import Listing
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.hub.listing import Wanted, list_folders, list_hub
from spectra_cli.sources.mapping import StepMap, read_mapping
from spectra_cli.sources.objects import is_object, list_folder_of_objects, pin_of


def is_remote(source: str) -> bool:
    """Whether a source is not on this machine."""
    return is_hub(source) or is_object(source)


def list_remote(
    source: str, patterns: Sequence[str], client: Client, wanted: Wanted, *, mapping: Path | None = None
) -> Listing:
    """Return what a source holds, in step order and pinned, as `list_hub` does; in object storage, as folders.

    Raises SpectraError where there is nothing to list.
    """
    if is_hub(source):
        return list_hub(source, patterns, client, wanted, mapping=mapping)
    root = source.rstrip("/")
    files = list_folder_of_objects(client.retry_policy, root)
    if not files:
        raise SpectraError(f"{root} is not there, or empty", hint="give a folder, as s3://bucket/folder", stops=True)
    step_map = read_mapping(mapping) if mapping else StepMap()
    listing = list_folders(Remote(root, ""), root.rpartition("/")[2], root, files, wanted, step_map)
    return replace(listing, checkpoints=tuple(map(_pinned, listing.checkpoints)))


def _pinned(checkpoint: Checkpoint) -> Checkpoint:
    remote = checkpoint.path
    assert isinstance(remote, Remote)  # noqa: S101 - as list_folders makes them
    return replace(checkpoint, path=replace(remote, commit=pin_of(remote.files)))
