"""Collect the error messages of the book, so that its search page can find them.

The search of Sphinx wants every word of a question in one page, and a reader's message
holds shapes and names that no page has. ``find_messages.js`` compares it with these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

CLINIC = "notebooks/reference/error_clinic"
WITH_FIELD = CLINIC, "notebooks/reference/silent_faults"
INDEX = "message_index.js"
# To quote the pages that it found Sphinx fetches them, which browsers refuse to do from
# the file system.
NO_FETCHING = """
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
"""


def load_scripts(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if pagename == "search":
        scripts = "mend_search.js", INDEX, "rank_messages.js", "find_messages.js"
        for script in scripts:
            app.add_js_file(script, loading_method="defer")
        app.add_js_file(None, body=NO_FETCHING)
    elif pagename in WITH_FIELD:
        app.add_js_file("filter_table.js", loading_method="defer")


def write_index(app: Sphinx, env: BuildEnvironment) -> None:
    """Write the messages as a script, which can be read without a server."""
    entries = [entry for page in sorted(env.found_docs) for entry in collect(app, page)]
    folder = app.outdir / "_static"
    folder.mkdir(exist_ok=True)
    text = json.dumps(entries, ensure_ascii=False, indent=1)
    (folder / INDEX).write_text(f"const ERROR_MESSAGES = {text};\n", "utf-8")


def collect(app: Sphinx, page: str) -> Iterator[dict[str, Any]]:
    """Yield an entry for each section of a page that shows an error."""
    for section in app.env.get_doctree(page).findall(nodes.section):
        parts = [part for part in section if not isinstance(part, nodes.section)]
        messages = [
            error.astext() for part in parts for error in part.findall(is_error)
        ]
        if messages:
            yield {
                "title": parts[0].astext(),
                "link": f"{app.builder.get_target_uri(page)}#{section['ids'][0]}",
                "clinic": page == CLINIC,
                "summary": f"Met in the chapter “{app.env.titles[page].astext()}”",
                "wordings": messages,
                **(explain(parts, messages) if page == CLINIC else {}),
            }


def is_error(node: nodes.Node) -> bool:
    return isinstance(node, nodes.literal_block) and "traceback" in node["classes"]


def explain(parts: list[nodes.Element], messages: list[str]) -> dict[str, Any]:
    """Return what an entry of the clinic has besides: a reason and other wordings."""
    distinctive = list(parts[0].findall(nodes.literal))[:1]
    paragraphs = [part for part in parts if isinstance(part, nodes.paragraph)]
    older = [
        wording
        for paragraph in paragraphs
        if paragraph.astext().startswith(("Older wording", "Other wording"))
        for wording in paragraph.findall(nodes.literal)
    ]
    return {
        "summary": " ".join(paragraphs[0].astext().split()),
        "wordings": [part.astext() for part in distinctive + older] + messages,
    }


def setup(app: Sphinx) -> dict[str, bool]:
    # Before the pages, so that their links to the file can hold its checksum.
    app.connect("env-updated", write_index)
    app.connect("html-page-context", load_scripts)
    app.add_js_file("shorten_query.js")  # a search may begin on any page
    return {"parallel_read_safe": True, "parallel_write_safe": True}
