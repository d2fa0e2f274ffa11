"""pad_batch keeps every number, or says which one it can't."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from cnnseq_helpers import ShapeError, pad_batch

random = np.random.default_rng(0)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    behind=st.sampled_from([(), (3,), (1,), (0,), (4, 5, 1), (2, 2)]),
    extra=st.one_of(st.none(), st.integers(0, 5)),
    dtype=st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "float16"]),
)
def test_sequences_come_back_from_the_mask(lengths, behind, extra, dtype):
    sequences = [
        (random.integers(0, 2, size=(steps, *behind)) * 77).astype(dtype)
        for steps in lengths
    ]
    length = None if extra is None else max(lengths) + extra
    x, mask = pad_batch(sequences, length=length, dtype=dtype)
    assert x.dtype == dtype
    assert mask.dtype == bool
    assert x.shape == (*mask.shape, *behind)
    expected = length or max(lengths)
    assert mask.shape == (len(lengths), expected)
    for row, real, sequence in zip(x, mask, sequences, strict=True):
        np.testing.assert_array_equal(row[real], sequence)
        np.testing.assert_array_equal(real, np.arange(expected) < len(sequence))
        assert (row[~real] == 0).all()


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
        ([ONE], {"dtype": None}, TypeError, "real numbers, got None"),
        ([ONE], {"dtype": "bfloat16"}, TypeError, "real numbers, got 'bfloat16'"),
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
    ],
)
def test_what_would_be_lost_is_refused(sequences, options, error, message):
    with pytest.raises(error, match=message):
        pad_batch(sequences, **options)


def test_the_largest_numbers_are_kept():
    largest = np.finfo("float32").max
    x, _ = pad_batch([np.full((4, 2), largest)])  # finite, though its sum is not
    assert (x == largest).all()


def test_values_are_those_of_pad_sequences_told_to_lose_nothing():
    lengths = random.integers(7, 201, size=500)
    sequences = [random.normal(size=(n, 12)).astype("float32") for n in lengths]
    theirs = keras.utils.pad_sequences(sequences, dtype="float32", padding="post")
    np.testing.assert_array_equal(pad_batch(sequences)[0], theirs)


# --- What a batch may come as ---------------------------------------------------------

LONG, SHORT = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2)


@pytest.mark.parametrize("behind", [(), (1,), (3,), (4, 5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_a_ragged_tensor_is_the_list_of_its_rows(behind, dtype):
    lengths = random.integers(1, 9, size=5)
    rows = [(random.random((n, *behind)) * 2).astype(dtype) for n in lengths]
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(rows), lengths)
    for each in (ragged, ragged[:], tf.concat([ragged[:2], ragged[2:]], axis=0)):
        for found, expected in zip(
            pad_batch(each, dtype=dtype), pad_batch(rows, dtype=dtype), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    even = tf.RaggedTensor.from_tensor(np.ones((2, 3, *behind)))
    assert pad_batch(even)[0].shape == (2, 3, *behind)


def test_a_ragged_tensor_is_checked_as_a_list_is():
    with pytest.raises(ShapeError, match="at least one sequence"):
        pad_batch(tf.RaggedTensor.from_row_lengths(np.ones((0, 2)), []))
    with pytest.raises(ShapeError, match="one step in sequence 1"):
        pad_batch(tf.ragged.constant([[1.0], []]))
    with pytest.raises(ValueError, match="nan in sequence 1 at step 0"):
        pad_batch(tf.ragged.constant([[1.0, 2.0], [np.nan]]))
    with pytest.raises(TypeError, match="real numbers in sequence 0"):
        pad_batch(tf.ragged.constant([["a"], ["b", "c"]]))
    inner = tf.ragged.constant([[[1.0], [2.0, 3.0]], [[4.0]]])
    with pytest.raises(ShapeError, match=r"got \(2, None, None\).*ragged.to_list\(\)"):
        pad_batch(inner)
    with pytest.raises(ShapeError, match="sequence 0 .* as many channels at every"):
        pad_batch(inner.to_list())


TABLE = pd.DataFrame({"id": [1, 1, 2, 2, 2], "x": [1.0, 2, 3, 4, 5], "y": 7.0})
NAMED = {"a": LONG, "b": SHORT}


def grouped():
    return itertools.groupby([(1, 0.5), (1, 0.7), (2, 1)], key=lambda pair: pair[0])


# What is given, the advice, what follows it word by word, and the lengths in the end.
ADVICE = {
    "dict": (lambda: NAMED, "list(dictionary.values())", "dictionary = given", [3, 2]),
    "keys": (NAMED.keys, "list(dictionary.values())", "dictionary = NAMED", [3, 2]),
    "items": (NAMED.items, "list(dictionary.values())", "dictionary = NAMED", [3, 2]),
    "list of items": (
        lambda: list(NAMED.items()),
        "[sequence for _, sequence in pairs]",
        "pairs = given",
        [3, 2],
    ),
    "enumerate": (
        lambda: enumerate([LONG, SHORT]),
        "[sequence for _, sequence in pairs]",
        "pairs = enumerate([LONG, SHORT])",
        [3, 2],
    ),
    "groups": (
        lambda: itertools.groupby([1, 1, 2]),
        "[list(group) for _, group in groupby(...)]",
        "groups = itertools.groupby([1, 1, 2])",
        [2, 1],
    ),
    "groups of pairs of numbers": (
        grouped,
        "[list(group) for _, group in groupby(...)]",
        "groups = grouped()",
        [2, 1],
    ),
    "listed groups": (
        lambda: list(itertools.groupby([1, 1, 2])),
        "[list(group) for _, group in groupby(...)]",
        "groups = itertools.groupby([1, 1, 2])",
        [2, 1],
    ),
    "groups of a table": (
        lambda: TABLE.groupby("id")[["x", "y"]],
        "[sequence for _, sequence in pairs]",
        "pairs = given",
        [2, 3],
    ),
    "groups of a column": (
        lambda: TABLE.groupby("id")["x"],
        "[sequence for _, sequence in pairs]",
        "pairs = given",
        [2, 3],
    ),
    "a table": (lambda: TABLE, "[table.to_numpy()]", "table = given", [5]),
    "a table, by groups": (
        lambda: TABLE,
        '[rows.to_numpy() for _, rows in table.groupby("id")]',
        "table = given",
        [2, 3],
    ),
    "a table whose columns are pairs of numbers": (
        lambda: pd.DataFrame(
            np.ones((4, 2)), columns=pd.MultiIndex.from_tuples([(0, 1), (0, 2)])
        ),
        "[table.to_numpy()]",
        "table = given",
        [4],
    ),
    "one column": (lambda: TABLE["x"], "[sequence]", "sequence = given", [5]),
    "one series": (lambda: np.ones(4), "[sequence]", "sequence = given", [4]),
    "a list of numbers": (lambda: [1.0, 2], "[sequence]", "sequence = given", [2]),
    "pairs": (
        lambda: [(LONG, 0), (SHORT, 1)],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "pairs with text": (
        lambda: [(LONG, "left"), (SHORT, "right")],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "pairs in lists": (
        lambda: [[LONG, 0], [SHORT, 1]],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "pairs of tensors": (
        lambda: [(tf.ones((3, 2)), tf.constant(0)), (tf.ones((1, 2)), tf.constant(1))],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 1],
    ),
    "pairs with a label a step": (
        lambda: [(LONG, np.zeros(3)), (SHORT, np.zeros(2))],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "pairs of two series": (
        lambda: [(np.ones(3), np.zeros(3)), (np.ones(2), np.zeros(2))],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "pairs, one of which could be two steps": (
        lambda: [(LONG, LONG), (SHORT, 1)],
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 2],
    ),
    "zip": (
        lambda: zip([LONG, SHORT], [0, 1], strict=True),
        "sequences, labels = zip(*pairs)",
        "pairs = zip([LONG, SHORT], [0, 1])",
        [3, 2],
    ),
    "a dataset of pairs": (
        lambda: tf.data.Dataset.from_tensor_slices((np.ones((2, 3, 2)), [0, 1])),
        "sequences, labels = zip(*pairs)",
        "pairs = given",
        [3, 3],
    ),
    "generators": (
        lambda: [(step for step in LONG), (step for step in SHORT)],
        "[list(steps) for steps in sequences]",
        "sequences = given",
        [3, 2],
    ),
    "zips of channels": (
        lambda: [zip([1.0, 2.0], [3.0, 4.0], strict=True)],
        "[list(steps) for steps in sequences]",
        "sequences = given",
        [2],
    ),
    "lists of ragged tensors": (
        lambda: [tf.ragged.constant([[1.0, 2], [3]]), tf.ragged.constant([[4.0]])],
        "[row for ragged in batches for row in ragged]",
        "batches = given",
        [2, 1, 1],
    ),
    "ragged behind time, but alike": (
        lambda: tf.ragged.constant([[[1.0, 2], [3, 4]], [[5, 6]]]),
        "ragged.to_list()",
        "ragged = given",
        [2, 1],
    ),
    "channels by name": (
        lambda: [{"x": [1.0, 2], "y": [3.0, 4]}],
        "np.stack(list(sequence.values()), axis=-1)",
        "sequence = given[0]",
        [2],
    ),
    "a text": (
        lambda: "abc",
        "[[ord(letter) for letter in text]]",
        "text = given",
        [3],
    ),
    "bytes": (lambda: b"abc", "[list(text)]", "text = given", [3]),
    "texts": (
        lambda: ["ab", "c"],
        "[[ord(letter) for letter in text] for text in texts]",
        "texts = given",
        [2, 1],
    ),
    "numbers as objects": (
        lambda: [np.array([1, 2.5], object)],
        "np.asarray(sequence).astype(float)",
        "sequence = given[0]",
        [2],
    ),
    "one object array of all": (
        lambda: np.array([LONG, LONG], object),
        "np.asarray(sequence).astype(float)",
        "sequence = given[0]",
        [3],
    ),
    "numbers as text": (
        lambda: [["1", "2.5"]],
        "np.asarray(sequence).astype(float)",
        "sequence = given[0]",
        [2],
    ),
    "times": (
        lambda: [pd.date_range("2020-01-01", periods=3).to_numpy()],
        "(times - times[0]) / np.timedelta64(1, 's')",
        "times = given[0]",
        [3],
    ),
    "complex numbers": (
        lambda: [np.array([1j, 2])],
        "np.abs(sequence)",
        "sequence = given[0]",
        [2],
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_advice_works_when_it_is_followed(name):
    make, advice, before, lengths = ADVICE[name]
    given = make()
    with pytest.raises((ShapeError, TypeError)) as caught:
        pad_batch(given)
    assert advice.replace('"id"', "...") in str(caught.value)
    names = globals() | {"given": given}
    exec(before, names)
    followed = advice.replace("groupby(...)", "groups")
    exec(followed if " = " in followed else f"sequences = {followed}", names)
    assert "labels" not in followed or len(names["labels"]) == len(lengths)
    one = isinstance(names["sequences"], np.ndarray)
    _, mask = pad_batch([names["sequences"]] if one else names["sequences"])
    assert mask.sum(axis=1).tolist() == lengths


def test_what_may_be_sequences_of_two_steps_is_taken_as_that():
    for pairs in (
        [(1, 2), (3, 4)],
        [([1.0, 2.0], [3.0, 4.0]), ([5.0, 6.0], [7.0, 8.0])],
        [[LONG[0], LONG[1]]],
    ):
        x, mask = pad_batch(pairs)
        np.testing.assert_array_equal(x, np.asarray(pairs))
        assert mask.shape == (len(pairs), 2)
        assert mask.all()


@pytest.mark.parametrize("kind", ["arrays", "tensors", "data set"])
def test_pairs_of_arrays_are_not_taken_for_two_steps(kind):
    pairs = [(LONG, LONG), (SHORT, SHORT)]
    if kind == "tensors":
        pairs = [tuple(map(tf.constant, pair)) for pair in pairs]
    if kind == "data set":
        pairs = tf.data.Dataset.from_tensor_slices((np.ones((4, 3)), np.ones((4, 3))))
    with pytest.raises(ShapeError, match=r"zip\(\*pairs\)"):
        pad_batch(pairs)


def test_whatever_gives_arrays_in_order_is_taken():
    expected, _ = pad_batch([LONG, SHORT])
    objects = np.empty(2, object)
    objects[:] = [LONG, SHORT]
    for sequences in (
        NAMED.values(),
        (each for each in (LONG, SHORT)),
        map(np.asarray, (LONG.tolist(), SHORT.tolist())),
        pd.Series([LONG, SHORT]),
        [pd.DataFrame(LONG), pd.DataFrame(SHORT)],
        objects,
    ):
        np.testing.assert_array_equal(pad_batch(sequences)[0], expected)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ({(1, 2), (3, 4)}, "A set has no order"),
        ([{1, 2}], "A set has no order"),
        ([LONG, None], "sequence 1 .* got a NoneType. Leave it out, together with"),
        (None, "Put the sequences into a list"),
        (3, "got a int. Put the sequences into a list"),
    ],
)
def test_what_has_no_order_or_no_steps_is_refused(sequences, message):
    with pytest.raises(ShapeError, match=message):
        pad_batch(sequences)
