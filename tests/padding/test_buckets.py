"""Buckets: every sequence once an epoch, little padding, few shapes."""

import itertools
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import (
    ShapeError,
    bucket_batches,
    bucket_boundaries,
    bucket_dataset,
    load_dataset,
)

from ..conftest import examples, sampled

random = np.random.default_rng(0)


def series(lengths):
    """Return series that all differ, each with its number in the first channel."""
    made = [random.normal(size=(steps, 3)).astype("float32") for steps in lengths]
    for number, each in enumerate(made):
        each[:, 0] = number
    return made


def padded_steps(lengths, boundaries):
    ends = np.asarray(boundaries)[np.searchsorted(boundaries, lengths)]
    return int(ends.sum())


# --- Boundaries -----------------------------------------------------------------------


@examples(150)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=10),
    num_buckets=st.integers(1, 4),
    min_samples=st.integers(1, 4),
)
def test_boundaries_pad_as_little_as_any(lengths, num_buckets, min_samples):
    found = bucket_boundaries(lengths, num_buckets=num_buckets, min_samples=min_samples)
    *inner, last = sorted(set(lengths))
    candidates = [
        [*some, last]
        for number in range(num_buckets)
        for some in itertools.combinations(inner, number)
    ]
    needed = min(min_samples, len(lengths))
    held = [Counter(np.searchsorted(ends, lengths)) for ends in candidates]
    fair = [
        ends
        for ends, counts in zip(candidates, held, strict=True)
        if all(counts[place] >= needed for place in range(len(ends)))
    ]
    assert found in fair
    least = min(padded_steps(lengths, ends) for ends in fair)
    assert padded_steps(lengths, found) == least


def test_a_few_long_sequences_do_not_spoil_the_boundaries():
    lengths = np.append(random.integers(1, 5001, 100_000), [1_000_000] * 5)
    assert padded_steps(lengths, bucket_boundaries(lengths)) < 1.2 * lengths.sum()


def test_boundaries_of_many_different_lengths_are_found_quickly():
    lengths = random.integers(1, 100_000, size=50_000)
    found = bucket_boundaries(lengths, num_buckets=8)
    assert found[-1] == lengths.max()
    assert len(found) == 8
    even = np.quantile(lengths, np.linspace(0, 1, 9)[1:], method="higher")
    assert padded_steps(lengths, found) <= padded_steps(lengths, even) * 1.001


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([], {}, "the steps of each sequence"),
        ([1.5], {}, "whole numbers in one list"),
        ([[1, 2]], {}, "the steps of each sequence"),
        ([3, 0], {}, "at least one step in each sequence, got 0 in sequence 1"),
        ([3], {"num_buckets": 0}, "num_buckets to be a whole number"),
        ([3], {"min_samples": 0}, "min_samples to be a whole number"),
    ],
)
def test_boundaries_of_nothing_are_refused(lengths, options, message):
    with pytest.raises(ShapeError, match=message):
        bucket_boundaries(lengths, **options)


# --- Batches --------------------------------------------------------------------------


def numbers(batch):
    """Return which sequences are in a batch, read off their first channel."""
    (x, _), *_ = batch
    return [int(row[0, 0]) for row in x]


@examples(80)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    batch_size=st.integers(1, 9),
    seed=st.one_of(st.none(), st.integers(0, 5)),
    chosen=st.booleans(),
)
def test_each_sequence_comes_once_an_epoch_whole_and_with_its_label(
    lengths, batch_size, seed, chosen
):
    sequences = series(lengths)
    labels = np.arange(len(lengths)) * 10
    boundaries = [10, 20, 30] if chosen else None
    batches = bucket_batches(
        sequences, labels, batch_size=batch_size, boundaries=boundaries, seed=seed
    )
    shapes = set()
    for _ in range(3):
        seen = []
        for index in range(len(batches)):
            (x, mask), y = batches[index]
            shapes.add(x.shape)
            assert x.shape[0] <= batch_size
            here = numbers(batches[index])
            assert y.tolist() == [10 * number for number in here]
            for row, real, number in zip(x, mask, here, strict=True):
                np.testing.assert_array_equal(row[real], sequences[number])
                assert (row[~real] == 0).all()
            seen += here
        assert sorted(seen) == list(range(len(lengths)))
        assert batches.order.tolist() == seen
        batches.on_epoch_end()
    ends = {shape[1] for shape in shapes}
    assert len(shapes) <= 2 * len(ends)
    assert not chosen or ends <= {10, 20, 30}


