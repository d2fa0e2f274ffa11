"""The PDF holds the whole book, leads where it says, and cuts nothing off."""

import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from unicodedata import normalize

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

from tools.combine_pages import combine, entries, read_articles

from ..conftest import ROOT

# What `make pdf` prints is not what `make book` shows, and takes a minute.
pytestmark = pytest.mark.exhaustive

TOOL = [sys.executable, ROOT / "tools/make_pdf.py"]
WIDTH = 658  # of the text on A4, in pixels: 210 mm less twice 18 mm
WIDER = """width => [...document.querySelectorAll("body *")]
  .filter(element => element.getBoundingClientRect().right > width + 1)
  .map(element => `${element.closest("article")?.id}: ${element.outerHTML}`)"""


@pytest.fixture(scope="module")
def folder(html, browser, tmp_path_factory):
    """Return a copy of the built book with a PDF, and a link to it."""
    folder = shutil.copytree(html, tmp_path_factory.mktemp("pdf") / "html")
    welcome = folder / "book/welcome.html"
    link = '<a id="pdf-link" hidden>the PDF</a></article>'
    welcome.write_text(welcome.read_text().replace("</article>", link))
    subprocess.run([*TOOL, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def articles(folder):
    return read_articles(folder)


@pytest.fixture(scope="module")
def pdf(folder):
    return PdfReader(folder / "convolutions-and-lstms.pdf")


def flat(outline):
    for item in outline:
        yield from flat(item) if isinstance(item, list) else [item]


def test_it_has_a_title_and_a_language(pdf):
    assert pdf.metadata.title == "Convolutions and LSTMs for sequences"
    assert pdf.root_object["/Lang"] == "en"


def test_the_outline_has_every_chapter_and_section_in_order(pdf, articles):
    expected = [entry for each in articles.values() for entry in entries(each)]
    assert [item.title for item in flat(pdf.outline)] == [e.title for e in expected]
    numbers = [pdf.get_destination_page_number(item) for item in flat(pdf.outline)]
    assert numbers == sorted(numbers)


def test_chapters_begin_where_the_table_of_contents_says(pdf):
    chapters = [item for item in pdf.outline if not isinstance(item, list)]
    starts = [pdf.get_destination_page_number(chapter) for chapter in chapters]
    contents = text(pdf.pages[1 : starts[0]])
    for chapter, start in zip(chapters, starts, strict=True):
        # The number in the footer comes first.
        expected = plain(f"{start + 1}{chapter.title}")
        assert text([pdf.pages[start]]).startswith(expected)
        assert plain(f"{chapter.title}{start + 1}") in contents


def text(pages):
    return plain("".join(page.extract_text() for page in pages))


def plain(text):
    """Return the text without spaces and ligatures, which depend on the lines."""
    return "".join(normalize("NFKC", text).split())


def test_every_figure_is_there(pdf, articles):
    shown = sum(len(article.select("img")) for article in articles.values())
    assert drawn(pdf) >= shown > 50


def drawn(pdf):
    """Count what is tagged as a figure, drawings and pictures alike."""
    return sum(
        pdf.get_object(number).get("/S") == "/Figure"
        for number in range(1, pdf.trailer["/Size"])
        if isinstance(pdf.get_object(number), dict)
    )


def test_every_link_of_the_document_has_one_target(folder, articles):
    document = BeautifulSoup(combine(folder, articles, {}), "html.parser")
    targets = Counter(tag["id"] for tag in document.select("[id]"))
    links = [tag["href"][1:] for tag in document.select("body a[href^='#']")]
    assert len(links) > 500
    assert [link for link in links if targets[link] != 1] == []


def test_every_picture_of_the_document_is_found(folder, articles):
    for article in articles.values():
        for picture in article.select("img, source"):
            file = folder / (picture.get("src") or picture["srcset"])
            assert file.is_file(), picture


def test_links_within_lead_somewhere(pdf):
    places = pdf.named_destinations
    links = [
        annotation.get_object()["/Dest"]
        for page in pdf.pages
        for annotation in page.get("/Annots", [])
        if "/Dest" in annotation.get_object()
    ]
    assert len(links) > 500
    assert [link for link in links if str(link) not in places] == []


def test_addresses_are_those_of_other_hosts_alone(pdf):
    addresses = [
        annotation.get_object()["/A"]["/URI"]
        for page in pdf.pages
        for annotation in page.get("/Annots", [])
        if "/URI" in annotation.get_object().get("/A", {})
    ]
    assert addresses
    assert [a for a in addresses if not a.startswith(("http://", "https://"))] == []


def test_text_can_be_selected_and_solutions_are_open(pdf, articles):
    solutions = [
        solution.select("p")[-1].get_text()
        for article in articles.values()
        for solution in article.select(".solution")
    ]
    assert len(solutions) > 20
    found = "".join(text(pages) for pages in exercises(pdf))
    assert [s for s in solutions if plain(s)[:20] not in found] == []


def exercises(pdf):
    """Return the pages of exercises of each chapter."""
    items = list(flat(pdf.outline))
    for item, following in pairwise(items):
        if item.title.endswith("Exercises"):
            first, last = map(pdf.get_destination_page_number, (item, following))
            yield pdf.pages[first : last + 1]


def test_nothing_is_wider_than_the_page(page, folder, articles):
    document = folder / "combined.html"
    document.write_text(combine(folder, articles, {}))
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.emulate_media(media="print")
    page.goto(document.as_uri())
    assert page.evaluate(WIDER, WIDTH) == []


def test_the_file_is_not_large(folder):
    assert (folder / "convolutions-and-lstms.pdf").stat().st_size < 15e6


def test_the_welcome_page_leads_to_it(page, folder):
    page.goto((folder / "book/welcome.html").as_uri())
    link = page.get_by_role("link", name="the PDF")
    assert link.get_attribute("href") == "../convolutions-and-lstms.pdf"
    assert list(folder.glob("tmp*.html")) == []


def test_the_cheat_sheet_has_a_pdf_of_one_page_and_leads_to_it(page, folder):
    assert len(PdfReader(folder / "cheat-sheet.pdf").pages) == 1
    page.goto((folder / "notebooks/reference/cheat_sheet.html").as_uri())
    link = page.get_by_role("link", name="As a PDF.")
    assert link.get_attribute("href") == "../../cheat-sheet.pdf"


def test_without_a_built_book_the_tool_says_what_to_do(tmp_path):
    result = subprocess.run([*TOOL, tmp_path], capture_output=True, text=True)
    assert result.returncode == 1
    assert "make book" in result.stderr
