"""The commands of pages that say how to work as pasted, beside a run where the demo would have left its own."""

import json
import subprocess

import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support.pasted import ROOT, with_spectra
from tests.support.planted_runs import plant_wave
from tests.test_docs import blocks

PAGES = ("costs", "own_architecture", "phases", "resume", "waves")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("how to")
    run = plant_wave(folder / "spectra-demo" / "run")
    log = [json.dumps({"step": step, "val_loss": 5 - step / 1000, "lr": 1e-3}) for step in range(0, 1001, 10)]
    (run / "loss.jsonl").write_text("\n".join(log), encoding="utf-8")
    scan_checkpoints(run, folder / "spectra-demo" / "demo.parquet")
    return folder, with_spectra(folder)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_works_as_pasted(page, place):
    code = "".join(blocks("sh", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
    assert code
    folder, environment = place
    script = ["bash", "-c", f"set -euo pipefail\n{code}"]
    said = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
