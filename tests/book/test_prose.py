"""A decimal number that a chapter's text states is printed in one of its outputs.

A result stands in an output and a setting in the code, so one that stands in neither
is a number that no run has shown. What is only compared with, in an `assert`, is not
shown to the reader. A sentence that cites or links may take its number from there.
"""

import ast
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from .notebooks import PATHS, code_cells, read

DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d+(?!\w|\.\d)")
NOT_PROSE = re.compile(r"^(```|:::).*?^\1|\$\$.*?\$\$|`[^`]*`|\$[^$]*\$", re.M | re.S)
SENTENCE = re.compile(r"(?<=[.:;?!])\s+|\n\n|\n- ")
ELSEWHERE = re.compile(r"\{footcite\}|\]\([^)]*\)|(Keras|TensorFlow|Python|TF) \d")


def unprinted_numbers(notebook):
    printed, chosen = set(), set()
    for cell in code_cells(notebook):
        printed |= set(DECIMAL.findall("\n".join(texts(cell.outputs))))
        chosen |= settings(cell.source)
    stated = [
        number
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for sentence in SENTENCE.split(NOT_PROSE.sub("", cell.source))
        if not ELSEWHERE.search(sentence)
        for number in DECIMAL.findall(sentence)
    ]
    return [n for n in stated if n not in printed and float(n) not in chosen]


def texts(outputs):
    for output in outputs:
        yield output.get("text", "")
        yield output.get("evalue", "")
        yield output.get("data", {}).get("text/plain", "")


def settings(source):
    """Return the decimals in the code, but for those in assertions."""
    python = re.sub(r"^(\s*)%.*", r"\1pass", source, flags=re.M)  # as `%pip install`
    tree = ast.parse(python)
    nodes = list(ast.walk(tree))
    asserted = [
        part for n in nodes if isinstance(n, ast.Assert) for part in ast.walk(n)
    ]
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        if isinstance(node.value, float)
        if node not in asserted
    }


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_stated_numbers_are_printed(path):
    assert set(unprinted_numbers(read(path))) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It reaches 0.93, at a rate of 0.01.", []),
        ("It reaches 0.95.", ["0.95"]),
        ("It reaches 0.930.", ["0.930"]),
        ("It is above 0.85.", ["0.85"]),
        ("The error falls to -0.93.", ["-0.93"]),
        ("Ask for `p > 0.5`, or $p = 0.6$, with Keras 3.15.", []),
        ("Others have 0.99 {footcite}`other2020`. We have 0.98.", ["0.98"]),
        ("[There](there.md) it is 0.99.", []),
    ],
)
def test_only_printed_numbers_and_settings_may_be_stated(text, expected):
    output = new_output("stream", name="stdout", text="accuracy 0.93 ± 0.03\n")
    code = "score = train(rate=0.01)\nassert score > 0.85"
    cells = [new_code_cell(code, outputs=[output]), new_markdown_cell(text)]
    assert unprinted_numbers(new_notebook(cells=cells)) == expected
