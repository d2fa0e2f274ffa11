"""Does a model use what it is given? Change each part of the input, and see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError
from ..tracing.graph import forget
from .probing import add_noise, build, check_layer, run, uneven_weights

_DOING = "assert_uses_input"

# How large a change is beside the data. Small ones are lost in inactive ReLUs and in
# maxima, large ones in saturated units, so there are several of each.
# The first are 0: other values of x, which stay what the model is defined for.
_SIZES = (0, 0, 1, 1, 30, 30, 1000, 1000, 1e6, 1e6)

_NUMBERS_AT_ONCE = 2**22


def assert_uses_input(model: Any, x: Any, mask: Any = None) -> None:
    """Fail if a real step, a frame or a channel of the input moves no output.

    Each real step of each sequence is changed by itself, and each of its channels, in
    several ways: to other values that stand in x, and, unless those are whole numbers,
    by noise up to a million times as large. Some output of that sequence must move.
    And sequences that differ must have outputs that differ. Weights of at most two
    different values, such as biases of 0 in a new model, may hide a dependence: those
    that training can change are changed for the test, and put back.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer
        A model of x, or of x and a mask. Layers, and models of your own class, are
        called with ``mask=mask`` if their ``call`` has it.
    x : array_like, (batch, time, ...)
        Sequences such as the model is made for; a few will do. The last axis of what
        has three axes or more is taken for channels.
    mask : array_like of bool, (batch, time), optional
        True where a step is real; all are, if it is not given.

    Raises
    ------
    AssertionError
        If something moves no output, or all outputs are alike. The message says what.
    ShapeError
        If x or the mask has other axes, or the model can't be run on them.
    TypeError
        If the model is neither a Keras layer nor a model.
    ValueError
        If an output is NaN or infinite, or x holds whole numbers that are all alike.

    See Also
    --------
    measured_receptive_field : how far each output sees.

    Notes
    -----
    Outputs are those of inference. A recurrent layer that forgets fails this test too
    where single precision has nothing left of the first of many steps, which for an
    LSTM is so after some seventy, or where data far from 0 saturate its gates.

    Examples
    --------
    >>> import keras
    >>> x = np.random.default_rng(0).normal(size=(2, 9, 3))
    >>> assert_uses_input(keras.layers.LSTM(4), x)
    >>> assert_uses_input(keras.layers.MaxPooling1D(2, name="pool"), x)
    Traceback (most recent call last):
    ...
    AssertionError: pool does not use its input: in sequence 0, of 9 steps, 1 step was \
