"""The shape of the house: small files and functions, rooms that their folders name, no two modules of one name."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PACKAGE = Path(__file__).parents[1] / "spectra_cli"
FILE_LINES = 300
FUNCTION_LINES = 40
TOP_LEVEL = {
    "__init__.py", "__main__.py", "arrow_table.py", "budget.py", "columns.py", "errors.py", "figures.py",
    "kept_memory.py", "py.typed", "records.py", "study_findings.py", "trace.py",
}  # fmt: skip

# Rooms that look at one subject each in their own way: jobs/diff.py, views/console/diff.py and cli/diff.py are one.
MIRRORS = (
    "jobs", "studies/lifecycle", "studies/rank1", "studies/stability", "studies",
    "views/console", "views/figures", "views/sentences", "views/report", "cli",
)  # fmt: skip

# Other modules that may share a name, with the reason.
SAME_NAME = (
    (("measure/trajectory.py", "views/figures/trajectory.py"), "a run's checkpoints in order, and the figure of them"),
)


def modules() -> dict[PurePosixPath, str]:
    """Every module of the package by its path below it, with its text."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {PurePosixPath(path.relative_to(PACKAGE).as_posix()): path.read_text(encoding="utf-8") for path in paths}


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(text))
    return (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without those of the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    docstring = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (docstring.end_lineno or 0) - docstring.lineno + 1
    return lines


def test_no_file_is_too_long_to_be_read_at_once():
    lengths = {str(path): text.count("\n") for path, text in modules().items()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_too_long_for_one_screen():
    lengths = {
        f"{path}: {function.name}": code_lines(function)
        for path, text in modules().items()
        for function in functions(text)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


def below_mirror(path: str) -> str | None:
    """The path below the mirroring room that a module is in; None where it is in no such room."""
    return next((path.removeprefix(f"{room}/") for room in MIRRORS if path.startswith(f"{room}/")), None)


def test_no_two_modules_of_one_name_mean_different_things():
    by_name = defaultdict(list)
    for path in modules():
        if path.name != "__init__.py":
            by_name[path.name].append(str(path))
    allowed = [paths for paths, _ in SAME_NAME]
    shared = [
        paths
        for name, paths in by_name.items()
        if len(paths) > 1 and tuple(paths) not in allowed and {below_mirror(path) for path in paths} != {name}
    ]
    assert shared == []


def test_a_prefix_that_three_files_share_is_a_folder():
    prefixes = Counter(f"{path.parent}/{path.stem.split('_')[0]}_" for path in modules() if "_" in path.stem.strip("_"))
    assert {prefix: count for prefix, count in prefixes.items() if count >= 3} == {}


def test_the_top_level_is_a_few_modules_and_the_rooms():
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} <= TOP_LEVEL
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room.name for room in rooms if not (room / "__init__.py").exists()] == []


def test_the_front_of_svd_defines_nothing():
    tree = ast.parse((PACKAGE / "svd" / "__init__.py").read_text(encoding="utf-8"))
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)] == []
