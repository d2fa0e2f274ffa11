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
    room = f"/{getattr(thing, '__module__', '').partition('.')[2].partition('.')[0]}/"
    # A chapter of the helper's own room teaches it, others may use it more.
    taught = [file for file in uses if room in file and uses[file]]
    most = max(taught or uses, key=uses.get)
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


def test_no_module_of_the_package_is_named(html):
    inside = {path.stem for path in (ROOT / "cnnseq_helpers").iterdir()} - {"__init__"}
    module = re.compile(rf"cnnseq_helpers\.({'|'.join(inside)})\b")
    assert module.search("api.html#cnnseq_helpers.tracing.reach.ReceptiveField")
    for page in ("book/api.html", "genindex.html"):
        assert not module.findall((html / page).read_text())
    for page in html.rglob("*.html"):
        links = re.findall(r'href="[^"]*api\.html#([^"]+)"', page.read_text())
        assert not [link for link in links if module.search(link)]


def test_every_entry_is_a_public_name_or_a_type_that_one_returns(html):
    page = BeautifulSoup((html / "book/api.html").read_text(), "html.parser")
    entries = {entry["id"] for entry in page.select("dl.py:not(dl.py dl.py) > dt[id]")}
    public = {f"cnnseq_helpers.{name}" for name in cnnseq_helpers.__all__}
    assert public <= entries
    returned = set().union(*map(types_returned, cnnseq_helpers.__all__))
    parts = {"ComparedLayer"}  # of which a ModelComparison is made
    assert entries - public == returned | parts
    # Docstrings lead there: "Returns: list of TargetProblem".
    linked = {link["href"] for link in page.select("dl.field-list dt a")}
    assert {f"#{name}" for name in returned} <= linked


def types_returned(name):
    """Return the names of those types of the package that a public name returns."""
    helper = getattr(cnnseq_helpers, name)
    if inspect.isclass(helper) or not callable(helper):
        return set()
    words = re.findall(r"\w+", str(inspect.signature(helper).return_annotation))
    found = [getattr(inspect.getmodule(helper), word, None) for word in words]
    return {
        each.__name__
        for each in found
        if inspect.isclass(each) and each.__module__.startswith("cnnseq_helpers.")
    }


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
