"""The one way to fail: what happened, and what to do about it. Knows nothing of the rest."""


class SpectraError(Exception):
    """Something the user can act on, shown as two lines and never as a traceback.

    message: what happened, naming the file and the tensor. hint: what to do. Exit code 1 unless `code` says otherwise.
    stops: it would happen to every other checkpoint too (no network, a full disk), so nothing further is tried.

    >>> str(SpectraError("runs/x is not there", hint="check the path"))
    'runs/x is not there'
    """

    def __init__(self, message: str, *, hint: str, code: int = 1, stops: bool = False) -> None:
        """Keep the two lines, the exit code and how far it reaches."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.stops = stops
