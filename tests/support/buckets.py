"""An S3 server on this machine, as moto makes it, with a log of what was asked and failures to order."""

import logging
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from urllib.request import Request, urlopen

import pytest

moto_server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'spectra-scan[test]'")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'spectra-scan[s3]'")


@dataclass
class Bucket:
    """asked: method, path and range of each request. failing: how many of the next reads of objects answer 503.

    refusing: whether all are refused. before: called before each read of an object.
    """

    endpoint: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    failing: int = 0
    refusing: bool = False
    before: Callable[[], object] | None = None

    @cached_property
    def files(self):
        return s3fs.S3FileSystem(key="k", secret="s", endpoint_url=self.endpoint, skip_instance_cache=True)

    def upload(self, folder, name):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.files.pipe(f"bucket/{name}/{path.relative_to(folder)}", path.read_bytes())
        self.asked.clear()
        return f"s3://bucket/{name}"

    def answer(self, application):
        def wrapped(environ, start):
            method, path, asked = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE")
            self.asked.append((method, path, asked))
            if asked and self.before:
                self.before()
            if self.refusing or (asked and self.failing > 0):
                self.failing -= 1
                start("403 Forbidden" if self.refusing else "503 Slow Down", [("Content-Length", "0")])
                return [b""]
            return application(environ, start)

        return wrapped


@contextmanager
def served():
    """Run a server with one empty bucket while the block runs."""
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = Bucket()
    application = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
    server = make_server("127.0.0.1", 0, made.answer(application), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        # what another server of this process was given is still there
        urlopen(Request(f"{made.endpoint}/moto-api/reset", method="POST")).close()
        made.files.mkdir("bucket")
        yield made
    finally:
        server.shutdown()
        server.server_close()
