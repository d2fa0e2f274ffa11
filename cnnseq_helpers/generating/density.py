"""A head that gives a distribution, its loss, and draws from it."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from ..shapes import ShapeError, check_whole, name_axes, sizes_fit

# So many deviations from a Gaussian count as more: the square stays finite in float32.
_FAR = 1e6


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MixtureHead(layers.Layer):  # type: ignore[misc]
    """A dense layer whose outputs are a mixture of Gaussians at each step.

    Parameters
    ----------
    components : int
        Gaussians to mix.
    channels : int
        Values of one step of the target: 2 for the moves of a pen.
    minimum_scale : float
        What every deviation is larger than, in the unit of the targets. Without it, a
        Gaussian on a single target becomes narrower and narrower, and the loss NaN.
    **kwargs
        As for `keras.layers.Layer`. The layer computes in float32 if nothing else is
        said, also under mixed precision.

    Raises
    ------
    ShapeError
        If a number is not whole and positive.
    ValueError
        If `minimum_scale` is not a positive number.

    See Also
    --------
    MixtureLoss : trains it.
    sample_mixture : draws from what it gives.

    Notes
    -----
    From (..., features) come (..., components + 2 * components * channels): first the
    logits of the weights, (components,), then the means, (components, channels), then
    the logarithms of the deviations, (components, channels), one behind the other. The
    channels of one Gaussian are independent; those of the mixture are not. Mixture
    density networks are Bishop's (Aston University, NCRG/94/004, 1994); Graves,
    arXiv:1308.0850, writes by hand with them.

    Examples
    --------
    >>> head = MixtureHead(components=5, channels=2)
    >>> tuple(head(np.zeros((8, 40, 64), "float32")).shape)
    (8, 40, 25)
    """

    def __init__(
        self,
        components: int,
        channels: int,
        minimum_scale: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.components = check_whole("MixtureHead", "components", components)
        self.channels = check_whole("MixtureHead", "channels", channels)
        self.minimum_scale = _check_number(
            "MixtureHead", "minimum_scale", minimum_scale
        )
        if self.minimum_scale == 0:
            raise ValueError(
                "MixtureHead expected a positive minimum_scale, got 0. Take a "
                "thousandth of the targets' deviation."
            )

    def build(self, input_shape: Any) -> None:
        """Make the weights, for (..., features)."""
        units = self.components * (1 + 2 * self.channels)
        self.kernel = self.add_weight((input_shape[-1], units), name="kernel")
        self.bias = self.add_weight((units,), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return logits, means and logarithms of deviations, in one tensor."""
        raw = ops.matmul(inputs, self.kernel) + self.bias
        first = self.components * (1 + self.channels)
        scales = self.minimum_scale + ops.softplus(raw[..., first:])
        return ops.concatenate([raw[..., :first], ops.log(scales)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        units = self.components * (1 + 2 * self.channels)
        return (*input_shape[:-1], units)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "components": self.components,
            "channels": self.channels,
            "minimum_scale": self.minimum_scale,
        }


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MixtureLoss(keras.losses.Loss):  # type: ignore[misc]
    """Minus the logarithm of the density that a mixture gives to the targets, in nats.

    Parameters
    ----------
    channels : int
        Values of one step of the targets, as in the head.
    reduction, name, **kwargs
        As for `keras.losses.Loss`. With a mask as sample weights, take
        ``reduction="mean_with_sample_weight"``: then padding does not count.

    Raises
    ------
    ShapeError
        When called: if the targets are not (..., channels), or the predictions not what
        a `MixtureHead` of so many channels gives, or they differ in the other axes.

    Notes
    -----
    A density has no upper bound, so a loss below 0 is no fault: it falls by one for
    each channel if targets are given in a unit that makes them 2.718 times as small.
    Sums of densities are taken as logarithms (log-sum-exp), since the density of a
    point that is far from all Gaussians is too small for any float. A target farther
    than a million deviations from all of them has no gradient. Write zeros, not NaN,
    into padded steps: NaN times a weight of 0 is NaN.

    Examples
    --------
    >>> loss = MixtureLoss(channels=1)
    >>> standard = np.zeros((1, 3))  # a logit, a mean, the logarithm of a deviation
    >>> round(float(loss(np.zeros((1, 1)), standard)), 4)  # log(2 pi) / 2
    0.9189
    """

    def __init__(
        self,
        channels: int,
        reduction: str = "sum_over_batch_size",
        name: str = "mixture_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.channels = check_whole("MixtureLoss", "channels", channels)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each step: predictions (..., n), losses (...)."""
        components = _components("MixtureLoss", y_pred, self.channels)
        _check_targets(y_true, y_pred, self.channels)
        logits, means, log_scales = _unpack(ops, y_pred, components, self.channels)
        distances = (y_true[..., None, :] - means) * ops.exp(-log_scales)
        distances = ops.clip(distances, -_FAR, _FAR)
        logs = -0.5 * distances**2 - log_scales - 0.5 * math.log(2 * math.pi)
        logs = ops.log_softmax(logits, axis=-1) + ops.sum(logs, axis=-1)
        return -ops.logsumexp(logs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "channels": self.channels}


def sample_mixture(
    parameters: Any,
    channels: int,
    *,
    seed: int | np.random.Generator,
    temperature: float = 1.0,
) -> NDArray[np.float32]:
    """Draw one value from each of the mixtures that a `MixtureHead` gives.

    Parameters
    ----------
    parameters : array_like, (..., n)
        Outputs of the head.
    channels : int
        Values of one step, as in the head.
    seed : int or numpy.random.Generator
        A number gives the same draw each time. In a loop over steps give a generator:
        ``random = np.random.default_rng(0)`` in front, ``seed=random`` inside.
    temperature : float
        1 draws from the mixture itself. Less makes likely Gaussians likelier and all of
        them narrower; at 0 it is the mean of the likeliest, without chance. Logits are
        divided by it and variances multiplied, as in sketch-rnn, arXiv:1704.03477.

    Returns
    -------
    ndarray of float32, (..., channels)
        The drawn values.

    Raises
    ------
    ShapeError
        If `parameters` are not what a `MixtureHead` of so many channels gives.
    ValueError
        If they are NaN or infinite, or the temperature is no number from 0 up.
    TypeError
        If `seed` is None: then nobody could draw the same again.

    Examples
    --------
    >>> sure = [0.0, 3.0, 4.0, -9.0, -9.0]  # one Gaussian at (3, 4), narrow
    >>> sample_mixture(sure, channels=2, seed=0).round(2)
    array([3., 4.], dtype=float32)
    """
    channels = check_whole("sample_mixture", "channels", channels)
    given = np.asarray(ops.convert_to_numpy(parameters), dtype="float64")
    components = _components("sample_mixture", given, channels)
    if not np.isfinite(given).all():
        raise ValueError(
            "sample_mixture expected finite parameters, got NaN or infinity. Look for "
            "NaN in what the model was given, or for training that diverged."
        )
    heat = _check_number("sample_mixture", "temperature", temperature)
    if seed is None:
        raise TypeError(
            "sample_mixture expected a seed, got None. Give a whole number, or a "
            "generator: np.random.default_rng(0)."
        )
    random = np.random.default_rng(seed)
    logits, means, log_scales = _unpack(np, given, components, channels)
    # The largest of logits with noise of this kind is drawn by the softmax.
    chosen = np.argmax(logits + heat * random.gumbel(size=logits.shape), axis=-1)
    rows = chosen[..., None, None]
    mean = np.take_along_axis(means, rows, axis=-2)[..., 0, :]
    scale = np.exp(np.take_along_axis(log_scales, rows, axis=-2)[..., 0, :])
    drawn = mean + np.sqrt(heat) * scale * random.normal(size=mean.shape)
    return np.asarray(drawn, dtype=np.float32)


# --- What comes in --------------------------------------------------------------------


def _components(doing: str, parameters: Any, channels: int) -> int:
    """Return how many Gaussians the last axis holds, if it holds whole ones."""
    shape = tuple(parameters.shape)
    size, each = (shape[-1] if shape else 0), 1 + 2 * channels
    if not size or size % each:
        raise ShapeError(
            f"{doing} expected a last axis of {each} numbers for each Gaussian, a "
            f"weight, {channels} means and {channels} deviations, got "
            f"{name_axes(shape)}. End the model in MixtureHead(components, "
            f"channels={channels})."
        )
    return int(size) // each


def _check_targets(y_true: Any, y_pred: Any, channels: int) -> None:
    """Refuse targets that would be broadcast against the mixtures."""
    wanted, shape = (*y_pred.shape[:-1], channels), tuple(y_true.shape)
    if not sizes_fit(shape, wanted):
        raise ShapeError(
            f"MixtureLoss expected targets {name_axes(wanted)}, one value a channel "
            f"for each mixture, got {name_axes(shape)}. Head and loss need as many "
            "channels as the targets have; a single target is y[..., None]."
        )


def _unpack(xp: Any, parameters: Any, components: int, channels: int) -> Any:
    """Return logits, means and logarithms of deviations, by keras.ops or by NumPy.

    The logits are (..., components), the others (..., components, channels).
    """
    first, size = components, components * channels
    rest = tuple(xp.shape(parameters))[:-1]
    parts = (
        parameters[..., :first],
        parameters[..., first : first + size],
        parameters[..., first + size :],
    )
    pairs = (xp.reshape(part, (*rest, components, channels)) for part in parts[1:])
    return parts[0], *pairs


def _check_number(doing: str, name: str, value: Any) -> float:
    """Return a finite number from 0 up as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(
            f"{doing} expected {name} to be a number from 0 up, got {value!r}. Change "
            f"{name}."
        )
    return number
