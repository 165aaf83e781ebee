"""Watching a run: each checkpoint measured once as training writes it, and the events that its rows show."""

from spectra_cli.jobs.watch.conditions import Conditions
from spectra_cli.jobs.watch.job import OnChange, Watched, watch_run

__all__ = ["Conditions", "OnChange", "Watched", "watch_run"]
