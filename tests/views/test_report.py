"""The page, in a real browser without a network: nothing fails, everything is drawn, and controls do what they say."""

import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_metadata, row_groups, write_table
from spectra_cli.studies.stability import compare_tables
from spectra_cli.views.report.report import report
from tests.support import runs
from tests.support.planted_runs import plant_table

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIGURES = ("trajectory", "alignment", "spectrum", "heatmap", "profile", "course")
PARTS = ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.up", "mlp.down")
SLOWER = 4  # the machine may be busy: a page that loads what it should load later takes far longer than that
HOSTILE = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"
LINES = "entropy\u2028window.hurt=1\u2029"  # ends of lines in a script of old, which Vega's expressions still refuse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_path(kept_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "loss.jsonl").write_text(
        "\n".join(json.dumps({"step": step, "val_loss": 5 - step / 10, "lr": 1e-3}) for step in range(17))
    )
    table = scan_checkpoints(kept_run, folder / "a.parquet").output
    report([table], str(folder / "a.html"), losses=[str(folder / "loss.jsonl")])
    return folder / "a.html"


@pytest.fixture(scope="module")
def deep_page(deep_table, tmp_path_factory):
    path = tmp_path_factory.mktemp("deep page") / "a.html"
    report([deep_table], str(path))
    return path


@pytest.fixture
def opened(browser, page_path):
    """Open a page and return it; afterwards nothing may have failed or been asked of a network."""
    failures, contexts = [], []

    def open_page(path=page_path, **options):
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: failures.append(message.text))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: failures.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert failures == []