def test_batches_are_shuffled_by_seed_and_epoch_and_not_without_seed():
    sequences = series(random.integers(5, 30, size=60))

    def epochs(seed, number=3):
        batches = bucket_batches(sequences, batch_size=8, seed=seed)
        orders = []
        for _ in range(number):
            orders.append(batches.order.tolist())
            batches.on_epoch_end()
        return orders

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    first, second, third = epochs(1)
    assert first != second != third
    assert len(set(map(tuple, epochs(None)))) == 1


def test_no_batch_is_left_with_a_few():
    sequences = series(random.integers(5, 30, size=101))
    batches = bucket_batches(sequences, batch_size=16, seed=0)
    sizes = [len(numbers(batch)) for batch in batches]
    assert sum(sizes) == 101
    assert min(sizes) >= 8


@pytest.mark.parametrize("name", ["JapaneseVowels", "PickupGestureWiimoteZ"])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_at_most_a_third_of_the_padding_of_shuffled_batches(name, batch_size):
    sequences = load_dataset(name).x_train
    lengths = np.array([len(each) for each in sequences])
    bucketed = bucket_batches(sequences, batch_size=batch_size, seed=0)
    wasted = sum((~mask).sum() for ((_, mask),) in bucketed)
    shuffled = []
    for _ in range(20):
        order = random.permutation(lengths)
        parts = np.split(order, range(batch_size, len(order), batch_size))
        shuffled.append(sum(len(part) * part.max() - part.sum() for part in parts))
    assert wasted <= np.mean(shuffled) / 3


@pytest.mark.parametrize("seed", sampled([None, *range(8)], 3))
def test_keras_sees_that_lengths_differ(predictor, seed):
    # It takes the shape of all batches from the first two, and stops at another one.
    lengths = [5] * 30 + [9] * 2
    batches = bucket_batches(series(lengths), batch_size=2, seed=seed)
    for _ in range(3):
        assert len({x.shape[1] for ((x, _),) in (batches[0], batches[1])}) == 2
        predictor.predict(batches, verbose=0)


@pytest.fixture(scope="module")
def predictor():
    return small_model()


def small_model():
    inputs, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    features = layers.LSTM(4)(inputs, mask=mask)
    return keras.Model([inputs, mask], layers.Dense(2)(features))


def test_fit_evaluate_and_predict_take_the_batches():
    sequences = series(random.integers(5, 30, size=40))
    labels = random.integers(0, 2, size=40)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = small_model()
        model.compile("adam", loss, metrics=["accuracy"])
        batches = bucket_batches(sequences, labels, batch_size=8, seed=3)
        order = batches.order.tolist()
        model.fit(batches, epochs=2, verbose=0)
        assert batches.order.tolist() != order
        weights.append(model.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
    still = bucket_batches(sequences, labels, batch_size=8)
    found = model.predict(still, verbose=0)[np.argsort(still.order)]
    alone = np.concatenate(
        [
            model([each[None], np.ones((1, len(each)), bool)], training=False)
            for each in sequences
        ]
    )
    np.testing.assert_allclose(found, alone, atol=1e-5)
    accuracy = (alone.argmax(axis=1) == labels).mean()
    assert model.evaluate(still, verbose=0)[1] == pytest.approx(accuracy)
    unlabelled = bucket_batches(sequences, batch_size=8)
    found = model.predict(unlabelled, verbose=0)[np.argsort(unlabelled.order)]
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_labels_a_step_come_padded_and_with_weights():
    lengths = [4, 9, 5, 9]
    labels = [np.arange(steps) for steps in lengths]
    batches = bucket_batches(series(lengths), labels, batch_size=2)
    for (_, mask), y, weights in batches:
        assert y.dtype == labels[0].dtype
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights, mask)
        for row, real in zip(y, mask, strict=True):
            assert row[real].tolist() == list(range(real.sum()))


