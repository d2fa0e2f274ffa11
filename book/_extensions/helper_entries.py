"""Give the layers of the helpers' page a signature, and leave out what says nothing.

A layer takes what the layer of Keras takes that it builds on, and says so by ``*args``.
Here it gets the names of its docstring's parameters, with the defaults of Keras.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from sphinx.application import Sphinx

UNKNOWN = "(*args, **kwargs)"
PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?:\n\n|\Z)", re.M | re.S)


def write_signature(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    if what != "class" or signature != UNKNOWN:
        return signature, returns
    return f"({', '.join(parameters(obj))})", returns


def parameters(layer: type) -> list[str]:
    """Return the parameters that a layer's docstring names, with their defaults."""
    (block,) = PARAMETERS.findall(inspect.getdoc(layer) or "")
    lines = [line.split(" : ")[0] for line in block.splitlines() if line[0] != " "]
    names = [name.strip() for line in lines for name in line.split(",")]
    return [name + default(layer, name) for name in names]


def default(layer: type, name: str) -> str:
    """Return what follows a name: the default of the first class that has it."""
    for each in inspect.getmro(layer):
        known = inspect.signature(each.__init__).parameters.get(name)
        if known and known.kind is known.POSITIONAL_OR_KEYWORD:
            empty = known.default is known.empty
            return "" if empty else f"={known.default!r}"
    return ""


def leave_out(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of tuples that are described with the tuple itself."""
    alias = (getattr(obj, "__doc__", None) or "").startswith("Alias for field")
    return True if alias else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
