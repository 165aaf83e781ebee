"""What `spectra export` shows: one line on what was written."""

from __future__ import annotations

from typing import Any

from spectra_cli.errors import printable
from spectra_cli.jobs.export import Exported
from spectra_cli.views.formatting import count


def exported_line(exported: Exported) -> str:
    """Return the line: the file, its size in rows and columns, and what it lacks."""
    sizes = f"{count(exported.rows, 'row')} · {count(len(exported.columns), 'column')}"
    lacks = "" if exported.metadata_kept else " · says nothing of how the numbers were made: keep the table beside it"
    return f"{printable(exported.output, 400)} · {exported.form} · {sizes}{lacks}"


def exported_json(exported: Exported) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    return {"output": str(exported.output), "form": exported.form, "rows": exported.rows, "columns": exported.columns}
