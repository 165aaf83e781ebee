"""The shell of a page that stands by itself: scripts inlined, the network forbidden, names from files escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.storage.atomic import check_target
from spectra_cli.views.figures.room import require_room

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

ASSETS = Path(__file__).parent / "assets"
TEMPLATES = Path(__file__).parent / "templates"
VEGA_LITE = "6.1"  # 6.4 takes what a nearest point says in words from the wrong datum: "undefined"
LIBRARIES = "window.vegaEmbed = vegaEmbed;"  # the rest of the bundle stays inside it
LONGEST = 2000  # characters of a name or a sentence on the page


def check_page_name(output: str) -> None:
    """Raise SpectraError for a name that no page has, code 2, or for a place that no file may take."""
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise SpectraError(f"a report is a page, and {output} is no name for one", hint="end it in .html", code=2)
    check_target(Path(output))


def render(template: str, title: str, *, styles: Sequence[str], scripts: Sequence[str], **context: object) -> str:
    """Return a page. template: one that extends page.html. scripts: code, run after the body.

    Only these scripts may run, by their hashes, without `eval`; nothing may be loaded from anywhere.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(
        title=title,
        policy=trusted(policy),
        styles=[trusted(style) for style in styles],
        scripts=[trusted(script) for script in scripts],
        **context,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = json_for_html
    return environment


def escaped(value: object) -> Markup:
    """Make a value harmless in HTML, whatever file it comes from; every expression of a template goes through this.

    >>> escaped("<b>\\x1b"), escaped(trusted("<b>"))
    (Markup('&lt;b&gt;\\\\x1b'), Markup('<b>'))
    """
    from markupsafe import Markup

    return value if isinstance(value, Markup) else trusted(html.escape(printable(value, LONGEST)))


def trusted(text: str) -> Markup:
    """Mark text as ours, which a page takes as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - nothing from a file comes here unescaped


def json_for_html(value: object) -> Markup:
    r"""Return JSON that can stand inside a script element: no `<`, whatever a name holds.

    >>> print(json_for_html({"name": "</script>"}))
    {"name":"\u003c/script>"}
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return trusted(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


@cache
def libraries() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, out of vl-convert."""
    require_room()
    import vl_convert

    return str(vl_convert.javascript_bundle(LIBRARIES, VEGA_LITE)).replace("</script", "<\\/script")


def asset(name: str) -> str:
    """Return one of the page's own scripts or styles."""
    return (ASSETS / name).read_text(encoding="utf-8")


def figure_page(spec: dict[str, Any], title: str) -> str:
    """Return a page of one chart."""
    plain = {name: part for name, part in spec.items() if name not in ("config", "padding")}
    scripts = [libraries(), asset("adapt.js"), asset("single_figure.js")]
    return render("figure.html", title, styles=[asset("page.css")], scripts=scripts, themes=themes(), spec=plain)


def themes() -> dict[str, Any]:
    """Return the charts' configuration on a light and on a dark page."""
    from spectra_cli.views.figures.colours import theme

    return {"light": theme(background=None), "dark": theme(dark=True, background=None)}


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
