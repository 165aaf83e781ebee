"""The README.md of a new checkpoint: what it is made of, for whoever finds it. Knows no method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spectra_cli.errors import printable


def model_card(
    title: str, paragraphs: Sequence[str], table: Iterable[Sequence[object]] = (), tag: str = "merge"
) -> str:
    """Return a model card in Markdown. table: its header and its rows. tag: what the Hub lists the model by.

    >>> print(model_card("Mean of two", ["Made by averaging."], [("checkpoint", "weight"), ("step1", 0.5)]))
    ---
    library_name: transformers
    tags: [merge, spectra]
    ---
    <BLANKLINE>
    # Mean of two
    <BLANKLINE>
    Made by averaging.
    <BLANKLINE>
    | checkpoint | weight |
    |---|---|
    | step1 | 0.5 |
    <BLANKLINE>
    """
    rows = [f"| {' | '.join(map(_cell, row))} |" for row in table]
    ruled = [*rows[:1], f"|{'---|' * rows[0].count(' | ')}---|", *rows[1:]] if rows else []
    head = ["---", "library_name: transformers", f"tags: [{tag}, spectra]", "---", "", f"# {printable(title)}"]
    body = [line for paragraph in paragraphs for line in ("", paragraph)]
    return "\n".join([*head, *body, *([""] if ruled else []), *ruled, ""])


def _cell(value: object) -> str:
    return printable(value).replace("|", "\\|")