changed without any effect: 8. A kernel or pool with "valid" padding leaves the last \
steps out, strides wider than the kernel jump over some, and a dilated kernel of even \
size reads only what lies around short sequences: cut or pad the sequences on purpose, \
or change these layers. Data far from 0 saturate recurrent ones: scale x.
    """
    check_layer(model, _DOING)
    x, mask = _check_input(x, mask)
    build(model, x, lambda: run(model, x, mask, _DOING))
    with uneven_weights(model, trainable_only=True):
        _check_outputs(model, x, mask, _outputs(model, x, mask))
        for number, sequence in enumerate(x):
            real = None if mask is None else mask[number]
            _check_sequence(model, number, sequence, real, np.unique(x))


def _check_input(x: Any, mask: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    x = np.asarray(x)
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf":
        raise ShapeError(
            f"{_DOING} expected x (batch, time, ...) of numbers, got {x.dtype} "
            f"{x.shape}. For a model of several series, fix all but one: "
            "keras.Model(series, model([series, other]))."
        )
    if x.dtype.kind != "f" and len(np.unique(x)) < 2:
        raise ValueError(
            f"{_DOING} changes whole numbers to others of x, and expected at least two "
            "different ones, got one alone. Make x of real sequences."
        )
    if mask is None:
        return x, None
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != x.shape[:2]:
        raise ShapeError(
            f"{_DOING} expected a boolean mask {x.shape[:2]}, one value for each step "
            f"of x {x.shape}, got {mask.dtype} {mask.shape}. pad_batch returns both: "
            "x, mask = pad_batch(sequences)."
        )
    return x, mask


def _outputs(model: Any, x: Any, mask: Any) -> list[NDArray[np.float64]]:
    forget(model)
    return run(model, x, mask, _DOING)


def _check_outputs(
    model: Any, x: NDArray[Any], mask: Any, outputs: list[NDArray[Any]]
) -> None:
    if not all(np.isfinite(output).all() for output in outputs):
        raise ValueError(
            f"{_DOING} expected finite numbers from {model.name}, got NaN or infinity. "
            "Look for them in x and in the weights."
        )
    differs = x != x[:1]
    if mask is not None:
        differs[~(mask & mask[:1])] = False
    if differs.any() and all((output == output[:1]).all() for output in outputs):
        raise AssertionError(
            f"{model.name} does not use its input: the outputs for {len(x)} sequences "
            "are the same, though the sequences differ. Look for a softmax over one "
            "unit, a unit that no longer reacts (ReLU), or a kernel that reads only "
            "the padding around short sequences."
        )


# --- One sequence ---------------------------------------------------------------------


def _check_sequence(
    model: Any,
    number: int,
    sequence: NDArray[Any],
    real: NDArray[np.bool_] | None,
    values: NDArray[Any],
) -> None:
    """Change the steps of a sequence, then its channels, each by itself."""
    steps = np.arange(len(sequence)) if real is None else np.flatnonzero(real)
    if not len(steps):
        return
    places: dict[str, list[Any]] = {"step": [np.s_[step] for step in steps.tolist()]}
    if sequence.ndim > 1:
        channels = range(sequence.shape[-1])
        places["channel"] = [np.s_[steps, ..., channel] for channel in channels]
    for kind, indices in places.items():
        left = _without_effect(model, sequence, real, indices, values)
        if not left:
            continue
        dead = [steps[i] if kind == "step" else i for i in left]
        named = ", ".join(map(str, dead[:5])) + (", ..." if len(dead) > 5 else "")
        raise AssertionError(
            f"{model.name} does not use its input: in sequence {number}, of "
            f"{len(steps)} steps, {len(dead)} {kind}{'s' if len(dead) > 1 else ''} "
            f"{'were' if len(dead) > 1 else 'was'} changed without any effect: {named}."
            ' A kernel or pool with "valid" padding leaves the last steps out, strides '
            "wider than the kernel jump over some, and a dilated kernel of even size "
            "reads only what lies around short sequences: cut or pad the sequences on "
            "purpose, or change these layers. Data far from 0 saturate recurrent ones: "
            "scale x."
        )


def _without_effect(
    model: Any,
    sequence: NDArray[Any],
    real: NDArray[np.bool_] | None,
    places: Sequence[Any],
    values: NDArray[Any],
) -> list[int]:
    """Return the numbers of the places that can be changed without any effect."""
    random = np.random.default_rng(0)
    left = list(range(len(places)))
    for size in _SIZES:
        still = []
        for group, rows in _groups(model, left, sequence):
            before = np.stack([sequence] * rows)
            after, other = before.copy(), _others(before, size, values, random)
            for row, place in enumerate(group):
                after[row][places[place]] = other[row][places[place]]
            masks = None if real is None else np.stack([real] * rows)
            moved = _moved(
                _outputs(model, before, masks), _outputs(model, after, masks)
            )
            still += [place for row, place in enumerate(group) if not moved[row]]
        left = still
    return left


def _groups(
    model: Any, places: list[int], sequence: NDArray[Any]
) -> Iterator[tuple[list[int], int]]:
    """Return the places that are changed in one batch, and how many rows it has."""
    shape = getattr(model, "input_shape", None)
    fixed = shape[0] if isinstance(shape, tuple) and shape else None
    fixed = fixed if isinstance(fixed, int) else None
    most = fixed or max(1, _NUMBERS_AT_ONCE // math.prod(sequence.shape))
    for start in range(0, len(places), most):
        group = places[start : start + most]
        yield group, fixed or len(group)


def _others(
    x: NDArray[Any], size: float, values: NDArray[Any], random: np.random.Generator
) -> NDArray[Any]:
    """Return other values of the same kind, everywhere."""
    if x.dtype.kind == "f" and (size or len(values) < 2):
        return add_noise(x, size or 1, values, random)
    shift = random.integers(1, len(values), x.shape)
    other: NDArray[Any] = values[(np.searchsorted(values, x) + shift) % len(values)]
    return other


def _moved(before: list[NDArray[Any]], after: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return in which rows an output moved.

    Row by row the same arithmetic ran for both, so any difference is a move; infinity
    is none, since a large change may overflow.
    """
    moved: Any = False
    for one, other in zip(before, after, strict=True):
        differs = (one != other) & np.isfinite(other)
        moved |= differs.reshape(len(one), -1).any(axis=1)
    return np.asarray(moved)
