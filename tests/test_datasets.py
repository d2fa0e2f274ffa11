"""The recordings are whole, in the promised form, and split without overlap."""

import aeon.datasets
import numpy as np
import pytest

from cnnseq_helpers import load_basic_motions, load_dataset


@pytest.fixture(scope="module")
def data():
    return load_basic_motions()


@pytest.mark.parametrize("name", ["train", "test"])
def test_arrays_are_those_of_aeon(data, name):
    x, y = data.split(name)
    source, labels = aeon.datasets.load_basic_motions(split=name)
    assert x.dtype == np.float32
    assert x.shape == (40, 100, 6)
    for time, channel in [(0, 0), (3, 5), (99, 2)]:
        np.testing.assert_allclose(x[:, time, channel], source[:, channel, time])
    assert [data.class_names[label] for label in y] == list(labels)


def test_labels_count_from_zero_and_names_fit(data):
    assert data.y_train.dtype.kind == "i"
    assert set(data.y_train) == set(data.y_test) == set(range(len(data.class_names)))
    assert len(data.channel_names) == data.x_train.shape[2]


def test_no_recording_is_in_both_splits(data):
    train = {recording.tobytes() for recording in data.x_train}
    assert not any(recording.tobytes() in train for recording in data.x_test)


def test_unknown_names_are_refused(data):
    with pytest.raises(ValueError, match="'train' or 'test', got 'validation'"):
        data.split("validation")
    with pytest.raises(ValueError, match="one of BasicMotions, got 'BasicMotion'"):
        load_dataset("BasicMotion")
