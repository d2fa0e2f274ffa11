"""The directive ``{chapter-status}``: how long each notebook took, when and with what.

``tools/execute_notebooks.py`` measures it and writes it into the notebooks.
"""

import json
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

VERSIONS = ("Python", "TensorFlow", "Keras", "NumPy")
COLUMNS = ("Notebook", "Seconds", "Cores", "Date", *VERSIONS)
NOT_YET = "not yet measured"


class ChapterStatus(SphinxDirective):
    """A table with a row for each notebook, in the order of the book."""

    def run(self):
        lines = [COLUMNS, ["---"] * len(COLUMNS), *map(self.row, self.notebooks())]
        text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
        return self.parse_text_to_nodes(text)

    def notebooks(self):
        paths = [Path(self.env.doc2path(name)) for name in self.env.external_site_map]
        return [path for path in paths if path.suffix == ".ipynb"]

    def row(self, path):
        # A notebook that is executed again changes this page too.
        self.env.note_dependency(path)
        link = f"[](/{path.relative_to(self.env.srcdir).as_posix()})"
        return [link, *cells(json.loads(path.read_text()))]


def cells(notebook):
    """Return what stands beside the link."""
    measured = notebook["metadata"].get("measured")
    if measured is None:
        return [NOT_YET, *[""] * (len(COLUMNS) - 2)]
    versions = [measured["versions"][name] for name in VERSIONS]
    return [measured["seconds"], measured["cores"], measured["date"], *versions]


def setup(app):
    app.add_directive("chapter-status", ChapterStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
