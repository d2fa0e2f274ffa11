"""The page on backends says what tests leave out, and what the benchmark measured."""

import json
import re

from tests.conftest import ROOT, TENSORFLOW_ONLY

from .test_measured import BENCHMARKS, load_page

PAGE = (ROOT / "book/backends.md").read_text()
MARK = re.compile(r'tensorflow_only\("([^"]+)"\)')


def test_the_page_lists_what_is_left_out_on_other_backends():
    said = re.findall(r"^- (.*?)[;.]$", PAGE.partition("## What is tested")[2], re.M)
    assert said == list(TENSORFLOW_ONLY.values())


def test_each_reason_leaves_out_a_test():
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    used = {why for text in texts for why in MARK.findall(text)}
    assert used == set(TENSORFLOW_ONLY)


def test_what_the_page_says_of_costs_holds():
    page = load_page("backends_page")
    found = json.loads((BENCHMARKS / "backends.json").read_text())

    def gains(way, what="train", lengths=page.LENGTHS):
        pairs = [(kind, length) for length in lengths for kind in page.KINDS]
        return [page.gain(found, what, *pair, way) for pair in pairs]

    said = re.findall(
        r"\d\.\d", PAGE.partition("## What each")[2].partition("\n\nA ")[0]
    )
    assert said == [f"{each:.1f}" for each in gains(page.JAX, lengths=(20, 100))]
    assert max(gains(page.JAX, lengths=[1000])) < 0.9
    assert min(gains(page.JAX, "predict")) > 2
    assert max(gains(page.COMPILED) + gains(page.COMPILED, "predict")) < 1.15
    assert page.gain(found, "train", page.LSTM, 1000, page.TORCH) < 0.35
    near = gains(page.TORCH, lengths=(20, 100))
    assert 0.6 < min(near) < max(near) < 1.3
