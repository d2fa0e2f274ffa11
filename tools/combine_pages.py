"""Make one document of the built pages, in the order of the table of contents."""

import posixpath
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).parents[1]
STYLES = ROOT / "tools/combined.css"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
# Scripts would make buttons, and put explorers in the place of their figures.
DROPPED = "script, noscript, button, a.headerlink, [hidden], #pdf-link"
# All spans of code but strings and comments, and its links. The tags of a PDF are not
# compressed, and some fifty thousand of them would double its size.
PLAIN = (
    "div.highlight pre span:not(.s1, .s2, .sd, .c1), div.highlight a.helper, "
    "span.kc, span.mi, span.mf, span.n, span.nn, span.o, span.ow, span.p, span.si, "
    "span.w, span.pre, pre > span:empty"
)
REFERRING = ("for", "aria-controls", "aria-describedby", "aria-labelledby")
DOCUMENT = """\
<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}</title>
{sheets}
<style>
{styles}
</style>
</head>
<body>
<header class="title-page">
<p class="book-title">{title}</p>
<p>{author}</p>
<p>{licence}</p>
</header>
<nav class="book-contents">
<h1>Contents</h1>
{contents}
</nav>
<main>
{articles}
</main>
</body>
</html>
"""


class Entry(NamedTuple):
    """A heading in the table of contents: of a chapter, or of a section in it."""

    id: str
    title: str
    is_chapter: bool


def combine(folder: Path, articles: dict[str, Tag], numbers: dict[str, int]) -> str:
    """Return the document; numbers are those of pages, by the ids of entries."""
    parts = [
        list_part(caption, [articles[name] for name in names], numbers)
        for caption, names in table_of_contents()
    ]
    return DOCUMENT.format(
        title=escape(CONFIG["title"]),
        author=escape(CONFIG["author"]),
        licence=escape(CONFIG["html"]["extra_footer"]),
        sheets="\n".join(stylesheets(folder, next(iter(articles)))),
        styles=STYLES.read_text(),
        contents="\n".join(parts),
        articles="\n".join(map(str, articles.values())),
    )


def table_of_contents() -> list[tuple[str, list[str]]]:
    """Return the captions of the parts, with the names of their pages."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = [
        (part["caption"], [page["file"] for page in part["chapters"]])
        for part in toc["parts"]
    ]
    return [("", [toc["root"]]), *parts]


def list_part(caption: str, articles: list[Tag], numbers: dict[str, int]) -> str:
    """Return a part of the table of contents, with page numbers once they are known."""
    lines = [f"<p>{escape(caption)}</p>" if caption else "", "<ul>"]
    for entry in (entry for article in articles for entry in entries(article)):
        kind = "chapter" if entry.is_chapter else "section"
        link = f'<a href="#{entry.id}">{escape(entry.title)}</a>'
        number = numbers.get(entry.id, "")
        lines.append(f'<li class="{kind}">{link} <span>{number}</span></li>')
    return "\n".join([*lines, "</ul>"])


def entries(article: Tag) -> list[Entry]:
    chapter = Entry(article["id"], article.h1.get_text(), is_chapter=True)
    headings = article.select("section[id] > h2")
    sections = [Entry(h.parent["id"], h.get_text(), is_chapter=False) for h in headings]
    return [chapter, *sections]


def stylesheets(folder: Path, name: str) -> list[str]:
    """Return the links of a page to its styles, as seen from the folder of the book."""
    page = BeautifulSoup((folder / f"{name}.html").read_text(), "html.parser")
    links = page.select("link[rel=stylesheet]")
    for link in links:
        link["href"] = from_root(name, link["href"])
    return [str(link) for link in links]


def read_articles(folder: Path) -> dict[str, Tag]:
    """Return what each page says, fit to stand in one document with the others."""
    names = [name for _, chapters in table_of_contents() for name in chapters]
    return {name: read_article(folder, name, names) for name in names}


def read_article(folder: Path, name: str, names: list[str]) -> Tag:
    page = BeautifulSoup((folder / f"{name}.html").read_text(), "html.parser")
    found = page.article
    for tag in found.select(DROPPED):
        tag.decompose()
    for span in found.select(PLAIN):
        span.unwrap()
    for folded in found.select("details"):
        folded["open"] = ""
    for picture in found.select("img"):
        picture["src"] = from_root(name, picture["src"])
        picture.attrs.pop("loading", None)  # all of them are printed
    for source in found.select("source"):
        source["srcset"] = from_root(name, source["srcset"])
    make_ids_unique(found, chapter_id(name))
    for link in found.select("a[href]"):
        redirect(link, name, names)
    found["id"] = chapter_id(name)
    return found


def chapter_id(name: str) -> str:
    return name.replace("/", "-")


def from_root(name: str, address: str) -> str:
    """Return the address of a file on this machine as seen from the book's folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def make_ids_unique(found: Tag, prefix: str) -> None:
    for tag in found.select("[id]"):
        tag["id"] = f"{prefix}--{tag['id']}"
    for attribute in REFERRING:
        for tag in found.select(f"[{attribute}]"):
            ids = tag[attribute].split()
            tag[attribute] = " ".join(f"{prefix}--{each}" for each in ids)


def redirect(link: Tag, name: str, names: list[str]) -> None:
    """Let the link lead to the place in the document, or leave only its text."""
    address = urlsplit(link["href"])
    if address.scheme or address.netloc:
        return
    target = from_root(name, unquote(address.path)) if address.path else f"{name}.html"
    page = target.removesuffix(".html")
    if page not in names:
        link.unwrap()
    elif address.fragment:
        link["href"] = f"#{chapter_id(page)}--{unquote(address.fragment)}"
    else:
        link["href"] = f"#{chapter_id(page)}"
