"""Link the first use of each helper on each page, in code and in prose, to its entry.

The notebooks stay plain, and no first use is forgotten when it moves.
"""

from __future__ import annotations

import re
from pathlib import Path

from finished_pages import rewrite_pages
from sphinx.application import Sphinx

import cnnseq_helpers

NAMES = "|".join(cnnseq_helpers.__all__)
# Links and titles are passed over: they lead somewhere already.
PASSED_OVER = r"<a\b.*?</a>|<h\d\b.*?</h\d>"
IN_CODE = re.compile(
    rf'{PASSED_OVER}|(?<=<span class="n">helpers</span><span class="o">\.</span>)'
    rf'<span class="n">(?P<name>{NAMES})</span>',
    re.DOTALL,
)
IN_PROSE = re.compile(
    rf'{PASSED_OVER}|<code class="docutils literal notranslate"><span class="pre">'
    rf"(?:helpers\.)?(?P<name>{NAMES})</span></code>",
    re.DOTALL,
)
LINK = '<a class="helper" href="../../book/api.html#cnnseq_helpers.{}">'
ROLE = re.compile(r'href="../../book/api\.html#cnnseq_helpers\.(\w+)"')


def link_first_uses(text: str, page: Path) -> str:
    if page.parts[-3] != "notebooks" or LINK.partition("href")[0] in text:
        return text
    by_roles = set(ROLE.findall(text))
    return link_first(IN_CODE, link_first(IN_PROSE, text, by_roles), set())


def link_first(uses: re.Pattern[str], text: str, linked: set[str]) -> str:
    """Put a link around the first use of each name that is not linked yet."""

    def link(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or name in linked:
            return match[0]
        linked.add(name)
        return f"{LINK.format(name)}{match[0]}</a>"

    return uses.sub(link, text)


def setup(app: Sphinx) -> dict[str, bool]:
    rewrite_pages(app, link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
