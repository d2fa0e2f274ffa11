"""Strokes as moves: the points come back, and what is no stroke is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnseq_helpers import ShapeError, stroke_moves

from ..conftest import examples


@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.integers(1, 40))
@examples(60)
def test_the_points_come_back(lengths, steps):
    random = np.random.default_rng(sum(lengths))
    strokes = [random.normal(size=(length, 2)) for length in lengths]
    moves = stroke_moves(strokes, steps)
    assert moves.shape == (len(strokes), steps, 2)
    assert moves.dtype == np.float32
    for stroke, each in zip(strokes, moves, strict=True):
        points = stroke[0] + np.concatenate([np.zeros((1, 2)), each.cumsum(axis=0)])
        np.testing.assert_allclose(points[-1], stroke[-1], atol=1e-5)
        for place, point in zip(np.linspace(0, 1, steps + 1), points, strict=True):
            before = min(int(place * (len(stroke) - 1) + 1e-9), len(stroke) - 2)
            share = place * (len(stroke) - 1) - before
            expected = (1 - share) * stroke[before] + share * stroke[before + 1]
            np.testing.assert_allclose(point, expected, atol=1e-5)


def test_an_array_of_strokes():
    points = np.cumsum(np.ones((3, 41, 2)), axis=1)
    np.testing.assert_allclose(stroke_moves(points), np.ones((3, 40, 2)))


GOOD = [[0, 0], [1, 2], [3, 3]]


@pytest.mark.parametrize(
    ("strokes", "error", "message"),
    [
        ([], ShapeError, "at least one stroke.*got none"),
        ([GOOD, []], ShapeError, r"stroke 1 .*got \(0,\)"),
        ([GOOD, [[1, 2]]], ShapeError, "stroke 1 .*two points or more.*a dot"),
        ([GOOD, np.zeros((0, 2))], ShapeError, r"stroke 1 .*got \(0, 2\)"),
        ([GOOD, [1, 2, 3]], ShapeError, r"\(time, channels\).*got \(3,\)"),
        ([GOOD, [[1], [2]]], ShapeError, r"\[1, 2\] channels"),
        ([GOOD, [[1, 2], [3]]], TypeError, "numbers in stroke 1"),
        ([[["a", "b"], ["c", "d"]]], TypeError, "numbers in stroke 0"),
        ([GOOD, [[0, 0], [np.nan, 1]]], ValueError, "NaN or infinity in stroke 1"),
        ([GOOD, [[0, 0], [np.inf, 1]]], ValueError, "NaN or infinity in stroke 1"),
        ([[[2, 3]] * 5], ValueError, "5 times the same point in stroke 0"),
    ],
)
def test_refuses(strokes, error, message):
    with pytest.raises(error, match=message):
        stroke_moves(strokes)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_refuses_steps(steps):
    with pytest.raises(ShapeError, match="steps"):
        stroke_moves([GOOD], steps)
