"""Load an explorer's scripts on the pages that show its static figure, and only there.

The figure is a picture like others, ``book/_static/explorers/<name>.svg``, so Jupyter
shows it as well; in a browser ``<name>.js`` puts the explorer in its place.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

FOLDER = PurePosixPath("book/_static/explorers")


def add_scripts(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    pictures = doctree.findall(nodes.image) if doctree else []
    sources = [PurePosixPath(picture["candidates"]["*"]) for picture in pictures]
    names = sorted({source.stem for source in sources if source.parent == FOLDER})
    if names:
        app.add_css_file("explorers/explorer.css")
        for name in ["explorer", *names]:
            app.add_js_file(f"explorers/{name}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
