"""Link the first use of each word of the glossary on each page to its entry.

The text of the notebooks stays plain, and no first use is forgotten when it moves.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

GLOSSARY = "book/glossary"


class FirstUses(SphinxPostTransform):
    """Look for words in paragraphs, not in titles, captions, tables, code or links."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        entries = glossary_entries(self.env)
        if self.env.docname == GLOSSARY or not entries:
            return
        longest_first = "|".join(sorted(map(re.escape, entries), key=len, reverse=True))
        words = re.compile(
            rf"(?<![\w-])({longest_first})(?:e?s)?(?![\w-])", re.IGNORECASE
        )
        linked: set[str] = set()
        for text in [t for t in self.document.findall(nodes.Text) if is_prose(t)]:
            parts = []
            end = 0
            for match in words.finditer(text):
                term = entries[match[1].lower()]
                if term not in linked:
                    linked.add(term)
                    before = nodes.Text(text[end : match.start()])
                    parts += [before, link(match[0], term)]
                    end = match.end()
            if parts:
                text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def glossary_entries(env: Any) -> dict[str, str]:
    """Return the term of each word, in lower case and singular."""
    if GLOSSARY not in env.found_docs:
        return {}
    terms = [term.astext() for term in env.get_doctree(GLOSSARY).findall(nodes.term)]
    return {term.lower().removesuffix("s"): term for term in terms}


def is_prose(text: nodes.Text) -> bool:
    parent = text.parent
    if isinstance(parent, nodes.emphasis | nodes.strong):
        parent = parent.parent
        if len(parent) == 1:
            return False  # a small title
    within = nodes.entry, nodes.footnote, nodes.citation
    return isinstance(parent, nodes.paragraph) and not isinstance(parent.parent, within)


def link(word: str, term: str) -> addnodes.pending_xref:
    return addnodes.pending_xref(
        "",
        nodes.inline(word, word, classes=["term"]),
        refdomain="std",
        reftype="term",
        reftarget=term,
        refexplicit=True,
        refwarn=True,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(FirstUses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
