"""The first use of a word of the glossary leads to it, on every page."""

import re

import pytest
from bs4 import BeautifulSoup, NavigableString

from .notebooks import PATHS

# What is no running text, or a link already.
APART = (
    "a",
    "code",
    "pre",
    "figcaption",
    "h1",
    "h2",
    "h3",
    "h4",
    "table",
    "strong",
    "script",
    "style",
    "math",
)


@pytest.fixture(scope="session")
def terms(html):
    page = BeautifulSoup((html / "book/glossary.html").read_text(), "html.parser")
    return {term["id"]: term.find(string=True).strip() for term in page.select("dt")}


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_page_links_each_word_at_its_first_use(html, terms, path):
    page = html / path.with_suffix(".html")
    article = BeautifulSoup(page.read_text(), "html.parser").select_one("article")
    links = article.select("a[href*='glossary.html#']:has(.term)")
    linked = [link["href"].split("#")[1] for link in links]
    assert len(linked) == len(set(linked)) >= 5
    for link, target in zip(links, linked, strict=True):
        word = re.compile(
            rf"(?<![\w-]){terms[target].rstrip('s')}(?:e?s)?(?![\w-])", re.I
        )
        assert word.fullmatch(link.get_text())
        earlier = [
            text
            for text in link.find_all_previous(string=word)
            if type(text) is NavigableString
            and text.find_parent("p")
            and not text.find_parent(APART)
            and article in text.parents
        ]
        assert earlier == [], (terms[target], earlier)


def test_every_word_of_the_glossary_is_used(html, terms):
    text = "".join((html / path.with_suffix(".html")).read_text() for path in PATHS)
    unused = [
        word for target, word in terms.items() if f"glossary.html#{target}" not in text
    ]
    assert unused == []
