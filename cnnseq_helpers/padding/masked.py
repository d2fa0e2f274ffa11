"""Convolution and pooling that know which steps are real."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from ..shapes import ShapeError, is_mask_of, name_axes


class ChannelsLast:
    """A layer with its channels last, whatever the session's image_data_format is."""

    def __init__(
        self, *args: Any, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(*args, data_format=data_format, **kwargs)  # type: ignore[call-arg]


def read_series(
    layer: Any, inputs: Any, mask: Any, window: int, value: float = 0.0
) -> Any:
    """Return the input as floats, padded steps replaced, if it and its mask fit."""
    check_series(layer, inputs.shape, window)
    _check_mask(layer, inputs.shape, mask)
    x = inputs
    if not keras.backend.is_float_dtype(x.dtype):  # as Keras's convolutions take them
        x = ops.cast(x, layer.compute_dtype)
    return fill_padding(x, mask, value)


def check_series(layer: Any, shape: Any, window: int) -> None:
    """Refuse what is not a series, or is shorter than a window that is not padded."""
    if len(shape) != 3 or layer.data_format != "channels_last":
        raise ShapeError(
            f"{layer.name} expected (batch, time, channels), got {name_axes(shape)} "
            f"with data_format={layer.data_format!r}. Put channels last, and make one "
            "axis of what follows time: keras.layers.Reshape((-1, channels))."
        )
    if shape[1] is not None and shape[1] < window:
        cure = " or use padding='same'" if window > 1 else ""
        raise ShapeError(
            f"{layer.name} expected at least {window} steps, as many as its window "
            f"covers, got {shape[1]}. Pad to that: pad_batch(sequences, "
            f"length={window}){cure}."
        )


def _check_mask(layer: Any, shape: Any, mask: Any) -> None:
    """Refuse a mask that is not one boolean for each step of each sequence."""
    if mask is None:
        return
    cure = (
        "pad_batch returns such a mask; or: np.arange(time) < lengths[:, None]. As an "
        'input of a model: keras.Input((None,), dtype="bool").'
    )
    if not hasattr(mask, "shape"):
        raise TypeError(
            f"{layer.name} expected a mask that is an array, got a "
            f"{type(mask).__name__}. {cure}"
        )
    if not is_mask_of(mask.shape, shape):
        raise ShapeError(
            f"{layer.name} expected a mask {name_axes(shape[:2], ('batch', 'time'))}, "
            f"one value a step, got {tuple(mask.shape)}. {cure}"
        )
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        raise TypeError(
            f"{layer.name} expected a mask of booleans, True where a step is real, got "
            f"{dtype}. {cure}"
        )


def fill_padding(x: Any, mask: Any, value: float) -> Any:
    """Replace padded steps; multiplying by the mask would keep NaN and infinities."""
    return x if mask is None else ops.where(ops.expand_dims(mask, -1), x, value)


def ones_if_real(x: Any, mask: Any) -> Any:
    """Return 1 for each real step and 0 for each padded one: (batch, time, 1)."""
    return fill_padding(ops.ones_like(x[..., :1]), mask, 0.0)


def pad_windows(
    x: Any, reach: int, strides: int, padding: str, value: float = 0.0
) -> Any:
    """Pad such that windows start at the same steps, however long the sequence.

    Keras centres "same" windows by the length, so that with strides the windows of 9
    steps start elsewhere than those of the same 9 steps and one of padding. Here they
    always start where Keras has them for whole multiples of the stride.
    """
    if padding == "valid" or reach == 1:
        return x
    left = reach - 1 if padding == "causal" else max(reach - strides, 0) // 2
    ends = (left, reach - 1 - left)
    return ops.pad(x, [(0, 0), ends, (0, 0)], constant_values=value)


def window_mask(mask: Any, reach: int, strides: int, padding: str) -> Any:
    """Return which outputs are real: without padding, those of wholly real windows."""
    if mask is None:
        return None
    if strides == 1 and (padding != "valid" or reach == 1):
        return mask
    if padding != "valid" or reach == 1:
        return mask[:, ::strides]
    return ops.logical_and(
        mask[:, : 1 - reach : strides], mask[:, reach - 1 :: strides]
    )


# --- Pooling --------------------------------------------------------------------------


_LOWEST = float("-inf")


class _MaskedPooling(ChannelsLast):
    """What maximum and average pooling share."""

    pool_size: tuple[int]
    strides: tuple[int]
    padding: str
    pool_mode: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.padding = str(self.padding).lower()
        if self.padding not in ("valid", "same"):
            raise ShapeError(
                f"{type(self).__name__} expected padding 'valid' or 'same', got "
                f"{self.padding!r}. To pool the past only, put ZeroPadding1D("
                "(pool_size - 1, 0)) in front of a 'valid' pooling layer."
            )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return which steps of the output are real: (batch, time)."""
        return window_mask(mask, self.pool_size[0], self.strides[0], self.padding)

    @property
    def _window(self) -> int:
        """The steps that a sequence needs at least."""
        return self.pool_size[0] if self.padding == "valid" else 1

    def _pool(self, x: Any, value: float) -> Any:
        x = pad_windows(x, self.pool_size[0], self.strides[0], self.padding, value)
        pool = ops.max_pool if self.pool_mode == "max" else ops.average_pool
        return pool(
            x,
            pool_size=self.pool_size[0],
            strides=self.strides[0],
            padding="valid",
            data_format="channels_last",
        )


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedMaxPooling1D(_MaskedPooling, layers.MaxPooling1D):  # type: ignore[misc]
    """The maximum of the real steps of each window; zero where none is real.

    Parameters
    ----------
    pool_size, strides, padding, **kwargs
        As for `keras.layers.MaxPooling1D`, channels last. "valid" drops the steps at
        the end that do not fill a window, at the end of each sequence by itself;
        "same" pools them.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Notes
    -----
    Called, and to be understood with strides, as `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-1.0, -2.0, -3.0, 9.0, 9.0, 9.0], "float32").reshape(1, 6, 1)
    >>> mask = np.array([[True, True, True, False, False, False]])
    >>> layer = MaskedMaxPooling1D(2, padding="same")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [-1.0, -3.0, 0.0]
    >>> np.asarray(layer.compute_mask(x, mask)).tolist()
    [[True, True, False]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, time, channels)."""
        x = read_series(self, inputs, mask, self._window, _LOWEST)
        x = self._pool(x, _LOWEST)
        return fill_padding(x, self.compute_mask(inputs, mask), 0.0)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedAveragePooling1D(_MaskedPooling, layers.AveragePooling1D):  # type: ignore[misc]
    """The mean of the real steps of each window; zero where none is real.

    Parameters
    ----------
    pool_size, strides, padding, **kwargs
        As for `keras.layers.AveragePooling1D`, channels last; see `MaskedMaxPooling1D`.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Notes
    -----
    Called, and to be understood with strides, as `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0], "float32").reshape(1, 6, 1)
    >>> mask = np.array([[True, True, True, False, False, False]])
    >>> layer = MaskedAveragePooling1D(2, padding="same")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [1.5, 3.0, 0.0]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, time, channels)."""
        x = read_series(self, inputs, mask, self._window)
        share = self._pool(ones_if_real(x, mask), 0.0)
        x = self._pool(x, 0.0)
        x = ops.where(share > 0, x / ops.where(share > 0, share, 1.0), 0.0)
        return fill_padding(x, self.compute_mask(inputs, mask), 0.0)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedGlobalAveragePooling1D(ChannelsLast, layers.GlobalAveragePooling1D):  # type: ignore[misc]
    """The mean of all real steps; zeros for a sequence that has none.

    `keras.layers.GlobalAveragePooling1D` uses a mask too, but gives NaN where no step
    is real, as behind a "valid" convolution that a sequence was too short for.

    Parameters
    ----------
    **kwargs
        As for `keras.layers.GlobalAveragePooling1D`, channels last.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 9.0], [9.0, 9.0, 9.0]], "float32")[..., None]
    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> np.asarray(MaskedGlobalAveragePooling1D()(x, mask=mask)).tolist()
    [[1.5], [0.0]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, channels)."""
        x = read_series(self, inputs, mask, window=0)
        # Half precision would overflow in the sum of a few thousand steps.
        wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        steps = ops.sum(ones_if_real(wide, mask), axis=1, keepdims=self.keepdims)
        total = ops.sum(wide, axis=1, keepdims=self.keepdims)
        return ops.cast(total / ops.maximum(steps, 1.0), x.dtype)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedGlobalMaxPooling1D(ChannelsLast, layers.GlobalMaxPooling1D):  # type: ignore[misc]
    """The maximum of all real steps; zeros for a sequence that has none.

    Parameters
    ----------
    **kwargs
        As for `keras.layers.GlobalMaxPooling1D`, channels last.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[-1.0, -2.0, 9.0], [9.0, 9.0, 9.0]], "float32")[..., None]
    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> np.asarray(MaskedGlobalMaxPooling1D()(x, mask=mask)).tolist()
    [[-1.0], [0.0]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, channels)."""
        x = read_series(self, inputs, mask, 0, _LOWEST)
        steps = ops.sum(ones_if_real(x, mask), axis=1, keepdims=self.keepdims)
        top = ops.max(x, axis=1, keepdims=self.keepdims, initial=_LOWEST)
        return ops.where(steps > 0, top, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: the output has no time axis."""
        return


