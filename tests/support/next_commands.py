"""What a command proposes to run next, read from what it printed."""

import shlex


def next_commands(printed: str) -> list[list[str]]:
    """The words of each command of spectra after `next:`, without `spectra` itself."""
    lines = printed.partition("next:")[2].splitlines()
    return [words[1:] for line in lines if (words := shlex.split(line, comments=False))[:1] == ["spectra"]]
