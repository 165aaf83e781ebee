"""The appendix of a paper: every figure with its caption, the findings of the studies, what makes it all again."""

import json
import re
import shutil

import pytest

from spectra_cli.studies.stability import compare_tables
from spectra_cli.views.appendix import write_appendix
from spectra_cli.views.figures.kinds import KINDS
from spectra_cli.views.report.commands import PageInputs
from spectra_cli.views.sentences.stability import stability_sentences

pytestmark = pytest.mark.slow  # some 15 figures, drawn twice


@pytest.fixture(scope="module")
def appendix(deep_table, rank1_table, tmp_path_factory):
    output = tmp_path_factory.mktemp("study") / "appendix"
    return write_appendix(PageInputs([deep_table], str(output), rank1=[str(rank1_table)]))


@pytest.fixture
def folder(appendix):
    return appendix.output


def test_every_kind_is_drawn_with_a_caption_or_named(appendix, folder):
    drawn, left_out = set(appendix.figures), {name for name, why in appendix.left_out if why}
    assert drawn | left_out == {kind.name for kind in KINDS}
    assert left_out == {"loss"}
    assert "loss: " in (folder / "findings.md").read_text()
    text = (folder / "findings.md").read_text()
    for name in drawn:
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len((folder / "figures" / f"{name}.txt").read_text()) > 40
        assert f"figures/{name}.png" in text


def test_findings_are_those_of_the_studies(folder, deep_table):
    facts = json.loads((folder / "findings.json").read_text())
    sentences = [finding["sentence"] for finding in facts["runs"][0]["findings"]]
    assert set(stability_sentences(compare_tables([deep_table]).runs[0])) <= set(sentences)
    plain = (folder / "findings.md").read_text().replace("\\", "")
    assert [sentence for sentence in sentences if sentence not in plain] == []
    assert facts["stability"]["runs"][0]["label"] == "deep"
    assert facts["rank1"][0]["findings"]


def test_methods_say_how_and_references_are_those_cited(folder):
    methods = (folder / "methods.md").read_text()
    assert "24 weight matrices of run" in methods
    assert "spectra scan" in methods
    assert "numpy" in methods
    keys = set(re.findall(r"@misc\{(\w+)", (folder / "references.bib").read_text()))
    assert set(re.findall(r"\[@(\w+)\]", methods)) <= keys


def test_a_folder_that_is_not_empty_is_left_as_it_is(folder, deep_table, spectra):
    before = sorted(folder.rglob("*"))
    result = spectra("study", deep_table, "-o", folder)
    assert (result.code, result.err.count("\n")) == (1, 2)
    assert sorted(folder.rglob("*")) == before


def test_names_from_tables_are_shown_as_they_are(deep_table, tmp_path, spectra):
    table = shutil.copy(deep_table, tmp_path / "a.parquet")
    result = spectra("study", table, "--label", "<b>*x*</b>\x1b[31m", "-o", tmp_path / "out")
    assert result.code == 0
    text = (tmp_path / "out" / "findings.md").read_text()
    assert "\x1b" not in text
    assert "<b>" not in text.replace("\\<", "")
