"""The site is built without a warning, opens from a disk, loads nothing from elsewhere, and is accessible."""

import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

import spectra_cli
from tests.support import browser

ROOT = Path(__file__).parents[2]
# Pages that have, together, every kind of element that the site has.
EVERY_KIND = (
    "index", "tutorial", "api", "commands", "contributing", "errors", "figures", "glossary", "monitoring", "table",
    "studies/stability", "404",
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; links and anchors that lead nowhere are warnings, and warnings end the build."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


class Elements(HTMLParser):
    """The elements of a page, each as its name and its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def elements(site):
    return [(page.name, *element) for page in site.rglob("*.html") for element in Elements(page).found]


def test_every_page_is_in_the_menu(site):
    menu = {attributes.get("href") for name, tag, attributes in elements(site) if name == "index.html" and tag == "a"}
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")} - {"404.html", "index.html"}
    assert len(pages) > 30
    assert pages <= menu


def test_nothing_is_loaded_from_elsewhere(site):
    sources = [(name, attributes.get("src")) for name, _, attributes in elements(site)]
    sources += [(name, attributes.get("href")) for name, tag, attributes in elements(site) if tag == "link"]
    assert [place for place in sources if re.match(r"(https?:)?//", place[1] or "")] == []


def test_every_picture_says_what_it_shows(site):
    pictures = [(name, attributes) for name, tag, attributes in elements(site) if tag == "img"]
    assert pictures
    assert [picture for picture in pictures if len(picture[1].get("alt", "")) < 10] == []


def test_the_api_page_has_the_public_names_and_no_others(site):
    ids = {attributes.get("id") or "" for name, _, attributes in elements(site) if name == "api.html"}
    described = {match[1] for text in ids if (match := re.fullmatch(r"spectra_cli\.(\w+)", text))}
    pages_of_their_own = {name for name in spectra_cli.__all__ if isinstance(getattr(spectra_cli, name), ModuleType)}
    assert described == set(spectra_cli.__all__) - {"__version__"} - pages_of_their_own
    assert pages_of_their_own == {"figures", "metrics", "monitor"}


def test_examples_of_docstrings_are_shown_as_code(site):
    assert "&gt;&gt;&gt; run, noise" not in (site / "api.html").read_text(encoding="utf-8")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served, as the theme hides its search from pages of a disk."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@browser.NEEDED
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_problem(address, scheme):
    found = {}
    with browser.started() as chromium:
        page = chromium.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        for name in EVERY_KIND:
            page.goto(f"{address}/{name}.html")
            found[name] = browser.violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


@browser.NEEDED
def test_the_search_finds_a_word_of_the_glossary(address):
    with browser.started() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}/index.html")
        page.locator("input.md-search__input").fill("singular distribution")
        page.locator("a.md-search-result__link[href*='glossary.html']").first.wait_for()


@browser.NEEDED
def test_a_page_opens_from_a_disk_with_its_looks_and_without_an_error(site):
    with browser.started() as chromium:
        page, wrong = chromium.new_page(), []
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(error.message))
        page.goto((site / "index.html").as_uri())
        assert page.locator("nav a", has_text="Glossary").first.is_visible()
    assert wrong == []
