"""Finds checkpoints on the Hub: revisions of a repository, folders of a revision, or repositories one after another.

Every one is pinned to its commit before anything of it is read. What a weight file is, it is told and does not know.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote, RemoteFile
from spectra_cli.sources.address import Address, addresses
from spectra_cli.sources.folder import Listing, Unread, order, read_mapping
from spectra_cli.sources.hub.cache import cached_files, cached_references
from spectra_cli.sources.hub.client import Client, UnknownRepositoryError
from spectra_cli.sources.names import Name, read_name

Wanted = Callable[[Sequence[str]], tuple[str, ...]]
GLOB = frozenset("*?[")
SIDE_BY_SIDE = 4  # listings at once: as many as a browser would, and far from the Hub's limits


def list_hub(
    source: str, patterns: Sequence[str], client: Client, wanted: Wanted, *, mapping: Path | None = None
) -> Listing:
    """List what a source on the Hub holds, in step order, pinned to commits; files of revisions are not listed yet.

    patterns: what `--revisions` asks for; a name that stands there as it is counts even if it says no step. wanted:
    gives those of a folder's file names that make up a checkpoint. Raises SpectraError where there is nothing to list.
    """
    places = addresses(source)
    named = read_mapping(mapping) if mapping else {}
    if len(places) > 1:
        found = [_whole_repository(one, client, named) for one in places]
        model = os.path.commonprefix([one.model for one in found]).rstrip("-_.") or found[0].model
        return Listing(model, tuple(sorted((replace(one, model=model) for one in found), key=order)))
    place = places[0]
    references = _references(place.repository, client)
    revision, folder = _split(place, references)
    if revision is None and not folder:
        return _by_revision(place.repository, references, _literal(patterns), named)
    commit = _commit(place.repository, references, revision or "main")
    return _by_folder(place.repository, revision or "main", commit, folder, client, wanted, named)


def _model(repository: str) -> str:
    return repository.rpartition("/")[2]


def _literal(patterns: Sequence[str]) -> frozenset[str]:
    words = [word.strip() for text in patterns for word in text.split(",")]
    return frozenset(word for word in words if word and not GLOB & set(word))


def _references(repository: str, client: Client) -> dict[str, str]:
    """Give the commits of branches and tags; offline, those that the cache of this machine knows."""
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return cached_references(repository)
    try:
        return client.references(repository)
    except UnknownRepositoryError as error:
        raise UnknownRepositoryError(error.repository, client.alike(error.repository)) from None


def _split(place: Address, references: Mapping[str, str]) -> tuple[str | None, str]:
    """Tell a revision, which may hold slashes, from the folder after it: the longest name that is a reference."""
    if place.revision is None:
        return None, place.folder
    pieces = place.revision.split("/")
    for count in range(len(pieces), 0, -1):
        name = "/".join(pieces[:count])
        if name in references:
            return name, "/".join(pieces[count:])
    if place.revision.startswith("refs/"):
        return "/".join(pieces[:3]), "/".join(pieces[3:])
    return pieces[0], "/".join(pieces[1:])


def _commit(repository: str, references: Mapping[str, str], revision: str) -> str:
    """Give a revision's commit: a branch, a tag, or the commit itself."""
    if revision in references:
        return references[revision]
    if len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
    near = difflib.get_close_matches(revision, references, 1, 0.4)
    wide = f"; the nearest is '{near[0]}'" if near else ""
    raise SpectraError(
        f"{repository} has no revision '{revision}'",
        hint=f"there are {len(references)}, among them {', '.join(list(references)[:3])}{wide}",
    )


def _by_revision(
    repository: str, references: Mapping[str, str], literal: frozenset[str], named: Mapping[str, Name]
) -> Listing:
    checkpoints, unread = [], []
    for revision, commit in references.items():
        name = named.get(revision) or read_name(revision)
        if name.step is None and revision not in literal:
            unread.append(Unread(revision, "no step in its name: name it with --revisions, or give one with --map"))
            continue
        place = Remote(repository, commit)
        checkpoints.append(Checkpoint(_model(repository), revision, place, name.step, name.tokens, name.stage))
    if not checkpoints and "main" in references:
        unread = [one for one in unread if one.revision != "main"]
        checkpoints = [Checkpoint(_model(repository), "main", Remote(repository, references["main"]))]
    if not checkpoints:
        raise SpectraError(f"{repository} has no revision with a step in its name", hint="give the steps with --map")
    return Listing(_model(repository), tuple(sorted(checkpoints, key=order)), tuple(unread))


