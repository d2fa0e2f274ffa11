"""Load an explorer's scripts on the pages that show its static figure, and only there.

The figure is a picture like others, ``book/_static/explorers/<name>.svg``, so Jupyter
shows it as well; in a browser ``<name>.js`` puts the explorer in its place. Its parts,
if it has several, are ``<name>_*.js`` and come before it. A second figure of the same
explorer is ``<name>-<which>.svg``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
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
    figures = {source.stem for source in sources if source.parent == FOLDER}
    names = sorted({figure.partition("-")[0] for figure in figures})
    if names:
        app.add_css_file("explorers/explorer.css")
        parts = [part for name in names for part in [*_parts(app, name), name]]
        for script in ["explorer", *parts]:
            app.add_js_file(f"explorers/{script}.js", loading_method="defer")


def _parts(app: Sphinx, name: str) -> list[str]:
    folder = Path(app.srcdir, FOLDER)
    return sorted(path.stem for path in folder.glob(f"{name}_*.js"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
