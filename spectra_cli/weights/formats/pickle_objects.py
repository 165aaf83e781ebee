"""What a pickle of weights may hold: tensors as views of bytes, plain data, and shells of all else. Opens no file.

Rules are data: `BUILDERS` holds what each of torch's own names stands for, `HARMLESS` which names of the standard
library are let through. Nothing that a file names is ever imported, called or built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spectra_cli.budget import spend
from spectra_cli.errors import printable


class UnreadablePickleError(Exception):
    """The pickle is damaged, or does what no file of weights needs. The text is safe to print."""


class Name(NamedTuple):
    """A class or function that the file names; only its name is kept."""

    module: str
    name: str

    def __str__(self) -> str:
        """Write it as in Python."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Shell:
    """An object of a class that is not imported: its class, its constructor's arguments, its attributes or items."""

    kind: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Name the class alone: what it holds may be a graph whose text has no end."""
        return f"<{printable(self.kind)}>"


class Array(Shell):
    """An array of NumPy. Its numbers lie within the pickle, not in a storage beside it, and are not read."""

    reason = "it is a NumPy array, not a tensor"

    @property
    def looks_like_weight(self) -> bool:
        """Whether it has two axes or more, of floating numbers."""
        pickled = (
            self.state if isinstance(self.state, tuple) else self.args
        )  # the second: numpy.core.numeric._frombuffer
        shape = next((item for item in pickled if isinstance(item, tuple)), ())
        dtype = next((item for item in pickled if isinstance(item, Shell) and item.kind == "numpy.dtype"), None)
        code = dtype.args[0] if dtype is not None and dtype.args else None
        return len(shape) >= 2 and isinstance(code, str) and code.lstrip("<>=|")[:1] == "f"


@dataclass(frozen=True)
class Storage:
    """Consecutive numbers of one type, stored elsewhere in the file under a key."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class TensorView:
    """A tensor as a view of a storage; offset and stride in elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Unreadable:
    """A tensor of a kind that holds no plain numbers, with the reason it is left out."""

    reason: str


@dataclass(frozen=True)
class PartOfTensor:
    """What one rank holds of a tensor that several share, a DTensor: with what it was rebuilt from."""

    args: tuple[Any, ...]
    state: Any


STORAGE_DTYPES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip

# What training programs put beside their weights, of the standard library. Any other function of it that a file names
# (os.system, builtins.eval) is there to do harm. Those of other libraries become shells like these.
HARMLESS = frozenset({
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "collections.deque",
    "_codecs.encode", "copyreg._reconstructor", "copy_reg._reconstructor", "argparse.Namespace",
    "types.SimpleNamespace", "functools.partial", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
    "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
    *(f"{m}.{n}" for m in ("pathlib", "pathlib._local") for n in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"{m}.{n}" for m in ("builtins", "__builtin__") for n in (
        "set", "frozenset", "bytearray", "bytes", "complex", "slice", "range", "list", "dict", "tuple", "int", "float",
        "str", "bool", "object", "unicode", "long")),
})  # fmt: skip


def storage_of(
    kind: str, storage_type: Any, key: Any, _location: Any, count: Any, view: Any = None
) -> Storage | Unreadable:
    """Return the storage that a persistent id names, as torch writes one within a pickle."""
    if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str) or not _natural(count):
        raise UnreadablePickleError("it refers to something that is not a storage of numbers")
    if storage_type.name not in STORAGE_DTYPES:
        return Unreadable(f"its numbers are kept as {printable(storage_type.name)}, packed or quantised")
    if view is not None:
        return Unreadable("it is a view of a view, as torch wrote them before 2018")
    return Storage(key, STORAGE_DTYPES[storage_type.name], count)


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _view(storage: Any, dtype: str | None, offset: Any, shape: Any, stride: Any) -> TensorView | Unreadable:
    if isinstance(storage, Unreadable):
        return storage
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise UnreadablePickleError("it holds a tensor without a storage or a shape")
    if len(shape) != len(stride) or len(shape) > 64 or not all(map(_natural, (offset, *shape, *stride))):
        raise UnreadablePickleError("it holds a tensor whose shape or strides are not counts")
    return TensorView(storage, dtype or storage.dtype, offset, shape, stride)


def _tensor_v2(storage: Any, offset: Any, shape: Any, stride: Any, *grad_hooks_meta: Any) -> Any:
    if any(grad_hooks_meta[2:]):  # a tensor that torch reads as the conjugate or the negative of its storage
        return Unreadable("it is a conjugate or negative view")
    return _view(storage, None, offset, shape, stride)


def _tensor_v3(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, meta: Any = None
) -> Any:
    if meta or not isinstance(dtype, Name):
        return Unreadable("it is a conjugate or negative view")
    return _view(storage, dtype.name, offset, shape, stride)


def _of_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """Return a tensor with attributes, or of a subclass: `torch._tensor._rebuild_from_type_v2`."""
    if isinstance(kind, Name) and kind.name == "DTensor" and kind.module.startswith("torch.distributed"):
        return PartOfTensor(args if isinstance(args, tuple) else (), state)
    if kind not in PLAIN_TENSORS:
        return Unreadable(
            f"it is a {printable(kind.name) if isinstance(kind, Name) else 'subclass'}, not a plain tensor"
        )
    if isinstance(function, Name) and BUILDERS.get(str(function)) is _of_type:
        return Unreadable("it is a tensor within a tensor")
    return rebuild(function, args)


def _size(shape: Any = ()) -> tuple[Any, ...]:
    if not isinstance(shape, tuple | list) or len(shape) > 64:
        raise UnreadablePickleError("it holds a shape that is none")
    return tuple(shape)


def _mapping(*args: Any) -> dict[Any, Any]:
    """Return an OrderedDict as a dictionary; it is written empty or, by Python 2, as a list of pairs.

    The list is emptied: used again and again, it would be work without end from a small file.
    """
    pairs = args[0] if args and isinstance(args[0], list) else []
    mapping: dict[Any, Any] = {}
    set_items(mapping, (pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2))
    pairs.clear()
    return mapping


def _array(*args: Any) -> Array:
    """Return an array of NumPy; its shape and dtype come with the state that is set next, or are arguments."""
    spend(500)
    return Array("numpy.ndarray", args)


PLAIN_TENSORS = (
    Name("torch", "Tensor"),
    Name("torch._tensor", "Tensor"),
    Name("torch.nn.parameter", "Parameter"),
    Name("torch.nn.parameter", "Buffer"),
)

BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _mapping,
    "collections.Counter": _mapping,
    "collections.defaultdict": _mapping,
    **{
        f"numpy.{core}.{name}": _array
        for core in ("core", "_core")
        for name in ("multiarray._reconstruct", "numeric._frombuffer")
    },
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _tensor_v2,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch.nn.parameter.Parameter": lambda data=None, *_: data,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch._utils._rebuild_sparse_tensor": lambda *_: Unreadable("it is a sparse tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": lambda *_: Unreadable("it is a meta tensor, without data"),
    "torch._utils._rebuild_qtensor": lambda *_: Unreadable("it is a quantised tensor of torch"),
    "torch._utils._rebuild_nested_tensor": lambda *_: Unreadable("it is a nested tensor"),
    "torch._utils._rebuild_wrapper_subclass": lambda *_: Unreadable("it is a tensor subclass without plain data"),
}


def rebuild(function: Any, args: Any) -> Any:
    """Return what calling a function would have returned: data for those of `BUILDERS`, a shell for the rest."""
    if not isinstance(args, tuple) or not isinstance(function, Name):
        raise UnreadablePickleError("it calls something that is not a function, or without arguments")
    builder = BUILDERS.get(str(function))
    if builder is None:
        by_copyreg = function.name == "_reconstructor" and args and isinstance(args[0], Name)
        spend(500)
        return Shell(str(args[0] if by_copyreg else function), args)
    try:
        return builder(*args)
    except TypeError:
        raise UnreadablePickleError(f"it calls {printable(function)} with arguments that it does not take") from None


def set_items(target: dict[Any, Any], pairs: Iterable[Any]) -> None:
    """Set items one by one: each costs, and where keys collide, the clock ends it."""
    for key, value in pairs:
        spend(100)
        target[key_of(key)] = value


def key_of(value: Any) -> Any:
    """Return a key if it is quick to hash; a tuple of tuples of tuples can take longer than the universe has."""
    if isinstance(value, str | float | bytes | Name | Shell) or value is None:
        return value
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if isinstance(value, tuple) and len(value) <= 16 and not any(isinstance(item, tuple) for item in value):
        return tuple(map(key_of, value))
    raise UnreadablePickleError("it holds a dictionary whose keys are not names or numbers")
