"""The import order of the house: arrows go one way, and stages never import each other."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "spectra_cli"

# Each rank may use those before it; names within one rank may not use each other.
RANKS = (
    ("columns", "errors", "kept_memory", "records", "trace"),
    ("budget",),
    ("sources", "weights", "architectures", "svd", "metrics", "storage", "engines", "gram"),
    ("measure", "studies", "evaluation", "surgery"),
    ("jobs", "monitor"),
    ("views",),
    ("cli", "figures", "study_findings", "arrow_table"),
)


def unit_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "spectra_cli":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("spectra_cli."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("spectra_cli.")}
    return found


def rank_of(unit: str) -> int:
    return next(i for i, units in enumerate(RANKS) if unit in units)


def test_every_module_has_a_rank():
    units = {unit_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert units == {unit for rank in RANKS for unit in rank}


def test_no_arrow_goes_back_or_sideways():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        unit = unit_of(path)
        if unit in ("__init__", "__main__"):
            continue
        for other in imports_of(path) - {unit, "__version__"}:
            if rank_of(other) >= rank_of(unit):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}")
    assert wrong == []
