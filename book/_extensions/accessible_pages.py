"""Mend what theme and tables leave out for those who do not see the page."""

from __future__ import annotations

import re
from pathlib import Path

from finished_pages import rewrite_pages
from sphinx.application import Sphinx

STORAGE = """
try { localStorage; } catch {
  const stored = new Map();
  const value = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, text) => stored.set(key, String(text)),
    removeItem: (key) => stored.delete(key),
  };
  Object.defineProperty(window, "localStorage", { value });
}
"""
MENDED = {
    # The theme's title and search button lie outside of any landmark.
    'id="pst-primary-sidebar" class=': (
        'id="pst-primary-sidebar" role="complementary" aria-label="The book" class='
    ),
    # Where nothing may be stored, scripts of the theme and of Sphinx would stop.
    '<meta charset="utf-8" />': f'<meta charset="utf-8"/><script>{STORAGE}</script>',
    # Until its script has run, or where none runs, the theme has no colours.
    ' data-theme="auto"': ' data-theme="light"',
    'localStorage.getItem("theme") || "auto"': (
        'localStorage.getItem("theme")'
        ' || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'
    ),
}
# The corner of a table is the head of nothing.
EMPTY_HEAD = re.compile(r"<th(?: [^>]*)?>(?:<p></p>)?</th>")


def mend(text: str, page: Path) -> str:
    for written, wanted in MENDED.items():
        text = text.replace(written, wanted)
    return EMPTY_HEAD.sub("<td></td>", text)


def setup(app: Sphinx) -> dict[str, bool]:
    rewrite_pages(app, mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
