"""Says how long a browser takes to show a report of one and of three runs of 154 checkpoints and 98 matrices.

`python benchmarks/page.py` opens the pages in Chromium in turn with a page of one small figure, and prints medians of
five rounds: until the first figure is drawn, until all are, and the latter over the small page's, whose time is that of
starting the same libraries.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from synthetic import write_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))
from spectra_cli.jobs.scan import scan_checkpoints  # noqa: E402 - the path comes first
from spectra_cli.views.figures.plot import plot  # noqa: E402
from spectra_cli.views.report.report import report  # noqa: E402
from tests.support.large_tables import write_large  # noqa: E402

WATCH = """
new MutationObserver(() => {
  const { first, ready } = document.body?.dataset || {};
  if (first && !window.firstAt) window.firstAt = performance.now();
  if ((ready || document.querySelector("#figure svg")) && !window.readyAt) window.readyAt = performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


def write_pages(place: Path) -> dict[str, Path]:
    """Write a small figure and the reports; say how long these took and how large they are."""
    for step in (0, 1):
        write_checkpoint(place / "run" / f"step{step}", seed=step, layers=1, width=64, tokens=64)
    small = scan_checkpoints(place / "run", place / "small.parquet").output
    plot([small], "trajectory", str(place / "figure.html"))
    table = write_large(place / "large.parquet", small, checkpoints=154, matrices=98, ranks=2048)
    pages = {"one small figure": place / "figure.html"}
    for name, count in (("one run", 1), ("three runs", 3)):
        pages[name] = place / f"{count}.html"
        began = time.perf_counter()
        size = report([table] * count, str(pages[name]))
        print(f"{name}: written in {time.perf_counter() - began:.1f} s, {size / 1e6:.1f} MB")
    return pages


def opened(browser: Any, path: Path) -> tuple[float, float]:
    """Return seconds until the first figure and until all of a page are drawn."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(WATCH)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes], #figure svg", timeout=120_000)
    first, ready = page.evaluate("[window.firstAt || window.readyAt, window.readyAt]")
    page.close()
    return first / 1000, ready / 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        pages = write_pages(Path(place))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
        for _ in range(rounds):
            for name, path in pages.items():
                seconds[name].append(opened(browser, path))
        browser.close()
    least = statistics.median(ready for _, ready in seconds["one small figure"])
    for name, taken in seconds.items():
        first, ready = (statistics.median(column) for column in zip(*taken, strict=True))
        print(
            f"{name:<18} first figure {first:6.2f} s   all {ready:6.2f} s   {ready / least:5.1f} times the small page"
        )


if __name__ == "__main__":
    main()
