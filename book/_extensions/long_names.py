"""Let long names of classes in printed tables break between their words."""

from __future__ import annotations

import re
from pathlib import Path

from finished_pages import rewrite_pages
from sphinx.application import Sphinx

CELL = re.compile(r"(?<=<t[dh]>)[^<]+(?=</t[dh]>)")
LONG = re.compile(r"\w{20,}")
NEXT_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def soften(text: str, page: Path) -> str:
    return CELL.sub(lambda cell: LONG.sub(soften_name, cell[0]), text)


def soften_name(name: re.Match[str]) -> str:
    return NEXT_WORD.sub("<wbr>", name[0])


def setup(app: Sphinx) -> dict[str, bool]:
    rewrite_pages(app, soften)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
