"""Leave out of the built pages what this book does not use, and give pictures a size.

The theme is made for every kind of site: it loads all icons of a large set, an index of
all words to search while one types, a bridge to a kernel, and styles for parts that no
page here has.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import tinycss2
from finished_pages import rewrite_pages
from PIL import Image
from sphinx.application import Sphinx

# Icons are drawn in icons.css. The search page loads its tools by itself.
UNUSED = re.compile(
    r'<script[^>]*src="[^"]*(fontawesome|sphinx-thebe|design-tabs)\.js[^>]*></script>'
    r"|<script>const THEBE_JS_URL.*?</script>"
    r'|<link[^>]*href="[^"]*sphinx-thebe\.css[^>]*/>'
    r'|<div id="ethical-ad-placement".*?</div>',
    re.DOTALL,
)
SEARCH = re.compile(
    r'<script src="[^"]*(searchtools|language_data|searchindex)\.js[^>]*></script>'
)
# Of code in the colour that all code has, and around each word of code in the text.
PLAIN = re.compile(r'<span class="(?:n|nn|nx|p|pre|w)">([^<]*)</span>|<span></span>')
PICTURE = re.compile(r'<img (?P<rest>[^>]*?src="(?P<source>[^"]+)"[^>]*?)/?>')
NAMES = re.compile(r"[\w-]+")
# An element need not have what these enclose.
ENCLOSED = re.compile(r":(not|is|where|has)\([^()]*(\([^()]*\)[^()]*)*\)")


def lean_styles(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    used = {"bs-tooltip-auto"}  # which its script puts together
    for file in [*folder.rglob("*.html"), *folder.glob("_static/**/*.js")]:
        used |= set(NAMES.findall(file.read_text()))
    for sheet in folder.glob("_static/**/*.css"):
        name = sheet.relative_to(folder / "_static")
        if not Path(app.srcdir, "book/_static", name).exists():  # ours are lean
            rules = tinycss2.parse_stylesheet(sheet.read_text(), skip_comments=True)
            sheet.write_text(keep_used(rules, used))


def lean(text: str, page: Path) -> str:
    text = PLAIN.sub(r"\1", UNUSED.sub("", text))
    if page.name != "search.html":
        text = SEARCH.sub("", text)
    return PICTURE.sub(lambda match: with_size(match, page), text)


def with_size(match: re.Match[str], page: Path) -> str:
    """Return a picture that keeps its place while it loads, when it comes into view."""
    file = page.parent / match["source"]
    if "width=" in match["rest"] or not file.is_file():
        return match[0]
    width, height = picture_size(file)
    size = f'width="{width}" height="{height}" loading="lazy"'
    return f"<img {match['rest'].strip()} {size} />"


def picture_size(file: Path) -> tuple[int, int]:
    """Return the size in pixels; that of a drawing by matplotlib is in points."""
    if file.suffix != ".svg":
        return Image.open(file).size
    drawing = ElementTree.parse(file).getroot()
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    pixels = 4 / 3 if drawing.get("width", "").endswith("pt") else 1
    return round(pixels * width), round(pixels * height)


def keep_used(rules: list[tinycss2.ast.Node], used: set[str]) -> str:
    """Return the rules whose classes and ids some page or script names."""
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = tinycss2.serialize(rule.prelude)
            content = tinycss2.serialize(rule.content).strip()
            if content and any(may_match(s, used) for s in split(selectors)):
                kept.append(f"{selectors.strip()}{{{content}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True)
            if content := keep_used(inner, used):
                condition = tinycss2.serialize(rule.prelude).strip()
                kept.append(f"@{rule.at_keyword} {condition}{{{content}}}")
        elif rule.type != "whitespace" and "Font Awesome" not in rule.serialize():
            kept.append(rule.serialize())
    return "\n".join(kept)


def split(selectors: str) -> list[str]:
    return ENCLOSED.sub("", selectors).split(",")


def may_match(selector: str, used: set[str]) -> bool:
    return set(re.findall(r"[.#]([\w-]+)", selector)) <= used


def setup(app: Sphinx) -> dict[str, bool]:
    # Links to helpers are put around spans that go here.
    app.setup_extension("helper_links")
    rewrite_pages(app, lean)
    # After Sphinx has copied the assets, which it does late.
    app.connect("build-finished", lean_styles, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
