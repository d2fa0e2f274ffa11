"""Checks by experiment, on any Keras model: change the input, watch the output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .shapes import ShapeError
from .tracing import ReceptiveField

# A change must get through inactive ReLUs and lost maxima, which takes several tries,
# and through many small weights without drowning or saturating, which takes sizes.
_CHANGES = (1.0, 1e3, 1e6) * 4
_UNKNOWN_LENGTH_TRIES = (32, 64, 128, 256, 512)
_ROWS = 256


def measured_receptive_field(model: Any) -> ReceptiveField:
    """Return how many input steps one output step depends on, found by experiment.

    Each input step is changed in turn, several times and by several amounts, and the
    output steps that move are noted. Weights that are zero hide a dependence.

    Parameters
    ----------
    model : keras.Model
        One input and one output, both (batch, time, ...). Where the time length is
        unknown, lengths of 32 to 512 steps are tried.

    Returns
    -------
    ReceptiveField
        The size, stride, left and right reach along axis 1, in input steps.

    Raises
    ------
    ShapeError
        If the input or output has no time axis, the input is too short to see both ends
        of the field, or the field is not the same at every step.

    See Also
    --------
    cnnseq_helpers.tracing.receptive_field : the same by arithmetic.

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
    shape = _time_shape(model)
    lengths = _UNKNOWN_LENGTH_TRIES if shape[0] is None else (shape[0],)
    fields: list[ReceptiveField] = []
    for length in lengths:
        field = _read_field(_influence(model, (length, *shape[1:])))
        # A gap in a dilated field may be longer than the input: another length agrees.
        if field is not None and (shape[0] is not None or field in fields):
            return field
        fields += [field] if field is not None else []
    raise ShapeError(
        "measured_receptive_field expected an input that is longer than the field, but "
        f"with {length} steps the field reaches over an edge at every output step. "
        "Build the model with a longer keras.Input; a recurrent layer has no end."
    )


def _time_shape(model: Any) -> tuple[Any, ...]:
    """Return (time, ...) of the one input, or say why it can't be measured."""
    for name in ("input", "output"):
        shape = getattr(model, f"{name}_shape", None)
        if not isinstance(shape, tuple) or len(shape) < 3 or None in shape[2:]:
            raise ShapeError(
                f"measured_receptive_field expected a built model with one {name} of "
                f"(batch, time, ...), known but for batch and time, got {shape}. "
                "Measure the part in front of the layer that drops the time axis."
            )
    return tuple(model.input_shape[1:])


def _influence(model: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which input step moves which output step: (input time, output time)."""
    random = np.random.default_rng(0)
    moved: list[NDArray[np.bool_]] = []
    for start in range(0, shape[0], _ROWS):
        rows = np.arange(min(_ROWS, shape[0] - start))
        moves: Any = False
        for size in _CHANGES:
            x = np.repeat(random.normal(size=(1, *shape)), len(rows), axis=0)
            before = _outputs(model, x)
            x[rows, start + rows] += size * random.normal(size=(len(rows), *shape[1:]))
            # Row by row the same arithmetic ran before, so any difference is a move.
            differs = _outputs(model, x) != before
            moves |= differs.reshape(*differs.shape[:2], -1).any(axis=2)
        moved.append(moves)
    return np.concatenate(moved)


def _outputs(model: Any, x: NDArray[np.float64]) -> NDArray[np.float32]:
    y = np.asarray(model(x.astype(np.float32), training=False))
    if not np.isfinite(y).all():
        raise ShapeError(
            "measured_receptive_field expected finite outputs, got NaN or infinity. "
            "Check the model's weights."
        )
    return y


def _read_field(influence: NDArray[np.bool_]) -> ReceptiveField | None:
    """Read the field off the influence matrix; None if an edge may hide some."""
    outputs = np.flatnonzero(influence.any(axis=0))
    first = influence[:, outputs].argmax(axis=0)
    last = len(influence) - 1 - influence[::-1, outputs].argmax(axis=0)
    jumps = {*np.diff(first).tolist(), *np.diff(last).tolist()}
    strides = [jump for jump in jumps if jump > 0]
    fits = [_fit(outputs, stride, first, last, len(influence)) for stride in strides]
    if strides and not any(fits):
        raise ShapeError(
            "measured_receptive_field expected the same field at every output step, "
            "but it changes from step to step. Measure the convolutional part alone."
        )
    if not strides or len(outputs) < 3:
        return None
    _, field = max(fit for fit in fits if fit is not None)
    # A dilated field may go on after another gap like its widest, so see that far too.
    gap = max(np.diff(np.flatnonzero(column)).max(initial=1) for column in influence.T)
    starts, stops = (
        outputs * field.stride - field.left,
        outputs * field.stride + field.right,
    )
    seen = (starts >= gap).any() and (stops < len(influence) - gap).any()
    return field if seen else None


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
