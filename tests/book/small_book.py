"""A book of three pages with the settings of the real one, built in a few seconds."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.install_cell import put_install_cell

from .notebooks import ROOT

MEASURED = {
    "seconds": 47,
    "cores": 2,
    "date": "2026-11-21",
    "versions": {
        "Python": "3.11.9",
        "TensorFlow": "2.21.0",
        "Keras": "3.15.1",
        "NumPy": "2.4.6",
    },
}
TOC = {
    "format": "jb-book",
    "root": "book/about",
    "parts": [
        {"chapters": [{"file": f"notebooks/part/{name}"} for name in ("new", "old")]}
    ],
}


def build(folder: Path, repository: str, site: str = "") -> Path:
    """Build the book with these addresses; return the folder of its pages."""
    for name in ("_extensions", "_static"):
        shutil.copytree(ROOT / "book" / name, folder / "book" / name)
    for name in ("references.bib", "about.md"):
        shutil.copy(ROOT / "book" / name, folder / "book" / name)
    # What it says of other pages is not in this book.
    about = folder / "book/about.md"
    about.write_text(
        re.sub(r"\((measured|backends)\.md\)", "(about.md)", about.read_text())
    )
    part = folder / "notebooks/part"
    part.mkdir(parents=True)
    for name, measured in {"new": {}, "old": {"measured": MEASURED}}.items():
        notebook = _notebook(name, measured, repository)
        nbformat.write(notebook, part / f"{name}.ipynb")
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"]["url"] = repository
    config["html"]["baseurl"] = site
    (folder / "_config.yml").write_text(json.dumps(config))  # which is YAML too
    (folder / "_toc.yml").write_text(json.dumps(TOC))
    command = [Path(sys.executable).parent / "jupyter-book", "build", folder]
    result = subprocess.run([*command, "-W", "-n"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "_build/html"


def _notebook(name, measured, address):
    title = new_markdown_cell(f"# The {name} one\n\nIt adds numbers.", id="title")
    cells = [title, new_code_cell("40 + 2", id="sum")]
    metadata = {"language_info": {"name": "python"}, **measured}
    notebook = new_notebook(cells=cells, metadata=metadata)
    put_install_cell(notebook, address)
    return notebook
