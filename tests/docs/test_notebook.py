"""The notebook runs from a clean kernel, in an empty folder, and shows what it says it shows."""

import json

import pytest

from tests.support.pasted import ROOT, with_spectra

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_scan.ipynb"


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra docs is not installed")
    import nbformat

    for name, value in with_spectra(tmp_path).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", ())]
    said = "".join(output.get("text", "") for output in outputs)
    assert sum("vegaEmbed" in page for page in pages) == 3
    assert "Phase" in said
    assert "merged · 4 checkpoints" in said
