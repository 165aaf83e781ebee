"""The one way to fail: what happened, and what to do about it, in text that is safe to print. Knows nothing else."""

from importlib.util import find_spec


class SpectraError(Exception):
    """Something the user can act on, shown as two lines and never as a traceback.

    message: what happened, naming the file and the tensor. hint: what to do. Exit code 1 unless `code` is given.
    stops: it would happen to every other checkpoint too (no network, a full disk), so nothing further is tried.

    >>> str(SpectraError("runs/x is not there", hint="check the path"))
    'runs/x is not there'
    """

    def __init__(self, message: str, *, hint: str, code: int = 1, stops: bool = False) -> None:
        """Keep the two lines, the exit code and whether nothing further is tried."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.stops = stops


REPORT = ("altair", "jinja2", "markupsafe", "plotext", "vl_convert")  # packages of the extra of this name


def require_report() -> None:
    """Raise SpectraError where the extra `report` is not installed: before what is to be drawn is computed."""
    for package in REPORT:
        if find_spec(package) is None:
            what = f"{package} is not installed, which figures and pages need"
            raise SpectraError(what, hint="pip install 'spectra-scan[report]'; in a clone, pip install '.[report]'")


def printable(text: object, limit: int = 160) -> str:
    r"""Return a name from a file, safe to print: control characters escaped, `limit` characters at most.

    >>> printable("layer.\x1b[31m.weight")
    'layer.\\x1b[31m.weight'
    """
    head = str(text)[: limit + 1]  # no more is escaped than can be printed: a file may hold a name of megabytes
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head)
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"