# --- Convolution ----------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedConv1D(ChannelsLast, layers.Conv1D):  # type: ignore[misc]
    """A convolution along time in which padding counts as the end of the sequence.

    Padded steps are read as the zeros that "same" and "causal" put around a sequence,
    and written as zeros, whatever stands in them. So each sequence gets the values that
    it gets alone and unpadded, in any batch.

    Parameters
    ----------
    filters, kernel_size, strides, padding, dilation_rate, groups, **kwargs
        As for `keras.layers.Conv1D`, channels last.

    Raises
    ------
    ShapeError
        If the input is not (batch, time, channels), or the mask not (batch, time).
        Where Keras counts the axes first, it is a ValueError of its own.
    TypeError
        If the mask is not boolean.

    Notes
    -----
    Called ``layer(x, mask=mask)``; ``layer.compute_mask(x, mask)`` is the mask of the
    output. With ``padding="valid"`` an output step is real if its whole window is, so a
    sequence shorter than the window has none. Padding may stand at either end, with
    strides in front only in whole multiples of the stride.

    Values are those of `keras.layers.Conv1D`, with one exception: strides together
    with "same", at lengths that are no multiple of the stride. There Keras shifts the
    windows by a part of what is missing; here they stay.

    That convolutions should read masks has been asked of Keras since 2015: issue 411 of
    keras-team/keras.

    A saved model loads after ``import cnnseq_helpers``, before or after Keras.

    Examples
    --------
    >>> import numpy as np
    >>> x, mask = np.ones((1, 5, 1), "float32"), np.array([[True] * 3 + [False] * 2])
    >>> layer = MaskedConv1D(1, 3, padding="same", kernel_initializer="ones")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [2.0, 3.0, 2.0, 0.0, 0.0]
    """

    def build(self, input_shape: Any) -> None:
        """Make the kernel, for (batch, time, channels)."""
        check_series(self, input_shape, self._window)
        super().build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolve the real steps: (batch, time, filters)."""
        x = read_series(self, inputs, mask, self._window)
        padding = self.padding
        if padding == "causal" or self.strides[0] > 1:
            x = pad_windows(x, self._reach, self.strides[0], padding)
            padding = "valid"
        x = ops.conv(
            x,
            self.kernel,
            strides=self.strides[0],
            padding=padding,
            dilation_rate=self.dilation_rate[0],
            data_format="channels_last",
        )
        if self.use_bias:
            x = ops.add(x, self.bias)
        real = self.compute_mask(inputs, mask)
        if self.activation is keras.activations.relu:
            x = ops.relu(x)
        elif self.activation not in (None, keras.activations.linear):
            # Where an activation has no gradient, such as log at 0, even an output that
            # is dropped would make the gradient NaN.
            x = self.activation(fill_padding(x, real, 1.0))
        return fill_padding(x, real, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return which steps of the output are real: (batch, time)."""
        return window_mask(mask, self._reach, self.strides[0], self.padding)

    @property
    def _window(self) -> int:
        """The steps that a sequence needs at least."""
        return self._reach if self.padding == "valid" else 1

    @property
    def _reach(self) -> int:
        """The steps from the first to the last that one output reads."""
        return int((self.kernel_size[0] - 1) * self.dilation_rate[0] + 1)
