"""A page that is printed from the browser has what is said on it, and nothing else."""

import io
from unicodedata import normalize

import pytest
from pypdf import PdfReader

PAGE = "notebooks/padding/bucketing.html"
THEME = "document.documentElement.dataset.theme"
GONE = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", "button")


@pytest.fixture
def printed(page, address):
    page.emulate_media(media="print")
    page.goto(f"{address}/{PAGE}")
    return page


def test_there_is_nothing_to_press(printed):
    for selector in GONE:
        assert printed.locator(f"{selector}:visible").count() == 0, selector
    assert printed.locator("h1:visible").count() == 1
    assert printed.locator("article img").first.is_visible()


def test_the_text_has_the_page_to_itself(printed):
    printed.set_viewport_size({"width": 658, "height": 900})
    box = printed.locator("article").bounding_box()
    assert (box["x"], box["width"]) == (0, 658)


def test_a_dark_page_is_printed_in_light(own_page, address):
    own_page.add_init_script("localStorage.setItem('mode', 'dark')")
    own_page.add_init_script("localStorage.setItem('theme', 'dark')")
    own_page.goto(f"{address}/{PAGE}")
    assert own_page.evaluate(THEME) == "dark"
    own_page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert own_page.evaluate(THEME) == "light"
    own_page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert own_page.evaluate(THEME) == "dark"


def test_the_cheat_sheet_fits_one_page_with_all_its_tables(page, address):
    page.goto(f"{address}/notebooks/reference/cheat_sheet.html")
    headings = page.locator("article h2").all_inner_texts()
    (sheet,) = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages
    text = " ".join(normalize("NFKC", sheet.extract_text()).split())
    assert len(headings) == page.locator("article table").count() == 8
    assert all(heading.rstrip("#") in text for heading in headings)


# Words of the sheet's cells that are broken, and tables that do not fit their place.
NOT_WHOLE = """() => {
  const broken = [...document.querySelectorAll("article table")].filter((table) =>
    table.getBoundingClientRect().right
      > table.closest(".cell").getBoundingClientRect().right + 1
  ).map((table) => table.innerText);
  for (const cell of document.querySelectorAll("article :is(td, th)")) {
    for (const text of cell.childNodes) { // parted by <wbr>
      for (const word of text.data?.matchAll(/\\w+/g) ?? []) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (range.getClientRects().length > 1) broken.push(word[0]);
      }
    }
  }
  return broken;
}"""


@pytest.mark.parametrize(
    ("width", "media"), [(360, "screen"), (1280, "screen"), (700, "print")]
)
def test_the_cheat_sheet_breaks_no_word(page, address, width, media):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media=media)
    page.goto(f"{address}/notebooks/reference/cheat_sheet.html")
    assert page.evaluate(NOT_WHOLE) == []
