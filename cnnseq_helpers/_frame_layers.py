"""The parts of frame predictors: down to a coarse grid, and up to pixels again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import keras
from keras import layers, ops

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
