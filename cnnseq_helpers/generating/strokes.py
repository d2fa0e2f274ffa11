"""Strokes of a pen as the moves from point to point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, as_array, check_whole


def stroke_moves(strokes: Iterable[Any], steps: int = 40) -> NDArray[np.float32]:
    """Return each stroke as so many moves of the pen, equally long in time.

    Parameters
    ----------
    strokes : iterable of array_like, each (time, channels)
        Points of the pen, recorded at even intervals; two or more a stroke, as many as
        there are. Usually two channels, x and y.
    steps : int
        Moves of each stroke. Points between two recorded ones lie on their line.

    Returns
    -------
    ndarray of float32, (batch, steps, channels)
        How far the pen moved in each step, in the unit of the points. Their running
        sum, ``moves.cumsum(axis=1)``, are the points behind the first one, counted from
        it.

    Raises
    ------
    ShapeError
        If there is no stroke, one is not (time, channels) or has fewer than two points,
        or they differ in their channels.
    TypeError
        If a stroke has no numbers.
    ValueError
        If a point is NaN or infinite, or the pen does not move in a stroke.

    Examples
    --------
    >>> stroke_moves([[[0, 0], [2, 4]], [[5, 5], [6, 5], [7, 5]]], steps=2)[1]
    array([[1., 0.],
           [1., 0.]], dtype=float32)
    """
    steps = check_whole("stroke_moves", "steps", steps)
    points = [_check_stroke(number, each) for number, each in enumerate(strokes)]
    widths = {each.shape[1] for each in points}
    if len(widths) != 1:
        found = f"{sorted(widths)} channels" if widths else "none"
        raise ShapeError(
            "stroke_moves expected at least one stroke, all of as many channels, got "
            f"{found}. Give a list of arrays (time, channels)."
        )
    return np.stack(
        [np.diff(_resample(each, steps), axis=0) for each in points]
    ).astype("float32")


def _resample(points: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return so many points and one, evenly spaced from the first to the last."""
    places = np.linspace(0, len(points) - 1, steps + 1)
    known = np.arange(len(points))
    return np.stack([np.interp(places, known, each) for each in points.T], axis=1)


def _check_stroke(number: int, stroke: Any) -> NDArray[np.float64]:
    """Return the points of a stroke (time, channels), if it can be learnt from."""
    points: NDArray[Any] = as_array(stroke)
    if points.dtype.kind not in "iuf":
        raise TypeError(
            f"stroke_moves expected numbers in stroke {number}, (time, channels), got "
            f"{points.dtype}. Give each stroke as one array of its points."
        )
    if points.ndim != 2 or len(points) < 2 or not points.shape[1]:
        raise ShapeError(
            f"stroke_moves expected stroke {number} to be (time, channels) with two "
            f"points or more, got {points.shape}. Leave out strokes of one point or "
            "none: a dot has no move."
        )
    points = points.astype("float64")
    if not np.isfinite(points).all():
        raise ValueError(
            f"stroke_moves expected finite points, got NaN or infinity in stroke "
            f"{number}. Where the pen was out of reach, cut the stroke in two."
        )
    if not np.ptp(points, axis=0).any():
        raise ValueError(
            f"stroke_moves expected a pen that moves, got {len(points)} times the same "
            f"point in stroke {number}. Leave it out."
        )
    return points
