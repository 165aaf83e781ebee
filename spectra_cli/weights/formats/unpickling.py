"""Reads a pickle as plain data: nothing it names is imported, called or rebuild. Knows neither files nor torch.

`torch.load(weights_only=True)` runs a list of torch's own functions with arguments of the file's choosing, refuses the
`Namespace` in every Megatron checkpoint, and offers no bound on memory. Here the standard library's `pickletools`
splits the pickle into its instructions, and this module does what they mean on data alone: a tensor becomes a
`TensorView` that says which bytes it needs, an object of any other class an empty `Shell` that keeps the class's name.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import IO, Any

from spectra_cli.budget import bounded, is_bounded, spend
from spectra_cli.errors import printable
from spectra_cli.weights.formats.pickle_objects import (
    HARMLESS,
    Name,
    Shell,
    Storage,
    UnreadablePickleError,
    key_of,
    rebuild,
    set_items,
    storage_of,
)
from spectra_cli.weights.plain_data import is_text

# What an instruction may take besides its argument: an object and a reference to it, or a place in the memory. About 40
# instructions are a tensor; a checkpoint of 1,000 tensors with two optimizer moments each has 120,000.
INSTRUCTION = 100
EMPTY = {"EMPTY_SET": 216}
DIGITS = 1024  # bits of an integer; torch's own states of random numbers have 128
STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "copy_reg", "cPickle", "commands", "urllib2"}


class _Machine:
    """The stack and the memory that a pickle's instructions work on, while it is read."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def collect(self, kind: Callable[[list[Any]], Any]) -> None:
        items = self.pop_mark()
        self.stack.append(kind(items))

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > 500:
            raise UnreadablePickleError("it names a class by something that is no name")
        named = Name(module, name)
        if named.module.split(".")[0] in STANDARD_LIBRARY and str(named) not in HARMLESS:
            raise UnreadablePickleError(f"it names {printable(named)}, which no file of weights needs; nothing was run")
        self.stack.append(named)

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Shell):
            target = target.items
        if not isinstance(target, dict) or len(pairs) % 2:
            raise UnreadablePickleError("it sets items of something that is not a dictionary")
        set_items(target, zip(pairs[::2], pairs[1::2], strict=True))

    def start_dict(self) -> None:
        pairs = self.pop_mark()
        self.stack.append({})
        self.set_items(pairs)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Shell):
            raise UnreadablePickleError("it appends to something that is not a list")

    def add(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], set):
            raise UnreadablePickleError("it adds to something that is not a set")
        for item in items:
            spend(100)
            self.stack[-1].add(key_of(item))

    def build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Shell):  # of dictionaries and tensors, attributes are dropped
            self.stack[-1].state = state

    def persistent(self) -> None:
        reference = self.stack.pop()
        if isinstance(reference, tuple) and reference[:1] == ("module",) and isinstance(reference[1], Name):
            self.stack.append(reference[1])  # before torch 1.6: a module's class, with the text of its source
            return
        if not isinstance(reference, tuple) or not 5 <= len(reference) <= 6:
            raise UnreadablePickleError("it refers to something that is not a storage of numbers")
        storage = storage_of(*reference)
        if isinstance(storage, Storage):
            self.storages[storage.key] = storage
        self.stack.append(storage)

    def call_with_keywords(self) -> None:
        self.stack.pop()
        self.call(*_two(self))

    def call(self, function: Any, args: Any) -> None:
        self.stack.append(rebuild(function, args))


def _two(machine: _Machine) -> tuple[Any, Any]:
    second, first = machine.stack.pop(), machine.stack.pop()
    return first, second


_PUSH = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_FRESH: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": set,
}  # fmt: skip
_REMEMBER = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_RECALL = frozenset({"GET", "BINGET", "LONG_BINGET"})
_DO: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": lambda m, _: m.mark(),
    "POP": lambda m, _: m.stack.pop() if m.stack else m.pop_mark(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "GLOBAL": lambda m, arg: m.name(*arg.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*_two(m)),
    "BINPERSID": lambda m, _: m.persistent(),
    "REDUCE": lambda m, _: m.call(*_two(m)),
    "NEWOBJ": lambda m, _: m.call(*_two(m)),
    "NEWOBJ_EX": lambda m, _: m.call_with_keywords(),
    "BUILD": lambda m, _: m.build(),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items(list(_two(m))),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.add(m.pop_mark()),
    "LIST": lambda m, _: m.collect(list),
    "TUPLE": lambda m, _: m.collect(tuple),
    "TUPLE1": lambda m, _: m.stack.append((m.stack.pop(),)),
    "TUPLE2": lambda m, _: m.stack.append(_two(m)),
    "TUPLE3": lambda m, _: m.stack.append((*reversed([m.stack.pop() for _ in range(3)]),)),
    "DICT": lambda m, _: m.start_dict(),
}


def read_pickle(stream: IO[bytes], storages: dict[str, Storage] | None = None) -> Any:
    """Read one pickle from the stream's position, and leave it just after; UnreadablePickleError if it is unsound.

    storages: filled with every storage that the pickle refers to, also those of tensors that cannot be read.

    >>> import io, pickle
    >>> read_pickle(io.BytesIO(pickle.dumps({"step": 3, "betas": (0.9, 0.95)}, protocol=2)))
    {'step': 3, 'betas': (0.9, 0.95)}
    """
    machine = _Machine({} if storages is None else storages)
    with bounded("a pickle") if not is_bounded() else nullcontext():
        return _read(machine, stream)


def _read(machine: _Machine, stream: IO[bytes]) -> Any:
    try:
        for instruction, arg, _ in pickletools.genops(stream):
            spend(INSTRUCTION + _extra(instruction.name, arg))
            if instruction.name == "STOP":
                return machine.stack.pop()
            _step(machine, instruction.name, arg)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, DeprecationWarning):
        # Of the texts that these carry, some hold the file's own bytes. The warning is that of pickletools at a bad
        # escape in a text, an error only where warnings are.
        pass
    raise UnreadablePickleError("it is damaged, or not a pickle")


def _extra(name: str, arg: Any) -> int:
    """Return the bytes that an instruction's argument takes, or the empty thing that it makes."""
    if isinstance(arg, str):
        return len(arg) * (1 if arg.isascii() else 4)
    return len(arg) if isinstance(arg, bytes | bytearray) else EMPTY.get(name, 0)


def _step(machine: _Machine, name: str, arg: Any) -> None:
    if name in _PUSH:
        if isinstance(arg, str) and not is_text(arg):
            raise UnreadablePickleError("it holds half a surrogate pair, which is no character")
        # A number of thousands of digits is nobody's configuration, and Python refuses to write it out.
        machine.stack.append(Shell("int") if isinstance(arg, int) and arg.bit_length() > DIGITS else arg)
    elif name in _FRESH:
        machine.stack.append(_FRESH[name]())
    elif name in _REMEMBER:
        machine.memo[arg] = machine.stack[-1]
    elif name in _RECALL:
        machine.stack.append(machine.memo[arg])
    elif name in _DO:
        _DO[name](machine, arg)
    elif name not in ("PROTO", "FRAME"):
        raise UnreadablePickleError(f"it uses the instruction {name}, which no file of weights needs")
