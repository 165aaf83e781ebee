"""Arithmetic and indices written as text, over named whole numbers. Knows nothing of tensors, configs or files.

The text comes from this package's records and from files that users write; it is read by Python's own parser and
walked by hand, so that nothing but sums, differences, products, exact quotients and slices can ever happen.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

from spectra_cli.records import Index

Names = Callable[[str], int]

LONGEST = 200  # characters; no rule needs more, and Python's parser recurses with the length
TOKENS = re.compile(r"(?:[a-z_]+|[0-9]+|[-+*/():,]|[ ])*")
NUMBER_RUNS_INTO_NAME = re.compile(r"[0-9][a-z_]")


class Contradiction(ValueError):
    """A rule does not fit what it is applied to; the caller knows the tensor and names it."""


class UnknownSizeError(Contradiction):
    """No config and no record gives a size."""


def size(text: str, names: Names) -> int:
    """Return the whole number that a text evaluates to. `//` is exact: Contradiction where a remainder is left.

    >>> size("heads + 2*kv_heads", {"heads": 8, "kv_heads": 2}.__getitem__)
    12
    >>> size("hidden//heads", {"hidden": 100, "heads": 8}.__getitem__)
    Traceback (most recent call last):
    ...
    spectra_cli.architectures.expressions.Contradiction: 100 does not divide by 8
    """
    return _number(_parse(text), names)


def index(text: str, names: Names) -> tuple[Index, ...]:
    """Return the index that a text between square brackets means: whole numbers and slices without a stride.

    >>> index(":, 0", {}.__getitem__)
    (slice(None, None, None), 0)
    >>> index("heads:heads+2", {"heads": 8}.__getitem__)
    (slice(8, 10, None),)
    >>> index("", {}.__getitem__)
    ()
    """
    if not text.strip():
        return ()
    node = _parse(f"a[{text}]")
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
        raise Contradiction(f"{text!r} is not an index")
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return tuple(_index(part, names) for part in parts)


def _parse(text: str) -> ast.expr:
    written = text.removeprefix("a[").removesuffix("]")
    if len(text) > LONGEST or not TOKENS.fullmatch(written) or NUMBER_RUNS_INTO_NAME.search(written):
        raise Contradiction(f"{written[:LONGEST]!r} is not an expression of names, numbers, + - * // and :")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as problem:
        raise Contradiction(f"{written!r} is not an expression of names, numbers, + - * // and :") from problem


def _index(node: ast.expr, names: Names) -> Index:
    if not isinstance(node, ast.Slice):
        return _number(node, names)
    if node.step is not None:
        raise Contradiction(f"{ast.unparse(node)}: a slice with a stride; give the view one more dimension instead")
    lower = None if node.lower is None else _number(node.lower, names)
    upper = None if node.upper is None else _number(node.upper, names)
    return slice(lower, upper)


def _number(node: ast.expr, names: Names) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return names(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, names)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv() as op, right=right):
            return OPERATIONS[type(op)](_number(left, names), _number(right, names))
    raise Contradiction(f"{ast.unparse(node)!r} is not a name, a number, or + - * // of them")


def _quotient(dividend: int, divisor: int) -> int:
    if divisor == 0 or dividend % divisor:
        raise Contradiction(f"{dividend} does not divide by {divisor}")
    return dividend // divisor


OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: _quotient,
}
