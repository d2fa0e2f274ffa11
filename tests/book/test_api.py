"""The table of the helpers' page: every public name, its line, and who teaches it."""

import functools
import inspect
import re
import subprocess
import sys

import pytest
import yaml
from bs4 import BeautifulSoup

import cnnseq_helpers

from .notebooks import ROOT, code_cells, read

ROW = re.compile(r"^\| \{py:\w+\}`~cnnseq_helpers\.(\w+)` \| (.*?) ?\|$", re.MULTILINE)
ROWS = dict(ROW.findall((ROOT / "book/api.md").read_text()))
NO_DOCSTRING = {
    "DIRECTIONS": "The eight directions of `drifting_digits`, in the order of labels."
}


@functools.cache
def code_of_chapters():
    """Return the code of each notebook by its name, in the order of the book."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [page["file"] for part in toc["parts"] for page in part["chapters"]]
    return {
        file: "\n".join(cell.source for cell in code_cells(read(f"{file}.ipynb")))
        for file in files
        if file.startswith("notebooks/")
    }


def expected(name):
    """Return what the row of a name holds: its docstring's line, and its chapter."""
    thing = getattr(cnnseq_helpers, name)
    line = NO_DOCSTRING.get(name) or inspect.getdoc(thing).splitlines()[0]
    use = re.compile(rf"\bhelpers\.{name}\b")
    uses = {file: len(use.findall(code)) for file, code in code_of_chapters().items()}
    most = max(uses, key=uses.get)  # the first of several
    return f"{line} | [](../{most}.ipynb)" if uses[most] else f"{line} |"


def test_every_public_name_has_a_row():
    assert sorted(ROWS) == sorted(cnnseq_helpers.__all__)


@pytest.mark.parametrize("name", cnnseq_helpers.__all__)
def test_a_row_says_what_the_docstring_says_and_leads_to_its_chapter(name):
    assert ROWS[name] == expected(name)


def test_every_entry_has_a_signature_and_no_field_without_words(html):
    page = BeautifulSoup((html / "book/api.html").read_text(), "html.parser")
    entries = page.select("dl.py > dt[id]")
    signatures = {each["id"]: each.get_text(strip=True) for each in entries}
    assert set(cnnseq_helpers.__all__) <= {name.split(".")[-1] for name in signatures}
    assert not [s for s in signatures.values() if "*args" in s]
    convolution = signatures["cnnseq_helpers.MaskedConv1D"]
    assert "(filters,kernel_size,strides=1,padding='valid'" in convolution
    assert "BatchApply(layer,**kwargs)" in signatures["cnnseq_helpers.BatchApply"]
    assert "Alias for field" not in page.get_text()


def test_single_files_can_be_taken_along(tmp_path):
    intro = (ROOT / "book/api.md").read_text().partition("## All names")[0]
    files = {*re.findall(r"`([\w/]+\.py)`", intro)}
    assert len(files) == 4
    for file in files:
        text = (ROOT / "cnnseq_helpers" / file).read_text()
        taken = re.sub(r"from \.+(?:padding\.)?(shapes|masked) ", r"from \1 ", text)
        (tmp_path / file.split("/")[-1]).write_text(taken)
    modules = ", ".join(path.stem for path in tmp_path.iterdir())
    command = [sys.executable, "-c", f"import {modules}"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)


@pytest.mark.parametrize("file", code_of_chapters())
def test_the_first_use_of_a_helper_leads_to_its_entry(html, file):
    page = BeautifulSoup((html / f"{file}.html").read_text(), "html.parser")
    code = " ".join(each.get_text() for each in page.select("div.highlight"))
    used = {
        name
        for name in cnnseq_helpers.__all__
        if re.search(rf"\bhelpers\.{name}\b", code)
    }
    assert used or "reference" in file
    in_code = [link["href"] for link in page.select("div.highlight a.helper[href]")]
    start = "../../book/api.html#cnnseq_helpers."
    assert sorted(in_code) == sorted(start + name for name in used)
    in_prose = [link["href"] for link in page.select("p a.helper, li a.helper")]
    assert len(in_prose) == len({*in_prose})
    assert not page.select("a a")
