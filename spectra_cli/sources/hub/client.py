"""Asks the Hub, through huggingface_hub, for references, listings and bytes of files. Knows nothing of checkpoints."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spectra_cli.errors import SpectraError
from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import ByteRange
from spectra_cli.sources.hub.forms import check_apart, check_file, check_reference
from spectra_cli.sources.hub.retry import RetryPolicy, TryAgainError, bounded_listing, client_factory, trouble

if TYPE_CHECKING:
    import httpx2

CHUNK = 1 << 20
FILES = 1_000_000  # of one listing
TOKEN = re.compile(r"[!-~]*")  # what a header can hold


class RangeIgnoredError(Exception):
    """A server answered a request for part of a file with the whole of it."""


@dataclass
class Client:
    """huggingface_hub's session with a retry policy; endpoint, token and offline mode are the library's own.

    The library has one session for the whole process: the retry policy of the last client made is the one that counts.
    """

    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    _begun: bool = False

    def _begin(self) -> None:
        """Set up a session that retries, for the library, at the first request."""
        if not self._begun:
            from huggingface_hub import get_token, set_client_factory

            if not TOKEN.fullmatch(get_token() or ""):
                raise SpectraError(
                    "the token for the Hub holds signs that no token has",
                    hint="set HF_TOKEN anew, or log in again with `hf auth login`",
                    stops=True,
                )
            set_client_factory(client_factory(self.retry_policy))
            self._begun = True

    def references(self, repository: str) -> dict[str, str]:
        """Return the commit of every branch and tag by name; a branch wins over a tag. One request."""
        from huggingface_hub import HfApi

        self._begin()
        where = f"hf:{repository}"
        with bounded_listing(self.retry_policy), translated(repository), _understood(where):
            listed = HfApi().list_repo_refs(repository)
        return dict(check_reference(where, each.name, each.target_commit) for each in (*listed.tags, *listed.branches))

    def files(self, repository: str, commit: str, *, deep: bool = False) -> tuple[RemoteFile, ...]:
        """Return the files of a commit, those in folders too if deep. One request for each thousand of them."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        self._begin()
        where = f"hf:{repository}@{commit[:12]}"
        with bounded_listing(self.retry_policy), translated(repository, commit), _understood(where):
            entries = list(islice(HfApi().list_repo_tree(repository, revision=commit, recursive=deep), FILES + 1))
        if len(entries) > FILES:
            raise SpectraError(f"{where} lists more than {FILES:,} files", hint="name a smaller folder", stops=True)
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        checked = (check_file(where, f.path, f.size, f.lfs.sha256 if f.lfs else f.blob_id) for f in files)
        return check_apart(where, tuple(checked))

    def dates(self, repository: str, commit: str, folder: str = "") -> dict[str, datetime]:
        """Return when each file in one folder of a commit was last written, by name. One request for fifty."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        self._begin()
        where = f"hf:{repository}@{commit[:12]}"
        with bounded_listing(self.retry_policy), translated(repository, commit), _understood(where):
            entries = HfApi().list_repo_tree(repository, folder or None, revision=commit, expand=True)
            files = [entry for entry in islice(entries, FILES) if isinstance(entry, RepoFile)]
        return {
            check_file(where, f.path, f.size, f.blob_id).name.rpartition("/")[2]: f.last_commit.date
            for f in files
            if f.last_commit
        }

    def similar(self, repository: str) -> list[str]:
        """Return the names of up to three repositories of the same owner that are near this one."""
        from huggingface_hub import HfApi

        self._begin()
        owner = repository.partition("/")[0]
        try:
            with bounded_listing(self.retry_policy):
                names = [model.id for model in HfApi().list_models(author=owner, limit=500)]
        except Exception:  # it is only for a hint: without it, the first error is still shown
            return []
        return difflib.get_close_matches(repository, names, 3, 0.5)

    def fetch(
        self, remote: Remote, file: RemoteFile, byte_range: ByteRange, write: Callable[[memoryview], None]
    ) -> None:
        """Call `write` with the bytes of a range of a file, in order, each once; a broken download is resumed.

        Raises RangeIgnoredError where the server sends the whole for a part, SpectraError for all else.
        """
        self._begin()
        start, stop = byte_range
        position = start
        began = False

        def attempt() -> None:
            nonlocal position, began
            self.retry_policy.check()
            for data in self._stream(remote, file, position, stop, may_skip=start == 0 and stop == file.size and began):
                began = True
                write(data)
                position += len(data)
                self.retry_policy.check()
            if position < stop:
                raise TryAgainError(f"the connection broke at byte {position:,} of {file.name}")

        self.retry_policy.keep_trying(attempt, lambda: position)

    def _stream(
        self, remote: Remote, file: RemoteFile, start: int, stop: int, *, may_skip: bool
    ) -> Iterator[memoryview]:
        """Yield what one answer holds of the bytes from start to stop, its status and its lengths checked."""
        import httpx2
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # documented, not exported

        name = f"{remote.folder}/{file.name}" if remote.folder else file.name
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if (start, stop) != (0, file.size):
            headers["Range"] = f"bytes={start}-{stop - 1}"
        address = hf_hub_url(remote.repository, name, revision=remote.commit)
        with translated(remote.repository, remote.commit, name):
            try:
                with get_session().stream("GET", address, headers=headers) as response:
                    skip = _check(response, file, start, stop, asked="Range" in headers, may_skip=may_skip)
                    left = stop - start
                    for chunk in response.iter_raw(CHUNK):
                        data = memoryview(chunk)[min(skip, len(chunk)) :]
                        skip -= len(chunk) - len(data)
                        yield data[:left]
                        left -= len(data[:left])
                        if left <= 0:  # what a server sends beyond that is not read: it may never end
                            return
            except httpx2.TransportError as error:
                raise TryAgainError(f"{trouble(error)} in {file.name}") from None


def _check(response: httpx2.Response, file: RemoteFile, start: int, stop: int, *, asked: bool, may_skip: bool) -> int:
    """Check that the answer holds what was asked for, and return how many of its first bytes are to be skipped."""
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined] # documented, not exported

    hf_raise_for_status(response)
    if response.status_code == 206:
        content_range = response.headers.get("content-range", "")
        if content_range.partition("/")[0] != f"bytes {start}-{stop - 1}":
            raise TryAgainError(f"asked for bytes {start}-{stop - 1} of {file.name}, it sends others")
        return 0
    if asked and not may_skip:
        raise RangeIgnoredError
    length = response.headers.get("content-length")
    if length is not None and length != str(file.size):
        raise TryAgainError(f"{file.name} should have {file.size:,} bytes, it sends {length}")
    return start


@contextmanager
def _understood(where: str) -> Iterator[None]:
    """Raise SpectraError where the library cannot make sense of an answer, which is then not that of a Hub."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SpectraError(
            f"the answer for {where} is not one of a Hub",
            hint="check HF_ENDPOINT and whatever stands between here and the Hub: a login page, a proxy",
            stops=True,
        ) from None


