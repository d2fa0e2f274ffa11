"""How far does a model see? Change each step, and see which outputs move."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError
from ..tracing.reach import ReceptiveField


def measured_receptive_field(model: Any) -> ReceptiveField:
    """Return how many input steps one output step depends on, found by experiment.

    Each input step is changed in turn, several times and by several amounts, and the
    output steps that move are noted. Weights that are zero hide a dependence, and what
    lies further apart than the input is long can't be seen.

    Parameters
    ----------
    model : keras.Model
        One input and one output, both (batch, time, ...) of floats. Where the time
        length is unknown, inputs of up to 512 steps are tried.

    Returns
    -------
    ReceptiveField
        The size, stride, left and right reach along axis 1, in input steps.

    Raises
    ------
    ShapeError
        If the input or output has no time axis, the input is too short to see both ends
        of the field, or the field is not the same at every step and every length.

    See Also
    --------
    receptive_field : the same by arithmetic.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([
    ...     keras.Input((None, 3)),
    ...     keras.layers.Conv1D(8, 5, padding="causal"),
    ... ])
    >>> measured_receptive_field(model)
    ReceptiveField(size=5, stride=1, left=4, right=0)
    """
    time, *frame = time_shape(model)
    for length in LENGTHS if time is None else (time,):
        field = read_field(influence(model, (length, *frame), np.arange(length)))
        if field and (time is not None or holds_elsewhere(model, frame, field)):
            return field
    raise ShapeError(
        "measured_receptive_field expected an input that is longer than the field, but "
        f"with {length} steps no output step shows the whole of it, or it depends on "
        "the length. Build the model with a longer keras.Input, or without its "
        "recurrent layers, whose field has no end."
    )


# --- Influence ------------------------------------------------------------------------


# A change must get through inactive ReLUs and lost maxima, which takes several tries,
# and through many small weights without drowning or saturating, which takes sizes.
_CHANGES = (1.0, 1e3, 1e6) * 4

LENGTHS = (32, 64, 128, 256, 512)

_OTHER_LENGTHS = (509, 510, 511, 512)

_NUMBERS_AT_ONCE = 2**24


def time_shape(model: Any) -> tuple[Any, ...]:
    """Return (time, ...) of the one input, or say why it can't be measured."""
    for name in ("input", "output"):
        shape = getattr(model, f"{name}_shape", None)
        axes = shape if isinstance(shape, tuple) else ()
        if len(axes) < 3 or 0 in axes or None in axes[2:] or isinstance(axes[0], tuple):
            raise ShapeError(
                f"measured_receptive_field expected a built model with one {name} of "
                f"(batch, time, ...), known but for batch and time, got {shape}. "
                "Measure the part in front of the layer that drops the time axis."
            )
    return tuple(model.input_shape[1:])


def influence(
    model: Any, shape: tuple[int, ...], steps: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of these input steps moves which output step, as a matrix."""
    random = np.random.default_rng(0)
    rows = max(1, _NUMBERS_AT_ONCE // math.prod(shape))
    moved: list[NDArray[np.bool_]] = []
    for chunk in np.split(steps, range(rows, len(steps), rows)):
        moves: Any = False
        for size in _CHANGES:
            x = random.normal(size=(1, *shape)).astype(np.float32)
            x = np.repeat(x, len(chunk), axis=0)
            before = _outputs(model, x)
            change = size * random.normal(size=(len(chunk), *shape[1:]))
            x[np.arange(len(chunk)), chunk] += change.astype(np.float32)
            after = _outputs(model, x)
            # Row by row the same arithmetic ran before, so any difference is a move. A
            # large change may overflow; the smaller ones then show what moves.
            differs = (after != before) & np.isfinite(after)
            moves |= differs.reshape(*differs.shape[:2], -1).any(axis=2)
            if not np.isfinite(before).all():
                raise ShapeError(
                    "measured_receptive_field expected finite outputs, got NaN or "
                    "infinity. Check the model's weights."
                )
        moved.append(moves)
    return np.concatenate(moved)


def _outputs(model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        answers = keras.ops.convert_to_numpy(model(x, training=False))
        return np.asarray(answers, dtype=np.float32)
    except Exception as error:
        raise ShapeError(
            f"measured_receptive_field called the model on floats of shape {x.shape} "
            f"and expected an array, got {type(error).__name__}: {error}. Measure the "
            "part of the model that takes floats, with any batch size."
        ) from error


def holds_elsewhere(model: Any, frame: list[int], field: ReceptiveField) -> bool:
    """Tell whether the ends and the middle of long inputs keep to the field."""
    for length in _OTHER_LENGTHS:
        starts = np.array([0, length // 2, length - field.stride])
        steps = (starts[:, None] + np.arange(field.stride)).ravel()
        moves = influence(model, (length, *frame), steps)
        rows, outputs = np.nonzero(moves)
        offsets = steps[rows] - outputs * field.stride
        if offsets.min() < -field.left or offsets.max() > field.right:
            return False
    return True


def read_field(moves: NDArray[np.bool_]) -> ReceptiveField | None:
    """Read the field off the influence matrix; None if an edge may hide some."""
    outputs = np.flatnonzero(moves.any(axis=0))
    first = moves[:, outputs].argmax(axis=0)
    last = len(moves) - 1 - moves[::-1, outputs].argmax(axis=0)
    jumps = {*np.diff(first).tolist(), *np.diff(last).tolist()}
    strides = [jump for jump in jumps if jump > 0]
    fits = [_fit(outputs, stride, first, last, len(moves)) for stride in strides]
    if strides and not any(fits):
        raise ShapeError(
            "measured_receptive_field expected the same field at every output step, "
            "but it changes from step to step. Measure the convolutional part alone."
        )
    if not strides or len(outputs) < 3:
        return None
    _, field = max(fit for fit in fits if fit is not None)
    # A dilated field may go on after another gap like its widest, so see that far too.
    gap = max(np.diff(np.flatnonzero(column)).max(initial=1) for column in moves.T)
    starts = outputs * field.stride - field.left
    stops = outputs * field.stride + field.right
    seen = (starts >= gap).any() and (stops < len(moves) - gap).any()
    return field if seen and field.size <= len(moves) else None


def _fit(
    outputs: NDArray[np.int64],
    stride: int,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    length: int,
) -> tuple[int, ReceptiveField] | None:
    """Return the widest field for this stride, and at how many ends it was found.

    Near an edge the outermost steps of a dilated field are missing, so the field may be
    wider than what an output step there depends on. None if it fails inside the input.
    """
    centres = outputs * stride
    left, right = int((centres - first).max()), int((last - centres).max())
    starts, stops = centres - left, centres + right
    inside_left, inside_right = starts >= 0, stops < length
    if (starts != first)[inside_left].any() or (stops != last)[inside_right].any():
        return None
    found = int(inside_left.sum() + inside_right.sum())
    return found, ReceptiveField(left + right + 1, stride, left, right)
