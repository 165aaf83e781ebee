"""What a scan and findings show of themselves in Python: one short line, a tree in rich, a table in a notebook."""

import ast
import re

import pytest
from rich.pretty import pretty_repr

from spectra_cli.jobs.diff import diff_checkpoints
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.lifecycle import compare_lifecycles
from spectra_cli.studies.scaling import scaling
from spectra_cli.studies.stability import compare_tables
from tests.support import golden_run


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return [
        golden_run.plant_table(folder / f"{name}.parquet", layers) for name, layers in (("a", 4), ("b", 5), ("c", 6))
    ]


@pytest.fixture(scope="module")
def shown(planted, kept_run, tmp_path_factory):
    """One of each."""
    courses, studied = (
        compare_lifecycles(planted[:1], ["<b>a</b>"], "alpha"),
        compare_tables(planted[:1], (), None, ["a"]),
    )
    return {
        "Scan": scan_checkpoints(kept_run, tmp_path_factory.mktemp("scan") / "a.parquet"),
        "Diff": diff_checkpoints(kept_run / "step0", kept_run / "step16"),
        "RunStability": studied.runs[0],
        "RunComparison": studied,
        "Lifecycle": courses.runs[0],
        "LifecycleComparison": courses,
        "Scaling": scaling(planted, None, "alpha"),
    }


KINDS = ("Scan", "Diff", "RunStability", "RunComparison", "Lifecycle", "LifecycleComparison", "Scaling")


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_line_names_the_kind_and_its_facts(shown, kind):
    line = repr(shown[kind])
    assert "\n" not in line
    assert len(line) < 400
    call = ast.parse(line, mode="eval").body
    assert isinstance(call, ast.Call)
    assert ast.unparse(call.func) == kind
    assert {word.arg: ast.literal_eval(word.value) for word in call.keywords} == shown[kind].summary()


@pytest.mark.parametrize("kind", KINDS)
def test_rich_and_a_notebook_show_the_same_facts(shown, kind):
    facts = shown[kind].summary()
    page = shown[kind]._repr_html_()
    assert re.findall(r"<th>(.*?)</th>", page) == list(facts)
    assert [name for name in facts if f"{name}=" not in pretty_repr(shown[kind])] == []


def test_a_label_cannot_act_on_the_page(shown):
    assert "&lt;b&gt;a&lt;/b&gt;" in shown["Lifecycle"]._repr_html_()
    assert "<b>" not in shown["Lifecycle"]._repr_html_()


def test_the_facts_are_those_that_were_found(shown):
    run = shown["RunStability"]
    assert run.summary()["peak"] == run.groups[0].peak.step
    assert run.summary()["onset"] == round(run.groups[0].onset.step)
    assert shown["Scan"].summary()["checkpoints"] == 6
