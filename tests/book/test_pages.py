"""The book builds without a warning, and its pages hold what was compared."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from .notebooks import PATHS, code_cells, errors, pictures, read

# Search and thebe fill their pages by script; the link checker can't see the result.
GENERATED = {"genindex.html", "py-modindex.html", "search.html"}


@pytest.fixture(scope="session")
def site(html):
    """Return the pages by their path, and the folder that they are in."""
    return {
        page.relative_to(html).as_posix(): BeautifulSoup(
            page.read_text(), "html.parser"
        )
        for page in html.rglob("*.html")
        if "_static" not in page.parts
    }, html


def test_every_internal_link_leads_somewhere(site):
    pages, html = site
    ids = {
        name: {tag["id"] for tag in page.select("[id]")} for name, page in pages.items()
    }
    dead = []
    for name, page in pages.items():
        for tag in page.select("[href], [src]"):
            link = urlsplit(tag.get("href") or tag.get("src"))
            if link.scheme or link.netloc or not (link.path or link.fragment):
                continue
            target = (
                (html / name).parent / unquote(link.path) if link.path else html / name
            )
            found = target.resolve().exists()
            if found and link.fragment and target.suffix == ".html":
                key = target.resolve().relative_to(html.resolve()).as_posix()
                # A search phrase is marked by script, not found by its id.
                found = key in GENERATED or unquote(link.fragment) in ids[key]
            if not found:
                dead.append((name, link.geturl()))
    assert dead == []


def test_no_page_asks_another_host(site):
    pages, _ = site
    outside = [
        (name, tag.name, address)
        for name, page in pages.items()
        for tag in page.select("script, img, iframe, source, link[rel~=stylesheet]")
        if re.match(r"(https?:)?//", address := tag.get("src") or tag.get("href") or "")
    ]
    assert outside == []


def test_the_settings_of_the_theme_reach_the_pages(site):
    pages, _ = site
    for name in ("book/welcome.html", "book/about.html"):
        assert "CC BY 4.0" in pages[name].select_one(".extra_footer").get_text()


def test_every_picture_has_alternative_text(site):
    pages, _ = site
    for name, page in pages.items():
        for picture in page.select("article img:not(.toggler)"):
            assert len(picture.get("alt", "").split()) >= 8, (name, picture)


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_page_shows_the_compared_outputs(site, path):
    page = site[0][path.with_suffix(".html").as_posix()]
    shown = [words(block.get_text()) for block in page.select(".cell_output")]
    cells = [cell for cell in code_cells(read(path)) if cell.outputs]
    assert len(shown) == len(cells)
    for cell, text in zip(cells, shown, strict=True):
        for output in cell.outputs:
            data = output.get("data", {})
            if "text/html" in data:
                table = BeautifulSoup(data["text/html"], "html.parser")
                assert words(table.get_text()) in text
            elif "text/plain" in data and not any("image" in kind for kind in data):
                assert words(data["text/plain"]) in text
            elif output.output_type == "stream":
                assert words(output.text) in text
        for error in errors(cell):
            bare = re.sub(r"\x1b\[\d*m", "", error.evalue)  # Keras prints in bold
            assert words(f"{error.ename}: {bare}") in text
    assert len(page.select(".cell_output img")) == sum(
        len(pictures(cell)) for cell in cells
    )


def test_animations_reach_the_pages_of_video_as_they_are(site):
    """An animated PNG has a chunk acTL, and plays in an img tag without a script."""
    pages, html = site
    for chapter in ("next_frame", "encoder_decoder", "rollouts"):
        page = f"notebooks/video/{chapter}.html"
        files = [
            ((html / page).parent / tag["src"]).read_bytes()
            for tag in pages[page].select("article img[src$='.png']")
        ]
        sizes = [len(file) for file in files if b"acTL" in file]
        assert sizes, chapter
        assert max(sizes) < 300_000, chapter


def test_the_api_page_shows_every_public_name(site):
    import cnnseq_helpers

    page = site[0]["book/api.html"]
    ids = {tag["id"].split(".")[-1] for tag in page.select("dt[id]")}
    assert ids >= set(cnnseq_helpers.__all__)
