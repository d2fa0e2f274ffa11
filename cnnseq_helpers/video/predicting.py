"""Models that predict frames: recurrent, ConvLSTM and convolutional.

Each has two forms. Without `num_frames` it looks one step ahead, at every step: output
t is made of the frames 0 to t and predicts frame t + 1. With `num_frames` it makes of a
whole clip the frames that follow it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import keras
from keras import layers, ops

from ..combining import BatchApply
from ..shapes import ShapeError, check_input_shape, check_whole


def recurrent_predictor(
    input_shape: Sequence[int | None],
    num_frames: int | None = None,
    *,
    filters: int = 32,
    units: int = 256,
    mean_pixel: float = 0.05,
) -> keras.Model:
    """Return an untrained CNN, LSTM, decoder: one vector for each frame.

    Convolutions halve each frame while its sides are even and above 8 pixels, `Dense`
    makes a vector of it, the LSTM follows these vectors through time, and its output is
    made a frame again by `Dense` and transposed convolutions.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, height, width, channels), without the batch axis. Only time may be None.
    num_frames : int, optional
        How many frames to predict. If not given, one step ahead at every step. If
        given, a second LSTM takes over the state of the first, is shown its last output
        at each step, and writes the frames that follow.
    filters : int
        Channels of the convolutions.
    units : int
        Size of the LSTM's state.
    mean_pixel : float
        Where predictions start: the mean of all pixels of your clips. Far from it, the
        first steps of training drive the sigmoid into saturation, where mean squared
        error stays for good and cross-entropy for a while.

    Returns
    -------
    keras.Model
        From clips to frames with pixels in [0, 1], (batch, time, height, width,
        channels), with as many frames as the clip or `num_frames`. Train it with
        mean squared error or binary cross-entropy.

    Raises
    ------
    ShapeError
        If `input_shape` has other axes or an unknown size other than time, or a number
        is not whole and positive.
    ValueError
        If `mean_pixel` is not between 0 and 1.

    Notes
    -----
    An LSTM that hands its state to another is the design of Srivastava, Mansimov and
    Salakhutdinov, arXiv:1502.04681; the decoder that is not fed what it predicted is
    their unconditioned one.

    Examples
    --------
    >>> recurrent_predictor((None, 16, 16, 1)).output_shape
    (None, None, 16, 16, 1)
    >>> recurrent_predictor((10, 16, 16, 1), 5).output_shape
    (None, 5, 16, 16, 1)
    """
    doing = "recurrent_predictor"
    clip, num_frames, filters, pixels = _read_arguments(
        doing, input_shape, num_frames, filters, mean_pixel
    )
    units = check_whole(doing, "units", units)
    *frame, channels = clip.shape[2:]
    halvings = count_halvings(frame)
    grid = (*(side >> halvings for side in frame), filters)
    encoder = keras.Sequential(
        [
            keras.Input(clip.shape[2:], name="frame"),
            *halve(halvings, filters),
            layers.Flatten("channels_last", name="flatten"),
            layers.Dense(units, activation="relu", name="features"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            keras.Input((units,), name="state"),
            layers.Dense(grid[0] * grid[1] * filters, activation="relu", name="spread"),
            layers.Reshape(grid, name="grid"),
            *double(halvings, filters, channels, pixels),
        ],
        name="decoder",
    )
    lstm = partial(layers.LSTM, units)
    return _assemble(doing, clip, num_frames, (encoder, lstm, decoder))


def conv_lstm_predictor(
    input_shape: Sequence[int | None],
    num_frames: int | None = None,
    *,
    filters: int = 32,
    units: int = 32,
    kernel_size: int = 3,
    mean_pixel: float = 0.05,
) -> keras.Model:
    """Return an untrained CNN, ConvLSTM, decoder: the state is a grid, not a vector.

    As `recurrent_predictor`, but the LSTM's products with matrices are convolutions, so
    that what the model remembers stays where it was seen.

    Parameters
    ----------
    input_shape, num_frames, filters
        As for `recurrent_predictor`.
    units : int
        Channels of the ConvLSTM's state.
    kernel_size : int
        Of the ConvLSTM, in points of its grid.
    mean_pixel : float
        As for `recurrent_predictor`.

    Returns
    -------
    keras.Model
        As `recurrent_predictor`.

    Raises
    ------
    ShapeError, ValueError
        As `recurrent_predictor`.

    Notes
    -----
    The layer is that of Shi et al., "Convolutional LSTM Network", arXiv:1506.04214.

    Examples
    --------
    >>> conv_lstm_predictor((None, 16, 16, 1)).output_shape
    (None, None, 16, 16, 1)
    """
    doing = "conv_lstm_predictor"
    clip, num_frames, filters, pixels = _read_arguments(
        doing, input_shape, num_frames, filters, mean_pixel
    )
    units = check_whole(doing, "units", units)
    *frame, channels = clip.shape[2:]
    halvings = count_halvings(frame)
    grid = (*(side >> halvings for side in frame), units)
    encoder = keras.Sequential(
        [keras.Input(clip.shape[2:], name="frame"), *halve(halvings, filters)],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            keras.Input(grid, name="state"),
            *double(halvings, filters, channels, pixels),
        ],
        name="decoder",
    )
    kernel_size = check_whole(doing, "kernel_size", kernel_size)
    conv_lstm = partial(
        layers.ConvLSTM2D,
        units,
        kernel_size,
        padding="same",
        data_format="channels_last",
    )
    return _assemble(doing, clip, num_frames, (encoder, conv_lstm, decoder))


def convolutional_predictor(
    input_shape: Sequence[int | None],
    num_frames: int | None = None,
    *,
    filters: int = 16,
    window: int = 10,
    mean_pixel: float = 0.05,
) -> keras.Model:
    """Return an untrained convolutional network with the frames as its channels.

    The frames of a clip are stacked along the channels axis. One two-dimensional
    network, which halves the picture, works on a coarse grid and doubles it again, sees
    all of them at once. There is no recurrence, and no loop.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, height, width, channels), without the batch axis. Time may be None where
        `num_frames` is not given.
    num_frames : int, optional
        How many frames to predict, all in one go. If not given, one step ahead at every
        step, from the last `window` frames, with black ones in front of the clip.
    filters : int
        Channels at full size; four times as many at smaller sizes.
    window : int
        How many frames each one-step prediction is made of.
    mean_pixel : float
        As for `recurrent_predictor`.

    Returns
    -------
    keras.Model
        From clips to frames with pixels in [0, 1], (batch, time, height, width,
        channels), with as many frames as the clip or `num_frames`. Train it with
        mean squared error or binary cross-entropy.

    Raises
    ------
    ShapeError, ValueError
        As `recurrent_predictor`; and if time is unknown though `num_frames` is given.

    Notes
    -----
    All frames at once, by convolutions alone: the idea of SimVP, Gao et al.,
    arXiv:2206.05099, in a smaller form.

    Examples
    --------
    >>> convolutional_predictor((10, 16, 16, 1), 5).output_shape
    (None, 5, 16, 16, 1)
    >>> convolutional_predictor((None, 16, 16, 1), window=4).output_shape
    (None, None, 16, 16, 1)
    """
    doing = "convolutional_predictor"
    clip, num_frames, filters, pixels = _read_arguments(
        doing, input_shape, num_frames, filters, mean_pixel
    )
    window = check_whole(doing, "window", window)
    time, height, width, channels = clip.shape[1:]
    if num_frames is None:
        stacked = stack_windows(clip, window)
        inner = network((height, width, window * channels), filters, channels, pixels)
        frames = BatchApply(inner, name="each_window")(stacked)
        return keras.Model(clip, frames, name=doing)
    if time is None:
        raise ShapeError(
            f"{doing} stacks the frames of a clip, and expected to know how many, got "
            f"{tuple(input_shape)} and num_frames={num_frames}. Give time a number, or "
            "leave num_frames out."
        )
    stacked = ops.transpose(clip, (0, 2, 3, 1, 4))
    stacked = ops.reshape(stacked, (-1, height, width, time * channels))
    inner = network(stacked.shape[1:], filters, num_frames * channels, pixels)
    frames = ops.reshape(inner(stacked), (-1, height, width, num_frames, channels))
    frames = ops.transpose(frames, (0, 3, 1, 2, 4))
    return keras.Model(clip, frames, name=doing)


def _read_arguments(
    doing: str,
    input_shape: Any,
    num_frames: int | None,
    filters: int,
    mean_pixel: float,
) -> tuple[Any, int | None, int, dict[str, Any]]:
    """Return an input for clips, checked numbers, and options of a layer of pixels."""
    shape = check_input_shape(doing, input_shape, "time height width channels")
    if num_frames is not None:
        num_frames = check_whole(doing, "num_frames", num_frames)
    filters = check_whole(doing, "filters", filters)
    pixels = start_at(doing, mean_pixel)
    return keras.Input(shape, name="clip"), num_frames, filters, pixels


def _assemble(
    doing: str, clip: Any, num_frames: int | None, parts: Sequence[Any]
) -> keras.Model:
    """Join encoder, memory and decoder: step by step, or reading before writing."""
    encoder, memory, decoder = parts
    features = BatchApply(encoder, name="each_frame")(clip)
    if num_frames is None:
        outputs = memory(return_sequences=True, name="memory")(features)
    else:
        last, *state = memory(return_state=True, name="reader")(features)
        repeated = ops.repeat(ops.expand_dims(last, axis=1), num_frames, axis=1)
        writer = memory(return_sequences=True, name="writer")
        outputs = writer(repeated, initial_state=state)
    frames = BatchApply(decoder, name="each_state")(outputs)
    return keras.Model(clip, frames, name=doing)


# --- Down to a coarse grid, and up to pixels again ------------------------------------


# Frames are halved while their sides are even and larger than this.
_SMALLEST_SIDE = 8

_BLOCKS = 5

# Whatever the session's image_data_format is.
_LAST: dict[str, Any] = {"data_format": "channels_last"}


def count_halvings(sides: Sequence[int]) -> int:
    """Return how often height and width are halved: while even, and above 8 pixels.

    Examples
    --------
    >>> count_halvings((64, 64)), count_halvings((28, 28)), count_halvings((25, 32))
    (3, 2, 0)
    """
    halvings = 0
    while all(side % 2 == 0 for side in sides) and min(sides) > _SMALLEST_SIDE:
        sides = [side // 2 for side in sides]
        halvings += 1
    return halvings


def halve(halvings: int, filters: int) -> list[Any]:
    """Return convolutions that halve a frame; one that does not if it stays."""
    strides = [2] * halvings or [1]
    return [
        layers.Conv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            activation="relu",
            name=f"conv_{number}",
            **_LAST,
        )
        for number, stride in enumerate(strides, start=1)
    ]


def start_at(doing: str, mean_pixel: float) -> dict[str, Any]:
    """Return options of a layer of pixels in [0, 1] that start near their mean."""
    if not isinstance(mean_pixel, Real) or not 0 < mean_pixel < 1:
        raise ValueError(
            f"{doing} expected mean_pixel between 0 and 1, got {mean_pixel!r}. Take "
            "the mean of the clips to train on, which lie in [0, 1]: clips.mean()."
        )
    bias = math.log(mean_pixel / (1 - mean_pixel))
    start = keras.initializers.Constant(bias)
    return {"activation": "sigmoid", "bias_initializer": start}


def double(
    halvings: int, filters: int, channels: int, pixels: dict[str, Any]
) -> list[Any]:
    """Return layers up to full size, the last of which makes pixels."""
    grow = partial(layers.Conv2DTranspose, strides=2, padding="same", **_LAST)
    growing = [
        grow(filters, 4, activation="relu", name=f"up_{number}")
        for number in range(1, halvings)
    ]
    last = grow if halvings else partial(layers.Conv2D, padding="same", **_LAST)
    return [*growing, last(channels, 4, name="pixels", **pixels)]


def stack_windows(clip: Any, window: int) -> Any:
    """Return at each step the last frames as channels, black before the first."""
    before = ((window - 1, 0), (0, 0), (0, 0))
    black = layers.ZeroPadding3D(before, name="black", **_LAST)(clip)
    ends = (i - window + 1 or None for i in range(window))
    return ops.concatenate([black[:, i:end] for i, end in enumerate(ends)], axis=-1)


def network(
    shape: Sequence[int], filters: int, channels: int, pixels: dict[str, Any]
) -> keras.Model:
    """Return a network from a picture of many channels to one in [0, 1]."""
    picture = keras.Input(shape, name="picture")
    convolve = {"padding": "same", "activation": "relu", **_LAST}
    wide = 4 * filters
    x = skip = layers.Conv2D(filters, 3, **convolve)(picture)
    halvings = count_halvings(shape[:2])
    for convolution in halve(halvings, wide):
        x = convolution(x)
    for _ in range(_BLOCKS):
        block = layers.Conv2D(wide, 5, **convolve)(layers.LayerNormalization()(x))
        x = layers.add([x, layers.Conv2D(wide, 1, **_LAST)(block)])
    for number in reversed(range(halvings)):
        channels_out = wide if number else filters
        x = layers.Conv2DTranspose(channels_out, 4, strides=2, **convolve)(x)
    x = layers.concatenate([x, skip])
    last = layers.Conv2D(channels, 3, padding="same", name="pixels", **pixels, **_LAST)
    x = last(x)
    return keras.Model(picture, x, name="network")
