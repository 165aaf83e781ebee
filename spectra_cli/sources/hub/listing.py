"""Finds checkpoints on the Hub: revisions of a repository, folders of a revision, or repositories one after another.

Each is pinned to its commit before anything of it is read. Which files are weights, the caller says.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote, RemoteFile
from spectra_cli.sources.address import Address, addresses
from spectra_cli.sources.folder import Listing, Unread
from spectra_cli.sources.hub.cache import cached_files, cached_references
from spectra_cli.sources.hub.client import Client, UnknownRepositoryError
from spectra_cli.sources.mapping import StepMap, read_mapping
from spectra_cli.sources.names import Name, read_name
from spectra_cli.sources.stages import beside_each_other, order

Wanted = Callable[[Sequence[str]], tuple[str, ...]]
GLOB = frozenset("*?[")
SIDE_BY_SIDE = 4  # listings at once: as many as a browser would, and far from the Hub's limits


def list_hub(
    source: str, patterns: Sequence[str], client: Client, wanted: Wanted, *, mapping: Path | None = None
) -> Listing:
    """Return what a source on the Hub holds, in step order, pinned to commits; files of revisions are not listed yet.

    patterns: what `--revisions` asks for; a full name among them counts even if it says no step. wanted: returns those
    of a folder's file names that make up a checkpoint. Raises SpectraError where there is nothing to list.
    """
    read = addresses(source)
    step_map = read_mapping(mapping) if mapping else StepMap()
    if len(read) > 1:
        return _by_repository(read, client, step_map)
    repository = read[0].repository
    references = _references(repository, client)
    revision, folder = _split(read[0], references)
    if revision is None and not folder:
        return _by_revision(repository, references, _literal(patterns), step_map)
    commit = _commit(repository, references, revision or "main")
    files, called = _files(client, repository, commit, deep=True), revision or "main"
    where = f"{repository} at {called}"
    return list_folders(Remote(repository, commit, folder), called, where, files, wanted, step_map)


def _model(repository: str) -> str:
    """Return a repository's name without its owner."""
    return repository.rpartition("/")[2]


def _literal(patterns: Sequence[str]) -> frozenset[str]:
    """Return the patterns that are full names."""
    words = [word.strip() for text in patterns for word in text.split(",")]
    return frozenset(word for word in words if word and not GLOB & set(word))


def _references(repository: str, client: Client) -> dict[str, str]:
    """Return the commits of branches and tags by name; offline, those that the cache of this machine knows."""
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return cached_references(repository)
    try:
        return client.references(repository)
    except UnknownRepositoryError as error:
        raise UnknownRepositoryError(error.repository, client.similar(error.repository)) from None


def _split(address: Address, references: Mapping[str, str]) -> tuple[str | None, str]:
    """Return an address's revision, the longest of its beginnings that is a reference, and the folder after it."""
    if address.revision is None:
        return None, address.folder
    pieces = address.revision.split("/")
    for count in range(len(pieces), 0, -1):
        name = "/".join(pieces[:count])
        if name in references:
            return name, "/".join(pieces[count:])
    if address.revision.startswith("refs/"):
        return "/".join(pieces[:3]), "/".join(pieces[3:])
    return pieces[0], "/".join(pieces[1:])


def _commit(repository: str, references: Mapping[str, str], revision: str) -> str:
    """Return a revision's commit: that of a branch or tag, or the commit itself."""
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


def _by_revision(repository: str, references: Mapping[str, str], literal: frozenset[str], step_map: StepMap) -> Listing:
    """Return the revisions whose names say a step or are asked for in full; `main` alone where there is none."""
    checkpoints, unread = [], []
    names = _names({revision: (revision,) for revision in references}, step_map)
    for revision, commit in references.items():
        name = names[revision]
        if name.step is None and revision not in literal:
            unread.append(Unread(revision, "no step in its name: name it with --revisions, or give one with --map"))
            continue
        remote = Remote(repository, commit)
        checkpoints.append(Checkpoint(_model(repository), revision, remote, name.step, name.tokens, name.stage))
    if not checkpoints and "main" in references:
        unread = [left_out for left_out in unread if left_out.revision != "main"]
        checkpoints = [Checkpoint(_model(repository), "main", Remote(repository, references["main"]))]
    if not checkpoints:
        raise SpectraError(f"{repository} has no revision with a step in its name", hint="give the steps with --map")
    return Listing(_model(repository), tuple(sorted(checkpoints, key=order)), tuple(unread), step_map.stages)


