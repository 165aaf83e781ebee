"""What a public project has: a citation of this version, a changelog in its form, forms and workflows that are read."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
VERSIONS = re.findall(r"^## (\S+)(?: – (unreleased|\d{4}-\d\d-\d\d))?$", CHANGELOG, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_words_are_spelled_as_in_a_dictionary():
    places = [*ROOT.glob("*.md"), ROOT / "docs", ROOT / "spectra_cli", ROOT / "benchmarks"]
    said = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, places)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout


def test_the_citation_is_of_the_changelog_s_first_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    versions = [name for name, _ in VERSIONS if name != "Unreleased"]
    assert citation["version"] == versions[0]
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_changelog_is_in_its_form():
    assert len(VERSIONS) == CHANGELOG.count("\n## ")
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= KINDS
    assert not re.search(r"^### [^\n]*\n+(?=#|\Z)", CHANGELOG, re.MULTILINE), "a heading without an entry"


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_github_reads_what_is_written_for_it(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert content["permissions"] == {"contents": "read"}
        for job in content["jobs"].values():
            assert all("uses" in step or "run" in step for step in job["steps"])
    elif path.name != "config.yml":
        assert {"name", "description", "body"} <= content.keys()
        assert all(item["attributes"]["label"] for item in content["body"])


@pytest.mark.parametrize(
    "extra", re.findall(r"\.\[(\w+)\]", "".join(p.read_text() for p in (ROOT / ".github").rglob("*.yml")))
)
def test_workflows_install_extras_that_there_are(extra):
    assert extra in PROJECT["optional-dependencies"]


def test_every_page_is_in_the_site_s_menu():
    menu = yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if f": {page}\n" not in menu} == set()
