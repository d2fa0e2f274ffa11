"""The welcome page answers the two questions of the book in code that runs."""

import re

import keras
import pytest
from keras import layers

from tests.conftest import ROOT

WELCOME = (ROOT / "book/welcome.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", WELCOME, re.DOTALL)
SHAPE = re.compile(r"^ +(layers.*),\s+# (?:\(([\d, ]+)\))?", re.MULTILINE)


def build(block):
    names = {"keras": keras, "layers": layers}
    exec(block, names)
    return names["model"]


def test_there_are_two_answers():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS, ids=["combining", "converting"])
def test_each_layer_has_the_shape_beside_it(block):
    model = build(block)
    lines = SHAPE.findall(block)
    assert len(lines) == len(model.layers)
    for layer, (_, written) in zip(model.layers, lines, strict=True):
        if written:
            shape = tuple(int(size) for size in written.strip(",").split(","))
            assert layer.output.shape[1:] == shape


def test_the_logits_still_match():
    before, after = map(build, BLOCKS)
    assert after.input_shape == before.input_shape
    assert after.output_shape == before.output_shape
    assert not any(isinstance(layer, layers.LSTM) for layer in after.layers)


def test_the_versions_are_those_of_the_environment():
    for package in ("keras", "tensorflow"):
        pinned = re.search(
            rf"^{package}==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.M
        )
        assert re.search(rf"{package} {re.escape(pinned[1])}\b", WELCOME, re.IGNORECASE)
