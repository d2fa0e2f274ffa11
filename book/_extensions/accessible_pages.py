"""Mend what theme and tables leave out for those who do not see the page."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

# What is written, and what belongs there.
MENDED = {
    # The theme's title and search button lie outside of any landmark.
    'id="pst-primary-sidebar" class=': (
        'id="pst-primary-sidebar" role="complementary" aria-label="The book" class='
    ),
    # The corner of a table is the head of nothing.
    "<th></th>": "<td></td>",
}


def mend(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text()
        for found, wanted in MENDED.items():
            text = text.replace(found, wanted)
        page.write_text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
