"""`spectra verify`: a sound table passes, every kind of change is found, and numbers come out again."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.diff import diff_checkpoints
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.jobs.verify import verify_table
from spectra_cli.storage.table import METADATA_KEY, read_metadata, row_groups, write_table
from tests.support import runs


def findings(path, **options):
    return [one.message for one in verify_table(path, **options).findings]


def rewritten(path, target, change=lambda part: part, **facts):
    """Write a table anew with changed rows: its checksums fit, so that only what the numbers say can be wrong."""
    write_table(target, [change(part) for part in row_groups(path)], {**read_metadata(path), **facts})
    return target


def with_value(part, metric, value, revision="step4"):
    """Set a metric of a checkpoint's first matrix."""
    row = pc.and_(pc.equal(part["metric"].cast("string"), metric), pc.equal(part["revision"].cast("string"), revision))
    at = row.to_pylist().index(True) if any(row.to_pylist()) else None
    values = [value if place == at else one for place, one in enumerate(part["value"].to_pylist())]
    return part.set_column(part.schema.get_field_index("value"), part.schema.field("value"), pa.array(values, "double"))


def test_a_table_that_scan_wrote_is_sound(spectra, table_path):
    said = spectra("verify", table_path)
    assert (said.code, said.err) == (0, "")
    assert "6 checkpoints · 84 matrices" in said.out
    assert "hold" in said.out


def test_a_table_that_diff_wrote_is_sound(kept_run, tmp_path):
    diff_checkpoints(kept_run / "step4", kept_run / "step16", tmp_path / "d.parquet")
    assert findings(tmp_path / "d.parquet") == []
    with pytest.raises(SpectraError, match="compares two sources"):
        verify_table(tmp_path / "d.parquet", sample=1)


def test_a_table_of_unreadable_checkpoints_and_nan_is_sound(run, tmp_path):
    runs.edit(run / "step2", embed_out__weight=torch.full((4, 4), float("nan")))
    (run / "step4" / "model.safetensors").write_bytes(b"")
    scan_checkpoints(run, tmp_path / "a.parquet")
    assert findings(tmp_path / "a.parquet", sample=70) == []


def test_one_checkpoint_with_every_metric_is_sound(kept_run, tmp_path):
    scan_checkpoints(kept_run / "step4", tmp_path / "a.parquet", metrics=["all"], vectors=2)
    assert findings(tmp_path / "a.parquet", sample=14) == []


def test_numbers_come_out_again_to_the_last_bit(table_path):
    found = verify_table(table_path, sample=12, seed=3)
    assert len(found.recomputed) == 12
    assert {one.largest for one in found.recomputed} == {0.0}
    assert len({one.revision for one in found.recomputed}) > 2