def test_vectors_and_lists_of_numbers_are_labels_of_sequences():
    lengths = [4, 4, 4]
    vectors = np.eye(4)[:3]
    ((_, y),) = bucket_batches(series(lengths), vectors, batch_size=3)
    np.testing.assert_array_equal(y, vectors)
    ((_, y),) = bucket_batches(series(lengths), [2, 0, 1], batch_size=3)
    assert y.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("lengths", "labels", "options", "error", "message"),
    [
        ([], None, {}, ShapeError, "at least one sequence"),
        ([3, 4], [0], {}, ShapeError, "1 labels and 2 sequences"),
        ([3, 4], [[0] * 3, [0] * 3], {}, ShapeError, r"4 in sequence 1, got \(3,\)"),
        ([3, 4], [[0] * 3, 1], {}, ShapeError, r"sequence 1, got \(\)"),
        ([3, 4], None, {"batch_size": 0}, ShapeError, "batch_size"),
        (
            [3, 9],
            None,
            {"boundaries": [5]},
            ShapeError,
            r"9 steps .* boundary: \[5, 9\]",
        ),
        ([3, 9], None, {"boundaries": [9, 5]}, ShapeError, "rising order"),
        ([3, 9], None, {"boundaries": [5, 5, 9]}, ShapeError, "rising order"),
        ([3, 9], None, {"boundaries": []}, ShapeError, "in rising order, got"),
        ([3, 0], None, {}, ShapeError, "one step in sequence 1"),
        ([3, 9], None, {"boundaries": [0, 9]}, ShapeError, "whole, positive numbers"),
        ([3, 9], None, {"boundaries": [5.0, 9.0]}, ShapeError, "whole, positive"),
        ([3, 9], None, {"boundaries": 9}, ShapeError, "in rising order, got 9"),
        ([3, 9], None, {"seed": -1}, ShapeError, "seed to be a whole number"),
        ([3, 4], {"a": 1, "b": 2}, {}, TypeError, "got a dict. Put"),
        ([3, 4], [0, None], {}, TypeError, "labels of one type"),
        ([3, 4], [0, "cat"], {}, TypeError, "labels of one type"),
        ([3, 4], {0, 1}, {}, TypeError, "got a set"),
        ([3, 4], "ab", {}, TypeError, "got a str"),
        ([3, 4], 3, {}, TypeError, "got a int"),
        ([3, 4], np.array(3), {}, TypeError, "got a ndarray"),
        ([3, 4], [0, np.nan], {}, ValueError, "a label for each sequence"),
        ([3, 4], np.ma.array([0, 1], mask=[0, 1]), {}, ValueError, "a label for each"),
        ([3, 3], [np.ones((3, 2, 2))] * 2, {}, ShapeError, "number or one vector"),
        ([3, 4], [[0] * 3, [0, np.nan, 0, 0]], {}, ValueError, "labels of sequence 1"),
        ([3, 4], [["a"] * 3, ["b"] * 4], {}, TypeError, "in the labels of sequence 0"),
    ],
)
def test_batches_that_do_not_fit_are_refused(lengths, labels, options, error, message):
    with pytest.raises(error, match=message):
        bucket_batches(series(lengths), labels, **{"batch_size": 2} | options)


def test_sequences_in_different_buckets_must_be_alike_too():
    with pytest.raises(ShapeError, match="sequence 1 to be .time, 2. like sequence 0"):
        bucket_batches([np.ones((3, 2)), np.ones((9, 5))], batch_size=1)
    labels = [np.ones((3, 2)), np.ones((9, 5))]
    with pytest.raises(ShapeError, match="the labels of sequence 1 to be"):
        bucket_batches(series([3, 9]), labels, batch_size=1)
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3), np.arange(9)]
    with pytest.raises(TypeError, match="labels of one type"):
        bucket_batches(series([3, 9]), ragged, batch_size=1)
    numbers = [np.arange(3), np.full(9, 0.5)]
    kinds = {
        y.dtype for _, y, _ in bucket_batches(series([3, 9]), numbers, batch_size=1)
    }
    assert kinds == {np.dtype("float64")}


