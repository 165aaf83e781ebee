"""Parses what a user writes about inputs. Imports nothing that a usage error would wait for."""

from __future__ import annotations

from spectra_cli.errors import SpectraError

CHOICES = ("step", "loss", "train_loss", "val_loss", "lr")


def parse_columns(text: str | None) -> dict[str, str]:
    """Read `step=…,loss=…,lr=…`. Raises SpectraError, code 2, where it says something else.

    >>> parse_columns("step=n,lr=rate")
    {'step': 'n', 'lr': 'rate'}
    """
    pairs = [part.partition("=") for part in (text or "").split(",") if part]
    if any(key not in CHOICES or not name for key, _, name in pairs):
        raise SpectraError(
            f"--loss-columns does not understand '{text}'", hint=f"NAME=COLUMN of {', '.join(CHOICES)}", code=2
        )
    return {key: name for key, _, name in pairs}


def parse_labels(text: str | None) -> tuple[str, ...] | None:
    """Read `--label a,b`.

    >>> parse_labels("adam, muon")
    ('adam', 'muon')
    """
    return None if text is None else tuple(part.strip() for part in text.split(","))
