"""Figures: every kind is drawn from a real table into every kind of file, and wrong choices are said in two lines."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from spectra_cli import figures
from spectra_cli.cli.app import app
from spectra_cli.errors import SpectraError
from spectra_cli.storage.schema import SCHEMA
from spectra_cli.storage.table import read_metadata, row_groups, write_table
from spectra_cli.studies.inputs.run_inputs import RunInput
from spectra_cli.studies.inputs.runs import Run, read_run
from spectra_cli.studies.lifecycle import compare_lifecycles
from spectra_cli.studies.stability import compare_tables
from spectra_cli.views.figures.axes import step_scale
from spectra_cli.views.figures.figure import Options
from spectra_cli.views.figures.kinds import KINDS
from spectra_cli.views.figures.plot import Choice, plot, read_runs
from spectra_cli.views.figures.save import specification
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.report.report import report
from tests.support.planted_runs import plant_table

NAMES = [kind.name for kind in KINDS]
OVER_DEPTH = ("wave", "compression", "gradients", "dissociation", "depth", "asymmetry", "timescales", "models")


@pytest.fixture
def losses(tmp_path):
    path = tmp_path / "loss.jsonl"
    path.write_text("\n".join(json.dumps({"step": step, "val_loss": 5 - step / 10}) for step in range(17)))
    return path


@pytest.fixture
def table_of(table_path, deep_table, rank1_table):
    """A table from which a kind can be drawn: those of the Lifecycle study take layers and checkpoints enough."""
    own = {"rank1": rank1_table} | dict.fromkeys(OVER_DEPTH, deep_table)
    return lambda name: own.get(name, table_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_drawn_as_svg_with_its_marks(name, table_of, losses, tmp_path):
    plot([table_of(name)], name, str(tmp_path / "a.svg"), Choice(losses=[str(losses)] if name == "loss" else ()))
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.startswith("<svg")
    assert drawn.count("<path") > 10
    assert len(drawn) < 20_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_drawn_on_a_terminal(name, table_of, losses, spectra):
    result = spectra("plot", table_of(name), "--kind", name, *(["--loss", losses] if name == "loss" else []), "-o", "-")
    assert result.code == 0
    assert "┤" in result.out or set("░▒▓█") <= set(result.out)
    assert "\x1b" not in result.out, "a pipe gets plain text"


def test_a_png_is_a_picture_with_colours(table_path, tmp_path):
    plot([table_path], "roles", str(tmp_path / "a.png"), Choice(metric="alpha"))
    picture = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).convert("RGB")
    assert picture.width > 800
    assert picture.getcolors(maxcolors=1 << 24)[0][1] is not None
    assert len(picture.getcolors(maxcolors=1 << 24)) > 20


def test_a_pdf_is_a_pdf(table_path, tmp_path):
    plot([table_path], "profile", str(tmp_path / "a.pdf"))
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.slow
def test_several_runs_are_drawn_side_by_side(table_of, losses, tmp_path):
    for name in NAMES:
        choice = Choice(labels=("adam", "muon"), losses=[str(losses)] * 2 if name == "loss" else ())
        plot([table_of(name)] * 2, name, str(tmp_path / "a.svg"), choice)
        drawn = (tmp_path / "a.svg").read_text()
        assert "adam" in drawn
        assert "muon" in drawn


def test_the_loss_lies_beneath_the_variation(table_path, losses, tmp_path):
    plot([table_path], "trajectory", str(tmp_path / "a.svg"), Choice(losses=(str(losses),)))
    assert "validation loss" in (tmp_path / "a.svg").read_text()


def test_the_chart_holds_the_means_that_pandas_finds(table_path):
    kind = KINDS[NAMES.index("alignment")]
    spec = specification(kind.draw(read_runs([table_path], kind, Choice()), Options()))
    (drawn,) = spec["datasets"].values()
    numbers = read_run(table_path, ["cos_weights_final"]).numbers
    want = numbers[(numbers["role"] == "q") & (numbers["step"] == 4)]["cos_weights_final"].mean()
    (point,) = [row for row in drawn if (row["role"], row["step"], row["quantity"]) == ("q", 4, "weights")]
    assert point["cosine"] == pytest.approx(want, rel=1e-12)


@pytest.mark.slow
def test_phase_one_is_shaded_up_to_the_onset_that_the_study_finds(tmp_path):
    table = plant_table(tmp_path / "a.parquet")
    onset = compare_tables([table]).runs[0].groups[0].onset
    kind = KINDS[NAMES.index("trajectory")]
    spec = specification(kind.draw(read_runs([table], kind, Choice()), Options()))
    spans = [row for data in spec["datasets"].values() for row in data if "end" in row]
    assert sorted(span["end"] for span in spans) == [onset.step, onset.interval[1]]
    assert min(span["step"] for span in spans) <= 2
    assert f"the onset at step {onset.step:,.0f}" in json.dumps(spec)


def drawn(name, table, **choice):
    kind = KINDS[NAMES.index(name)]
    chosen = Choice(**choice)
    return specification(kind.draw(read_runs([table], kind, chosen), Options(metric=chosen.metric or kind.metric)))


def test_the_front_of_a_wave_is_the_line_through_its_arrivals(deep_table):
    spec = drawn("wave", deep_table)
    wave = compare_lifecycles([deep_table], None, "alpha").runs[0].wave
    data = list(spec["datasets"].values())
    (halves,) = [values for values in data if set(values[0]) == {"layer", "step"} and len(values) == 6]
    assert [row["step"] for row in halves] == pytest.approx(list(wave.half_steps))
    (front,) = [values for values in data if set(values[0]) == {"layer", "step"} and len(values) > 6]
    for row in front:
        assert row["layer"] == pytest.approx(wave.start + wave.velocity * row["step"])
    assert "as a wave" in json.dumps(spec)


def test_the_shares_drawn_beside_walks_are_those_that_were_found(rank1_table):
    shares = [row for data in drawn("rank1", rank1_table)["datasets"].values() for row in data if "share" in row]
    numbers = read_run(rank1_table, ["rank1_merged_share_1", "rank1_merged_walk_high"]).numbers
    for group, line in numbers[numbers["rank1_merged_share_1"].notna()].set_index("matrix").iterrows():
        own, walk = (
            [row for row in shares if (row["group"], row["sequence"], row["series"]) == (group, "means of 2", series)][
                0
            ]
            for series in ("the run", "a walk")
        )
        assert own["share"] == line["rank1_merged_share_1"]
        assert walk["high"] == line["rank1_merged_walk_high"]


def test_a_table_of_a_scan_has_no_figure_of_rank_1_and_the_command_that_has_one_is_named(table_path, spectra, tmp_path):
    result = spectra("plot", table_path, "--kind", "rank1", "-o", tmp_path / "a.png")
    assert (result.code, result.err.count("\n")) == (1, 2)
    assert "`spectra rank1 SOURCE -o FILE`" in result.err


def test_where_there_is_no_wave_no_front_is_drawn(deep_table, tmp_path):
    places = pa.array([0, 5, 2, 3, 4, 1], pa.int32())  # of the layers: no order in depth
    column = SCHEMA.names.index("layer")
    groups = (
        group.set_column(column, "layer", pc.take(places, group["layer"].combine_chunks()))
        for group in row_groups(deep_table)
    )
    table = tmp_path / "a.parquet"
    write_table(table, groups, read_metadata(deep_table))
    spec = drawn("wave", table)
    assert "No wave" in json.dumps(spec)
    assert not [data for data in spec["datasets"].values() if set(data[0]) == {"layer", "step"} and len(data) > 6]


def test_a_thousand_checkpoints_are_thinned_to_what_a_picture_can_show():
    steps = np.arange(1000)
    lines = [
        {
            "model": "m", "revision": f"step{step}", "stage": None, "step": step, "tokens": None, "role": "q",
            "matrix": f"layers.{layer}.q", "layer": layer, "order": step, "rows": 8, "cols": 8,
            "stable_rank": 8 - 4 * step / (step + 50 + layer),
        }
        for step in steps for layer in range(5)
    ]  # fmt: skip
    run = StudiedRun(RunInput(Path("long.parquet"), Run("long", pd.DataFrame(lines), {})))
    spec = specification(KINDS[NAMES.index("wave")].draw([run], Options()))
    cells = max(spec["datasets"].values(), key=len)
    assert len(cells) <= 5 * 240
    assert {row["at"] for row in cells} >= {0, 999}


def test_the_exponent_drawn_over_depth_is_the_one_chosen(deep_table):
    spec = drawn("depth", deep_table, metric="alpha_hill")
    numbers = read_run(deep_table, ["alpha_hill"]).numbers
    at = numbers[(numbers["layer"] == 2) & (numbers["step"] == 1200)]
    want = [at["alpha_hill"].mean(), at[at["role"] == "q"]["alpha_hill"].mean()]
    points = [values for values in spec["datasets"].values() if "layer" in values[0]]
    drawn_at = [row["value"] for values in points for row in values if row["layer"] == 2]
    assert sorted(drawn_at) == pytest.approx(sorted(want), rel=1e-12)


def test_lines_of_layers_and_the_map_of_roles_hold_the_means_that_pandas_finds(table_path):
    numbers = read_run(table_path, ["alpha"]).numbers
    at = (numbers["layer"] == 1) & (numbers["role"] == "v")
    for name, steps in (("layers", numbers["step"].unique()), ("snapshot", [numbers["step"].max()])):
        (rows,) = drawn(name, table_path, metric="alpha")["datasets"].values()
        found = {row["step"]: row["value"] for row in rows if (row["layer"], row["role"]) == (1, "v")}
        want = {step: numbers[at & (numbers["step"] == step)]["alpha"].mean() for step in steps}
        assert found == pytest.approx(want, rel=1e-12)


def test_a_metric_stands_at_the_loss_that_was_logged_at_its_step(table_path, losses):
    (rows,) = drawn("loss", table_path, losses=[str(losses)])["datasets"].values()
    numbers = read_run(table_path, ["alpha"]).numbers
    for row in rows:
        at = numbers[(numbers["step"] == row["step"]) & (numbers["role"] == row["role"])]
        assert (row["loss"], row["value"]) == pytest.approx((5 - row["step"] / 10, at["alpha"].mean()))


def test_a_metric_against_the_loss_takes_a_log(table_path, spectra, tmp_path):
    result = spectra("plot", table_path, "--kind", "loss", "-o", tmp_path / "a.png")
    assert (result.code, result.err.count("\n")) == (2, 2)
    assert "--loss FILE" in result.err


def test_the_extremes_and_the_velocity_of_a_model_are_those_of_the_study(deep_table):
    study = compare_lifecycles([deep_table], None, "alpha").runs[0]
    data = drawn("models", deep_table)["datasets"].values()
    (extremes,) = [rows for rows in data if "end" in rows[0]]
    (waves,) = [rows for rows in data if "velocity" in rows[0]]
    values = study.alpha_gradient.values[:, -1]
    assert {row["end"]: row["value"] for row in extremes} == {"largest": values.max(), "smallest": values.min()}
    assert [(row["layers"], row["velocity"]) for row in waves] == [(6, study.wave.velocity)]


def svg_size(path):
    width, height = re.search(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"', path.read_text()).groups()
    return float(width), float(height)


@pytest.mark.slow
def test_a_figure_is_as_large_as_was_asked_for(table_path, spectra, tmp_path):
    given = ("--kind", "trajectory", "--width", 500, "--height", 520)
    assert spectra("plot", table_path, *given, "-o", tmp_path / "a.svg").code == 0
    assert svg_size(tmp_path / "a.svg") == pytest.approx((500, 520), abs=1.5)


@pytest.mark.slow
def test_a_column_of_a_paper_has_its_width_and_letters_in_inches_of_a_png(table_path, spectra, tmp_path):
    given = ("--kind", "roles", "--column", "single", "--theme", "paper")
    assert spectra("plot", table_path, *given, "-o", tmp_path / "a.svg").code == 0
    assert svg_size(tmp_path / "a.svg")[0] == pytest.approx(3.25 * 72, abs=1.5)
    assert set(re.findall(r'font-size="([\d.]+)px"', (tmp_path / "a.svg").read_text())) <= {"8", "10"}
    assert spectra("plot", table_path, *given, "--dpi", 300, "-o", tmp_path / "a.png").code == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == pytest.approx(3.25 * 300, abs=8)


def test_a_title_is_the_user_s_or_none_and_the_caption_says_what_it_said(table_path, spectra, tmp_path):
    drawing = ("plot", table_path, "--kind", "trajectory", "-o", tmp_path / "a.svg")
    assert spectra(*drawing, "--title", "Two runs of ours").code == 0
    assert "Two runs of ours" in (tmp_path / "a.svg").read_text()
    assert spectra(*drawing, "--no-title", "--caption", tmp_path / "a.txt").code == 0
    said = (tmp_path / "a.txt").read_text()
    assert "dashed: the peak" in said
    assert "dashed: the peak" not in (tmp_path / "a.svg").read_text()
    assert said.endswith("Runs: small.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--width", "20"], "from 150 to 10000"),
        (["--column", "triple"], "single or double"),
        (["--theme", "dark"], "screen or paper"),
        (["--width", "200", "--font-size", "40"], "has no room for this figure"),
    ],
)
def test_a_look_that_cannot_be_is_said_in_two_lines(arguments, says, table_path, spectra, tmp_path):
    result = spectra("plot", table_path, "--kind", "roles", *arguments, "-o", tmp_path / "a.svg")
    assert (result.code, result.err.count("\n")) == (2, 2)
    assert says in result.err
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.slow
def test_a_notebook_gets_a_chart_of_every_kind_that_it_can_change(table_of, losses, tmp_path):
    for name in NAMES:
        draw = getattr(figures, name)
        assert draw.__doc__.startswith(KINDS[NAMES.index(name)].shows)
        chart = draw(table_of(name), **({"losses": [str(losses)]} if name == "loss" else {}))
        assert "vega-lite" in chart.properties(title="ours").to_dict()["$schema"]
    figures.roles([table_of("roles")], metric="alpha", roles=["q"]).save(tmp_path / "a.html")
    assert "stable_rank" not in (tmp_path / "a.html").read_text()
    with pytest.raises(AttributeError, match="they are trajectory, alignment"):
        _ = figures.trajectories


def test_a_run_without_depth_is_refused_in_two_lines(table_path, spectra, tmp_path):
    result = spectra("plot", table_path, "--kind", "wave", "-o", tmp_path / "a.png")
    assert (result.code, result.err.count("\n")) == (1, 2)
    assert "too few for a course over depth" in result.err
    assert not (tmp_path / "a.png").exists()


def test_step_0_has_a_place_on_an_axis_that_says_how_it_is_spaced():
    with_zero, without = step_scale([0, 1, 600]), step_scale([1, 600])
    assert with_zero["scale"]["type"] == "symlog"
    assert with_zero["axis"]["values"][0] == 0
    assert "log(1 + step)" in with_zero["title"]
    assert without["scale"]["type"] == "log"


def test_a_hostile_label_stays_text(table_path, tmp_path):
    label = "</script><script>alert(1)</script>\x1b[31m"
    for suffix in ("svg", "html"):
        plot([table_path], "alignment", str(tmp_path / f"a.{suffix}"), Choice(labels=(label,)))
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
        (["--kind", "timescales", "-o", "a.png", "--metric", "entropy"], "no exponent that this study reads"),
        (["--kind", "roles", "-o", "a.png", "--roles", "router"], "its roles are"),
        (["--kind", "roles", "-o", "a.png", "--match", "("], "no expression"),
        (["--kind", "profile", "-o", "a.png", "--steps", "x"], "0,100,600"),
        (["--kind", "roles", "-o", "a.png", "--label", "a,b"], "a name for each table"),
        (["--kind", "roles", "-o", "nowhere/a.png"], "cannot be written"),
    ],
)
def test_a_wrong_choice_is_said_in_two_lines(arguments, says, table_path, spectra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = spectra("plot", table_path, *arguments)
    assert result.code in (1, 2)
    assert says in result.err
    assert result.err.count("\n") == 2


def test_a_table_without_the_number_is_named(kept_run, tmp_path, spectra):
    spectra("scan", kept_run, "-o", tmp_path / "a.parquet", "--metrics", "alpha", "-q")
    result = spectra("plot", tmp_path / "a.parquet", "--kind", "alignment", "-o", tmp_path / "a.png")
    assert result.code == 1
    assert "a.parquet holds no" in result.err


def test_the_help_names_every_kind_and_imports_nothing_heavy():
    assert app
    heavy = "altair pandas pyarrow torch transformers"
    code = (
        "import sys; from spectra_cli.cli.app import main; main(['plot', '--help']);"
        "main(['plot', 'x', '--kind', 'y', '-o', 'z.png']);"
        f"sys.exit(bool(set('{heavy}'.split()) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    shown = " ".join(result.stdout.split())
    assert all(name in shown for name in NAMES)


def test_the_paths_of_layers_are_the_study_s_compression_and_exponent(deep_table):
    study = compare_lifecycles([deep_table], None, "alpha").runs[0]
    (paths,) = [rows for rows in drawn("dissociation", deep_table)["datasets"].values() if "compression" in rows[0]]
    for row in paths:
        at = row["layer"], study.steps.tolist().index(row["step"])
        assert row["compression"] == pytest.approx(study.compressed[at])
        assert row["value"] == pytest.approx(study.alpha_gradient.values[at])


def test_compression_is_drawn_by_kind_of_matrix(deep_table):
    study = compare_lifecycles([deep_table], None, "alpha").runs[0]
    (rows,) = drawn("compression", deep_table)["datasets"].values()
    for role, values in study.by_role.items():
        assert [row["value"] for row in rows if row["role"] == role] == pytest.approx(values.tolist())


def test_a_place_that_no_file_may_take_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "a.html").mkdir()
    for write in (report, lambda tables, output: plot(tables, "trajectory", output)):
        with pytest.raises(SpectraError, match=r"a\.html is a folder"):
            write([tmp_path / "none.parquet"], str(tmp_path / "a.html"))
