"""Checks by experiment, on any Keras model: change the input, watch the output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._invariance import (
    build,
    check_model,
    check_padded,
    compare,
    refill,
    run,
    uneven_weights,
)
from .shapes import ShapeError
from .tracing import ReceptiveField

# A change must get through inactive ReLUs and lost maxima, which takes several tries,
# and through many small weights without drowning or saturating, which takes sizes.
_CHANGES = (1.0, 1e3, 1e6) * 4
_LENGTHS = (32, 64, 128, 256, 512)
_OTHER_LENGTHS = (509, 510, 511, 512)
_NUMBERS_AT_ONCE = 2**24


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
    time, *frame = _time_shape(model)
    for length in _LENGTHS if time is None else (time,):
        field = _read_field(_influence(model, (length, *frame), np.arange(length)))
        if field and (time is not None or _holds_elsewhere(model, frame, field)):
            return field
    raise ShapeError(
        "measured_receptive_field expected an input that is longer than the field, but "
        f"with {length} steps no output step shows the whole of it, or it depends on "
        "the length. Build the model with a longer keras.Input, or without its "
        "recurrent layers, whose field has no end."
    )


def _time_shape(model: Any) -> tuple[Any, ...]:
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


def _influence(
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
        return np.asarray(model(x, training=False), dtype=np.float32)
    except Exception as error:
        raise ShapeError(
            f"measured_receptive_field called the model on floats of shape {x.shape} "
            f"and expected an array, got {type(error).__name__}: {error}. Measure the "
            "part of the model that takes floats, with any batch size."
        ) from error


def _holds_elsewhere(model: Any, frame: list[int], field: ReceptiveField) -> bool:
    """Tell whether the ends and the middle of long inputs keep to the field."""
    for length in _OTHER_LENGTHS:
        starts = np.array([0, length // 2, length - field.stride])
        steps = (starts[:, None] + np.arange(field.stride)).ravel()
        moves = _influence(model, (length, *frame), steps)
        rows, outputs = np.nonzero(moves)
        offsets = steps[rows] - outputs * field.stride
        if offsets.min() < -field.left or offsets.max() > field.right:
            return False
    return True


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
    starts = outputs * field.stride - field.left
    stops = outputs * field.stride + field.right
    seen = (starts >= gap).any() and (stops < len(influence) - gap).any()
    return field if seen and field.size <= len(influence) else None


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


def assert_padding_invariant(
    model: Any, x: Any, mask: Any, *, tolerance: float = 1e-5
) -> None:
    """Fail if padding, or what stands in it, changes the outputs for real steps.

    Each sequence is run by itself and unpadded; then all together, with 0, 1, 7 and as
    many more steps of padding as there are, filled with zeros and with garbage: ten
    times as large as the data, or real values in disorder if those are whole numbers.
    In a new model biases and statistics are 0 or 1, which hides faults: weights of at
    most two different values are changed for the test, and put back.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer
        A model of x and a mask, which must be boolean, or of x alone, as `fit` would
        call it. Layers, and models of your own class, are called with ``mask=mask`` if
        their ``call`` has it. The number of steps must be open.
    x : array_like, (batch, time, ...)
        Sequences, padded at the end.
    mask : array_like of bool, (batch, time)
        True where a step is real: `pad_batch` returns both.
    tolerance : float
        How far an output may move, as a share of its size or of 1, whichever is larger.

    Raises
    ------
    AssertionError
        If an output moved. The message says which sequence and step, how far, and after
        what change of the padding.
    ShapeError
        If x and mask do not fit, padding is not at the end, or the model can't be run,
        or takes one number of steps only.
    ValueError
        If an output is NaN without any padding.

    Notes
    -----
    Outputs are those of inference. An output that has more steps the more padding there
    is counts as one a step, and is compared where the unpadded run has steps.

    Examples
    --------
    >>> import keras
    >>> from cnnseq_helpers import MaskedConv1D, pad_batch
    >>> x, mask = pad_batch([np.ones((5, 2)), np.ones((3, 2))])
    >>> assert_padding_invariant(MaskedConv1D(4, 3, padding="same"), x, mask)
    >>> usual = keras.layers.GlobalMaxPooling1D(name="usual")
    >>> assert_padding_invariant(usual, -x, mask)
    Traceback (most recent call last):
    ...
    AssertionError: usual depends on padding: sequence 1, of 3 steps, was followed by \
2 steps of zeros, and its output moved by 1, from -1 to 0. Give the \
mask to every layer that looks beyond one step, and use those that read it, such as \
MaskedConv1D.
    """
    x, mask = np.asarray(x), np.asarray(mask)
    check_padded(x, mask)
    build(model, x, mask)
    check_model(model)
    lengths = mask.sum(axis=1).tolist()
    with uneven_weights(model):
        alone = [
            run(model, x[i : i + 1, :steps], mask[i : i + 1, :steps])
            for i, steps in enumerate(lengths)
        ]
        for extra in (0, 1, 7, x.shape[1]):
            ends = [(0, 0), (0, extra), *[(0, 0)] * (x.ndim - 2)]
            longer, real = np.pad(x, ends), np.pad(mask, ends[:2])
            for fill in ("zeros", "garbage"):
                outputs = run(model, refill(longer, real, fill), real)
                for i, steps in enumerate(lengths):
                    change = f"{longer.shape[1] - steps} steps of {fill}"
                    for before, after in zip(alone[i], outputs, strict=True):
                        compare(
                            model.name, i, steps, change, before[0], after[i], tolerance
                        )