def write_large(path, small, *, checkpoints, matrices, ranks):
    """Repeat one matrix's rows of a small table as many matrices at many steps, with spectra of real length."""
    group = next(row_groups(small)).to_pandas()
    rows = group[(group.matrix == "layers.0.attn.q")].drop(columns="vector")
    names = [f"layers.{place // 6}.{PARTS[place % 6]}" for place in range(matrices)]
    frame = pd.concat([rows.assign(matrix=name, role=name[-1], layer=at // 6) for at, name in enumerate(names)])
    random = np.random.default_rng(0)
    schema = next(row_groups(small)).schema
    spectrum = random.random(ranks)

    def parts():
        for index in range(checkpoints):
            vectors = [spectrum if metric == "sd" else None for metric in frame.metric]
            new = frame.assign(
                revision=f"step{index * 1000}", step=index * 1000, vector=vectors,
                value=frame.value * random.uniform(0.9, 1.1, len(frame)),
            )  # fmt: skip
            yield pa.Table.from_pandas(new[schema.names], schema, preserve_index=False)

    write_table(path, parts(), read_metadata(small))
    return path


def names_in(page):
    return page.locator("#matrices tbody th").all_inner_texts()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name, opened):
    assert opened().locator(f"#figure-{name} svg path").count() > 5


def test_findings_of_rank_1_and_their_figure_are_shown_where_they_are_given(opened, table_path, rank1_table, tmp_path):
    report([table_path], str(tmp_path / "a.html"), rank1=[str(rank1_table)])
    page = opened(tmp_path / "a.html")
    assert page.locator("#figure-rank1 svg path").count() > 10
    assert "against" in page.locator("#rank1 .findings").inner_text()


@pytest.mark.parametrize("name", ["wave", "gradients", "timescales", "depth", "asymmetry"])
def test_every_figure_over_depth_is_drawn(name, opened, deep_page):
    assert opened(deep_page).locator(f"#figure-{name} svg path").count() > 5


def test_the_section_over_depth_says_what_was_found_and_follows_the_slider(opened, deep_page):
    page = opened(deep_page)
    assert "as a wave, from the first layer to the last" in page.locator("#lifecycle .findings").inner_text()
    before = page.locator("#figure-wave svg").evaluate("drawing => drawing.outerHTML")
    page.locator("#step").focus()
    page.keyboard.press("Home")
    page.evaluate("spectra.drawn()")
    assert page.locator("#figure-wave svg").evaluate("drawing => drawing.outerHTML") != before


def test_a_run_without_a_course_over_depth_has_no_such_section(opened):
    assert opened().locator("#lifecycle").count() == 0


def test_of_two_runs_the_one_without_depth_keeps_the_findings_and_hides_the_figures(
    opened, deep_table, table_path, tmp_path
):
    report([deep_table, table_path], str(tmp_path / "both.html"))
    page = opened(tmp_path / "both.html")
    assert page.locator("#figure-wave").is_visible()
    page.locator("#run").select_option(index=1)
    page.evaluate("spectra.drawn()")
    assert not page.locator("#figure-wave").is_visible()
    assert page.locator("#lifecycle .findings").is_visible()
    assert page.locator("#figure-course").is_visible()


def test_the_slider_moves_every_figure(opened):
    page = opened()
    before = {name: page.locator(f"#figure-{name} svg").evaluate("drawing => drawing.outerHTML") for name in FIGURES}
    page.locator("#step").focus()
    page.keyboard.press("Home")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.evaluate("spectra.drawn()")
    assert page.locator("#step-name").inner_text() == "step 2"
    assert page.locator("#step").get_attribute("aria-valuetext") == "step 2"
    same = [
        name
        for name in FIGURES
        if page.locator(f"#figure-{name} svg").evaluate("drawing => drawing.outerHTML") == before[name]
    ]
    assert same == []


def test_a_click_on_a_head_sorts_and_a_second_turns_it_round(opened):
    page = opened()
    last = page.locator('th[data-column="last"] button')
    last.click()
    rising = page.locator("#matrices tbody td:nth-child(7)").all_inner_texts()
    assert [float(text) for text in rising] == sorted(float(text) for text in rising)
    assert page.locator('th[data-column="last"]').get_attribute("aria-sort") == "ascending"
    last.click()
    falling = page.locator("#matrices tbody td:nth-child(7)").all_inner_texts()
    assert falling == rising[::-1] or [float(text) for text in falling] == sorted(map(float, rising), reverse=True)


def test_the_table_is_filtered_by_name_and_role(opened):
    page = opened()
    page.fill("#filter", "layers.1 attn")
    page.wait_for_function("document.querySelectorAll('#matrices tbody tr').length === 4")
    assert sorted(names_in(page)) == [f"layers.1.attn.{letter}" for letter in "koqv"]
    page.select_option("#filter-role", "q")
    page.wait_for_function("document.querySelectorAll('#matrices tbody tr').length === 1")
    assert "1 of 14 matrices" in page.locator("#count").inner_text()


def test_another_metric_is_drawn_and_listed_with_the_table_s_own_numbers(opened, page_path):
    page = opened()
    page.select_option("#metric", "alpha")
    page.evaluate("spectra.drawn()")
    page.wait_for_function("document.querySelector('#count').textContent.includes('rank–size')")
    shown = page.locator("#matrices tbody tr", has_text="layers.0.attn.q").locator("td:nth-child(7)").inner_text()
    frame = pq.read_table(page_path.with_name("a.parquet")).to_pandas()
    row = frame[(frame.metric == "alpha") & (frame.matrix == "layers.0.attn.q") & (frame.step == 16)]
    assert float(shown) == pytest.approx(row.value.item(), rel=5e-3)
    assert "α" in page.locator("#figure-course svg").inner_html()


def test_hovering_a_point_says_its_numbers(opened):
    page = opened()
    point = page.locator("#figure-course svg .mark-symbol path").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "role" in page.locator("#vg-tooltip-element").inner_text()


def test_the_keyboard_opens_a_matrix_and_comes_back(opened):
    page = opened()
    button = page.locator("#matrices button.name").nth(1)
    name = button.inner_text()
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#matrix[open][data-ready=yes]")
    assert page.locator("#matrix-name").inner_text() == name
    assert page.locator("#matrix-spectrum svg path").count() > 5
    assert page.locator("#matrix-numbers tbody tr").count() > 20
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('#matrix').open")
    assert page.evaluate("document.activeElement.textContent") == name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_problem(scheme, opened):
    problems = Axe().run(opened(color_scheme=scheme)).response["violations"]
    assert [problem["id"] for problem in problems if problem["impact"] in ("serious", "critical")] == []


def test_names_from_files_are_harmless(tmp_path, browser):
    table = scan_checkpoints(runs.write_run(tmp_path / "small"), tmp_path / "a.parquet").output
    parts = []
    for group in row_groups(table):
        changed = group.to_pydict()
        for column, old, new in (("matrix", "layers.0.attn.q", HOSTILE), ("metric", "entropy", LINES)):
            changed[column] = [new if name == old else name for name in changed[column]]
        parts.append(pa.table(changed, schema=group.schema))
    write_table(tmp_path / "b.parquet", parts, read_metadata(table) | {"source": HOSTILE, "model": HOSTILE})
    report([tmp_path / "b.parquet"], str(tmp_path / "b.html"), labels=[HOSTILE])
    page, wrong = browser.new_page(), []
    page.on("pageerror", lambda error: wrong.append(f"error: {error.message}"))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto((tmp_path / "b.html").as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    page.select_option("#metric", LINES)
    page.evaluate("spectra.drawn()")
    page.locator("#matrices button.name").first.click()
    page.locator("#close").click()
    assert [text for text in wrong if "rror" in text] == []
    assert page.evaluate("window.hurt") is None
    assert page.locator("img").count() == 0
    assert HOSTILE in names_in(page)
    page.close()


def test_two_runs_share_a_page_and_a_choice_between_them(table_path, tmp_path, opened):
    report([table_path, table_path], str(tmp_path / "two.html"), labels=("adam", "muon"))
    page = opened(tmp_path / "two.html")
    assert page.locator("#figure-trajectory svg").inner_html().count("muon") == 0
    page.select_option("#run", "1")
    page.evaluate("spectra.drawn()")
    assert "muon" in page.locator("#figure-trajectory svg").inner_html()


def test_runs_are_set_side_by_side_with_the_ratios_of_the_study(tmp_path, opened):
    lower = plant_table(tmp_path / "lower.parquet", lower=0.1, seed=2)
    tables = [plant_table(tmp_path / "upper.parquet"), lower]
    report(tables, str(tmp_path / "two.html"), labels=("adam", "muon"))
    page = opened(tmp_path / "two.html")
    shown = page.locator("#ratios tbody tr", has_text="all").locator("td:nth-child(4)").inner_text()
    (floor,) = [ratio for ratio in compare_tables(tables).ratios if (ratio.group, ratio.quantity) == ("all", "floor")]
    assert float(shown.split()[1]) == pytest.approx(floor.value, rel=0.05)
    assert "muon against adam: peak" in page.locator("#comparison").inner_text()


def test_one_run_is_compared_with_none(opened):
    assert opened().locator("#comparison").count() == 0


def test_a_table_of_154_checkpoints_and_98_matrices_opens_within_two_seconds(table_path, tmp_path, opened):
    table = write_large(tmp_path / "large.parquet", table_path, checkpoints=154, matrices=98, ranks=2048)
    report([table], str(tmp_path / "large.html"))
    assert (tmp_path / "large.html").stat().st_size < 20_000_000
    page = opened(tmp_path / "large.html")
    ready = page.evaluate("performance.now() - performance.getEntriesByType('navigation')[0].startTime")
    assert ready < 2000 * SLOWER
    assert page.locator("#matrices tbody tr").count() == 98


def test_the_page_may_ask_no_network_and_run_no_other_script(page_path):
    policy = re.search(r'Security-Policy" content="([^"]*)"', page_path.read_text())[1]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_a_report_that_is_no_page_is_refused(table_path, spectra):
    result = spectra("report", table_path, "-o", "a.pdf")
    assert result.code == 2
    assert ".html" in result.err
