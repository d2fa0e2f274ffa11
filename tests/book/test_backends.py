"""The page on backends says what tests leave out, and what the benchmark measured."""

import re

from tests.conftest import ROOT, TENSORFLOW_ONLY

PAGE = (ROOT / "book/backends.md").read_text()
MARK = re.compile(r'tensorflow_only\("([^"]+)"\)')


def test_the_page_lists_what_is_left_out_on_other_backends():
    said = re.findall(r"^- (.*?)[;.]$", PAGE.partition("## What is tested")[2], re.M)
    assert said == list(TENSORFLOW_ONLY.values())


def test_each_reason_leaves_out_a_test():
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    used = {why for text in texts for why in MARK.findall(text)}
    assert used == set(TENSORFLOW_ONLY)
