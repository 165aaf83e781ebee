"""What huggingface_hub's own cache on this machine knows, for when the Hub may not be asked."""

from __future__ import annotations

from typing import Any

from spectra_cli.records import RemoteFile
from spectra_cli.sources.hub.client import offline


def _repository(repository: str) -> Any:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        found = scan_cache_dir()
    except CacheNotFound:
        raise offline(f"hf:{repository}") from None
    one = next((r for r in found.repos if r.repo_id == repository and r.repo_type == "model"), None)
    if one is None or not one.revisions:
        raise offline(f"hf:{repository}")
    return one


def cached_references(repository: str) -> dict[str, str]:
    """Give the commits of the references that the cache knows. Raises SpectraError where it has none."""
    return {
        name: one.commit_hash for one in _repository(repository).revisions for name in (one.refs or {one.commit_hash})
    }


def cached_files(repository: str, commit: str) -> tuple[RemoteFile, ...]:
    """List the files of a commit that are in the cache."""
    revision = next((one for one in _repository(repository).revisions if one.commit_hash == commit), None)
    if revision is None:
        raise offline(f"hf:{repository}@{commit[:12]}")
    return tuple(
        RemoteFile(str(file.file_path.relative_to(revision.snapshot_path)), file.size_on_disk, file.blob_path.name)
        for file in sorted(revision.files, key=lambda file: str(file.file_path))
    )
