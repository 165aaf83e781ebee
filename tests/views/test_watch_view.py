"""A run while it is watched: one picture on a terminal, lines elsewhere."""

import io
import re

import pytest
from rich.console import Console

from spectra_cli.records import Problem
from spectra_cli.studies.events import Detector
from spectra_cli.views.console.watch import WAITS_LONG, WatchView
from tests.support import runs
from tests.support.planted_events import spiking
from tests.support.terminals import in_terminal


def view_of(run, width=120):
    """A view that has seen a run, and what it has printed, where there is no terminal."""
    printed, detector = io.StringIO(), Detector()
    view = WatchView(Console(file=printed, width=width), "runs/now")
    for measurement in run:
        view.measured(measurement, 0.5)
        for event in detector.see(measurement, settling=False):
            view.event(event)
    return view, printed


def picture(view, width):
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(view.picture(width))
    return drawn.getvalue().splitlines()


@pytest.mark.parametrize(("width", "columns"), [(120, 2), (80, 2), (50, 1), (20, 1)])
def test_the_picture_has_as_many_metrics_as_fit(width, columns):
    view, _ = view_of(spiking(0)[:40])
    lines = picture(view, width)
    assert max(map(len, lines)) <= width
    assert len(re.findall("variation|stable rank", lines[1])) == columns
    assert len(lines) == 2 + 8 + 2


def test_a_role_is_a_line_with_its_course_and_its_ends():
    view, _ = view_of(spiking(0)[:40])
    (line,) = (line for line in picture(view, 120) if line.startswith("  unembed"))
    assert re.fullmatch(r"  unembed  █[▁-█]{15} 1.5e-4 → 9.8e-6 +█[▁-█]{15} 31 → 2.2", line)


def test_a_long_source_gives_way_to_where_the_run_is():
    view, _ = view_of(spiking(0)[:40])
    view.source = f"/{'deep/' * 30}runs/now"
    assert re.fullmatch(r"…[dep/]+runs/now · step 4,000, 40 checkpoints · the next .*", picture(view, 100)[0])


def test_without_a_terminal_each_checkpoint_and_each_event_is_a_line():
    _, printed = view_of(spiking(0)[:40])
    lines = printed.getvalue().splitlines()
    assert len(lines) == 41
    assert lines[0].startswith("runs/now · step 100, 1 checkpoint · stable rank 5")
    assert lines[35].startswith(
        "step 3,500: spike: σ₁ of layers.2.q grew 1.29 times since the checkpoint before (z 17.9)"
    )


def test_what_fails_again_and_again_is_said_once():
    view, printed = view_of([])
    for _ in range(3):
        view.failed(Problem("step4: a file is cut short", "copy it again"))
    assert printed.getvalue().splitlines() == ["step4: a file is cut short: it is tried again"]


def test_a_checkpoint_that_stays_incomplete_is_named_once(monkeypatch):
    view, printed = view_of([])
    now = [0.0]
    monkeypatch.setattr("spectra_cli.views.console.watch.time.monotonic", lambda: now[0])
    for second in range(int(3 * WAITS_LONG)):
        now[0] = float(second)
        view.looked(("step4",) if second else ())
    assert printed.getvalue().splitlines() == ["not complete yet: step4"]


def test_names_cannot_write_on_the_terminal():
    view, _ = view_of(spiking(0)[:10])
    view.source = "runs/\x1b[31mnow"
    assert "\x1b" not in "".join(picture(view, 120))


@pytest.mark.slow
def test_on_a_terminal_the_picture_changes_in_place(tmp_path):
    soon = ("--quiet-period", "0.1s", "--every", "0.1s", "--idle", "1s")
    shown = in_terminal("watch", runs.write_run(tmp_path / "run"), "-o", tmp_path / "a.parquet", *soon, width=100)
    assert shown.code == 0
    assert "step 16, 6 checkpoints" in shown.screen
    assert "\x1b[1A" in shown.screen
    assert shown.screen.count("nothing new came") == 1
