"""What the site's pages need beyond Markdown and the theme, for readers of screens; mkdocs calls it."""

from __future__ import annotations

from typing import Any

SEARCH = 'data-md-component="search" role="dialog"'


def on_page_content(html: str, **_: Any) -> str:
    """Make the empty heads of columns plain cells: a head is announced, and these say nothing."""
    return html.replace("<th></th>", "<td></td>")


def on_post_page(output: str, **_: Any) -> str:
    """Name the theme's dialog. Raises ValueError where the theme no longer has it: then this is to be removed."""
    if SEARCH not in output:
        raise ValueError("the theme's search has changed: look at docs/site_hooks.py")
    return output.replace(SEARCH, f'{SEARCH} aria-label="Search"')


def on_post_template(output_content: str, *, template_name: str, **_: Any) -> str:
    """Do the same for the page that says that there is no such page."""
    return on_post_page(output_content) if template_name == "404.html" else output_content
