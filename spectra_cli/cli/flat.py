"""Turns a command that takes groups of options into one that takes each option, as Typer wants it. Knows no option."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Fields:
    """Marks a group of which a command takes only these fields, or all but those: `Annotated[Reading, Fields(...)]`.

    The others keep their defaults.
    """

    only: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()

    def take(self, name: str) -> bool:
        """Whether the command has an option for this field."""
        return name in self.only if self.only else name not in self.omit


def flat(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return the command with an option for each field of its groups, which it is called with filled in.

    A parameter is a group where its type is a dataclass; its options stand where it does, in the order of its fields,
    in the help under what the class names as its GROUP, if it has one.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = get_args(hints[name])[0] if get_origin(hints[name]) is Annotated else hints[name]
        if is_dataclass(kind) and isinstance(kind, type):
            options = list(_options(kind, hints[name]))
            groups[name] = kind, [option.name for option in options]
            parameters += options
        else:
            parameters.append(_option(name, hints[name], parameter.default))

    def flattened(**values: Any) -> int | None:
        for name, (kind, options) in groups.items():
            values[name] = kind(**{option: values.pop(option) for option in options})
        return command(**values)

    flattened.__name__, flattened.__doc__ = command.__name__, command.__doc__
    flattened.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flattened


def _options(kind: type[Any], hint: Any) -> Iterator[inspect.Parameter]:
    """Yield an option for each field of a group that its marker lets through."""
    markers = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        if all(marker.take(field.name) for marker in markers):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            yield _option(field.name, _in_group(hints[field.name], getattr(kind, "GROUP", None)), default)


def _in_group(hint: Any, group: str | None) -> Any:
    """Return an option's annotation with its heading in the help; None: that of the command's own options."""
    if group is None:
        return hint
    kind, information = get_args(hint)
    information = copy(information)
    information.rich_help_panel = group
    return Annotated[kind, information]


def _option(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
