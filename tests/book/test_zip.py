"""The notebooks can be taken along in one file, with the helpers that they import."""

import re
import subprocess
import sys
from runpy import run_path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from .notebooks import PATHS, ROOT

WHERE = "import cnnseq_helpers as h; print(h.__file__, h.conv_output_length(9, 3))"


@pytest.fixture(scope="module")
def folder(html, tmp_path_factory):
    """Unpack the archive; return the one folder that it makes."""
    unpacked = tmp_path_factory.mktemp("zip")
    with ZipFile(html / "notebooks.zip") as archive:
        archive.extractall(unpacked)
    (folder,) = unpacked.iterdir()
    return folder


def test_notebooks_are_those_of_the_book(folder):
    found = sorted(path.relative_to(folder) for path in folder.rglob("*.ipynb"))
    assert found == PATHS
    for path in PATHS:
        assert (folder / path).read_bytes() == (ROOT / path).read_bytes()


def test_the_package_is_imported_from_there(folder):
    command = [sys.executable, "-B", "-c", WHERE]  # -B: no caches
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.stdout.split() == [str(folder / "cnnseq_helpers/__init__.py"), "7"]


def test_pictures_of_the_notebooks_are_there(folder):
    found = 0
    for path in PATHS:
        for picture in re.findall(
            r"\]\((\.\./[^)]+\.svg)\)", (ROOT / path).read_text()
        ):
            assert (folder / path.parent / picture).is_file()
            found += 1
    assert found >= 1


def test_all_that_git_keeps_of_the_package_is_there_and_nothing_else(folder):
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "cnnseq_helpers",
            "examples",
            "notebooks/*.ipynb",
            "book/_static/diagrams/*.svg",
            "book/_static/explorers/*.svg",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    root = {"LICENSE", "README.md", "pyproject.toml", "requirements.txt"}
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix() for path in files}
    assert names == {*listed.stdout.split(), *root}


def test_it_is_the_same_byte_by_byte_when_made_again(html, tmp_path):
    builder = SimpleNamespace(format="html")
    write_zip = run_path(ROOT / "book/_extensions/notebooks_zip.py")["write_zip"]
    write_zip(SimpleNamespace(builder=builder, srcdir=ROOT, outdir=tmp_path), None)
    again = (tmp_path / "notebooks.zip").read_bytes()
    assert again == (html / "notebooks.zip").read_bytes()
