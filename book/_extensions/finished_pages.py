"""Change the pages after they were written: for what the theme gives no other way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx


def rewrite_pages(app: Sphinx, rewrite: Callable[[str, Path], str]) -> None:
    """Have each page of a finished book replaced by what ``rewrite(text, page)`` says.

    A build leaves pages alone whose sources did not change, so a page may come again,
    rewritten already.
    """

    def finish(app: Sphinx, exception: Exception | None) -> None:
        if exception is None and app.builder.format == "html":
            for page in Path(app.outdir).rglob("*.html"):
                if "_static" not in page.parts:
                    page.write_text(rewrite(page.read_text(), page))

    app.connect("build-finished", finish)
