"""Give each animation a still picture, shown where readers want no motion, and a pause.

An animated PNG plays by itself and for ever. A browser shows the still one to readers
who have asked their system for less motion; ``animations.js`` adds a button for others.
"""

from __future__ import annotations

import re
from pathlib import Path

from finished_pages import rewrite_pages
from PIL import Image
from sphinx.application import Sphinx

PICTURE = re.compile(r'(?<!"/>)<img [^>]*?src="(?P<source>[^"]+\.png)"[^>]*>')


def add_stills(text: str, page: Path) -> str:
    found = PICTURE.sub(lambda match: with_still(match, page), text)
    if found == text:
        return text
    root = re.search(r'data-content_root="([^"]*)"', text)[1]
    script = f'<script defer src="{root}_static/animations.js"></script>'
    return found.replace("</head>", f"{script}\n</head>")


def with_still(match: re.Match[str], page: Path) -> str:
    file = page.parent / match["source"]
    if not file.is_file() or b"acTL" not in file.read_bytes():
        return match[0]
    still = file.with_suffix(".still.png")
    with Image.open(file) as animation:
        animation.convert("RGB").save(still, optimize=True)
    address = match["source"].removesuffix(".png") + ".still.png"
    reduced = f'<source media="(prefers-reduced-motion: reduce)" srcset="{address}"/>'
    return f'<picture class="animation">{reduced}{match[0]}</picture>'


def setup(app: Sphinx) -> dict[str, bool]:
    rewrite_pages(app, add_stills)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
