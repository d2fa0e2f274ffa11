"""Print the built book to one PDF, the cheat sheet to another, and link to them.

Usage: python tools/make_pdf.py _build/html
"""

import sys
import tempfile
from pathlib import Path

import pikepdf
from browser import NOT_FOUND, OPTIONS, find_browser
from combine_pages import Entry, combine, entries, read_articles
from playwright.sync_api import Page, sync_playwright

NAME = "convolutions-and-lstms.pdf"
WELCOME = "book/welcome.html"
NOT_BUILT = "make_pdf.py found no {page} in {folder}: run `make book` first."
SHEET = "notebooks/reference/cheat_sheet.html"
SHEET_NAME = "cheat-sheet.pdf"


def main(folder: Path) -> None:
    if not (folder / WELCOME).is_file():
        sys.exit(NOT_BUILT.format(page=WELCOME, folder=folder))
    path = find_browser()
    if path is None:
        sys.exit(NOT_FOUND)
    pdf = folder / NAME
    articles = read_articles(folder)
    listed = [entry for article in articles.values() for entry in entries(article)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        page = browser.new_page(reduced_motion="reduce")  # stills of animations
        # Only the printed book tells on which pages its sections begin.
        print_document(page, combine(folder, articles, {}), pdf)
        numbers = page_numbers(pdf, listed)
        print_document(page, combine(folder, articles, numbers), pdf)
        print_page(page, folder / SHEET, folder / SHEET_NAME)
        browser.close()
    add_outline(pdf, listed)
    show_link(folder / WELCOME, "pdf-link", f"../{NAME}")
    show_link(folder / SHEET, "sheet-pdf", f"../../{SHEET_NAME}")
    print(f"The book as one file: {pdf}")


def print_document(page: Page, document: str, pdf: Path) -> None:
    # Beside the pages, so that pictures and styles are found.
    with tempfile.NamedTemporaryFile("w", dir=pdf.parent, suffix=".html") as file:
        file.write(document)
        file.flush()
        print_page(page, Path(file.name), pdf)


def print_page(page: Page, file: Path, pdf: Path) -> None:
    page.goto(file.as_uri())
    page.pdf(path=pdf, prefer_css_page_size=True, print_background=True, tagged=True)


def page_numbers(pdf: Path, listed: list[Entry]) -> dict[str, int]:
    with pikepdf.open(pdf) as document:
        numbers = {page.objgen: page.index + 1 for page in document.pages}
        places = document.Root.Dests
        return {entry.id: numbers[places[f"/{entry.id}"][0].objgen] for entry in listed}


def add_outline(pdf: Path, listed: list[Entry]) -> None:
    """Add chapters and sections; the browser's own outline garbles broken titles."""
    with pikepdf.open(pdf, allow_overwriting_input=True) as document:
        with document.open_outline() as outline:
            outline.root.clear()
            for entry in listed:
                place = document.Root.Dests[f"/{entry.id}"]
                item = pikepdf.OutlineItem(entry.title, place)
                last = outline.root if entry.is_chapter else outline.root[-1].children
                last.append(item)
        document.Root.PageMode = pikepdf.Name.UseOutlines
        # The tags, tens of thousands of small objects, are pressed together.
        streams = pikepdf.ObjectStreamMode.generate
        document.save(pdf, object_stream_mode=streams, recompress_flate=True)


def show_link(page: Path, name: str, address: str) -> None:
    """Without the PDF, the link to it has no address and is hidden."""
    hidden, link = f'<a id="{name}" hidden>', f'<a id="{name}" href="{address}">'
    page.write_text(page.read_text().replace(hidden, link))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