@contextmanager
def translated(repository: str, revision: str | None = None, file: str | None = None) -> Iterator[None]:
    """Translate the library's errors into SpectraError. Gated comes first: to the library it is a kind of not found."""
    import httpx2
    from huggingface_hub import errors

    where = f"hf:{repository}" + (f"@{revision[:12]}" if revision else "") + (f"/{file}" if file else "")
    try:
        yield
    except errors.GatedRepoError:
        raise SpectraError(
            f"{repository} is gated: its files are for those who accepted its licence",
            hint=f"accept it at {_page(repository)} and log in with `hf auth login`, or set HF_TOKEN",
            stops=True,
        ) from None
    except errors.RepositoryNotFoundError:
        raise UnknownRepositoryError(repository) from None
    except errors.RevisionNotFoundError:
        raise SpectraError(
            f"{where} is not there", hint="the revision is gone: list again with `spectra inspect`"
        ) from None
    except errors.EntryNotFoundError:
        raise SpectraError(f"{where} is not there", hint="it was listed before: look at the repository") from None
    except errors.OfflineModeIsEnabled:
        raise offline(where) from None
    except errors.HFValidationError:
        raise SpectraError(f"'{repository}' is no name of a repository", hint="write hf:owner/name", code=2) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise SpectraError(
            f"the Hub answers {status} for {where}",
            hint="check that your token may read it (`hf auth whoami`)" if status in (401, 403) else "try again later",
            stops=status in (401, 403),
        ) from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects):
        raise SpectraError(f"the address for {where} does not work", hint="check HF_ENDPOINT", stops=True) from None


class UnknownRepositoryError(SpectraError):
    """A repository that is not there, or is not shown to this user."""

    def __init__(self, repository: str, similar: Sequence[str] = ()) -> None:
        """Word the error, with the nearest names where some are known."""
        self.repository = repository
        near = f"the nearest are {', '.join(similar)}; " if similar else ""
        super().__init__(
            f"there is no repository {repository} on the Hub, or it is private",
            hint=f"{near}for a private one log in with `hf auth login`, or set HF_TOKEN",
            code=1,
            stops=True,
        )


def offline(where: str) -> SpectraError:
    """Return the error for something that is not on this machine while the Hub may not be asked."""
    return SpectraError(
        f"{where} is not in the cache of this machine, and HF_HUB_OFFLINE forbids asking the Hub",
        hint="unset HF_HUB_OFFLINE, or fetch it first with `hf download`",
        stops=True,
    )


def _page(repository: str) -> str:
    """Return the address of a repository's page, without what else HF_ENDPOINT may hold, such as a password."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT)
    return f"{host.scheme}://{host.hostname}{f':{host.port}' if host.port else ''}/{repository}"
