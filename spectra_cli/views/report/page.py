"""The shell of a page that stands alone: scripts inlined, the network forbidden, names from files escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
LIBRARIES = "window.vegaEmbed = vegaEmbed;"  # the rest of the bundle stays inside it


def json_for_html(value: object) -> str:
    r"""Write JSON that can stand inside a script element: no `<`, whatever a name holds.

    >>> json_for_html({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def libraries() -> str:
    """Give Vega, Vega-Lite and Vega-Embed as one script, out of vl-convert."""
    import vl_convert

    return str(vl_convert.javascript_bundle(LIBRARIES)).replace("</script", "<\\/script")


def asset(name: str) -> str:
    """Give one of the page's own scripts or styles."""
    return (ASSETS / name).read_text(encoding="utf-8")


def shell(title: str, body: str, *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Make the page. body: HTML, in which every name from a file is escaped. scripts: code, run after the body.

    Only these scripts may run, by their hashes, without `eval`; nothing may be loaded from anywhere.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    tags = "\n".join(f"<script>{script}</script>" for script in scripts)
    style = "\n".join(styles)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{html.escape(title)}</title>\n'
        f"<style>\n{style}\n</style>\n</head>\n<body>\n{body}\n{tags}\n</body>\n</html>\n"
    )


def data_tag(name: str, value: object) -> str:
    """Give plain data that the page's script finds by its id."""
    return f'<script type="application/json" id="{html.escape(name)}">{json_for_html(value)}</script>'


def figure_page(spec: dict[str, Any], title: str) -> str:
    """Make a page of one chart."""
    plain = {name: part for name, part in spec.items() if name not in ("config", "padding")}
    name = html.escape(title)
    body = (
        f'<main class="alone"><h1>{name}</h1><div id="figure" role="img" aria-label="{name}"></div></main>\n'
        f"{data_tag('themes', themes())}\n{data_tag('spec', plain)}"
    )
    return shell(title, body, styles=[asset("report.css")], scripts=[libraries(), asset("figure.js")])


def themes() -> dict[str, Any]:
    """Give the charts' configuration on a light and on a dark page."""
    from spectra_cli.views.figures.style import theme

    return {"light": theme(background=None), "dark": theme(dark=True, background=None)}


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
