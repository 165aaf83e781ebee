"""How far a scan is: words that fit, a rate of what this run did, and lines where there is no terminal."""

import contextlib
import io
import itertools
import time

import pytest
from rich.console import Console

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.views.console.progress import ScanProgress, TrainingProgress
from tests.support import runs
from tests.support.terminals import in_terminal


def scanned(run, table, width, stop_after=None):
    """What stands beside the bar after each matrix of a scan, which is stopped after so many checkpoints."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, highlight=False)
    seen, done = [], itertools.count(1)
    with ScanProgress(console, quiet=False, doing="reading run").running() as progress:
        seen.append(progress.shown()[0])

        def note(checkpoint, matrix):
            progress(checkpoint, matrix)
            seen.append(list(progress.shown()))
            if matrix is None and next(done) == stop_after:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            scan_checkpoints(run, table, on_start=progress.begin, on_done=note)
    return seen, screen.getvalue()


def test_the_words_name_what_is_done_and_left_and_fit(tmp_path):
    run = runs.write_run(tmp_path / "run", (0, 1, 2))
    seen, screen = scanned(run, tmp_path / "a.parquet", 60)
    assert seen[0] == "reading run"
    assert seen[1][0] == "checkpoint 1 of 3"
    assert seen[1][1].endswith("left")
    assert seen[1][2].endswith("matrices/s")
    assert seen[1][3] == "1/42 matrices"
    assert seen[-1][3] == "42/42 matrices"
    assert " of 3 · " in screen


def test_after_a_resume_what_was_kept_is_told_and_does_not_count_for_the_rate(tmp_path):
    run, table = runs.write_run(tmp_path / "run", (0, 1, 2, 4)), tmp_path / "a.parquet"
    scanned(run, table, 80, stop_after=3)
    begun = time.monotonic()
    seen, screen = scanned(run, table, 80)
    passed = time.monotonic() - begun
    assert "resumed: 2 of 4 checkpoints were finished before" in screen
    last = seen[-1]
    assert last[3] == "56/56 matrices"
    assert float(last[2].removesuffix(" matrices/s")) >= 28 / passed
    assert seen[3][1:] != seen[2][1:] or len(seen[2]) == 3  # no rate before something was measured
    assert all(len(words) == 3 for words in seen[1:3])


def trained(**console):
    screen = io.StringIO()
    with TrainingProgress(Console(file=screen, **console), quiet=False, doing="loading").running() as progress:
        shown = [list(progress.shown())]
        progress.note("training a small model")
        for step in range(3):
            progress(step, 4)
            progress.note(f"step {step} · held-out loss {5 - step}")
        shown.append(list(progress.shown()))
    return shown, screen.getvalue()


def test_a_training_shows_its_steps_the_time_left_and_the_last_loss():
    (before, during), screen = trained(force_terminal=True, width=80)
    assert before == ["loading"]
    assert (during[0], during[2]) == ("step 2 of 4", "held-out loss 3")
    assert during[1].endswith("left")
    assert "training a small model" in screen


def test_a_training_without_a_terminal_shows_a_line_a_checkpoint():
    assert trained()[1].splitlines()[:2] == ["training a small model", "step 0 · held-out loss 5"]


@pytest.mark.slow  # 2 s: a process of its own
def test_something_is_on_the_screen_within_half_a_second(kept_run, tmp_path):
    shown = in_terminal("scan", kept_run, "-o", tmp_path / "a.parquet", width=80)
    assert shown.code == 0
    assert shown.screen.index("reading") < shown.screen.index("6 checkpoints")
    assert shown.first > 0