def _whole_repository(place: Address, client: Client, named: Mapping[str, Name]) -> Checkpoint:
    """Take one repository for one checkpoint, whose step its name says."""
    references = _references(place.repository, client)
    revision, folder = _split(place, references)
    commit = _commit(place.repository, references, revision or "main")
    own = _model(place.repository)
    called = f"{own}@{revision}" if revision else own
    name = named.get(own) or read_name(own)
    if name.step is None and revision:
        name = named.get(revision) or read_name(revision)
    return Checkpoint(own, called, Remote(place.repository, commit, folder), name.step, name.tokens, name.stage)


def _by_folder(
    repository: str, revision: str, commit: str, folder: str, client: Client, wanted: Wanted, named: Mapping[str, Name]
) -> Listing:
    """Take one revision for one checkpoint, or its folders for checkpoints where it holds no weights itself."""
    folders = _in_folders(_files(client, repository, commit, deep=True))
    if folder and not any(name == folder or name.startswith(f"{folder}/") for name in folders):
        near = difflib.get_close_matches(folder, [name for name in folders if name], 1, 0.4)
        hint = f"the nearest is '{near[0]}'" if near else "look at its files on the Hub"
        raise SpectraError(f"{repository} has no folder '{folder}' at {revision}", hint=hint)
    model, own = _model(repository), _chosen(folders.get(folder, ()), wanted)
    if own:
        called = PurePosixPath(folder).name if folder else revision
        name = named.get(called) or read_name(called)
        place = Remote(repository, commit, folder, own)
        return Listing(model, (Checkpoint(model, called, place, name.step, name.tokens, name.stage),))
    checkpoints, unread = [], []
    for path in sorted(name for name in folders if str(PurePosixPath(name).parent) == (folder or ".") and name):
        called, files = PurePosixPath(path).name, _chosen(folders[path], wanted)
        name = named.get(called) or read_name(called)
        if not files or name.step is None:
            unread.append(
                Unread(called, "no step in its name" if files else "a folder without weights that can be read")
            )
            continue
        place = Remote(repository, commit, path, files)
        checkpoints.append(Checkpoint(model, called, place, name.step, name.tokens, name.stage))
    if not checkpoints:
        raise _no_weights(f"{repository} at {revision}", [file for files in folders.values() for file in files])
    return Listing(model, tuple(sorted(checkpoints, key=order)), tuple(unread))


def _files(client: Client, repository: str, commit: str, *, deep: bool) -> tuple[RemoteFile, ...]:
    from huggingface_hub import is_offline_mode

    return cached_files(repository, commit) if is_offline_mode() else client.files(repository, commit, deep=deep)


def _in_folders(files: Iterable[RemoteFile]) -> dict[str, tuple[RemoteFile, ...]]:
    folders: dict[str, tuple[RemoteFile, ...]] = {}
    for file in files:
        folder, _, name = file.name.rpartition("/")
        folders[folder] = (*folders.get(folder, ()), replace(file, name=name))
    return folders


def _chosen(files: Sequence[RemoteFile], wanted: Wanted) -> tuple[RemoteFile, ...]:
    names = set(wanted([file.name for file in files]))
    return tuple(file for file in files if file.name in names)


def resolve_files(
    checkpoints: Sequence[Checkpoint], client: Client, wanted: Wanted
) -> tuple[tuple[Checkpoint, ...], tuple[Unread, ...]]:
    """List the files of each revision, one request a commit; give what can be read, and what holds no weights.

    Checkpoints on this machine are given back as they are. Raises SpectraError where none can be read.
    """
    needed = dict.fromkeys(
        (one.path.repository, one.path.commit, bool(one.path.folder))
        for one in checkpoints
        if isinstance(one.path, Remote) and not one.path.files
    )
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        listed = pool.map(lambda key: _files(client, key[0], key[1], deep=key[2]), needed)
        found = dict(zip(needed, listed, strict=True))
    ready, unread = [], []
    for one in checkpoints:
        if isinstance(one.path, Remote) and not one.path.files:
            place = one.path
            there = _in_folders(found[place.repository, place.commit, bool(place.folder)]).get(place.folder, ())
            files = _chosen(there, wanted)
            one = replace(one, path=replace(place, files=files))  # noqa: PLW2901
            if not files:
                unread.append(Unread(one.revision, f"no weights that can be read, only {_formats(there)}"))
                continue
        ready.append(one)
    if not ready:
        first = checkpoints[0].path
        every = [file for files in found.values() for file in files]
        raise _no_weights(first.repository if isinstance(first, Remote) else str(first), every)
    return tuple(ready), tuple(unread)


def _no_weights(where: str, files: Sequence[RemoteFile]) -> SpectraError:
    return SpectraError(
        f"{where} holds no weights that can be read",
        hint=f"read are .safetensors and torch's .bin and .pt; found were {_formats(files)}",
    )


def _formats(files: Sequence[RemoteFile]) -> str:
    kinds = sorted({PurePosixPath(file.name).suffix or PurePosixPath(file.name).name for file in files})
    return ", ".join(kinds[:8]) or "no files"
