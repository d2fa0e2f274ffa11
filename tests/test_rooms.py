"""Imports between the rooms of the package run one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cnnseq_helpers"
SHAPES = {"shapes"}
EXTRAS = {"shapes", "_extras"}
MAY_IMPORT = {
    "shapes": set(),
    "_registering": set(),
    "_extras": set(),
    "tracing": SHAPES,
    "combining": SHAPES | {"padding"},
    "padding": EXTRAS,
    "targets": SHAPES | {"tracing"},
    "converting": SHAPES | {"tracing", "combining", "padding"},
    "video": EXTRAS | {"tracing", "combining", "deploying"},
    "deploying": EXTRAS | {"tracing", "combining", "padding"},
    "generating": EXTRAS | {"tracing", "combining", "padding", "deploying"},
    "testing": SHAPES | {"tracing"},
    "datasets": EXTRAS,
    "digits": EXTRAS,
    "forecasting": EXTRAS,
    "plotting": EXTRAS | {"datasets", "video"},
}


def imported(path):
    """Return the modules and rooms of the package that a file imports."""
    here = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [
                *here[: len(here) + 1 - node.level],
                *(node.module or "").split("."),
            ]
            names = [base[0]] if base[0] else [alias.name for alias in node.names]
            yield from names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room):
    folder = PACKAGE / room
    files = list(folder.glob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]
    found = {module for path in files for module in imported(path)} - {room}
    assert found <= MAY_IMPORT[room]


def test_every_room_is_in_the_table():
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert names - {"__init__", "__pycache__"} == set(MAY_IMPORT)


def test_a_room_itself_is_one_docstring():
    for path in PACKAGE.glob("*/__init__.py"):
        (docstring,) = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr)