def _names(called: Mapping[str, Sequence[str]], step_map: StepMap) -> dict[str, Name]:
    """Return what the map says of each checkpoint, or else its name beside the others'.

    called: what each may be called, the first that says a step counts.
    """
    mapped = {key: step_map.name_of(*texts) for key, texts in called.items()}
    read = {key: [read_name(text) for text in texts] for key, texts in called.items() if mapped[key] is None}
    compared = beside_each_other(
        {key: next((name for name in names if name.step is not None), names[0]) for key, names in read.items()}
    )
    return {key: mapped[key] or compared[key] for key in called}


def _by_repository(repositories: Sequence[Address], client: Client, step_map: StepMap) -> Listing:
    """Return repositories as the checkpoints of one model, each whole."""
    checkpoints = [_whole_repository(address, client) for address in repositories]
    own = [checkpoint.model for checkpoint in checkpoints]
    model = os.path.commonprefix(own).rstrip("-_.") or own[0]
    called = {
        checkpoint.revision: (checkpoint.model, *((address.revision,) if address.revision else ()), checkpoint.revision)
        for checkpoint, address in zip(checkpoints, repositories, strict=True)
    }
    names = _names(called, step_map)
    listed = [
        replace(c, model=model, step=name.step, tokens=name.tokens, stage=name.stage)
        for c, name in ((c, names[c.revision]) for c in checkpoints)
    ]
    return Listing(model, tuple(sorted(listed, key=order)), (), step_map.stages)


def _whole_repository(address: Address, client: Client) -> Checkpoint:
    """Return a repository as one checkpoint, its name not read yet."""
    references = _references(address.repository, client)
    revision, folder = _split(address, references)
    commit = _commit(address.repository, references, revision or "main")
    own = _model(address.repository)
    return Checkpoint(own, f"{own}@{revision}" if revision else own, Remote(address.repository, commit, folder))


def list_folders(
    remote: Remote, revision: str, where: str, files: Iterable[RemoteFile], wanted: Wanted, step_map: StepMap
) -> Listing:
    """Return one folder as a checkpoint, or the folders in it as checkpoints where it holds no weights itself.

    remote: where the folder is. revision: its name where it is the root of all files. where: its name in errors.
    """
    repository, commit, folder = remote.repository, remote.commit, remote.folder
    folders = _in_folders(files)
    if folder and not any(name == folder or name.startswith(f"{folder}/") for name in folders):
        near = difflib.get_close_matches(folder, [name for name in folders if name], 1, 0.4)
        hint = f"the nearest is '{near[0]}'" if near else "look at its files"
        raise SpectraError(f"{where} has no folder '{folder}'", hint=hint)
    model, own = _model(repository), _chosen(folders.get(folder, ()), wanted)
    if own:
        called = PurePosixPath(folder).name if folder else revision
        name = step_map.name_of(called) or read_name(called)
        remote = Remote(repository, commit, folder, own, _beside(folders[folder], own))
        return Listing(model, (Checkpoint(model, called, remote, name.step, name.tokens, name.stage),))
    checkpoints, unread = [], []
    children = _below(folders, folder, wanted)
    names = _names({path: (path.removeprefix(f"{folder}/"), PurePosixPath(path).name) for path in children}, step_map)
    for path, deeper in children.items():
        called, files = PurePosixPath(path).name, _chosen(folders.get(deeper, ()), wanted)
        name = names[path]
        if not files or name.step is None:
            nameless = "no step in its name: give one with --map"
            unread.append(Unread(called, nameless if files else "a folder without weights that can be read"))
            continue
        remote = Remote(repository, commit, deeper, files, _beside(folders[deeper], files))
        checkpoints.append(Checkpoint(model, called, remote, name.step, name.tokens, name.stage))
    if not checkpoints:
        raise _no_weights(where, [file for files in folders.values() for file in files])
    return Listing(model, tuple(sorted(checkpoints, key=order)), tuple(unread), step_map.stages)


