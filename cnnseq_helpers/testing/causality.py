"""Does an output know the future? Change the future, and see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError
from ..tracing.graph import forget
from .probing import (
    add_noise,
    as_wide_floats,
    build,
    check_layer,
    differences,
    takes_mask,
    uneven_weights,
)


def assert_causal(model: Any, x: Any, *, tolerance: float = 1e-5) -> None:
    """Fail if an output step depends on input steps that come after it.

    Output step t may depend on the input steps 0 to t. A model whose output step t
    predicts frame t + 1 may thus see frame t, and must not see frame t + 1.

    The input is changed from step t on, in several ways: to other values that stand in
    x, and, unless those are whole numbers, by noise 1, 30 and 1000 times as large. No
    output step before t may move. Up to 64 steps every t is tried, beyond that 32 of
    them. Weights of at most two different values, such as a gate that starts at 0, hide
    a dependence: those that training can change are changed for the test, and put back.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer
        The output, or one of several, must be (batch, time, ...) with as many steps as
        the input.
    x : array_like, (batch, time, ...)
        At least 2 steps of data such as the model is made for; a few short sequences
        will do. For several inputs a list, tuple or dictionary of arrays, as the model
        takes them: those with as many steps as the output are changed at once, but for
        a boolean mask (batch, time). A layer of [x, mask] is called with ``mask=mask``.
    tolerance : float
        How far an output may move, as a share of its size or of 1, whichever is larger;
        after noise 30 and 1000 times as large, 30 and 1000 times as far, since rounding
        errors grow with it.

    Raises
    ------
    AssertionError
        If an output moved. The message says from which step on the input was changed,
        which output steps moved, how far, and what to change in the model.
    ShapeError
        If x or the outputs have no time axis, or the model can't be run on x.
    TypeError
        If the model is neither a Keras layer nor a model.
    ValueError
        If an output is NaN or infinite, or another one when x is run again, or x holds
        whole numbers that are all alike.

    See Also
    --------
    receptive_field : ``right`` is 0 or less for a causal model.

    Notes
    -----
    Outputs are those of inference, and recurrent layers start from a state of zeros,
    also if they are stateful. An array (batch, features) with as many features as there
    are steps is taken for one number a step: use another number of steps then.

    A pass is no proof. Not seen are a dependence on the mask, one that only rarer
    values than were tried bring out, one that zeros hide in weights that training can't
    change, and, beyond 64 steps, one that only a few steps have.

    Examples
    --------
    >>> import keras
    >>> x = np.arange(12.0).reshape(1, 6, 2)
    >>> assert_causal(keras.layers.Conv1D(4, 3, padding="causal"), x)
    >>> mean = keras.layers.AveragePooling1D(3, 1, padding="same", name="mean")
    >>> assert_causal(mean, x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: mean looks ahead: x was changed from step 3 on, to other values, \
and 1 of 3 earlier output steps moved, the first 2; step 2 of sequence 0 moved by ...
    """
    check_layer(model, CHECK)
    x = check_inputs(x)
    build(model, x, lambda: _run(model, x))
    with uneven_weights(model, trainable_only=True):
        watch(model, x, tolerance)


# --- The experiment -------------------------------------------------------------------


CHECK = "assert_causal"

# How large a change is beside the data; 0 puts real values in disorder. Small ones are
# lost in inactive ReLUs, large ones in saturated units, and each has a second try.
_SIZES = (0, 0, 1, 1, 30, 30, 1000, 1000)

_EVERY_STEP = 64

_AT_EACH_END = 8

_BETWEEN = 16


class _Series(NamedTuple):
    """An input, its different frames, and which of them stands at each step."""

    values: NDArray[Any]
    frames: NDArray[Any]
    order: NDArray[np.int64]


def check_inputs(x: Any) -> Any:
    """Return x with arrays in it, or say which kind of arrays it must hold."""
    x = keras.tree.map_structure(np.asarray, x)
    arrays = keras.tree.flatten(x)
    batches = {len(each) if each.ndim else 0 for each in arrays}
    steps = [each.shape[1] for each in arrays if each.ndim > 1]
    numbers = all(each.dtype.kind in "biuf" for each in arrays)
    if len(batches) != 1 or 0 in batches or max(steps, default=0) < 2 or not numbers:
        found = [f"{each.dtype} {each.shape}" for each in arrays[:4]]
        raise ShapeError(
            f"{CHECK} expected x (batch, time, ...) of numbers, with at least 2 steps, "
            "or a list or dictionary of such arrays for a model of several inputs, got "
            f"{', '.join(found) or 'nothing'}. np.asarray(x) makes one array of nested "
            "lists, x[np.newaxis] a batch of one sequence."
        )
    return x


def _run(model: Any, x: Any) -> list[NDArray[Any]]:
    """Return the outputs of inference, each (batch, ...), with no state from before."""
    forget(model)
    try:
        pair = isinstance(x, (list, tuple)) and len(x) == 2 and _is_mask(x[1])
        if pair and takes_mask(model):
            outputs = model(x[0], mask=x[1], training=False)
        else:
            outputs = model(x, training=False)
    except Exception as error:
        shapes = ", ".join(str(each.shape) for each in keras.tree.flatten(x))
        raise ShapeError(
            f"{CHECK} called {model.name} on {shapes} and expected arrays, got "
            f"{type(error).__name__}: {error} Give x as the model takes it: one array, "
            "a list or a dictionary; [x, mask] for what is called with mask=mask."
        ) from error
    return [as_wide_floats(each) for each in keras.tree.flatten(outputs)]


def _is_mask(x: NDArray[Any]) -> bool:
    return x.dtype == bool and x.ndim == 2


# --- The experiment -------------------------------------------------------------------


def watch(model: Any, x: Any, tolerance: float) -> None:
    """Change x from one step on, from another on, and so forth, and compare."""
    arrays = keras.tree.flatten(x)
    outputs = _run(model, x)
    steps = _common_steps(model, arrays, outputs)
    timed = [i for i, each in enumerate(outputs) if each.shape[1:2] == (steps,)]
    for i, again in enumerate(_run(model, x)):
        if i in timed:
            _check_output(model, outputs[i], again, tolerance)
    series = [_as_series(each, steps, len(arrays)) for each in arrays]
    _check_frames(series)
    before, groups = _unchanged(model, x)
    random = np.random.default_rng(0)
    for step in _choose_steps(steps):
        for sizes in groups:
            changed = [_change(each, step, sizes, random) for each in series]
            after = _run(model, keras.tree.pack_sequence_as(x, changed))
            for i in timed:
                shape = (None, *outputs[i].shape[1:])
                name = f"output {i} {shape} of " if len(outputs) > 1 else ""
                _compare(name + model.name, step, sizes, before[i], after[i], tolerance)


def _common_steps(
    model: Any, arrays: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]
) -> int:
    """Return how many steps an input and an output share."""
    lengths: dict[int, None] = {
        x.shape[1]: None for x in arrays if x.ndim > 1 and x.shape[1] > 1
    }
    for steps in lengths:
        if any(each.shape[1:2] == (steps,) for each in outputs):
            return steps
    found = ", ".join(str(each.shape) for each in outputs)
    raise ShapeError(
        f"{CHECK} expected an output (batch, time, ...) of {model.name} with as many "
        f"steps as the input, {' or '.join(map(str, lengths))}, got {found}. Give "
        'recurrent layers return_sequences=True, convolutions padding="causal" and no '
        "strides, or hand over the part of the model in front of the layer that drops "
        "or shortens the time axis."
    )


def _check_output(
    model: Any, output: NDArray[Any], again: NDArray[Any], tolerance: float
) -> None:
    """Refuse outputs in which a move can't be told."""
    if not np.isfinite(output).all():
        raise ValueError(
            f"{CHECK} expected finite numbers from {model.name}, got NaN or infinity "
            "before any change of x. Look for them in x and in the weights."
        )
    if differences(output, again, tolerance)[1].any():
        raise ValueError(
            f"{CHECK} expected the same outputs when {model.name} is run on x twice, "
            "got others. Take out what is random in inference or remembers its last "
            "call."
        )


def _unchanged(model: Any, x: Any) -> tuple[list[NDArray[Any]], list[tuple[int, ...]]]:
    """Return the outputs for x, repeated for each change that is tried at once.

    Row by row the same arithmetic then runs for changed and unchanged inputs.
    """
    times = len(_SIZES)
    many = keras.tree.map_structure(lambda each: np.concatenate([each] * times), x)
    try:
        return _run(model, many), [_SIZES]
    except ShapeError:  # the model takes one batch size only, or memory is short
        return _run(model, x), [(size,) for size in _SIZES]


# --- Changing the input ---------------------------------------------------------------


def _choose_steps(steps: int) -> list[int]:
    """Return from which steps on to change the input, the middle first.

    In the middle there is room to see how far ahead a model looks.
    """
    chosen = np.arange(1, steps)
    if steps > _EVERY_STEP:
        first, last = chosen[:_AT_EACH_END], chosen[-_AT_EACH_END:]
        # One at random from each stretch: even distances could miss each second step.
        edges = np.linspace(first[-1] + 1, last[0], _BETWEEN + 1).astype(int)
        between = np.random.default_rng(0).integers(edges[:-1], edges[1:])
        chosen = np.concatenate([first, between, last])
    nearest = np.argsort(np.abs(chosen - steps // 2), kind="stable")
    steps_to_try: list[int] = chosen[nearest].tolist()
    return steps_to_try


def _as_series(x: NDArray[Any], steps: int, inputs: int) -> _Series:
    """Find the different frames of an input; none where it is not to be changed."""
    if x.shape[1:2] != (steps,) or (_is_mask(x) and inputs > 1):
        return _Series(x, x[:0], np.zeros(x.shape[:2], int))
    rows = x.reshape(len(x) * steps, -1)
    frames, order = np.unique(rows, axis=0, return_inverse=True)
    shape = (len(frames), *x.shape[2:])
    return _Series(x, frames.reshape(shape), order.reshape(x.shape[:2]))


def _check_frames(series: Sequence[_Series]) -> None:
    """Refuse whole numbers that disorder can't change."""
    for each in series:
        if len(each.frames) > 1 or (len(each.frames) and each.values.dtype.kind == "f"):
            return
    raise ValueError(
        f"{CHECK} puts whole numbers in disorder, and expected at least two different "
        "steps in x to do so, got one alone. Make x of real sequences."
    )


def _change(
    series: _Series, step: int, sizes: tuple[int, ...], random: np.random.Generator
) -> NDArray[Any]:
    """Return the input once for each size, changed from a step on."""
    changed = np.stack([series.values] * len(sizes))
    if len(series.frames):
        for rows, size in zip(changed, sizes, strict=True):
            rows[:, step:] = _replace(series, step, size, random)
    return changed.reshape(-1, *series.values.shape[1:])


def _replace(
    series: _Series, step: int, size: int, random: np.random.Generator
) -> NDArray[Any]:
    """Return other values for the steps from this one on."""
    x, frames, order = series
    if x.dtype.kind == "f" and (size or len(frames) == 1):
        return add_noise(x[:, step:], size or 1, x, random)
    # Each frame becomes another one: a token stays one that the model knows.
    shift = random.integers(min(1, len(frames) - 1), len(frames), order[:, step:].shape)
    other: NDArray[Any] = frames[(order[:, step:] + shift) % len(frames)]
    return other


# --- Comparing ------------------------------------------------------------------------


def _compare(
    name: str,
    step: int,
    sizes: tuple[int, ...],
    before: NDArray[Any],
    after: NDArray[Any],
    tolerance: float,
) -> None:
    """Raise an AssertionError if an output step before this one is not what it was."""
    before, after = before[:, :step], after[:, :step]
    samples = len(before) // len(sizes)
    size = np.repeat(sizes, samples)
    # Rounding grows with the noise where a layer mixes all steps, as an FFT does.
    allowed = tolerance * np.maximum(1, size).reshape(-1, *[1] * (before.ndim - 1))
    moved, wrong = differences(before, after, allowed)
    # Noise may overflow, or leave what a model is defined for: other values may not.
    wrong[size > 0] &= np.isfinite(after[size > 0])
    if not wrong.any():
        return
    steps_wrong = np.flatnonzero(np.moveaxis(wrong, 1, 0).reshape(step, -1).any(axis=1))
    smallest = size[wrong.reshape(len(wrong), -1).any(axis=1)].min()
    wrong[size > smallest] = False
    worst = np.unravel_index(np.where(wrong, moved, -1).argmax(), moved.shape)
    noise = f"by noise {smallest} times the size of the data"
    raise AssertionError(
        f"{name} looks ahead: x was changed from step {step} on, "
        f"{noise if smallest else 'to other values'}, and {len(steps_wrong)} of {step} "
        f"earlier output steps moved, the first {steps_wrong[0]}; step {worst[1]} of "
        f"sequence {worst[0] % samples} moved by "
        f"{moved[worst]:.3g}, from {before[worst]:.3g} to {after[worst]:.3g}. "
        'Use padding="causal" in Conv1D, use_causal_mask=True in attention, and '
        "padding in front alone for other convolutions along time; leave out "
        "Bidirectional and whatever pools, normalises or turns round the time axis; or "
        "delay the output by as many steps as it looks ahead."
    )
