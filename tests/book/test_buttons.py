"""One address in the configuration is enough for all buttons that lead elsewhere."""

import re

import pytest
import yaml
from bs4 import BeautifulSoup

from .notebooks import PATHS, ROOT
from .small_book import build

ICONS = ROOT / "book/_static/icons.css"
GITHUB = "https://github.com/someone/sequences"
NOTEBOOK = "notebooks/part/old.ipynb"
EDIT = f"{GITHUB}/edit/main/"
ISSUE = f"{GITHUB}/issues/new?title=Issue%20on%20page%20%2Fnotebooks/part/old.html"
BINDER = "https://mybinder.org/v2/gh/someone/sequences/main?urlpath=lab/tree/"
COLAB = "https://colab.research.google.com/github/someone/sequences/blob/main/"


def links_away(page):
    soup = BeautifulSoup(page.read_text(), "html.parser")
    return {
        link["href"] for link in soup.select(".article-header-buttons a[href^=http]")
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return build(tmp_path_factory.mktemp("book"), GITHUB)


def test_a_notebook_has_all_buttons(pages):
    found = links_away(pages / "notebooks/part/old.html")
    issues = {link for link in found if link.startswith(ISSUE)}
    assert len(issues) == 1
    launchers = {COLAB + NOTEBOOK, BINDER + NOTEBOOK}
    assert found - issues == {GITHUB, EDIT + NOTEBOOK} | launchers


def test_the_cell_that_installs_is_in_the_notebook_and_not_on_the_page(pages):
    assert "%pip install" in (pages / "_sources" / NOTEBOOK).read_text()
    page = BeautifulSoup((pages / "notebooks/part/old.html").read_text(), "html.parser")
    assert [cell.get_text().strip() for cell in page.select(".cell")] == ["40 + 2"]


def test_every_button_has_an_icon(pages):
    drawn = set(re.findall(r"^\.([\w-]+) \{", ICONS.read_text(), re.MULTILINE))
    page = BeautifulSoup((pages / "notebooks/part/old.html").read_text(), "html.parser")
    icons = page.select(".article-header-buttons i")
    assert len(icons) >= 7
    for icon in icons:
        assert drawn & set(icon["class"]), icon


def test_a_page_without_code_is_not_launched(pages):
    found = links_away(pages / "book/about.html")
    assert {GITHUB, f"{EDIT}book/about.md"} < found
    assert all(link.startswith(GITHUB) for link in found)


@pytest.mark.exhaustive  # builds another book
def test_colab_is_left_out_where_it_cannot_open_the_notebook(tmp_path):
    elsewhere = "https://gitlab.com/someone/sequences"
    found = links_away(build(tmp_path, elsewhere) / "notebooks/part/old.html")
    assert not any("colab" in link for link in found)
    assert any(link.startswith("https://mybinder.org/v2/gl/") for link in found)


def test_the_book_has_buttons_only_with_an_address(html):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    for page in (PATHS[0].with_suffix(".html"), "book/about.html"):
        assert bool(links_away(html / page)) == bool(address)