def _below(folders: Mapping[str, Sequence[RemoteFile]], folder: str, wanted: Wanted) -> dict[str, str]:
    """Return the folders in a folder, and where in each its weights lie: in itself, or alone in one deeper in it."""
    depth = len(PurePosixPath(folder).parts)
    own = PurePosixPath(folder).parts
    below = [name for name in folders if name != folder and PurePosixPath(name).parts[:depth] == own]
    children: dict[str, str] = {}
    for path in sorted({"/".join(PurePosixPath(name).parts[: depth + 1]) for name in below}):
        inside = [name for name in below if name == path or name.startswith(f"{path}/")]
        holding = [name for name in inside if _chosen(folders[name], wanted)]
        nearest = min((name.count("/") for name in holding), default=0)
        first = [name for name in holding if name.count("/") == nearest]
        children[path] = first[0] if len(first) == 1 else path
    return children


def _files(client: Client, repository: str, commit: str, *, deep: bool) -> tuple[RemoteFile, ...]:
    """Return the files of a commit; offline, those that the cache of this machine has."""
    from huggingface_hub import is_offline_mode

    return cached_files(repository, commit) if is_offline_mode() else client.files(repository, commit, deep=deep)


def committed(checkpoint: Checkpoint, client: Client, wanted: Wanted) -> datetime | None:
    """Return when the weights of a checkpoint were last committed; None for one on this machine, or offline."""
    from huggingface_hub import is_offline_mode

    remote = checkpoint.path
    if not isinstance(remote, Remote) or is_offline_mode():
        return None
    dates = client.dates(remote.repository, remote.commit, remote.folder)
    known = [dates[name] for name in wanted(list(dates))]
    return max(known, default=None)


def _in_folders(files: Iterable[RemoteFile]) -> dict[str, tuple[RemoteFile, ...]]:
    """Return the files of each folder, named within it."""
    folders: dict[str, list[RemoteFile]] = {}
    for file in files:
        folder, _, name = file.name.rpartition("/")
        folders.setdefault(folder, []).append(replace(file, name=name))
    return {folder: tuple(there) for folder, there in folders.items()}


def _chosen(files: Sequence[RemoteFile], wanted: Wanted) -> tuple[RemoteFile, ...]:
    """Return the files that make up a checkpoint."""
    names = set(wanted([file.name for file in files]))
    return tuple(file for file in files if file.name in names)


def _beside(files: Sequence[RemoteFile], chosen: Sequence[RemoteFile]) -> tuple[str, ...]:
    """Return the names of a folder's files that are not chosen."""
    names = {file.name for file in chosen}
    return tuple(file.name for file in files if file.name not in names)


def resolve_files(
    checkpoints: Sequence[Checkpoint], client: Client, wanted: Wanted
) -> tuple[tuple[Checkpoint, ...], tuple[Unread, ...]]:
    """Return the checkpoints that can be read, with their files listed, and those that hold no weights.

    One request a commit; checkpoints on this machine are returned as they are. Raises SpectraError where none can be
    read.
    """
    needed = dict.fromkeys(
        (remote.repository, remote.commit, bool(remote.folder))
        for remote in (checkpoint.path for checkpoint in checkpoints)
        if isinstance(remote, Remote) and not remote.files
    )
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        listed = pool.map(lambda key: _files(client, key[0], key[1], deep=key[2]), needed)
        by_commit = dict(zip(needed, listed, strict=True))
    folders = {key: _in_folders(files) for key, files in by_commit.items()}
    ready, unread = [], []
    for checkpoint in checkpoints:
        remote = checkpoint.path
        if not isinstance(remote, Remote) or remote.files:
            ready.append(checkpoint)
            continue
        there = folders[remote.repository, remote.commit, bool(remote.folder)].get(remote.folder, ())
        if files := _chosen(there, wanted):
            ready.append(replace(checkpoint, path=replace(remote, files=files, beside=_beside(there, files))))
        else:
            unread.append(Unread(checkpoint.revision, f"no weights that can be read, only {_formats(there)}"))
    if not ready:
        first = checkpoints[0].path
        every = [file for files in by_commit.values() for file in files]
        raise _no_weights(first.repository if isinstance(first, Remote) else str(first), every)
    return tuple(ready), tuple(unread)


def _no_weights(where: str, files: Sequence[RemoteFile]) -> SpectraError:
    """Return the error for a address without weights, with the formats that it holds instead."""
    return SpectraError(
        f"{where} holds no weights that can be read",
        hint=f"read are .safetensors and torch's .bin and .pt; found were {_formats(files)}",
    )


def _formats(files: Sequence[RemoteFile]) -> str:
    """Return the suffixes of files, up to eight, in words."""
    kinds = sorted({PurePosixPath(file.name).suffix or PurePosixPath(file.name).name for file in files})
    return ", ".join(kinds[:8]) or "no files"
