"""Name on the helpers' page what readers can import, and no module of the package.

Result types, which functions return, are no public names: ``autoresult`` describes them
under their bare name, which is also their anchor. Types and names in docstrings link to
their entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.parsers.rst import roles
from docutils.parsers.rst.states import Inliner
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.autodoc import ClassDocumenter
from sphinx.transforms import SphinxTransform

import cnnseq_helpers
from cnnseq_helpers.datasets import Dataset, Series
from cnnseq_helpers.deploying.exporting import ExportedModel
from cnnseq_helpers.deploying.streaming import Stream
from cnnseq_helpers.forecasting import Windows
from cnnseq_helpers.padding.buckets import BucketBatches
from cnnseq_helpers.plotting import Animation
from cnnseq_helpers.targets.checking import TargetProblem
from cnnseq_helpers.tracing.reach import ReceptiveField
from cnnseq_helpers.tracing.tables import ComparedLayer, ModelComparison, ShapeTrace

RESULTS = {
    each.__name__: each
    for each in (
        Animation,
        BucketBatches,
        ComparedLayer,
        Dataset,
        ExportedModel,
        ModelComparison,
        ReceptiveField,
        Series,
        ShapeTrace,
        Stream,
        TargetProblem,
        Windows,
    )
}
ANCHORS = {name: f"cnnseq_helpers.{name}" for name in cnnseq_helpers.__all__}
ANCHORS |= {name: name for name in RESULTS}
CLASSES = "|".join(name for name in ANCHORS if name[0].isupper())
TYPE = re.compile(rf"(?<![\w.])({CLASSES})(?!\w)")


class ResultDocumenter(ClassDocumenter):
    """What ``autoclass`` writes, without the module."""

    objtype = "result"
    directivetype = "class"
    priority = -1  # never chosen for a class by itself

    def resolve_name(
        self, modname: str | None, parents: Any, path: str, base: str
    ) -> tuple[str | None, list[str]]:
        return RESULTS[base].__module__, [base]

    def generate(self, *args: Any, **kwargs: Any) -> None:
        super().generate(*args, **kwargs)
        lines = self.directive.result.data
        named = f":module: {self.modname}"
        lines[:] = [line.replace(named, ":module:") for line in lines]


def link_name(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Inliner,
    options: dict[str, Any] | None = None,
    content: Sequence[str] = (),
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Return what stands in single quotes as code, and as a link if it is a name."""
    code = nodes.literal(rawtext, text)
    return [link(code, text) if text in ANCHORS else code], []


def link(shown: nodes.Node, name: str) -> addnodes.pending_xref:
    target = {"reftype": "obj", "reftarget": ANCHORS[name], "refexplicit": True}
    return addnodes.pending_xref("", shown, refdomain="py", refwarn=True, **target)


def link_types(app: Sphinx, doctree: nodes.document) -> None:
    """Link the types that docstrings say their functions take, return and raise."""
    for text in [*doctree.findall(is_type)]:
        parts = TYPE.split(text)
        text.parent[:] = [
            link(nodes.inline("", part), part) if part in ANCHORS else nodes.Text(part)
            for part in parts
        ]


def is_type(node: nodes.Node) -> bool:
    """Whether a text is the type of an argument, or of a result that has no name."""
    within = isinstance(node.parent, nodes.term | nodes.classifier)
    return isinstance(node, nodes.Text) and within and bool(TYPE.search(node))


class NameInIndex(SphinxTransform):
    """Call result types so; without a module Sphinx takes them for Python's own."""

    default_priority = 840  # before the index is collected

    def apply(self, **kwargs: Any) -> None:
        for index in self.document.findall(addnodes.index):
            index["entries"] = [
                (kind, text.replace("built-in class", "result type"), *rest)
                for kind, text, *rest in index["entries"]
            ]


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.add_autodocumenter(ResultDocumenter)
    app.add_transform(NameInIndex)
    app.connect("doctree-read", link_types)
    roles.register_local_role("helper", link_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
