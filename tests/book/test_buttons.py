"""One address in the configuration is enough for all buttons that lead elsewhere."""

import re

import pytest
import yaml
from bs4 import BeautifulSoup

from .conftest import GITHUB
from .notebooks import PATHS, ROOT
from .small_book import build

ICONS = ROOT / "book/_static/icons.css"
NOTEBOOK = "notebooks/part/old.ipynb"
EDIT = f"{GITHUB}/edit/main/"
ISSUE = f"{GITHUB}/issues/new?title=Issue%20on%20page%20%2Fnotebooks/part/old.html"
BINDER = "https://mybinder.org/v2/gh/someone/sequences/main?urlpath=lab/tree/"
COLAB = "https://colab.research.google.com/github/someone/sequences/blob/main/"


def read(page):
    return BeautifulSoup(page.read_text(), "html.parser")


def links_away(page):
    links = read(page).select(".article-header-buttons a[href^=http]")
    return {link["href"] for link in links}


def test_a_notebook_has_all_buttons(published):
    found = links_away(published / "notebooks/part/old.html")
    issues = {link for link in found if link.startswith(ISSUE)}
    assert len(issues) == 1
    launchers = {COLAB + NOTEBOOK, BINDER + NOTEBOOK}
    assert found - issues == {GITHUB, EDIT + NOTEBOOK} | launchers


def test_the_cell_that_installs_is_in_the_notebook_and_not_on_the_page(published):
    assert "%pip install" in (published / "_sources" / NOTEBOOK).read_text()
    page = read(published / "notebooks/part/old.html")
    assert [cell.get_text().strip() for cell in page.select(".cell")] == ["40 + 2"]


def test_every_button_has_an_icon(published):
    drawn = set(re.findall(r"^\.([\w-]+) \{", ICONS.read_text(), re.MULTILINE))
    page = read(published / "notebooks/part/old.html")
    icons = page.select(".article-header-buttons i")
    assert len(icons) >= 7
    for icon in icons:
        assert drawn & set(icon["class"]), icon


def test_a_page_without_code_is_not_launched(published):
    found = links_away(published / "book/about.html")
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
