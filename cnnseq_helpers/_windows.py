"""Windows along time over padded series: what masked convolution and pooling share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from .shapes import ShapeError, name_axes


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
    axes = tuple(mask.shape)
    pairs = zip(axes, shape, strict=False)
    if len(axes) != 2 or any(len({*pair}) > 1 and None not in pair for pair in pairs):
        raise ShapeError(
            f"{layer.name} expected a mask {name_axes(shape[:2], ('batch', 'time'))}, "
            f"one value a step, got {axes}. {cure}"
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
