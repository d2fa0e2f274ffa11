"""pad_batch keeps every number, or says which one it can't."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnseq_helpers import ShapeError, pad_batch

random = np.random.default_rng(0)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    behind=st.sampled_from([(), (3,), (1,), (0,), (4, 5, 1), (2, 2)]),
    extra=st.one_of(st.none(), st.integers(0, 5)),
    multiple_of=st.one_of(st.none(), st.integers(1, 8)),
    dtype=st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "float16"]),
)
def test_sequences_come_back_from_the_mask(lengths, behind, extra, multiple_of, dtype):
    sequences = [
        (random.integers(0, 2, size=(steps, *behind)) * 77).astype(dtype)
        for steps in lengths
    ]
    length = None if extra is None else max(lengths) + extra
    x, mask = pad_batch(
        sequences, length=length, multiple_of=multiple_of, value=1, dtype=dtype
    )
    assert x.dtype == dtype
    assert mask.dtype == bool
    assert x.shape == (*mask.shape, *behind)
    steps = length or max(lengths)
    expected = steps if multiple_of is None else -(-steps // multiple_of) * multiple_of
    assert mask.shape == (len(lengths), expected)
    for row, real, sequence in zip(x, mask, sequences, strict=True):
        np.testing.assert_array_equal(row[real], sequence)
        np.testing.assert_array_equal(real, np.arange(expected) < len(sequence))
        assert (row[~real] == 1).all()


def test_lists_tensors_generators_and_arrays_are_taken():
    expected, _ = pad_batch([np.ones((2, 1)), np.zeros((1, 1))])
    for sequences in (
        [[[1], [1]], [[0]]],
        ([[True], [True]], [[False]]),
        (keras.ops.ones((2, 1)), keras.ops.zeros((1, 1))),
        (np.full((steps, 1), steps > 1) for steps in (2, 1)),
    ):
        x, _ = pad_batch(sequences)
        np.testing.assert_array_equal(x, expected)
    x, mask = pad_batch(np.ones((3, 4, 2)))
    assert x.shape == (3, 4, 2)
    assert mask.all()


def test_sequences_of_different_types_meet_in_the_one_asked_for():
    kinds = [np.float32, np.float64, np.int8, np.int64, np.uint16, bool]
    x, _ = pad_batch([np.ones((2, 1), kind) for kind in kinds])
    assert x.dtype == np.float32
    assert (x == 1).all()
    big = 2**24 + 1
    x, _ = pad_batch([np.array([[0.5]]), np.array([[big]])], dtype="float64")
    assert x[1, 0, 0] == big


def test_the_sequences_are_left_as_they_were():
    sequence = np.arange(6.0).reshape(3, 2)
    x, _ = pad_batch([sequence, sequence[:1]])
    x[:] = 9
    assert sequence.tolist() == [[0, 1], [2, 3], [4, 5]]


ONE = np.ones((3, 2))


@pytest.mark.parametrize(
    ("sequences", "options", "error", "message"),
    [
        ([], {}, ShapeError, "at least one sequence, got none"),
        ([ONE, np.ones((4, 3))], {}, ShapeError, r"sequence 1 .*\(time, 2\).*\(4, 3\)"),
        ([ONE, np.ones(3)], {}, ShapeError, r"sequence 1 .* got \(3,\)"),
        ([ONE, np.ones((0, 2))], {}, ShapeError, "one step in sequence 1, got"),
        ([[[1, 2], [3]]], {}, ShapeError, "sequence 0 .* as many channels at every"),
        (None, {}, ShapeError, "a list of arrays .*, got a NoneType"),
        ("abc", {}, ShapeError, "got a str"),
        (np.array(3.0), {}, ShapeError, "got a ndarray"),
        ({"a": ONE}, {}, ShapeError, "got a dict"),
        ([{"a": ONE}], {}, ShapeError, "sequence 0 to be an array .*, got a dict"),
        ([np.ma.array([1, 2], mask=[0, 1])], {}, ValueError, "masked array. Fill it"),
        ([[np.ma.array([1, 2], mask=[0, 1])]], {}, ValueError, "masked array. Fill it"),
        ([[2**53 + 1]], {"dtype": "float64"}, ValueError, "float64 can hold"),
        ([ONE], {"value": 2**24 + 1}, ValueError, "value that float32 can hold"),
        ([ONE], {"dtype": None}, TypeError, "real numbers, got None"),
        ([ONE], {"dtype": "bfloat16"}, TypeError, "real numbers, got 'bfloat16'"),
        ([ONE], {"value": 1e300}, ValueError, "value that float32 can hold"),
        ([ONE], {"value": 1j}, TypeError, "one real number, got 1j"),
        ([ONE], {"value": [1, 2]}, TypeError, "one real number"),
        (
            [1.0, 2.0],
            {},
            ShapeError,
            "sequence 0 to be an array .time, ....*, got a float",
        ),
        (
            [ONE],
            {"length": 2},
            ShapeError,
            "at least 3, the steps of sequence 0, got 2",
        ),
        ([ONE], {"length": 0}, ShapeError, "length to be a whole number"),
        ([ONE], {"multiple_of": 1.5}, ShapeError, "multiple_of to be a whole number"),
        ([ONE], {"dtype": "int32"}, TypeError, "behind the point would be cut"),
        ([ONE], {"dtype": "bool"}, TypeError, "whole numbers for dtype=bool"),
        ([[["a"]]], {}, TypeError, "real numbers in sequence 0, got <U1"),
        ([[[1j]]], {}, TypeError, "got complex128"),
        ([[[None]]], {}, TypeError, "got object"),
        ([ONE], {"dtype": "complex64"}, TypeError, "real numbers"),
        ([ONE], {"dtype": "U3"}, TypeError, "real numbers"),
        (
            [[[2**24]], [[2**24 + 1]]],
            {},
            ValueError,
            "16777217 in sequence 1 at step 0",
        ),
        ([[[2**63 - 1]]], {}, ValueError, "float32 can hold, got 9223372036854775807"),
        ([[[300]]], {"dtype": "uint8"}, ValueError, "uint8 can hold, got 300"),
        ([[[-1]]], {"dtype": "uint8"}, ValueError, "got -1 in sequence 0"),
        ([[[2**63 - 1]]], {"dtype": "float64"}, ValueError, "wider dtype"),
        ([[[0.5], [np.nan]]], {}, ValueError, "finite .*nan in sequence 0 at step 1"),
        ([ONE, -np.inf * ONE], {}, ValueError, "-inf in sequence 1 at step 0. Fill"),
        ([[[1e300]]], {}, ValueError, "1e.300 in sequence 0 .* beyond float32"),
        ([[[7]]], {"value": 0.5, "dtype": "int8"}, ValueError, "got 0.5"),
        ([[[7]]], {"value": 999, "dtype": "int8"}, ValueError, "got 999"),
    ],
)
def test_what_would_be_lost_is_refused(sequences, options, error, message):
    with pytest.raises(error, match=message):
        pad_batch(sequences, **options)


def test_padding_may_be_not_a_number_but_not_the_data():
    x, mask = pad_batch([ONE, ONE[:1]], value=np.nan)
    assert np.isnan(x[~mask]).all()
    with pytest.raises(ValueError, match="sequence 0 at step 0"):
        pad_batch([np.nan * ONE, ONE[:1]], value=np.nan)
    largest = np.finfo("float32").max
    x, _ = pad_batch([np.full((4, 2), largest)])  # finite, though its sum is not
    assert (x == largest).all()


def compare_with_pad_sequences():
    """Return how many times as long as `pad_sequences` it takes, turn by turn."""
    lengths = random.integers(7, 201, size=5000)
    sequences = [random.normal(size=(n, 12)).astype("float32") for n in lengths]
    ways = {
        "ours": lambda: pad_batch(sequences)[0],
        "theirs": lambda: keras.utils.pad_sequences(
            sequences, dtype="float32", padding="post"
        ),
    }
    ratios = []
    for turn in range(41):
        seconds, padded = {}, {}
        for name in sorted(ways, reverse=bool(turn % 2)):
            start = time.perf_counter()
            padded[name] = ways[name]()
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["ours"] / seconds["theirs"])
        np.testing.assert_array_equal(padded["ours"], padded["theirs"])
    return ratios


def test_pad_batch_is_not_slower_than_pad_sequences():
    # In a new process, where no other test has left memory in pieces.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        ratios = process.submit(compare_with_pad_sequences).result()
    assert np.median(ratios) < 1.0
