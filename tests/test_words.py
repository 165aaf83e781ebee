"""The package speaks plain English and the field's words: names, docstrings and sentences are read for coinages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "spectra_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEXTS = sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".html", ".jinja", ".j2", ".js", ".css"))

# Names that meant something only here, with what to write instead. Matched as whole identifiers, wherever one is bound.
NAMES = {
    "One": "MatrixResult",
    "Side": "OpenCheckpoint",
    "Each": "Executor",
    "AtHand": "LocalFiles",
    "at_hand": "materialize",
    "settle": "resolve_files",
    "Held": "CachedBlob",
    "make_way": "evict",
    "_take_room": "reserve",
    "Span": "ByteRange",
    "Stretch": "FileRange",
    "Fours": "MXFP4Tensor",
    "Scaled": "QuantizedTensor",
    "Joined": "ShardedTensor",
    "bends": "breakpoints",
    "BrokenLine": "PiecewiseLinearFit",
    "Patience": "RetryPolicy",
    "Course": "series or trajectory",
    "course": "series or trajectory",
    "Known": "what it is, such as spectrum_cache",
    "Kept": "what it is, such as carried_over",
    "Said": "what it is, such as message",
    "here": "current",
    "mine": "current",
    "final": "reference",
    "prev": "previous",
    "told": "on_done",
    "say": "on_wait",
    "alone": "exclusive",
    "found": "what it is, such as result",
    "one": "what it is, such as matrix",
    "place": "what it is, such as index",
}

# Words with which a docstring does not open.
OPENINGS = {"Give": "Return", "Say": "Whether, or Return", "Have": "Open, or Return", "Tell": "Report, or Whether"}

PHRASES = {
    "the dearest": "most expensive",
    "talk to standard error": "messages go to standard error",
    "goes on where it was stopped": "resumes",
    "as they lie": "in their own layout",
    "too large for company": "exclusive",
    "while there is hope": "retries with backoff",
    "the mere passing of time": "partly because time passes as well",
}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def bound_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that a module gives to something: classes, functions, arguments, attributes and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def wrong(path: Path, line: int, words: str, instead: str) -> str:
    return f"{path.relative_to(PACKAGE)}:{line}: {words}, write {instead}"


def test_names_are_the_fields():
    names = ((path, line, name) for path in MODULES for line, name in bound_names(parsed(path)))
    coined = [wrong(path, line, name, NAMES[name]) for path, line, name in names if name in NAMES]
    assert not coined, "\n".join(coined)


def test_docstrings_open_with_what_is_returned_or_done():
    openings = ((path, line, text.split(" ")[0]) for path in MODULES for line, text in docstrings(parsed(path)))
    odd = [wrong(path, line, word, OPENINGS[word]) for path, line, word in openings if word in OPENINGS]
    assert not odd, "\n".join(odd)


def test_sentences_have_no_turn_of_our_own():
    texts = {path: re.sub(r"\s*\n\s*#?\s*", " ", path.read_text(encoding="utf-8")).lower() for path in TEXTS}
    turns = [wrong(path, 1, phrase, PHRASES[phrase]) for path in TEXTS for phrase in PHRASES if phrase in texts[path]]
    assert not turns, "\n".join(turns)
