"""The page, in a real browser without a network: nothing fails, everything is drawn, and controls do what they say."""

import io
import itertools
import json
import re
import shlex
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.jobs.watch import Conditions, watch_run
from spectra_cli.storage.table import read_metadata, read_rows, row_groups, write_table
from spectra_cli.studies.stability import compare_tables
from spectra_cli.views.report.report import report
from tests.support import runs
from tests.support.browser import NEEDED, started, violations
from tests.support.large_tables import write_large
from tests.support.planted_runs import plant_table

FIGURES = ("trajectory", "alignment", "spectrum", "heatmap", "profile", "course")
HOSTILE = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"
LINES = "entropy\u2028window.hurt=1\u2029"  # ends of lines in a script of old, which Vega's expressions still refuse

pytestmark = [pytest.mark.slow, NEEDED]


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


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
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: failures.append(message.text))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: failures.append(request.url) if asks_elsewhere(request.url, path) else None)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert failures == []


def asks_elsewhere(url, path):
    return url.split("#")[0] != path.as_uri() and not url.startswith(("blob:", "data:"))


def names_in(page):
    return page.locator("#matrices tbody th").all_inner_texts()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name, opened):
    assert opened().locator(f"#figure-{name} svg path").count() > 5


def test_findings_of_rank_1_and_their_figure_are_shown_where_they_are_given(opened, table_path, rank1_table, tmp_path):
    report([table_path], str(tmp_path / "a.html"), rank1=[str(rank1_table)])
    page = opened(tmp_path / "a.html")
    assert page.locator("#figure-rank1 svg path").count() > 10
    assert "against" in page.locator("#on-a-line .findings").first.inner_text()


@pytest.mark.parametrize("name", ["wave", "gradients", "timescales", "depth", "asymmetry"])
def test_every_figure_over_depth_is_drawn(name, opened, deep_page):
    assert opened(deep_page).locator(f"#figure-{name} svg path").count() > 5


def test_the_section_over_depth_says_what_was_found_and_follows_the_slider(opened, deep_page):
    page = opened(deep_page)
    assert "as a wave, from the first layer to the last" in page.locator("#findings .findings").first.inner_text()
    assert "as a wave from the first layer to the last" in page.locator(".verdict").inner_text()
    before = page.locator("#figure-wave svg").evaluate("drawing => drawing.outerHTML")
    page.locator("#step").focus()
    page.keyboard.press("Home")
    page.evaluate("spectra.drawn()")
    assert page.locator("#figure-wave svg").evaluate("drawing => drawing.outerHTML") != before


def test_a_run_without_a_course_over_depth_has_no_such_section(opened):
    assert opened().locator("#figure-wave").count() == 0


def test_of_two_runs_the_one_with_depth_can_be_hidden_and_figures_over_depth_say_that_they_have_nothing(
    opened, deep_table, table_path, tmp_path
):
    report([deep_table, table_path], str(tmp_path / "both.html"))
    page = opened(tmp_path / "both.html")
    assert page.locator("#figure-wave").is_visible()
    page.locator("#runs input").first.uncheck()
    page.evaluate("spectra.drawn()")
    assert not page.locator("#figure-wave").is_visible()
    assert page.locator("#wave .lacking").is_visible()
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


def tooltips(page, name):
    """What the figure's tooltips say at some places, each as a mapping."""
    drawing = page.locator(f"#figure-{name} svg").first
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    said = []
    for across, down in itertools.product((0.25, 0.4, 0.6, 0.75), (0.3, 0.5, 0.7)):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        page.evaluate("new Promise(requestAnimationFrame)")
        rows = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        said.append(dict(page.locator("#vg-tooltip-element.visible tr").evaluate_all(rows)))
    return [facts for facts in said if facts]


@pytest.mark.parametrize(
    ("name", "metric", "number", "per"),
    [
        ("trajectory", "sd_variation_rate", "per step", "role"),
        ("alignment", None, "cosine", "role"),
        ("course", "stable_rank", "value", "role"),
        ("heatmap", "stable_rank", "value", "layer"),
        ("profile", "stable_rank", "value", "layer"),
    ],
)
def test_tooltips_say_the_table_s_own_numbers(name, metric, number, per, opened, deep_page, deep_table):
    page = opened(deep_page)
    shown = {facts[number]: facts for facts in tooltips(page, name) if number in facts}
    assert len(shown) >= 2
    rows = read_rows(deep_table).to_pandas()
    rows = rows.assign(layer=rows.layer.astype("Int64").astype(str), role=rows.role.astype(str))
    for text, facts in shown.items():
        assert "undefined" not in facts.values()
        asked = {"quantity": facts.get("quantity"), "role": facts.get("role", page.locator("#role").input_value())}
        which = metric or {"spectra": "cos_spectrum_final", "weights": "cos_weights_final"}[asked["quantity"]]
        own = rows[(rows.metric == which) & (rows.role == asked["role"]) & (rows.revision == facts["revision"])]
        own = own if per == "role" else own[own.layer == facts["layer"]]
        assert float(text.replace("\u2212", "-")) == pytest.approx(own.value.mean(), rel=2e-3), facts


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


