"""What is asked of clips by whatever predicts, scores or shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .shapes import ShapeError, name_axes

FRAME = "height width channels".split()
CLIPS = ["batch", "time", *FRAME]


def as_clips(doing: str, name: str, clips: Any) -> NDArray[Any]:
    """Return clips (batch, time, height, width, channels) in [0, 1], or refuse them."""
    array = np.asarray(clips)
    if array.ndim != 5 or 0 in array.shape:
        raise ShapeError(
            f"{doing} expected {name} to be (batch, time, height, width, channels), "
            f"with at least one of each, got {array.shape}. clip[None] makes a batch "
            "of one clip, clips[..., None] gives grey frames their channels axis."
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{doing} expected {name} to hold floats in [0, 1], got {array.dtype}. "
            "Divide whole numbers from 0 to 255 by 255."
        )
    check_pixels(doing, name, array, "Divide pixels from 0 to 255 by 255.")
    return array


def check_pixels(doing: str, name: str, frames: NDArray[Any], cure: str) -> None:
    """Refuse pixels that are NaN, or outside [0, 1] by more than rounding."""
    if np.isnan(frames).any():
        raise ValueError(
            f"{doing} expected numbers in {name}, got NaN. Look for what is divided by "
            "zero, or for training that diverged."
        )
    if frames.min() < 0 or frames.max() > 1:
        raise ValueError(
            f"{doing} expected pixels of {name} in [0, 1], got values from "
            f"{frames.min():.4g} to {frames.max():.4g}. {cure}"
        )


def check_alike(
    doing: str, names: tuple[str, str], first: NDArray[Any], second: NDArray[Any]
) -> None:
    """Refuse two arrays of clips or frames that differ in their shape."""
    if first.shape != second.shape:
        axes = CLIPS[-first.ndim :]
        raise ShapeError(
            f"{doing} expected {names[0]} and {names[1]} of one shape, got "
            f"{name_axes(first.shape, axes)} and {name_axes(second.shape, axes)}. "
            "Compare the same clips, frames and pixels."
        )
