"""Results are compared within the band that is printed behind them, and only there."""

import pytest
from nbformat.v4 import new_code_cell, new_output

from conftest import Banded

from .notebooks import run_by_nbval

STORED = "accuracy 0.93 ± 0.03, ratio -1.50 ± 0.25 of 4 models"
ALIKE = {
    "the same": STORED,
    "within": "accuracy 0.95 ± 0.03, ratio -1.41 ± 0.25 of 4 models",
    "at both ends": "accuracy 0.96 ± 0.03, ratio -1.75 ± 0.25 of 4 models",
}
UNLIKE = {
    "beyond": "accuracy 0.97 ± 0.03, ratio -1.50 ± 0.25 of 4 models",
    "the second beyond": "accuracy 0.93 ± 0.03, ratio -1.24 ± 0.25 of 4 models",
    "another sign": "accuracy 0.93 ± 0.03, ratio 1.50 ± 0.25 of 4 models",
    "another band": "accuracy 0.93 ± 0.04, ratio -1.50 ± 0.25 of 4 models",
    "another word": "error 0.93 ± 0.03, ratio -1.50 ± 0.25 of 4 models",
    "a number without a band": "accuracy 0.93 ± 0.03, ratio -1.50 ± 0.25 of 5 models",
    "no number": "accuracy nan ± 0.03, ratio -1.50 ± 0.25 of 4 models",
    "one result more": STORED + ", 1.00 ± 0.10",
    "one result less": "accuracy 0.93 ± 0.03, ratio -1.50",
}


@pytest.mark.parametrize("printed", ALIKE.values(), ids=ALIKE)
def test_within_its_band_a_result_is_the_same(printed):
    differ = Banded(STORED) != Banded(printed)  # what nbval asks
    assert not differ
    assert Banded(STORED) == Banded(printed)


@pytest.mark.parametrize("printed", UNLIKE.values(), ids=UNLIKE)
def test_beyond_its_band_or_with_other_words_it_is_not(printed):
    assert Banded(STORED) != Banded(printed)


def test_notebooks_are_compared_so(tmp_path):
    texts = [*ALIKE.values(), *UNLIKE.values()]
    cells = [cell(text) for cell in (printing, ending) for text in texts]
    expected = 2 * (["PASSED"] * len(ALIKE) + ["FAILED"] * len(UNLIKE))
    assert run_by_nbval(tmp_path, cells) == expected


def printing(text):
    output = new_output("stream", name="stdout", text=STORED + "\n")
    return new_code_cell(f"print({text!r})", outputs=[output], execution_count=1)


def ending(text):
    data = {"text/plain": repr(STORED)}
    output = new_output("execute_result", data=data, execution_count=1)
    return new_code_cell(f"{text!r}", outputs=[output], execution_count=1)