@pytest.mark.parametrize("width", [1440, 1024, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_problem(scheme, width, opened, deep_page):
    page = opened(deep_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert violations(page) == []


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


def two_runs(table_path, tmp_path):
    report([table_path, table_path], str(tmp_path / "two.html"), labels=("adam", "muon"))
    return tmp_path / "two.html"


def test_two_runs_lie_in_every_figure_and_each_can_be_hidden(table_path, tmp_path, opened):
    page = opened(two_runs(table_path, tmp_path))
    for name in ("trajectory", "alignment", "course", "spectrum", "profile", "heatmap"):
        assert "muon" in page.locator(f"#figure-{name} svg").inner_html(), name
    lines = "#figure-course svg .mark-line path"
    both = page.locator(lines).count()
    page.locator("#runs input").nth(1).uncheck()
    page.evaluate("spectra.drawn()")
    assert page.locator(lines).count() < both
    page.locator("#runs input").first.click()  # one run at least stays
    assert page.locator("#runs input").first.is_checked()


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


def test_a_table_of_154_checkpoints_and_98_matrices_has_a_page_of_a_few_megabytes(table_path, tmp_path, opened):
    table = write_large(tmp_path / "large.parquet", table_path, checkpoints=154, matrices=98, ranks=2048)
    report([table], str(tmp_path / "large.html"))
    assert (tmp_path / "large.html").stat().st_size < 8_000_000
    page = opened(tmp_path / "large.html")
    assert page.locator("#matrices tbody tr").count() == 98
    assert page.locator(".drawing svg").count() == page.locator(".drawing").count()


@pytest.mark.parametrize("runs_shown", [1, 2, 5])
def test_the_first_figure_lies_within_the_first_screen(runs_shown, opened, tmp_path):
    tables = [plant_table(tmp_path / f"{seed}.parquet", seed=seed) for seed in range(runs_shown)]
    report(tables, str(tmp_path / "a.html"))
    page = opened(tmp_path / "a.html", viewport={"width": 1440, "height": 900})
    box = page.locator("#figure-trajectory svg").bounding_box()
    assert box["y"] + box["height"] <= 900
    assert box["width"] > 0.95 * page.locator("#main").bounding_box()["width"]


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_no_figure_is_wider_than_the_text_nor_much_narrower(width, opened, deep_page):
    page = opened(deep_page, viewport={"width": width, "height": 900})
    sizes = page.evaluate("""() => [...document.querySelectorAll('.drawing svg')].map((drawing) => [
        drawing.closest('.drawing').id,
        drawing.getBoundingClientRect().width / document.querySelector('#main').clientWidth])""")
    assert [size for size in sizes if not 0.9 < size[1] <= 1] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_long_name_of_a_metric_stands_once_above_the_panels_of_several_runs(opened, table_path, tmp_path):
    page = opened(two_runs(table_path, tmp_path))
    page.select_option("#metric", "sd_variation_rate")
    page.evaluate("spectra.drawn()")
    texts = page.locator("#figure-course svg text").all_text_contents()
    assert texts.count("variation of the singular distribution (per step)") == 1


def test_small_numbers_on_an_axis_are_powers_of_ten(opened, tmp_path):
    report([plant_table(tmp_path / "a.parquet")], str(tmp_path / "a.html"))
    page = opened(tmp_path / "a.html")
    page.select_option("#metric", "sd_variation_rate")
    page.evaluate("spectra.drawn()")
    texts = page.locator("#figure-course svg .role-axis-label text").all_text_contents()
    assert any(re.fullmatch("(\\d·)?10⁻[³⁴⁵]", text) for text in texts), texts
    assert not any("e-" in text for text in texts)


def test_text_in_figures_has_twelve_pixels_or_more(opened, deep_page):
    page = opened(deep_page, viewport={"width": 1440, "height": 900})
    small = page.evaluate("""() => [...document.querySelectorAll('.drawing svg text')].filter((text) => {
        const drawing = text.ownerSVGElement;
        const scale = drawing.getBoundingClientRect().width / drawing.width.baseVal.value;
        return parseFloat(getComputedStyle(text).fontSize) * scale < 11.75; }).map((text) => text.textContent)""")
    assert small == []


def test_what_is_chosen_stays_in_the_address(opened):
    page = opened()
    page.select_option("#metric", "alpha")
    page.select_option("#chosen", "layers.1.attn.v")
    page.locator("#step").focus()
    page.keyboard.press("Home")
    page.evaluate("spectra.drawn()")
    again = page.context.new_page()
    again.goto(page.url)
    again.wait_for_selector("body[data-ready=yes]")
    assert again.locator("#metric").input_value() == "alpha"
    assert again.locator("#chosen").input_value() == "layers.1.attn.v"
    assert again.locator("#step-name").inner_text() == page.locator("#step-name").inner_text() == "step 0"


def test_an_address_of_nonsense_opens_the_page_as_it_is(opened, page_path):
    page = opened()
    page.goto(f"{page_path.as_uri()}#metric=<b>&step=x&hide=9,0&run=7&open=nobody")
    page.reload()
    page.wait_for_selector("body[data-ready=yes]")
    assert page.locator("#metric").input_value() == "stable_rank"


def test_the_wheel_scrolls_and_zooms_only_with_a_key_and_the_view_can_be_reset(opened):
    page = opened()
    drawing = page.locator("#figure-course svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ticks = "drawing => [...drawing.querySelectorAll('.role-axis-label text')].map((text) => text.textContent).join()"
    before, top = drawing.evaluate(ticks), page.evaluate("scrollY")
    page.mouse.wheel(0, 120)
    page.wait_for_function("top => scrollY > top", arg=top)
    assert drawing.evaluate(ticks) == before
    box, at = drawing.bounding_box(), page.evaluate("scrollY")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(300)
    page.keyboard.up("Control")
    assert page.evaluate("scrollY") == at
    assert drawing.evaluate(ticks) != before
    page.locator("#course button[data-act=reset]").click()
    page.evaluate("spectra.drawn()")
    assert drawing.evaluate(ticks) == before


def test_a_figure_is_saved_as_svg_png_and_csv(opened, page_path):
    page = opened()
    files = {}
    for kind in ("svg", "png", "csv"):
        with page.expect_download() as download:
            page.locator(f"#course button[data-act={kind}]").click()
        assert download.value.suggested_filename == f"course.{kind}"
        files[kind] = download.value.path().read_bytes()
    assert files["svg"].startswith(b"<svg")
    assert files["png"].startswith(b"\x89PNG")
    frame = pd.read_csv(io.BytesIO(files["csv"]))
    want = pq.read_table(page_path.with_name("a.parquet")).to_pandas()
    want = want[(want.metric == "stable_rank") & (want.role == "q") & (want.step == 4)].value.mean()
    assert frame[(frame.role == "q") & (frame.step == 4)].value.item() == pytest.approx(want, rel=1e-6)


def test_values_are_shown_against_the_first_checkpoint_and_against_the_first_run(opened, table_path, tmp_path):
    page = opened(two_runs(table_path, tmp_path))
    page.select_option("#compare", "run")
    page.evaluate("spectra.drawn()")
    rows = page.evaluate("spectra.specOf('figure-course').data.values")
    assert {row["run"] for row in rows} == {"adam", "muon"}
    assert {row["value"] for row in rows} <= {0, 1}  # one table against itself
    page.select_option("#compare", "first")
    page.evaluate("spectra.drawn()")
    first = [row for row in page.evaluate("spectra.specOf('figure-course').data.values") if row["step"] == 0]
    assert {row["value"] for row in first} <= {0, 1}


def test_every_command_on_the_page_runs(opened, page_path, deep_page, spectra, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path in (page_path, deep_page):
        page = opened(path)
        shown = (
            page.locator("pre.command").all_text_contents() + page.locator("#commands pre").inner_text().splitlines()
        )
        assert len(shown) >= 8
        for command in shown:
            words = shlex.split(command)
            assert words[0] == "spectra"
            if words[1] == "scan":
                words[words.index("-o") + 1] = str(tmp_path / "again.parquet")
            result = spectra(*words[1:])
            assert result.code == 0, (command, result.err)


def test_the_page_of_a_run_that_goes_on_says_so_and_shows_more_after_a_reload(kept_run, tmp_path, opened):
    run, output, page = tmp_path / "small", tmp_path / "a.parquet", tmp_path / "a.html"

    def watch_and_report(*steps):
        for step in steps:
            shutil.copytree(kept_run / f"step{step}", run / f"step{step}")
        watch_run(run, output, conditions=Conditions(quiet=0.01, poll=0.01, idle=0.2))
        report([output], str(page))

    watch_and_report(0, 1, 2, 4)
    shown = opened(page)
    assert "The run is not known to be over; the last checkpoint seen is step 4." in shown.inner_text("header")
    watch_and_report(8, 16)
    with shown.expect_navigation():
        shown.get_by_role("link", name="Reload the page").click()
    shown.wait_for_selector("body[data-ready=yes]")
    assert "the last checkpoint seen is step 16." in shown.inner_text("header")


def test_on_paper_what_is_chosen_is_spelled_out_and_nothing_is_folded(opened, deep_page):
    page = opened(deep_page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert "metric stable_rank" in page.locator("#chosen-now").inner_text()
    assert not page.locator(".bar").is_visible()
    assert page.locator("details.fold[open]").count() == page.locator("details.fold").count()


def test_the_page_may_ask_no_network_and_run_no_other_script(page_path):
    policy = re.search(r'Security-Policy" content="([^"]*)"', page_path.read_text())[1]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_a_report_that_is_no_page_is_refused(table_path, spectra):
    result = spectra("report", table_path, "-o", "a.pdf")
    assert result.code == 2
    assert ".html" in result.err
