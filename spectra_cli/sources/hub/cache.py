"""What huggingface_hub's own cache on this machine holds: read instead of a download, offline instead of the Hub."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.client import offline
from spectra_cli.sources.hub.forms import BLOB


def cached_path(remote: Remote, file: RemoteFile) -> Path | None:
    """Return where the cache has a file, found by its blob and size; None where it has not.

    It is believed only after its hash: 1 s for each GB or two, once in a process.
    """
    if not remote.on_hub:
        return None
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=remote.repository, repo_type="model")
    path = Path(constants.HF_HUB_CACHE) / name / "blobs" / file.blob
    try:
        status = path.stat()
        same = status.st_size == file.size and _matches(path, file.blob, file.size, status.st_ino, status.st_mtime_ns)
        return path if same else None
    except OSError:
        return None


def begin_digest(blob: str, size: int) -> hashlib._Hash | None:
    """Return the hash that names a blob, begun: the sha256 of its bytes, or the sha1 that git names a file by.

    None for an object's pin, which is none.

    The latter tells files apart, and is not trusted against forgery.
    """
    if not BLOB.fullmatch(blob):
        return None
    return hashlib.sha256() if len(blob) == 64 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


@lru_cache(maxsize=10_000)
def _matches(path: Path, blob: str, size: int, _inode: int, _changed: int) -> bool:
    """Whether the bytes of a file are those that its blob names; asked again once the file is another."""
    digest = begin_digest(blob, size)
    if digest is None:
        return False
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest() == blob


def cached_references(repository: str) -> dict[str, str]:
    """Return the commits of the references that the cache knows. Raises SpectraError where it has none."""
    return {
        name: revision.commit_hash
        for revision in _repository(repository).revisions
        for name in (revision.refs or {revision.commit_hash})
    }


def cached_files(repository: str, commit: str) -> tuple[RemoteFile, ...]:
    """Return the files of a commit that are in the cache. Raises SpectraError where it does not have the commit."""
    revisions = _repository(repository).revisions
    revision = next((revision for revision in revisions if revision.commit_hash == commit), None)
    if revision is None:
        raise offline(f"hf:{repository}@{commit[:12]}")
    return tuple(
        RemoteFile(str(file.file_path.relative_to(revision.snapshot_path)), file.size_on_disk, file.blob_path.name)
        for file in sorted(revision.files, key=lambda file: str(file.file_path))
    )


def _repository(repository: str) -> Any:
    """Return huggingface_hub's record of a cached repository."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        raise offline(f"hf:{repository}") from None
    cached = next((r for r in repositories if r.repo_id == repository and r.repo_type == "model"), None)
    if cached is None or not cached.revisions:
        raise offline(f"hf:{repository}")
    return cached
