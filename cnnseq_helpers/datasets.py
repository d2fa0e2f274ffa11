"""Real recordings that ship inside installed packages: nothing is downloaded.

Every loader returns a `Dataset`: arrays of (sample, time, channel) with labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Dataset(NamedTuple):
    """Labelled recordings, divided into a training and a test set.

    Attributes
    ----------
    x_train, x_test : ndarray of float32, (sample, time, channel)
        The recordings.
    y_train, y_test : ndarray of int64, (sample,)
        Labels, counted from 0: label i means ``class_names[i]``.
    class_names : tuple of str
        In alphabetical order.
    channel_names : tuple of str
        In the order of the channel axis.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]

    def split(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the recordings and labels of "train" or "test".

        Raises
        ------
        ValueError
            If there is no such split.
        """
        splits = {
            "train": (self.x_train, self.y_train),
            "test": (self.x_test, self.y_test),
        }
        if name not in list(splits):
            raise ValueError(
                f"Dataset.split expected 'train' or 'test', got {name!r}. For a "
                "validation set, hold out a part of the training set."
            )
        return splits[name]


_CHANNELS = {
    "BasicMotions": tuple(
        f"{sensor} {axis}"
        for sensor in ("accelerometer", "gyroscope")
        for axis in "xyz"
    ),
}


def load_basic_motions() -> Dataset:
    """Return BasicMotions: 80 recordings of four activities from a smart watch.

    Each recording lasts 10 s at 10 samples a second: 100 steps of 6 channels, three of
    the accelerometer and three of the gyroscope. 40 recordings are for training, 40 for
    testing. The source does not state the units, nor which student made a recording.

    Returns
    -------
    Dataset
        `x_train` and `x_test` are (40, 100, 6).

    Raises
    ------
    ImportError
        If aeon, which ships the recordings, is not installed.

    Notes
    -----
    The data are described in Bagnall et al., "The UEA multivariate time series
    classification archive, 2018", arXiv:1811.00075, and in the header of aeon's file.

    Examples
    --------
    >>> data = load_basic_motions()
    >>> data.x_train.shape, data.x_train.dtype
    ((40, 100, 6), dtype('float32'))
    >>> data.class_names
    ('badminton', 'running', 'standing', 'walking')
    """
    return load_dataset("BasicMotions")


def load_dataset(name: str) -> Dataset:
    """Return a bundled data set by its name in the UCR/UEA archive.

    Parameters
    ----------
    name : {"BasicMotions"}
        The name, as in the archive.

    Returns
    -------
    Dataset
        Equal-length recordings.

    Raises
    ------
    ValueError
        If no bundled data set has this name.
    ImportError
        If aeon, which ships the recordings, is not installed.

    Examples
    --------
    >>> load_dataset("BasicMotions").x_test.shape
    (40, 100, 6)
    """
    if name not in list(_CHANNELS):
        raise ValueError(
            f"load_dataset expected one of {', '.join(sorted(_CHANNELS))}, got "
            f"{name!r}. Only data sets that ship inside aeon need no download."
        )
    try:
        from aeon.datasets import load_classification
    except ImportError as error:
        raise ImportError(
            f"load_dataset reads {name} from aeon, which is not installed. "
            "Install the extra: pip install 'cnnseq-helpers[data]'."
        ) from error
    x_train, names_train = load_classification(name, split="train")
    x_test, names_test = load_classification(name, split="test")
    class_names = np.unique(names_train)
    return Dataset(
        x_train=_time_before_channels(x_train),
        y_train=np.searchsorted(class_names, names_train),
        x_test=_time_before_channels(x_test),
        y_test=np.searchsorted(class_names, names_test),
        class_names=tuple(map(str, class_names)),
        channel_names=_CHANNELS[name],
    )


def _time_before_channels(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn aeon's (sample, channel, time) into (sample, time, channel)."""
    return np.ascontiguousarray(x.transpose(0, 2, 1), dtype=np.float32)