def test_tokens_keep_their_type():
    tokens = [[1, 2, 2**24 + 1], [3]]
    (((x, _),),) = bucket_batches(tokens, batch_size=2, dtype="int32")
    assert x.tolist() == [[1, 2, 2**24 + 1], [3, 0, 0]]


def test_a_fault_in_the_data_names_the_right_sequence():
    sequences = series([9, 3, 8])
    sequences[2][4] = np.nan
    with pytest.raises(ValueError, match="nan in sequence 2 at step 4"):
        bucket_batches(sequences, batch_size=1, boundaries=[5, 9])


# --- tf.data --------------------------------------------------------------------------


def as_dataset(sequences, labels, spec):
    return tf.data.Dataset.from_generator(
        lambda: zip(sequences, labels, strict=True),
        output_signature=(tf.TensorSpec((None, 3)), spec),
    )


@pytest.mark.filterwarnings("ignore:Your input ran out")  # of an unknown number
def test_dataset_gives_each_sequence_once_and_whole():
    sequences = series(random.integers(1, 21, size=50))
    dataset = as_dataset(sequences, range(50), tf.TensorSpec((), tf.int32))
    batches = bucket_dataset(dataset, batch_size=8, boundaries=[5, 9, 20])
    for _ in range(2):
        seen = []
        for (x, mask), y in batches:
            assert x.shape[1] in (5, 9, 20)
            assert mask.dtype == tf.bool
            for row, real, number in zip(x, mask, y, strict=True):
                np.testing.assert_array_equal(row[real], sequences[number])
                assert (row[~real] == 0).numpy().all()
            seen += y.numpy().tolist()
        assert sorted(seen) == list(range(50))
    model = small_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(batches.map(lambda x, y: (x, y % 2)), shuffle=False, verbose=0)


def test_dataset_pads_labels_a_step_and_weighs_them():
    sequences = series([3, 8])
    labels = [np.arange(3), np.arange(8)]
    dataset = as_dataset(sequences, labels, tf.TensorSpec((None,), tf.int64))
    batches = bucket_dataset(dataset, batch_size=1, boundaries=[5, 9])
    for ((_, mask), y, weights), expected in zip(batches, labels, strict=True):
        assert y[mask].numpy().tolist() == expected.tolist()
        np.testing.assert_array_equal(weights, tf.cast(mask, tf.float32))


@pytest.mark.parametrize(
    ("sequence", "label", "message"),
    [
        (np.ones((0, 3)), [], "at least one step"),
        (np.ones((9, 3)), [0] * 9, "no sequence longer than the last boundary, 8"),
        (np.full((4, 3), np.nan), [0] * 4, "finite numbers"),
        (np.ones((4, 3)), [0] * 5, "a label for each step"),
    ],
)
def test_dataset_with_a_bad_sequence_stops(sequence, label, message):
    dataset = as_dataset([sequence], [label], tf.TensorSpec((None,), tf.int64))
    batches = bucket_dataset(dataset, batch_size=2, boundaries=[4, 8])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(batches)


