"""What pages say of the stored benchmark holds for the numbers that are stored."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def page():
    path = BENCHMARKS / "converting_page.py"
    spec = importlib.util.spec_from_file_location("converting_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found():
    return json.loads((BENCHMARKS / "converting.json").read_text())


def test_tables_show_what_is_stored(page, found):
    text = (BENCHMARKS / "converting.md").read_text()
    tables = [
        page.promises(found),
        page.speed_table(found, page.NAMES),
        page.length_table(found),
    ]
    for table in tables:
        assert "\n".join(table) in text


def test_what_the_pages_say_of_accuracy_holds(page, found):
    def ahead(method, other, name):
        ours, theirs = (
            np.mean(page.runs(found, name, each, "accuracy"))
            for each in (method, other)
        )
        return float(ours - theirs)

    gestures = "PickupGestureWiimoteZ"
    others = [name for name in page.NAMES if name != gestures]
    assert all(-0.01 < ahead("to_cnn1d", page.BASE, name) < 0.03 for name in others)
    assert abs(ahead("to_cnn1d", page.BASE, "JapaneseVowels")) < 0.01
    assert ahead("to_cnn1d", page.BASE, gestures) > 0.2
    assert ahead(page.IN_FRONT, "to_cnn1d", gestures) > -0.02
    assert ahead("to_cnn1d", "to_cnn1d, distilled", gestures) > 0.1


def test_the_lstm_grows_faster_with_the_length(page, found):
    for what in ("inference", "training"):
        gains = [
            page.gain(found[f"length/{steps}"][what], "to_cnn1d")
            for steps in (32, 512, 4096)
        ]
        assert gains == sorted(gains)
