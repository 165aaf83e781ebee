"""A Hub on this machine: real HTTP on two ports, a page of which may fail in every way that a test asks for.

The first port answers for names (references, listings, small files), the second one for large files, as on the Hub.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = re.compile(r"\.(safetensors|bin|pt)$")
EPOCH = "2024-01-01T00:00:00.000Z"
PAGE = 1000
CHUNK = 1 << 16


@dataclass
class Fault:
    """What goes wrong at a request whose path (with origin 2 in front for large files) the expression finds.

    times: how often, before all is well. status, headers: what is answered. cut: the connection ends after so many
    bytes. whole: the range that was asked for is ignored. delay: seconds before the answer. other: other bytes of
    the same length are sent. body: what is answered in place of the answer. endless: after it, it is sent again and
    again with so many seconds between.
    """

    path: str
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    whole: bool = False
    delay: float = 0.0
    other: bool = False
    body: bytes | None = None
    endless: float | None = None


@dataclass
class Repository:
    """References by name and commits, each the files of a folder on this disk by path."""

    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Path]] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)  # of commits, where it is not EPOCH
    gated: bool = False
    private: bool = False
    renamed_to: str | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it came: origin 1 or 2, the path, the range, the token if any, and what it was answered."""

    origin: int
    method: str
    path: str
    range: str | None
    token: str | None
    status: int
    sent: int


