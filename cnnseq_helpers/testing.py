"""Checks by experiment, on any Keras model: change the input, watch the output."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._causality import CHECK, build_as_is, check_inputs, watch
from ._field import LENGTHS, holds_elsewhere, influence, read_field, time_shape
from ._invariance import (
    DOING,
    build,
    check_layer,
    check_model,
    check_padded,
    compare,
    refill,
    run,
    uneven_weights,
)
from .shapes import ShapeError
from .tracing import ReceptiveField


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
    build(model, x, mask, DOING)
    check_model(model)
    lengths = mask.sum(axis=1).tolist()
    with uneven_weights(model):
        alone = [
            run(model, x[i : i + 1, :steps], mask[i : i + 1, :steps], DOING)
            for i, steps in enumerate(lengths)
        ]
        for extra in (0, 1, 7, x.shape[1]):
            ends = [(0, 0), (0, extra), *[(0, 0)] * (x.ndim - 2)]
            longer, real = np.pad(x, ends), np.pad(mask, ends[:2])
            for fill in ("zeros", "garbage"):
                outputs = run(model, refill(longer, real, fill), real, DOING)
                for i, steps in enumerate(lengths):
                    change = f"{longer.shape[1] - steps} steps of {fill}"
                    for before, after in zip(alone[i], outputs, strict=True):
                        compare(
                            model.name, i, steps, change, before[0], after[i], tolerance
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
    cnnseq_helpers.tracing.receptive_field : ``right`` is 0 or less for a causal model.

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
    build_as_is(model, x)
    with uneven_weights(model, trainable_only=True):
        watch(model, x, tolerance)
