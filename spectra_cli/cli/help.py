"""How help is laid out: usage, what it does, an example, options in groups; commands in the order of their use."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup

from spectra_cli.cli.examples import EXAMPLES

WIDEST = 100  # columns of a line that is still easy to read
NAMES = 26  # columns that names may take; longer ones stand on a line of their own


class HelpfulCommand(TyperCommand):
    """A command whose help has an example and its options in groups."""

    def get_help(self, ctx: Any) -> str:
        """Return the help as text, as wide as the terminal."""
        arguments, options = [], dict[str, list[tuple[str, str]]]()
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "argument":
                arguments.append((_argument(parameter), _told(parameter)))
            else:
                group = getattr(parameter, "rich_help_panel", None) or "Options"
                options.setdefault(group, []).append((_option(parameter), _told(parameter)))
        usage = " ".join(["Usage:", ctx.command_path, *(name for name, _ in arguments), "[OPTIONS]"])
        examples = [f"  {example}" for example in EXAMPLES.get(str(self.name), ())]
        named = [("Arguments", arguments), *_plain_first(options)]
        listed = [_listed(f"{name}:", lines) for name, lines in named if lines]
        return "\n\n".join(
            [_filled(usage, "       "), *_paragraphs(self.help), "\n".join(["Example:", *examples]), *listed]
        )


class HelpfulGroup(TyperGroup):
    """The program, whose help lists its commands in groups with the whole of their first sentences."""

    def get_help(self, ctx: Any) -> str:
        """Return the help as text, as wide as the terminal."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            sentence = str(command.help).strip().split("\n\n")[0].replace("\n", " ")
            groups.setdefault(command.rich_help_panel, []).append((name, sentence))
        options = [(_option(parameter), _told(parameter)) for parameter in self.get_params(ctx)]
        width = max(len(name) for lines in groups.values() for name, _ in lines)
        listed = [_listed(f"{group}:", lines, width) for group, lines in groups.items()]
        listed.append(_listed("Options:", options))
        end = f"{ctx.command_path} COMMAND -h shows the options of one, with an example."
        return "\n\n".join([f"Usage: {ctx.command_path} COMMAND [OPTIONS]", *_paragraphs(self.help), *listed, end])


def _plain_first(options: dict[str, list[tuple[str, str]]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield what only this command takes before the groups that many share."""
    plain = options.pop("Options", [])
    yield "Options", plain
    yield from options.items()


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    name = f"{name}…" if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    indented = names if names.startswith("-") and not names.startswith("--") else f"    {names}"
    return indented if parameter.is_flag else f"{indented} {parameter.metavar or parameter.name.upper()}"


def _told(parameter: Any) -> str:
    """Return what a parameter is, whether it must be given, and its default where that is a plain value."""
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool) and parameter.show_default
    needed = " [required]" if parameter.required and parameter.param_type_name == "option" else ""
    return f"{parameter.help or ''}{f' [default: {default}]' if plain else ''}{needed}"


def _width() -> int:
    return max(40, min(WIDEST, shutil.get_terminal_size().columns))


def _filled(text: str, indent: str = "") -> str:
    width = _width()
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _paragraphs(text: str | None) -> Iterable[str]:
    return (_filled(" ".join(part.split())) for part in (text or "").split("\n\n"))


def _listed(title: str, lines: list[tuple[str, str]], width: int | None = None) -> str:
    """Return names with what they are beside them, each word whole."""
    column = width or max([len(name) for name, _ in lines if len(name) <= NAMES], default=NAMES)
    indent = " " * (column + 4)
    listed = [title]
    for name, words in lines:
        head = f"  {name:<{column}}  "
        if len(name) > column:
            listed.append(f"  {name}")
            head = indent
        listed.append(_filled(head + words, indent).rstrip())
    return "\n".join(listed)
