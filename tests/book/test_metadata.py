"""What search engines and other pages' previews are told of each page."""

from xml.etree import ElementTree

from bs4 import BeautifulSoup

from .conftest import SITE

PAGE = "notebooks/part/old.html"


def head(page):
    text = page.read_text().partition("</head>")[0]
    return BeautifulSoup(text, "html.parser")


def tags(page):
    soup = head(page)
    return {
        tag.get("name") or tag.get("property"): tag["content"]
        for tag in soup.select("meta[content]")
        if tag.get("name") or tag.get("property")
    } | {tag["rel"][0]: tag["href"] for tag in soup.select("link[rel=canonical]")}


def test_a_published_page_has_its_address_and_a_card(published):
    found = tags(published / PAGE)
    assert found["canonical"] == found["og:url"] == SITE + PAGE
    assert found["og:title"] == "The old one"
    assert found["og:site_name"] == "Convolutions and LSTMs for sequences"
    assert found["description"] == found["og:description"]
    card = found["og:image"].removeprefix(SITE)
    assert (published / card).read_bytes().startswith(b"\x89PNG")


def test_the_map_lists_the_pages_where_they_are(published):
    places = [
        element.text
        for element in ElementTree.parse(published / "sitemap.xml").iter()
        if element.tag.endswith("loc")
    ]
    assert SITE + PAGE in places
    assert all((published / place.removeprefix(SITE)).is_file() for place in places)


def test_without_an_address_nothing_is_said_of_one(html):
    page = html / "book/welcome.html"
    found = tags(page)
    assert not {"canonical", "og:url", "og:image"} & set(found)
    assert not (html / "sitemap.xml").exists()


def test_every_page_has_a_title_and_a_description_of_its_own(html):
    pages = [*html.glob("book/*.html"), *html.glob("notebooks/*/*.html")]
    descriptions = [tags(page)["description"] for page in pages]
    titles = [head(page).title.string for page in pages]
    assert len(set(descriptions)) == len(set(titles)) == len(pages)
    assert [text for text in descriptions if not 60 <= len(text) <= 200] == []
