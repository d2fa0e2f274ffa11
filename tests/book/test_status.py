"""The page about the book shows what was measured of each."""

import subprocess
import sys

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.install_cell import install_cell, put_install_cell, repository_address

from .notebooks import PATHS, ROOT, code_cells, read, unclean_metadata
from .small_book import MEASURED


def rows(page):
    """Return the cells of the table by where the link in the first of them leads."""
    table = BeautifulSoup(page.read_text(), "html.parser").select_one("article table")
    found = {}
    for row in table.select("tbody tr"):
        title, *cells = row.select("td")
        found[title.a["href"]] = [cell.get_text() for cell in cells]
    return found


def shown(measured):
    values = [measured["seconds"], measured["cores"], measured["date"]]
    names = ("Python", "TensorFlow", "Keras", "NumPy")
    versions = [measured["versions"][name] for name in names]
    return [str(value) for value in [*values, *versions]]


def test_every_notebook_has_its_row(html):
    found = rows(html / "book/about.html")
    assert sorted(found) == [f"../{path.with_suffix('.html')}" for path in PATHS]
    for path in PATHS:
        measured = read(path).metadata.get("measured")
        if measured:
            assert found[f"../{path.with_suffix('.html')}"] == shown(measured)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_every_notebook_is_measured(path):
    again = f"make notebooks NOTEBOOKS={path}"
    assert read(path).metadata.get("measured"), again


def test_what_is_not_measured_is_said_to_be_so(published):
    found = rows(published / "book/about.html")
    assert found["../notebooks/part/old.html"] == shown(MEASURED)
    new, *rest = found["../notebooks/part/new.html"]
    assert new == "not yet measured"
    assert not any(rest)


def test_the_tool_measures_and_makes_the_notebook_run_elsewhere(tmp_path):
    path = tmp_path / "small.ipynb"
    cells = [new_markdown_cell("# Small"), new_code_cell("import time; time.sleep(1)")]
    nbformat.write(new_notebook(cells=cells), path)
    command = [sys.executable, ROOT / "tools/execute_notebooks.py", path]
    subprocess.run(command, check=True, capture_output=True)
    notebook = read(path)
    assert unclean_metadata(notebook) == []
    assert notebook.metadata.measured.seconds >= 1  # it slept for that long
    assert [cell.execution_count for cell in code_cells(notebook)] == [1, 2]
    expected = install_cell(repository_address())
    assert notebook.cells[1].source == expected.source
    assert notebook.cells[1].outputs == []


def test_the_install_cell_is_renewed_where_it_stands():
    notebook = new_notebook(cells=[new_markdown_cell("# A"), new_code_cell("1")])
    put_install_cell(notebook, "")
    assert '"../..[data,plot,video]"' in notebook.cells[1].source
    put_install_cell(notebook, "https://github.com/someone/sequences")
    assert "git+https://github.com/someone/sequences" in notebook.cells[1].source
    assert [cell.source for cell in notebook.cells[2:]] == ["1"]


@pytest.mark.parametrize(
    ("code", "extras"),
    [
        ("import onnxruntime", "onnx,litert"),
        ("helpers.export_model(model)", "onnx,litert"),
        ("load_series('mitdb')", "series"),
    ],
)
def test_a_notebook_installs_what_its_code_needs(code, extras):
    notebook = new_notebook(cells=[new_code_cell(code)])
    put_install_cell(notebook, "")
    assert f'"../..[data,plot,video,{extras}]"' in notebook.cells[0].source
