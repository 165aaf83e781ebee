"""What the scripts of docs/ hold: they are run by path, as no package holds them."""

import runpy
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs"


def docs_script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / f"{name}.py"))