def test_the_seed_draws_the_sample(table_path):
    drawn = [
        [(one.revision, one.matrix) for one in verify_table(table_path, sample=3, seed=seed).recomputed]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.slow
def test_another_checkpoint_in_its_place_is_found(spectra, run, tmp_path):
    scan_checkpoints(run, tmp_path / "a.parquet")
    runs.edit(
        run / "step4", **{name: tensor * 1.001 for name, tensor in runs.neox_tensors(1).items() if tensor.ndim == 2}
    )
    said = spectra("verify", tmp_path / "a.parquet", "--sample", "84")
    assert said.code == 1
    assert "step4: embed: " in said.err
    assert "comes out otherwise" in said.err


def test_nothing_is_fetched_on_a_tables_word_alone(spectra, table_path, tmp_path):
    groups = [group.replace_schema_metadata() for group in row_groups(table_path)]
    write_table(tmp_path / "a.parquet", groups, read_metadata(table_path) | {"source": "hf:own/run other"})
    said = spectra("verify", tmp_path / "a.parquet", "--sample", "1")
    assert said.code == 1
    assert "give --source 'hf:own/run other'" in said.err


@pytest.mark.slow
def test_a_source_that_moved_is_given_anew(run, tmp_path):
    scan_checkpoints(run, tmp_path / "a.parquet")
    run.rename(tmp_path / "moved")
    with pytest.raises(SpectraError, match="is not there"):
        verify_table(tmp_path / "a.parquet", sample=1)
    assert findings(tmp_path / "a.parquet", sample=2, source=str(tmp_path / "moved")) == []
    shutil.rmtree(tmp_path / "moved" / "step4")
    with pytest.raises(SpectraError, match="step4 is not in"):
        verify_table(tmp_path / "a.parquet", sample=84, source=str(tmp_path / "moved"))


@pytest.mark.parametrize(
    ("metric", "value"),
    [("stable_rank", 0.5), ("sd_variation_final", 1.5), ("entropy", 5.0), ("nuclear_norm", -1.0), ("alpha_r2", 1.5)],
)
def test_a_number_out_of_its_range_is_named(table_path, tmp_path, metric, value):
    path = rewritten(table_path, tmp_path / "a.parquet", lambda part: with_value(part, metric, value))
    (found,) = findings(path)
    assert found.startswith(f"step4: {metric} of embed is {value:g}")


@pytest.mark.parametrize(
    ("metric", "value", "says"),
    [
        ("sd_variation_prev", 1.2, "sd_variation_prev of embed exceeds stability_bound_prev"),
        ("cos_spectrum_final", 1e-3, "cos_weights_final of embed exceeds cos_spectrum_final"),
    ],
)
def test_a_broken_inequality_is_named(table_path, tmp_path, metric, value, says):
    path = rewritten(table_path, tmp_path / "a.parquet", lambda part: with_value(part, metric, value))
    assert findings(path) == [f"step4: {says}"]


def test_a_distribution_that_is_none_is_named(table_path, tmp_path):
    def swell(part):
        vectors = [one and [2 * x for x in one] for one in part["vector"].to_pylist()]
        return part.set_column(14, part.schema.field("vector"), pa.array(vectors, part.schema.field("vector").type))

    found = findings(rewritten(table_path, tmp_path / "a.parquet", swell))
    assert found[0].startswith("step0: sd of embed is no distribution of 16 values")


def test_lost_checkpoints_and_matrices_are_named(table_path, tmp_path):
    kept = [part for part in row_groups(table_path) if part["step"][0].as_py() != 8]
    write_table(tmp_path / "a.parquet", kept, read_metadata(table_path))
    assert "step8 should have 14 matrices, and has none" in findings(tmp_path / "a.parquet")
    fewer = rewritten(
        table_path,
        tmp_path / "b.parquet",
        lambda part: part.filter(pc.not_equal(part["matrix"].cast("string"), "embed")),
    )
    assert "step8 should have 14 matrices, and has 13" in findings(fewer)


def test_a_changed_row_does_not_match_its_checksum(table_path, tmp_path):
    """As another program would write it: everything kept but one digit."""
    whole = pq.read_table(table_path, partitioning=None)
    values = whole["value"].to_pylist()
    values[100] = np.nextafter(values[100], 9)
    changed = whole.set_column(13, "value", pa.array(values, "double"))
    changed = changed.replace_schema_metadata(pq.read_metadata(table_path).metadata)
    pq.write_table(changed, tmp_path / "a.parquet", row_group_size=whole.num_rows // 6)
    assert any("do not match their checksum" in one for one in findings(tmp_path / "a.parquet"))


def test_what_pandas_wrote_anew_is_unknown_and_no_more(table_path, tmp_path):
    """It loses the metadata and the row groups; the numbers are checked all the same, checkpoint by checkpoint."""
    frame = pd.read_parquet(table_path)
    frame.to_parquet(tmp_path / "anew.parquet")
    verified = verify_table(tmp_path / "anew.parquet")
    assert [finding.message for finding in verified.findings] == [
        "the table says nothing of how it was made: another program wrote it"
    ]
    assert verified.checkpoints == frame["revision"].nunique()
    frame.loc[frame["metric"] == "stable_rank", "value"] = 0.5
    frame.to_parquet(tmp_path / "wrong.parquet")
    assert len(verify_table(tmp_path / "wrong.parquet").findings) == 1 + verified.checkpoints


def test_changed_metadata_do_not_match_their_checksum(table_path, tmp_path):
    facts = read_metadata(table_path)
    text = json.dumps({**facts, "model": "another"}, sort_keys=True)
    with pq.ParquetWriter(tmp_path / "a.parquet", pq.read_schema(table_path).remove_metadata()) as writer:
        for part in row_groups(table_path):
            writer.write_table(part, row_group_size=part.num_rows)
        writer.add_key_value_metadata({METADATA_KEY.decode(): text})
    assert findings(tmp_path / "a.parquet") == ["the metadata do not match their checksum"]


# Reads every damaged copy in one process, which must live to the end: a reader that crashes is a finding too.
FLIP = """
import random, sys
from pathlib import Path
from spectra_cli.errors import SpectraError
from spectra_cli.storage.table import read_metadata, row_groups, rows_digest
from spectra_cli.jobs.verify import verify_table
path, target, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
whole, chance, missed = path.read_bytes(), random.Random(1), 0
content = [rows_digest(part) for part in row_groups(path)], read_metadata(path)
for _ in range(rounds):
    data = bytearray(whole)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    target.write_bytes(data)
    try:
        sound = not verify_table(target).findings
    except SpectraError:
        continue
    if sound:
        missed += ([rows_digest(part) for part in row_groups(target)], read_metadata(target)) != content
print(missed)
"""


@pytest.mark.slow
def test_every_flipped_bit_is_found_unless_it_changes_nothing(table_path, tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", FLIP, table_path, tmp_path / "a.parquet", "60"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr, said.stdout) == (0, "", "0\n")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_table_that_is_cut_short_is_no_table(spectra, table_path, tmp_path, share):
    data = table_path.read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[: int(share * len(data))])
    said = spectra("verify", tmp_path / "a.parquet")
    assert said.code == 1
    assert "is not a Parquet file" in said.err
    assert len(said.err.splitlines()) == 2


def test_json_gives_findings_and_what_was_computed_again(spectra, table_path):
    said = spectra("verify", table_path, "--sample", "2", "--json")
    facts = json.loads(said.out)
    assert facts["findings"] == []
    assert len(facts["recomputed"]) == 2