def test_dataset_of_another_form_is_refused():
    for dataset in (
        tf.data.Dataset.from_tensor_slices(np.ones((4, 5, 3))),
        tf.data.Dataset.from_tensor_slices((np.ones(4), np.ones(4))),
        tf.data.Dataset.from_tensor_slices({"x": np.ones((4, 5, 3))}),
        tf.data.Dataset.from_tensor_slices((np.ones((4, 5, 3)), {"y": np.ones(4)})),
        as_dataset(series([3]), [0], tf.TensorSpec((), tf.int64)).batch(2),
        as_dataset(series([3]), [[[0]]], tf.TensorSpec((None, None), tf.int64)),
        as_dataset(series([3]), [0], tf.TensorSpec(None, tf.int64)),
        tf.data.Dataset.from_tensor_slices((np.ones((4, 5, 3)), np.ones(4))),
        [np.ones((5, 3))],
    ):
        with pytest.raises(ShapeError, match="elements .sequence, label|tf.TensorSpec"):
            bucket_dataset(dataset, batch_size=2, boundaries=[8])
    dataset = as_dataset(series([3]), [0], tf.TensorSpec((), tf.int64))
    with pytest.raises(ShapeError, match="rising order"):
        bucket_dataset(dataset, batch_size=2, boundaries=[8, 4])


# --- What sequences and labels may come as --------------------------------------------


def test_ragged_sequences_and_labels_are_the_lists_of_their_rows():
    lengths = [4, 9, 5, 9]
    rows, steps = series(lengths), [np.arange(n) for n in lengths]
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(rows), lengths)
    labels = tf.RaggedTensor.from_row_lengths(np.concatenate(steps), lengths)
    for some, expected in ((labels, steps), (np.arange(4), np.arange(4))):
        ours = bucket_batches(ragged, some, batch_size=2)
        theirs = bucket_batches(rows, expected, batch_size=2)
        for ((x, mask), *rest), ((x_2, mask_2), *rest_2) in zip(
            ours, theirs, strict=True
        ):
            for one, other in zip(
                (x, mask, *rest), (x_2, mask_2, *rest_2), strict=True
            ):
                np.testing.assert_array_equal(one, other)
    slices = tf.data.Dataset.from_tensor_slices((ragged, labels))
    batches = bucket_dataset(slices, batch_size=2, boundaries=[5, 9])
    assert sum(int(mask.numpy().sum()) for (_, mask), *_ in batches) == sum(lengths)


@pytest.mark.parametrize("per_step", [False, True])
def test_pairs_are_taken_apart_as_the_error_says(per_step):
    rows = series([4, 9, 5])
    pairs = [(row, row[:, 0] if per_step else 7) for row in rows]
    with pytest.raises(ShapeError, match=r"sequences, labels = zip\(\*pairs\)"):
        bucket_batches(pairs, batch_size=2)
    sequences, labels = zip(*pairs, strict=True)
    batches = bucket_batches(sequences, labels, batch_size=2)
    assert sum(len(y) for _, y, *_ in batches) == 3


def test_labels_that_are_no_list_are_made_one_as_the_error_says():
    named, rows = {"a": 0, "b": 1}, series([4, 9])
    with pytest.raises(TypeError, match=r"list\(labels.values\(\)\) of a dict"):
        bucket_batches(rows, named, batch_size=2)
    bucket_batches(rows, list(named.values()), batch_size=2)
    with pytest.raises(TypeError, match=r"got a generator.*list\(labels\)"):
        bucket_batches(rows, (label for label in (0, 1)), batch_size=2)
    bucket_batches(rows, list(label for label in (0, 1)), batch_size=2)  # noqa: C400


def test_what_is_no_dataset_is_made_one_as_the_error_says():
    pairs = list(zip(series([4, 9]), [0.0, 1.0], strict=True))
    with pytest.raises(ShapeError, match="got a list.*from_generator.lambda: pairs"):
        bucket_dataset(pairs, batch_size=2, boundaries=[9])
    signature = (tf.TensorSpec((None, 3)), tf.TensorSpec(()))
    dataset = tf.data.Dataset.from_generator(lambda: pairs, output_signature=signature)
    ((_, y),) = bucket_dataset(dataset, batch_size=2, boundaries=[9])
    assert y.numpy().tolist() == [0, 1]
    batched = dataset.ragged_batch(2)
    with pytest.raises(ShapeError, match=r"dataset.unbatch\(\)"):
        bucket_dataset(batched, batch_size=2, boundaries=[9])
    ((_, y),) = bucket_dataset(batched.unbatch(), batch_size=2, boundaries=[9])
    assert y.numpy().tolist() == [0, 1]
