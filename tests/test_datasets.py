"""The recordings are whole, in the promised form, and split without overlap."""

import re

import aeon.datasets
import numpy as np
import pytest

from cnnseq_helpers import (
    load_dataset,
)

# The documented table: name, class, train and test, steps, channels, classes.
LINES = [line for line in load_dataset.__doc__.splitlines() if line.startswith("    ")]
RULES = [number for number, line in enumerate(LINES) if line.startswith("    ====")]
COLUMNS = [match.span() for match in re.finditer("=+", LINES[RULES[0]])]
TABLE = [
    [line[start:stop].strip() for start, stop in COLUMNS]
    for line in LINES[RULES[1] + 1 : RULES[2]]
]
NAMES = [row[0] for row in TABLE]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_recordings_and_labels_are_those_of_aeon(name, split):
    data = load_dataset(name)
    x, y = data.split(split)
    source, labels = aeon.datasets.load_classification(name, split=split)
    assert len(x) == len(source) == len(y)
    assert isinstance(x, list) == isinstance(source, list)
    for ours, theirs in zip(x, source, strict=True):
        assert ours.dtype == np.float32
        assert ours.flags.c_contiguous
        np.testing.assert_array_equal(ours, theirs.T.astype("float32"))
    assert [data.class_names[label] for label in y] == list(labels)


@pytest.mark.parametrize("row", TABLE, ids=NAMES)
def test_the_documented_table_is_right(row):
    data = load_dataset(row[0])
    lengths = sorted(len(each) for each in [*data.x_train, *data.x_test])
    steps = f"{lengths[0]}"
    if lengths[0] != lengths[-1]:
        steps += f" to {lengths[-1]}"
    found = [f"{len(data.x_train)}, {len(data.x_test)}", steps]
    found += [str(len(data.channel_names)), str(len(data.class_names))]
    assert row[2:] == found


@pytest.mark.parametrize("name", NAMES)
def test_labels_count_from_zero_and_names_fit(name):
    data = load_dataset(name)
    assert data.y_train.dtype.kind == "i"
    assert set(data.y_train) == set(data.y_test) == set(range(len(data.class_names)))
    assert all(each.shape[1] == len(data.channel_names) for each in data.x_train)
    numbers = [int(name) for name in data.class_names if name.isdigit()]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_no_recording_is_in_both_splits(name):
    data = load_dataset(name)
    train = {recording.tobytes() for recording in data.x_train}
    assert not any(recording.tobytes() in train for recording in data.x_test)


def test_what_the_docstrings_say():
    vowels, gestures = (
        load_dataset("JapaneseVowels"),
        load_dataset("PickupGestureWiimoteZ"),
    )
    assert np.bincount(vowels.y_train).tolist() == [30] * 9
    assert {*np.bincount(vowels.y_test)} >= {24, 88}
    assert max(map(len, vowels.x_train)) == 26
    assert max(map(len, vowels.x_test)) == 29
    for y in (gestures.y_train, gestures.y_test):
        assert np.bincount(y).tolist() == [5] * 10
    recordings = [*gestures.x_train, *gestures.x_test]
    assert sum((each == 0).sum() for each in recordings) == 70


def test_unknown_names_are_refused():
    data = load_dataset("BasicMotions")
    with pytest.raises(ValueError, match="'train' or 'test', got 'validation'"):
        data.split("validation")
    with pytest.raises(ValueError, match="BasicMotions.*, got 'BasicMotion'"):
        load_dataset("BasicMotion")
