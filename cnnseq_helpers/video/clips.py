"""What is asked of clips by whatever predicts, scores or shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, name_axes

CLIPS = ("batch", "time", "height", "width", "channels")

_ROUNDING = 1e-5


def as_clips(doing: str, name: str, clips: Any) -> NDArray[Any]:
    """Return clips (batch, time, height, width, channels) in [0, 1], or refuse them."""
    array = np.asarray(clips)
    if array.ndim != 5 or 0 in array.shape:
        raise ShapeError(
            f"{doing} expected {name} to be (batch, time, height, width, channels), "
            f"with at least one of each, got {array.shape}. clip[None] makes a batch "
            "of one clip, clips[..., None] gives grey frames their channels axis."
        )
    _check_floats(doing, name, array)
    return array


def as_clip(
    doing: str, name: str, clip: Any, *, takes_bytes: bool = False
) -> NDArray[Any]:
    """Return a clip (time, height, width, channels) that can be shown, or refuse it.

    Pixels are floats in [0, 1], or else bytes, if those are taken.
    """
    array = np.asarray(clip)
    if array.ndim != 4 or 0 in array.shape or array.shape[3] not in (1, 3):
        raise ShapeError(
            f"{doing} expected {name} to be (time, height, width, channels) with 1 "
            "channel (grey) or 3 (red, green, blue), and at least one frame, got "
            f"{array.shape}. clips[0] is one clip of a batch, clip[..., None] gives "
            "grey frames their channels axis."
        )
    if not (takes_bytes and array.dtype == np.uint8):
        _check_floats(doing, name, array)
    return array


def as_alike(doing: str, clips: Mapping[Any, Any]) -> list[NDArray[Any]]:
    """Return clips that can be shown together, all of one shape."""
    arrays = [as_clip(doing, f"clip {name}", clip) for name, clip in clips.items()]
    names = [f"clip {name}" for name in clips]
    for name, array in zip(names, arrays, strict=True):
        check_alike(doing, (names[0], name), arrays[0], array)
    return arrays


def _check_floats(doing: str, name: str, array: NDArray[Any]) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{doing} expected {name} to hold floats in [0, 1], got {array.dtype}. "
            "Divide whole numbers from 0 to 255 by 255."
        )
    check_pixels(doing, name, array, "Divide pixels from 0 to 255 by 255.")


def check_pixels(doing: str, name: str, frames: NDArray[Any], cure: str) -> None:
    """Refuse pixels that are NaN, or outside [0, 1] by more than rounding."""
    if np.isnan(frames).any():
        raise ValueError(
            f"{doing} expected numbers in {name}, got NaN. Look for what is divided by "
            "zero, or for training that diverged."
        )
    if frames.min() < -_ROUNDING or frames.max() > 1 + _ROUNDING:
        raise ValueError(
            f"{doing} expected pixels of {name} in [0, 1], got values from "
            f"{frames.min():.7g} to {frames.max():.7g}. {cure}"
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
