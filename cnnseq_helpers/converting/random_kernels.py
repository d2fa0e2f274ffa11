"""A 1D-CNN that is not trained: fixed kernels, and a linear head in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from ..padding.masked import fill_padding, ones_if_real, read_series
from ..shapes import ShapeError, as_array, check_shape, check_whole, is_mask_of

Floats = NDArray[np.floating]

_TAPS = 9

# Each kernel weighs three of its nine steps with 2 and the others with -1, so that it
# answers 0 to what does not change: all 84 ways to choose three.
_PATTERNS = np.array(
    [
        [2.0 if tap in chosen else -1.0 for tap in range(_TAPS)]
        for chosen in combinations(range(_TAPS), 3)
    ]
)

# A kernel reads at most so many channels.
_CHANNELS = 9

# Kernels stand at about so many steps of the longest series, evenly spaced. More hardly
# lower the error on samples left out, and cost time: benchmarks/random_kernels.py.
_POSITIONS = 128

# Added to the deviation of a share. What hardly varies in the training series would
# else be magnified, and a little noise upset the logits: benchmarks/random_kernels.py.
_DEVIATION = 0.1

# Sums of whole numbers below this are exact in float32, with room for a half, and for
# values twice as large as any in the training series.
_EXACT = 2.0**22


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class RandomConvolutions(layers.Layer):  # type: ignore[misc]
    """Fixed dilated convolutions, and at which share of the steps each is positive.

    Of a series (batch, time, channels) come features (batch, 84 times the number of
    dilations), each from 0 to 1. Made and filled by `random_cnn1d`; its weights are not
    trained, and have no gradient to train by.

    Parameters
    ----------
    dilation_rates : sequence of int
        Steps between the taps of a kernel: one for each group of 84 kernels.
    strides : int
        Steps from one position of a kernel to the next.
    **kwargs
        As for `keras.layers.Layer`.

    Raises
    ------
    ShapeError
        If the input is not (batch, time, channels), or the mask not (batch, time).
    TypeError
        If the mask is not boolean.

    Notes
    -----
    Called ``layer(x, mask=mask)``. Steps around a series, padding among them, count as
    the mean of the training series. Series are rounded to whole numbers, as fine as
    float32 allows, and thresholds lie halfway between two: so sums are exact in any
    order, and padding, other batches or another runtime can't turn a value that is
    nearly on a threshold.

    Examples
    --------
    >>> layer = RandomConvolutions([1, 2])
    >>> tuple(layer(np.zeros((3, 50, 6), "float32")).shape)
    (3, 168)
    """

    data_format = "channels_last"

    def __init__(
        self, dilation_rates: Sequence[int], strides: int = 1, **kwargs: Any
    ) -> None:
        # In half precision no sum would be exact.
        super().__init__(**{"dtype": "float32", "autocast": False} | kwargs)
        self.dilation_rates = [
            check_whole(type(self).__name__, "each of dilation_rates", rate)
            for rate in dilation_rates
        ]
        self.strides = check_whole(type(self).__name__, "strides", strides)

    def build(self, input_shape: Any) -> None:
        """Make the weights, for (batch, time, channels)."""
        groups, kernels = len(self.dilation_rates), len(_PATTERNS)
        channels = input_shape[-1]
        self.mean = self._add("mean", channels)
        self.scale = self._add("scale", channels)
        self.weighting = self._add("weighting", groups, kernels, _TAPS * channels)
        self.thresholds = self._add("thresholds", groups, kernels, 1)

    def _add(self, name: str, *shape: int) -> Any:
        return self.add_weight(shape, "zeros", name=name, trainable=False)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return at which share of the steps each kernel is positive."""
        x = self.round_series(inputs, mask)
        real = ones_if_real(x, mask)[:, :: self.strides]
        padded = ops.pad(x, [(0, 0), (self.reach, self.reach), (0, 0)])
        total = self.sum_signs(padded, real, mask is not None)
        # As many are positive as negative where no step is real.
        count = ops.maximum(ops.sum(real, axis=1), 1.0)
        return (total / count + 1.0) / 2.0

    def sum_signs(self, x: Any, real: Any, masked: bool) -> Any:
        """Return at how many more positions each kernel is positive than negative.

        Of whole numbers x with `reach` more steps at each end; `real` is 1 at positions
        that count, else 0: (batch, positions, 1).
        """
        x, real = (ops.transpose(each, (0, 2, 1)) for each in (x, real))
        reach, signs = self.reach, []
        steps = ops.shape(x)[-1] - 2 * reach
        for group, rate in enumerate(self.dilation_rates):
            starts = [reach + (tap - _TAPS // 2) * rate for tap in range(_TAPS)]
            taps = [x[..., start : start + steps : self.strides] for start in starts]
            # A tap that is 1 at real steps carries the threshold; padding gives 0.
            windows = ops.concatenate([*taps, real], axis=1)
            if masked:
                windows = windows * real
            parts = [self.weighting[group], -self.thresholds[group]]
            sums = ops.matmul(ops.concatenate(parts, axis=-1), windows)
            signs.append(ops.sum(ops.sign(sums), axis=-1))
        return ops.concatenate(signs, axis=-1)

    def round_series(self, inputs: Any, mask: Any = None) -> Any:
        """Return series about their mean, in whole numbers, with 0 in padding."""
        x = ops.cast(read_series(self, inputs, mask, window=0), "float32")
        return fill_padding(ops.round((x - self.mean) * self.scale), mask, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: the output has no time axis."""
        return

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        """Return (batch, features)."""
        return input_shape[0], len(_PATTERNS) * len(self.dilation_rates)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        own = {"dilation_rates": self.dilation_rates, "strides": self.strides}
        return {**super().get_config(), **own}

    @property
    def reach(self) -> int:
        """The steps from the middle of the widest kernel to its end."""
        return _TAPS // 2 * max(self.dilation_rates)


# --- The model ------------------------------------------------------------------------


def random_cnn1d(
    x: Any, y: Any, mask: Any = None, *, kernels: int = 1008, seed: int = 0
) -> keras.Model:
    """Return a fitted 1D-CNN of fixed random kernels and a linear head, with logits.

    Nothing is trained by gradients: the thresholds of the kernels are quantiles of the
    training series, and the head is solved in closed form. It tells series apart by
    which patterns they hold and how often, not by when.

    Parameters
    ----------
    x : array_like of float, (batch, time, channels)
        Training series, of whatever scale.
    y : array_like of int, (batch,)
        Their labels, counted from 0; at least one series of each.
    mask : array_like of bool, (batch, time), optional
        Which steps are real, as of `pad_batch`, for series of different length.
    kernels : int
        A multiple of 84, the number of patterns, which come once for each dilation.
    seed : int
        Of all that is drawn.

    Returns
    -------
    keras.Model
        From batches of series of any length, or ``[x, mask]`` if a mask was given, to
        logits (batch, classes): for the loss, one label for each sequence, and
        ``from_logits=True``. Its layers ``features`` and ``logits`` can be used alone.

    Raises
    ------
    ShapeError
        If x, y and mask do not fit each other, a series has no real step, or a number
        is not whole, or no multiple.
    TypeError
        If x has no numbers, y no whole ones, or the mask is not boolean.
    ValueError
        If there is one class only, or none of a label below the largest, or a value of
        a real step is NaN or infinite.

    Notes
    -----
    Kernels, dilations and thresholds are those of Dempster, Schmidt and Webb,
    "MiniRocket", arXiv:2012.08791, with these differences: each channel is brought to
    mean 0 and deviation 1; around a series stands the mean of all for every kernel,
    where half of the kernels would leave the ends out; and of long series, kernels
    stand at some 128 steps. Noise that the training series lack can upset the answers.

    Examples
    --------
    >>> steps = np.arange(60)[:, None]
    >>> x = np.sin([steps * rate + phase for rate in (0.5, 0.9) for phase in range(9)])
    >>> y = np.repeat([0, 1], 9)
    >>> model = random_cnn1d(x, y)
    >>> np.asarray(model(np.sin([steps * 0.5 + 0.1, steps * 0.9]))).argmax(axis=1)
    array([0, 1])
    """
    x, y, real = _check_training(x, y, mask)
    kernels = check_whole("random_cnn1d", "kernels", kernels)
    if kernels % len(_PATTERNS):
        raise ShapeError(
            f"random_cnn1d expected kernels to be a multiple of {len(_PATTERNS)}, all "
            f"patterns at each dilation, got {kernels}. Take 504, 1008 or 2016."
        )
    longest = int(real.sum(axis=1).max())
    features = RandomConvolutions(
        _plan_dilations(longest, kernels // len(_PATTERNS)),
        strides=-(-longest // _POSITIONS),
        name="features",
    )
    draw = np.random.default_rng(check_whole("random_cnn1d", "seed", seed, at_least=0))
    _draw_kernels(features, x, real, draw)
    found = [
        ops.convert_to_numpy(features(x[rows], mask=real[rows]))
        for rows in np.array_split(np.arange(len(x)), -(-len(x) // 64))
    ]
    shares = np.concatenate(found)
    # Not keras.layers.Normalization, which ONNX files of Keras 3.15 lack the values of.
    scale = 1 / np.sqrt(shares.var(axis=0) + _DEVIATION**2)
    normalise = layers.Rescaling(
        scale.tolist(),
        (-shares.mean(axis=0) * scale).tolist(),
        dtype="float32",
        name="normalised",
    )
    weights, bias = fit_ridge(ops.convert_to_numpy(normalise(shares)), y)
    series = keras.Input((None, x.shape[-1]), name="series")
    steps = None if mask is None else keras.Input((None,), dtype="bool", name="mask")
    head = layers.Dense(len(bias), dtype="float32", name="logits")
    logits = head(normalise(features(series, mask=steps)))
    head.set_weights([weights, bias])
    inputs = series if steps is None else [series, steps]
    return keras.Model(inputs, logits, name="random_cnn1d")


def _plan_dilations(steps: int, number: int) -> list[int]:
    """Return dilations up to where a kernel is as long as the series."""
    largest = max(1.0, (steps - 1) / (_TAPS - 1))
    return [int(rate) for rate in np.geomspace(1, largest, number)]


def _draw_kernels(
    layer: RandomConvolutions,
    x: NDArray[Any],
    mask: NDArray[np.bool_],
    draw: np.random.Generator,
) -> None:
    """Set the weights of the layer by training series (batch, time, channels).

    Each kernel reads some of the channels, drawn at random, and is positive where its
    sum is above a quantile of the sums in one training series, drawn as well.
    """
    layer.build(x.shape)
    channels, read = x.shape[-1], min(x.shape[-1], _CHANNELS)
    mean, deviation = x[mask].mean(axis=0), x[mask].std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    largest = max(1.0, np.abs((x[mask] - mean) / deviation).max())
    weights = read * np.abs(_PATTERNS[0]).sum()
    layer.mean.assign(mean)
    layer.scale.assign(2 ** np.floor(np.log2(_EXACT / (weights * largest))) / deviation)
    rounded = ops.convert_to_numpy(layer.round_series(x, mask))
    numbers = rounded.astype("float64")
    weighting = np.zeros(layer.weighting.shape)
    thresholds = np.zeros(layer.thresholds.shape)
    # The multiples of the golden ratio, less their whole part, are spread evenly.
    quantiles = np.arange(1, thresholds.size + 1) * (1 + np.sqrt(5)) / 2 % 1
    rows = np.ndindex(*weighting.shape[:2])
    for (group, pattern), quantile in zip(rows, quantiles, strict=True):
        number = int(2 ** draw.uniform(0, np.log2(read + 1)))
        chosen = draw.choice(channels, number, replace=False)
        taps = np.zeros((_TAPS, channels))
        taps[:, chosen] = _PATTERNS[pattern][:, None]
        weighting[group, pattern] = taps.ravel()
        row = draw.integers(len(x))
        series = numbers[row][mask[row]][:, chosen].sum(axis=1)
        sums = _sums(series, _PATTERNS[pattern], layer.dilation_rates[group])
        thresholds[group, pattern] = np.floor(np.quantile(sums, quantile)) + 0.5
    layer.weighting.assign(weighting)
    layer.thresholds.assign(thresholds)


def _sums(series: NDArray[Any], pattern: NDArray[Any], rate: int) -> Any:
    """Return what a kernel answers at each step of a series (time,)."""
    padded = np.pad(series, _TAPS // 2 * rate)
    starts = range(0, _TAPS * rate, rate)
    return pattern @ np.array([padded[s : s + len(series)] for s in starts])


# --- What comes in --------------------------------------------------------------------


def _check_training(
    x: Any, y: Any, mask: Any
) -> tuple[NDArray[Any], NDArray[np.integer], NDArray[np.bool_]]:
    """Return series in float32, labels and mask, if they fit each other."""
    x, y = _as_series(x), _as_labels(y)
    if len(x) != len(y) or not x.size:
        raise ShapeError(
            f"random_cnn1d expected one label for each of the {len(x)} series, of a "
            f"step and a channel or more, got {x.shape} and {len(y)} labels. Give both "
            "of the same samples."
        )
    real = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask)
    if real.dtype != bool:
        raise TypeError(
            "random_cnn1d expected a mask of booleans, True where a step is real, got "
            f"{real.dtype}. pad_batch returns one; or: np.arange(time) < lengths[:, "
            "None]."
        )
    if not is_mask_of(real.shape, x.shape):
        raise ShapeError(
            f"random_cnn1d expected a mask (batch, time) of {x.shape[:2]}, one value a "
            f"step, got {real.shape}. pad_batch returns series and mask together."
        )
    if empty := np.flatnonzero(~real.any(axis=1)).tolist():
        raise ShapeError(
            f"random_cnn1d expected a real step in each series, got none in series "
            f"{empty[0]}. Leave it out: x[mask.any(axis=1)], and so with y and mask."
        )
    if not np.isfinite(x[real]).all():
        raise ValueError(
            "random_cnn1d expected finite values at real steps, got NaN or infinity. "
            "Impute them, or leave those series out."
        )
    return x, y, real


def _as_series(x: Any) -> Any:
    x = as_array(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(
            "random_cnn1d expected one array of numbers (batch, time, channels), got "
            f"a {x.dtype}. Of series of different length: x, mask = pad_batch(series)."
        )
    return check_shape(x, "batch time channels").astype("float32")


def _as_labels(y: Any) -> Any:
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise TypeError(
            "random_cnn1d expected whole numbers as labels, counted from 0, got "
            f"{y.dtype}. Of class names: np.unique(names, return_inverse=True)[1]."
        )
    if y.ndim != 1:
        raise ShapeError(
            "random_cnn1d expected one label for each series, (batch,), got "
            f"{y.shape}. Of one-hot labels: y.argmax(axis=-1)."
        )
    missing = sorted({*range(y.max(initial=1) + 1)} - {*y.tolist()})
    if missing or y.min(initial=0) < 0:
        raise ValueError(
            "random_cnn1d expected labels from 0 on, two or more, with a series of "
            f"each, got {sorted({*y.tolist()})}. Number those that there are: "
            "np.unique(y, return_inverse=True)[1]."
        )
    return y


# --- The linear head ------------------------------------------------------------------


# Strengths to choose from, for features of deviation 1.
_STRENGTHS = np.logspace(-1, 4, 16)

# What scores may be multiplied by, to make logits of them.
_SCALES = np.geomspace(0.5, 100, 54)


def fit_ridge(features: Floats, labels: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return weights (features, classes) and bias (classes,) of a linear classifier.

    One class against the others, by least squares with a penalty on the weights. The
    strength of the penalty is the one with the least error on samples that were left
    out, one at a time; the scores are scaled such that the cross-entropy of those
    samples is least, and so serve as logits.

    Parameters
    ----------
    features : ndarray of float, (batch, features)
        Of mean 0 and alike in size. What is always 0 gets no weight.
    labels : ndarray of int, (batch,)
        From 0, two classes or more.

    Notes
    -----
    Ridge regression: Hoerl and Kennard, Technometrics 12, 1970. That leaving out a
    sample needs no second fit: Allen, Technometrics 16, 1974. Labels smoothed by their
    number: Platt, "Probabilistic outputs for support vector machines", 1999.

    Examples
    --------
    >>> features, labels = np.array([[-3.0], [-2.0], [2.0], [3.0]]), [0, 0, 1, 1]
    >>> weights, bias = fit_ridge(features, np.array(labels))
    >>> (np.array([[-1.0], [1.0]]) @ weights + bias).argmax(axis=1).tolist()
    [0, 1]
    """
    targets = 2 * np.eye(np.max(labels) + 1)[labels] - 1
    mean = targets.mean(axis=0)
    features = np.asarray(features, "float64")
    left, squares = _decompose(features)
    turned = left.T @ (targets - mean)
    found = []
    for strength in _STRENGTHS:
        kept = squares / (squares + strength)
        leverage = (left**2 @ kept + 1 / len(targets))[:, None]
        fitted = left @ (kept[:, None] * turned) + mean
        left_out = targets + (fitted - targets) / np.maximum(1 - leverage, 1e-9)
        found.append((np.mean((left_out - targets) ** 2), strength, left_out))
    _, strength, left_out = min(found, key=lambda each: each[0])
    weights = features.T @ (left @ (turned / (squares + strength)[:, None]))
    scale = min(_SCALES, key=lambda scale: _cross_entropy(scale * left_out, labels))
    return scale * weights, scale * mean


def _decompose(features: Floats) -> tuple[Floats, Floats]:
    """Return left singular vectors, and the squares of the singular values."""
    if len(features) > features.shape[1]:
        left, sizes, _ = np.linalg.svd(features, full_matrices=False)
        return left, sizes**2
    # Of few samples and many features their products are the smaller matrix, and take
    # a tenth of the time. Squares near 0 lose digits, far below the least strength.
    squares, left = np.linalg.eigh(features @ features.T)
    return left, np.maximum(squares, 0)


def _cross_entropy(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return the loss, as if there was one more sample of each class in each place.

    Where no sample is on the wrong side, the plain one falls with the scale for ever.
    """
    samples, classes = logits.shape
    chosen = np.take_along_axis(logits, np.asarray(labels)[:, None], axis=1)[:, 0]
    expected = (samples * chosen + logits.sum(axis=1)) / (samples + classes)
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(total - expected))
