"""Describe each page; with the address of the book, add the page's own, a card, a map.

``html.baseurl`` in ``_config.yml`` says where the pages are published. From it Sphinx
makes canonical addresses, sphinxext-opengraph the card that others show beside a link,
and sphinx-sitemap the map for search engines.
"""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

LONGEST = 200  # search engines show no more
CARD = {
    "line_color": "#0072b2",
    "image": "book/_static/mark.png",
    "image_mini": "book/_static/mark.png",
}


def set_address(app: Sphinx, config: Config) -> None:
    if config.html_baseurl:
        config.html_baseurl = config.html_baseurl.rstrip("/") + "/"
        config.sitemap_url_scheme = "{link}"
        config.sitemap_excludes = ["search.html", "genindex.html"]
        config.ogp_site_url = config.html_baseurl
        config.ogp_site_name = config.html_title
        config.ogp_social_cards = CARD


def describe(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if doctree and (text := shorten(first_words(doctree))):
        own = {"og:description": text, "og:image:alt": f"A card that says: {text}"}
        context["meta"] = {**(context["meta"] or {}), **own}
        context["metatags"] += f'<meta name="description" content="{escape(text)}" />\n'


def first_words(doctree: nodes.document) -> str:
    """Return what the reader will learn, or what the page says first."""
    paragraphs = [
        " ".join(p.astext().split()) for p in doctree.findall(nodes.paragraph)
    ]
    promises = [text for text in paragraphs if text.startswith("You will learn")]
    return (promises + paragraphs + [""])[0]


def shorten(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def setup(app: Sphinx) -> dict[str, bool]:
    if app.config.html_baseurl:
        app.setup_extension("sphinxext.opengraph")
        app.setup_extension("sphinx_sitemap")
    app.connect("config-inited", set_address)
    # Before opengraph, which leaves a description alone that is there.
    app.connect("html-page-context", describe, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
