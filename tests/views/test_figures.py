"""Figures: every kind is drawn from a real table into every kind of file, and wrong choices are said in two lines."""

import io
import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from spectra_cli.cli import app
from spectra_cli.studies.runs import read_run
from spectra_cli.studies.stability_compare import compare_tables
from spectra_cli.views.figures import KINDS, Choice, plot, read_runs
from spectra_cli.views.figures_records import Options
from spectra_cli.views.figures_save import specification
from spectra_cli.views.figures_style import step_scale
from tests.test_stability_command import write_planted

NAMES = [kind.name for kind in KINDS]


@pytest.fixture
def losses(tmp_path):
    path = tmp_path / "loss.jsonl"
    path.write_text("\n".join(json.dumps({"step": step, "val_loss": 5 - step / 10}) for step in range(17)))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_drawn_as_svg_with_its_marks(name, table_path, tmp_path):
    plot([table_path], name, str(tmp_path / "a.svg"))
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.startswith("<svg")
    assert drawn.count("<path") > 10
    assert len(drawn) < 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_drawn_on_a_terminal(name, table_path, spectra):
    said = spectra("plot", table_path, "--kind", name, "-o", "-")
    assert said.code == 0
    assert "┤" in said.out
    assert "\x1b" not in said.out, "a pipe gets plain text"


def test_a_png_is_a_picture_with_colours(table_path, tmp_path):
    plot([table_path], "roles", str(tmp_path / "a.png"), Choice(metric="alpha"))
    picture = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).convert("RGB")
    assert picture.width > 800
    assert picture.getcolors(maxcolors=1 << 24)[0][1] is not None
    assert len(picture.getcolors(maxcolors=1 << 24)) > 20


def test_a_pdf_is_a_pdf(table_path, tmp_path):
    plot([table_path], "profile", str(tmp_path / "a.pdf"))
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


def test_several_runs_are_drawn_side_by_side(table_path, tmp_path):
    for name in NAMES:
        plot([table_path, table_path], name, str(tmp_path / "a.svg"), Choice(labels="adam,muon"))
        drawn = (tmp_path / "a.svg").read_text()
        assert "adam" in drawn
        assert "muon" in drawn


def test_the_loss_lies_beneath_the_variation(table_path, losses, tmp_path):
    plot([table_path], "trajectory", str(tmp_path / "a.svg"), Choice(losses=(str(losses),)))
    assert "validation loss" in (tmp_path / "a.svg").read_text()


def test_the_chart_holds_the_means_that_pandas_finds(table_path):
    kind = KINDS[NAMES.index("alignment")]
    runs = read_runs([table_path], kind, Choice())
    spec = specification(kind.draw(runs, Options()))
    (drawn,) = spec["datasets"].values()
    numbers = read_run(table_path, ["cos_weights_final"]).numbers
    want = numbers[(numbers["role"] == "q") & (numbers["step"] == 4)]["cos_weights_final"].mean()
    (point,) = [one for one in drawn if (one["role"], one["step"], one["quantity"]) == ("q", 4, "weights")]
    assert point["cosine"] == pytest.approx(want, rel=1e-12)


def test_phase_one_is_shaded_up_to_the_onset_that_the_study_finds(tmp_path):
    table = write_planted(tmp_path / "a.parquet")
    onset = compare_tables([table]).runs[0].groups[0].onset
    kind = KINDS[NAMES.index("trajectory")]
    spec = specification(kind.draw(read_runs([table], kind, Choice()), Options()))
    spans = [one for data in spec["datasets"].values() for one in data if "end" in one]
    assert sorted(span["end"] for span in spans) == [onset.step, onset.interval[1]]
    assert min(span["step"] for span in spans) <= 2
    assert f"the onset at step {onset.step:,.0f}" in json.dumps(spec)


def test_step_0_has_a_place_on_an_axis_that_says_how_it_is_spaced():
    with_zero, without = step_scale([0, 1, 600]), step_scale([1, 600])
    assert with_zero["scale"]["type"] == "symlog"
    assert with_zero["axis"]["values"][0] == 0
    assert "log(1 + step)" in with_zero["title"]
    assert without["scale"]["type"] == "log"


def test_a_hostile_label_stays_text(table_path, tmp_path):
    label = "</script><script>alert(1)</script>\x1b[31m"
    for suffix in ("svg", "html"):
        plot([table_path], "alignment", str(tmp_path / f"a.{suffix}"), Choice(labels=label))
        drawn = (tmp_path / f"a.{suffix}").read_text()
        assert "<script>alert" not in drawn
        assert "\x1b" not in drawn


def test_html_needs_no_network(table_path, tmp_path):
    plot([table_path], "heatmap", str(tmp_path / "a.html"))
    page = (tmp_path / "a.html").read_text()
    assert "default-src 'none'" in page
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", markup)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kind", "trajectories", "-o", "a.png"], "did you mean trajectory"),
        (["--kind", "roles", "-o", "a.gif"], ".png, .svg, .html, .pdf"),
        (["--kind", "roles", "-o", "a.png", "--metric", "alfa"], "alpha"),
        (["--kind", "alignment", "-o", "a.png", "--metric", "alpha"], "no choice of --metric"),
        (["--kind", "spectrum", "-o", "a.png", "--metric", "alpha"], "sigma"),
        (["--kind", "roles", "-o", "a.png", "--roles", "router"], "its roles are"),
        (["--kind", "roles", "-o", "a.png", "--match", "("], "no expression"),
        (["--kind", "profile", "-o", "a.png", "--steps", "x"], "0,100,600"),
        (["--kind", "roles", "-o", "a.png", "--label", "a,b"], "one different name"),
        (["--kind", "roles", "-o", "nowhere/a.png"], "cannot be written"),
    ],
)
def test_a_wrong_choice_is_said_in_two_lines(arguments, says, table_path, spectra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = spectra("plot", table_path, *arguments)
    assert said.code in (1, 2)
    assert says in said.err
    assert said.err.count("\n") == 2


def test_a_table_without_the_number_is_named(kept_run, tmp_path, spectra):
    spectra("scan", kept_run, "-o", tmp_path / "a.parquet", "--metrics", "alpha", "-q")
    said = spectra("plot", tmp_path / "a.parquet", "--kind", "alignment", "-o", tmp_path / "a.png")
    assert said.code == 1
    assert "a.parquet holds no" in said.err


def test_the_help_names_every_kind_and_imports_nothing_heavy():
    assert app
    heavy = "altair pandas pyarrow torch transformers"
    code = (
        "import sys; from spectra_cli.cli import main; main(['plot', '--help']);"
        "main(['plot', 'x', '--kind', 'y', '-o', 'z.png']);"
        f"sys.exit(bool(set('{heavy}'.split()) & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0
    shown = " ".join(said.stdout.split())
    assert all(name in shown for name in NAMES)
