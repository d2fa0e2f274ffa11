"""Temporal convolutions that take the place of a recurrent layer, and cnn1d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from ..combining import convolve, pool, read_steps
from ..padding.masked import (
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    MaskedMaxPooling1D,
)
from ..shapes import ShapeError, check_convolutions, check_whole
from .recurrent import Recurrent

# A short field needs no more than one kernel. Of a longer one the first kernel reads
# neighbouring steps, later ones at most as many, as far apart as needed.
_ONE_KERNEL = 8

# A summary needs no resolution of single steps, and pooling bounds the cost of long
# sequences. Chosen by cross-validation on training parts: benchmarks/sizes.py.
_STEPS_LEFT = 56

# By how much it pools where the length is unknown, and may be short.
_OPEN_POOL = 4

# How far layers look back where the length, and so the reach needed, is unknown.
OPEN_LENGTH = 512


class Window(NamedTuple):
    """One convolution: the steps that it multiplies, and how far apart they are."""

    kernel_size: int
    dilation_rate: int


def plan_windows(field: int) -> list[Window]:
    """Return the cheapest convolutions that together see exactly `field` steps.

    Each step is seen: the dilation of a kernel is at most the field in front of it. And
    each kernel has an element on the step itself, which a dilated one of even size,
    centred as "same" does it, has not. So a sequence that is shorter than the field,
    however much, is read as a long one is, and not only the padding around it.
    """
    firsts = range(min(field, _ONE_KERNEL), 0, -1)
    return min((_widen(n, field) for n in firsts if (field - n) % 2 == 0), key=_cost)


def _widen(first: int, field: int) -> list[Window]:
    """Put dilated kernels of 3 or 5 steps behind a first one of so many."""
    windows, seen = [Window(first, 1)], first
    while missing := field - seen:
        others = 2 if missing <= 2 * seen else 4
        rate = min(seen, missing // others)
        windows.append(Window(others + 1, rate))
        seen += others * rate
    return windows


def _cost(plan: list[Window]) -> tuple[int, int]:
    return len(plan), sum(window.kernel_size for window in plan)


def plan_at_least(field: int) -> list[Window]:
    """Return the cheapest convolutions that see `field` steps or a few more."""
    return min((plan_windows(field + more) for more in range(5)), key=_cost)


def plan_pooling(length: int | None, field: int) -> int:
    """Return by how much a summary pools: a power of 2 that divides a shorter field."""
    if length is None:
        return math.gcd(_OPEN_POOL, field)
    size = 1
    while length > size * _STEPS_LEFT and (field == length or field % (2 * size) == 0):
        size *= 2
    return size


class TemporalConvolutions:
    """The layers for one recurrent layer, made once and applied at each of its calls.

    Blocks of convolution, batch normalisation and ReLU. What returned every step stays
    at every step: causal, or seeing both ways. What returned one vector for a sequence
    pools, convolves, and takes the mean of all steps. `field` is how many steps are
    seen at least; exactly as many where it is shorter than the sequence.
    """

    def __init__(
        self,
        recurrent: Recurrent,
        length: int | None,
        field: int,
        *,
        masked: bool = False,
        pooled: bool = True,
    ) -> None:
        self.recurrent = recurrent
        self.masked = masked
        self.options = {"dtype": recurrent.dtype}
        self.name = recurrent.name
        size = plan_pooling(length, field) if pooled and not recurrent.per_step else 1
        self.pool = None
        if size > 1:
            kind = MaskedMaxPooling1D if masked else layers.MaxPooling1D
            self.pool = kind(
                size,
                padding="same",
                data_format="channels_last",
                name=f"{self.name}_pool",
                **self.options,
            )
        self.drop = None
        if recurrent.dropout:
            # An LSTM drops the same channels at every step, and so does this layer.
            self.drop = layers.SpatialDropout1D(
                recurrent.dropout, name=f"{self.name}_dropout", **self.options
            )
        plan = plan_windows if length is None or field < length else plan_at_least
        windows = plan(-(-field // size))
        self.blocks = [
            self._make_block(number, window, number == len(windows))
            for number, window in enumerate(windows, 1)
        ]
        self.mean = None
        if not recurrent.per_step:
            mean = layers.GlobalAveragePooling1D
            if masked:
                mean = MaskedGlobalAveragePooling1D
            # An output of the model keeps the name that losses know it by.
            known = self.name if recurrent.activation else f"{self.name}_mean"
            self.mean = mean(data_format="channels_last", name=known, **self.options)

    def _make_block(self, number: int, window: Window, last: bool) -> list[Any]:
        convolution = MaskedConv1D if self.masked else layers.Conv1D
        kernel_size, padding = window.kernel_size, "same"
        if self.recurrent.per_step and self.recurrent.both_ways:
            kernel_size = 2 * kernel_size - 1  # as many steps ahead as back
        elif self.recurrent.per_step:
            padding = "causal"
        return [
            convolution(
                self.recurrent.channels,
                kernel_size,
                dilation_rate=window.dilation_rate,
                padding=padding,
                data_format="channels_last",
                use_bias=False,
                name=f"{self.name}_conv_{number}",
                **self.options,
            ),
            # Statistics of the last ten batches or so, since small sets make few.
            layers.BatchNormalization(
                momentum=0.9, name=f"{self.name}_norm_{number}", **self.options
            ),
            self._make_activation(number, last),
        ]

    def _make_activation(self, number: int, last: bool) -> Any:
        if not (last and self.recurrent.activation):
            return layers.ReLU(name=f"{self.name}_relu_{number}", **self.options)
        name = self.name if self.recurrent.per_step else f"{self.name}_activation"
        activation = self.recurrent.activation
        return layers.Activation(activation, name=name, **self.options)

    def __call__(self, x: Any, mask: Any = None) -> Any:
        """Return what takes the place of the recurrent layer's output."""
        mask = mask if self.masked else None
        if not keras.backend.is_float_dtype(x.dtype):  # as recurrent layers take them
            x = ops.cast(x, self.blocks[0][0].compute_dtype)
        x = x if self.drop is None else self.drop(x)
        # Before steps are turned round, since windows start at the first of the array.
        if self.pool is not None:
            pooled = _apply(self.pool, x, mask)
            mask = None if mask is None else self.pool.compute_mask(x, mask)
            x = pooled
        if self.recurrent.backwards:
            if self.masked and mask is None:
                raise ShapeError(
                    f"to_cnn1d turns the steps for {self.name!r} round, and the mask "
                    "with them, but inside of a model the mask is not at hand. Convert "
                    "the inner model by itself, with the mask as an input."
                )
            x = ops.flip(x, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        for convolution, normalisation, activation in self.blocks:
            x = _apply(convolution, x, mask)
            x = activation(_apply(normalisation, x, mask))
        return x if self.mean is None else _apply(self.mean, x, mask)


def _apply(layer: Any, x: Any, mask: Any) -> Any:
    # Without one given, a layer that knows masks takes the one that x carries.
    return layer(x) if mask is None else layer(x, mask=mask)


# --- A model of them ------------------------------------------------------------------


# Series are pooled by this after each convolution until at most so many steps stay.
_FRONT_POOL = 2

_FRONT_STEPS_LEFT = 32

_FRONT_FILTERS, _FRONT_KERNEL = 32, 9


def cnn1d(
    input_shape: Sequence[int | None],
    num_outputs: int,
    *,
    masked: bool = False,
    filters: Sequence[int] | None = None,
    kernel_size: int | None = None,
    units: int = 64,
) -> keras.Model:
    """Return an untrained 1D-CNN with logits, for the jobs of `cnn_lstm`.

    Series (time, channels) go through convolution, batch normalisation, ReLU and max
    pooling by 2, again and again until at most 32 steps are left. Clips (time, height,
    width, channels) go frame by frame through the CNN of `cnn_lstm`. Then come the
    temporal convolutions that `to_cnn1d` puts in an LSTM's place, which see the whole
    sequence, and the mean over time. It is made for accuracy: what `to_cnn1d` makes of
    a `cnn_lstm` pools more and is quicker.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, channels) or (time, height, width, channels), without the batch axis.
        Only time may be None: any length, of which each feature then sees 512 steps
        (after pooling).
    num_outputs : int
        Logits, one for each class.
    masked : bool
        Take a mask (batch, time) as second input. The design and the reach stay; the
        answer for a series does not depend on the padding behind it.
    filters : sequence of int, optional
        Output channels of each convolution in front. If not given: 32 for series, in as
        many as bring 32 steps or less; for clips as in `cnn_lstm`.
    kernel_size : int, optional
        Steps, or pixels along height and width: 9 and 3 if not given.
    units : int
        Channels of the temporal convolutions.

    Returns
    -------
    keras.Model
        From batches of such sequences, or ``[x, mask]`` as of `pad_batch`, to logits
        (batch, num_outputs): for the loss, one label for each sequence, and
        ``from_logits=True``.

    Raises
    ------
    ShapeError
        If `input_shape` has another number of axes or an unknown size other than time,
        or a number is not whole and positive.

    Examples
    --------
    >>> cnn1d((100, 6), 4).output_shape
    (None, 4)
    >>> cnn1d((None, 16, 16, 1), 8).output_shape
    (None, 8)
    >>> cnn1d((None, 6), 4, masked=True).input_shape
    [(None, None, 6), (None, None)]
    """
    inputs, features, mask = read_steps(
        "cnn1d", input_shape, masked, _along_time, filters, kernel_size
    )
    units = check_whole("cnn1d", "units", units)
    num_outputs = check_whole("cnn1d", "num_outputs", num_outputs)
    length = features.shape[1]
    temporal = TemporalConvolutions(
        Recurrent("temporal", units),
        length,
        length or OPEN_LENGTH,
        masked=masked,
        pooled=False,
    )
    logits = layers.Dense(num_outputs, name="logits")(temporal(features, mask))
    return keras.Model(inputs, logits, name="cnn1d")


def _along_time(
    x: Any, mask: Any, filters: Any, kernel_size: int | None
) -> tuple[Any, Any]:
    """Convolve and pool along time; fewer than four steps are not pooled."""
    if filters is None:
        filters, left = [_FRONT_FILTERS], (x.shape[1] or 1) / _FRONT_POOL
        while left > _FRONT_STEPS_LEFT:
            filters, left = [*filters, _FRONT_FILTERS], left / _FRONT_POOL
    filters, kernel_size = check_convolutions(
        "cnn1d", filters, _FRONT_KERNEL if kernel_size is None else kernel_size
    )
    for number, channels in enumerate(filters, start=1):
        # What is longer than the series would read nothing but padding.
        size = min(kernel_size, x.shape[1] or kernel_size)
        x = convolve(
            x,
            mask,
            channels,
            size,
            padding="same",
            use_bias=False,
            name=f"conv_{number}",
        )
        normalise = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")
        x = layers.ReLU(name=f"relu_{number}")(_apply(normalise, x, mask))
        size = min(_FRONT_POOL, max(1, (x.shape[1] or _FRONT_POOL**2) // _FRONT_POOL))
        x, mask = pool(x, mask, size, padding="same", name=f"pool_{number}")
    return x, mask