class Hub:
    """The two servers with their repositories, faults and log; rate: bytes a second over all connections."""

    def __init__(self, rate: float | None = None, page: int = PAGE) -> None:
        """Start both, on ports that the system chooses."""
        self.repositories: dict[str, Repository] = {}
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.rate, self.page = rate, page
        self.rewrite: Callable[[dict[str, object]], dict[str, object]] = lambda facts: facts  # a listing's entries
        self.after: list[tuple[int, Callable[[], object]]] = []  # (number of requests, what to do then)
        self._lock = threading.Lock()
        self._clock = time.monotonic()
        self._servers = [_Server(self, origin) for origin in (1, 2)]
        self.endpoint, self.blobs = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def close(self) -> None:
        """Stop both."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, name: str, run: Path, **facts: object) -> Repository:
        """Publish a folder of checkpoints: a branch for each of its folders, and `main`, the last of them."""
        repository = Repository(**facts)
        for folder in sorted(path for path in run.iterdir() if path.is_dir()):
            repository.branches[folder.name] = self.commit(repository, folder)
        repository.branches.setdefault("main", self.commit(repository, None))
        self.repositories[name] = repository
        return repository

    def commit(self, repository: Repository, folder: Path | None) -> str:
        """Add a commit that holds a folder's files, those in folders too; without one, a commit with a README only."""
        paths = sorted(folder.rglob("*")) if folder else []
        files = {str(path.relative_to(folder)): path for path in paths if path.is_file()}
        name = hashlib.sha1(repr((sorted(files.items()), len(repository.commits))).encode()).hexdigest()
        repository.commits[name] = files
        return name

    def fault(self, path: str) -> Fault | None:
        """Return the fault that this request meets, and count it; None where all is well."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def note(self, asked: Asked) -> None:
        """Log a request; do what was to be done after so many."""
        with self._lock:
            self.asked.append(asked)
            due = [act for count, act in self.after if count <= len(self.asked)]
            self.after = [(count, act) for count, act in self.after if count > len(self.asked)]
        for act in due:
            act()

    def wait_for_bytes(self, count: int) -> None:
        """Keep to the rate."""
        if self.rate is None:
            return
        with self._lock:
            self._clock = max(self._clock, time.monotonic()) + count / self.rate
            until = self._clock
        time.sleep(max(0.0, until - time.monotonic()))

    def calls(self) -> list[Asked]:
        """Return the requests for names and listings."""
        return [request for request in self.asked if request.path.startswith("/api/")]

    def fetched(self) -> int:
        """Return how many bytes of files were sent."""
        return sum(request.sent for request in self.asked if not request.path.startswith("/api/"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, origin: int) -> None:
        self.hub, self.origin = hub, origin
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Print nothing: `Hub.asked` is the log."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.sent, self.status = 0, 0
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.hub.fault(f"{self.server.origin}{path}")
        try:
            if fault and fault.delay:
                time.sleep(fault.delay)
            if fault and fault.endless is not None:
                self._endless(fault)
            elif fault and fault.body is not None:
                self._reply(fault.status or 200, fault.body, fault.headers)
            elif fault and fault.status:
                self._reply(fault.status, b"out of order", fault.headers)
            elif self.server.origin == 2:
                self._blob(path, fault)
            else:
                self._names(path, body, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            token = self.headers.get("Authorization")
            asked = Asked(
                self.server.origin, self.command, path, self.headers.get("Range"), token, self.status, self.sent
            )
            self.server.hub.note(asked)

    def _names(self, path: str, body: bytes, fault: Fault | None) -> None:
        hub = self.server.hub
        if path == "/api/models":
            owner = parse_qs(urlsplit(self.path).query).get("author", [""])[0]
            self._json([{"id": name} for name in hub.repositories if name.startswith(f"{owner}/")])
            return
        match = re.fullmatch(r"(?:/api/models)?/([^/]+/[^/]+)/(refs|tree|revision|resolve|paths-info)(?:/(.*))?", path)
        repository = hub.repositories.get(match[1]) if match else None
        if match is None or repository is None:
            self._error(404, "RepoNotFound")
            return
        if repository.private:
            self._error(401, "RepoNotFound")
            return
        if repository.renamed_to:
            self._reply(307, b"", {"Location": self.path.replace(match[1], repository.renamed_to)})
            return
        if match[2] == "refs":
            self._json({
                kind: [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in named.items()]
                for kind, named in (("branches", repository.branches), ("tags", repository.tags), ("converts", {}))
            })  # fmt: skip
            return
        self._at_a_commit(repository, match[1], match[2], match[3] or "", body, fault)

    def _at_a_commit(
        self, repository: Repository, called: str, what: str, rest: str, body: bytes, fault: Fault | None
    ) -> None:
        revision, _, name = rest.partition("/")
        commit = repository.branches.get(revision) or repository.tags.get(revision) or revision
        files = repository.commits.get(commit)
        if repository.gated and what == "resolve":
            self._error(403, "GatedRepo")
        elif files is None:
            self._error(404, "RevisionNotFound")
        elif what == "revision":
            self._json({"id": called, "sha": commit, "siblings": [{"rfilename": file} for file in files]})
        elif what == "tree":
            self._tree(files, repository.dates.get(commit, EPOCH))
        elif what == "paths-info":
            wanted = json.loads(body)["paths"]
            self._json([entry(file, files[file]) for file in wanted if file in files])
        elif name not in files:
            self._error(404, "EntryNotFound")
        else:
            self._resolve(commit, name, files[name], fault)

    def _tree(self, files: Mapping[str, Path], date: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        deep = query.get("recursive", ["false"])[0].lower() == "true"
        start = int(query.get("cursor", ["0"])[0])
        names = [name for name in files if deep or "/" not in name]
        shown = names[start : start + self.server.hub.page]
        more = {}
        if start + len(shown) < len(names):
            base = self.path.partition("?")[0]
            deeper = "&recursive=True" if deep else ""
            more = {"Link": f'<{self.server.hub.endpoint}{base}?cursor={start + len(shown)}{deeper}>; rel="next"'}
        expand = query.get("expand", ["false"])[0].lower() == "true"
        last = {"lastCommit": {"id": "0" * 40, "title": "upload", "date": date}} if expand else {}
        self._json([self.server.hub.rewrite({**entry(name, files[name]), **last}) for name in shown], more)

    def _resolve(self, commit: str, name: str, path: Path, fault: Fault | None) -> None:
        facts = entry(name, path)
        common = {"X-Repo-Commit": commit, "ETag": f'"{facts["oid"]}"', "Accept-Ranges": "bytes"}
        if "lfs" in facts:
            oid = facts["lfs"]["oid"]
            where = f"{self.server.hub.blobs}/{quote(str(path))}?signature=abc"
            self._reply(302, b"", {**common, "X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(path.stat().st_size),
                                   "Location": where})  # fmt: skip
            return
        self._file(path, fault, common)

    def _blob(self, path: str, fault: Fault | None) -> None:
        self._file(Path(path.lstrip("/") if not path.startswith("//") else path[1:]), fault, {"Accept-Ranges": "bytes"})

    def _file(self, path: Path, fault: Fault | None, headers: Mapping[str, str]) -> None:
        path = path if path.is_absolute() else Path("/") / path
        size = path.stat().st_size
        start, stop, status = 0, size, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and not (fault and fault.whole):
            start, stop, status = int(asked[1]), min(size, int(asked[2] or size - 1) + 1), 206
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._head(status, {**headers, "Content-Length": str(stop - start)})
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(start)
            left = stop - start
            while left:
                data = file.read(min(CHUNK, left))
                if fault and fault.other:
                    data = bytes(byte ^ 1 for byte in data)
                if fault and fault.cut is not None and self.sent + len(data) > fault.cut:
                    self.wfile.write(data[: fault.cut - self.sent])
                    self.sent = fault.cut
                    self.wfile.flush()
                    self.connection.close()
                    self.close_connection = True
                    return
                self.server.hub.wait_for_bytes(len(data))
                self.wfile.write(data)
                self.sent += len(data)
                left -= len(data)

    def _endless(self, fault: Fault) -> None:
        """Send chunks until the other side has had enough, or an hour has passed."""
        asked = (self.headers.get("Range") or "").replace("=", " ")
        ranged = {"Content-Range": f"{asked}/*"} if asked else {}
        self._head(206 if asked else 200, {"Transfer-Encoding": "chunked", **ranged, **fault.headers})
        data, until = fault.body or bytes(CHUNK), time.monotonic() + 3600
        while time.monotonic() < until:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.sent += len(data)
            time.sleep(fault.endless or 0.0)

    def _json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self._reply(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str) -> None:
        self._reply(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def entry(name: str, path: Path) -> dict[str, Any]:
    """Return a file's entry in the Hub's listing: git's sha1 of a small one, the sha256 of a large one's bytes."""
    size, sha1, sha256 = _digests(path, path.stat().st_mtime_ns)
    facts: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": sha1}
    return {**facts, "lfs": {"oid": sha256, "size": size, "pointerSize": 130}} if LARGE.search(name) else facts


@cache
def _digests(path: Path, changed: int) -> tuple[int, str, str]:
    del changed
    data = path.read_bytes()
    return len(data), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), hashlib.sha256(data).hexdigest()


@contextmanager
def served(**options: object) -> Iterator[Hub]:
    """Run a Hub while the block runs."""
    hub = Hub(**options)
    try:
        yield hub
    finally:
        hub.close()
