"""The parts of assert_padding_invariant: run, change the padding, compare."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ._states import rnn_states
from .shapes import ShapeError

DOING = "assert_padding_invariant"


def check_padded(x: NDArray[Any], mask: NDArray[Any]) -> None:
    """Refuse a mask that does not belong to x, or with padding not at the end."""
    cure = "pad_batch returns both: x, mask = pad_batch(sequences)."
    if x.ndim < 2 or mask.dtype != bool or mask.shape != x.shape[:2] or not len(x):
        raise ShapeError(
            f"{DOING} expected x (batch, time, ...) and a boolean mask (batch, time), "
            f"got {x.shape} and {mask.dtype} {mask.shape}. {cure}"
        )
    if not mask[:, 0].all() or (mask[:, 1:] > mask[:, :-1]).any():
        wrong = np.flatnonzero(~mask[:, 0] | (mask[:, 1:] > mask[:, :-1]).any(axis=1))
        raise ShapeError(
            f"{DOING} expected each sequence to start with a real step and to have its "
            f"padding at the end, got another mask for sequence {wrong[0]}. {cure}"
        )


def build(model: Any, x: NDArray[Any], mask: NDArray[Any] | None, doing: str) -> None:
    """Build what is not built yet, for any number of steps."""
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, None, *x.shape[2:]))
    elif isinstance(model, keras.Layer) and not model.built:
        run(model, x, mask, doing)


def check_layer(model: Any, doing: str) -> None:
    """Refuse what has no weights to read."""
    if not isinstance(model, keras.Layer):
        raise TypeError(
            f"{doing} expected a Keras layer or model, got a {type(model).__name__}. "
            "For a function: keras.layers.Lambda(function)."
        )


def check_model(model: Any) -> None:
    """Refuse what has no weights to read, and models of one length only."""
    check_layer(model, DOING)
    for each in keras.tree.flatten(getattr(model, "inputs", None) or []):
        if len(each.shape) > 1 and each.shape[1] is not None:
            raise ShapeError(
                f"{DOING} expected a model that takes any number of steps, got "
                f"{model.name}, which takes {each.shape[1]}. Build it with "
                "keras.Input((None, channels)); set_weights(...) copies the weights."
            )


def run(
    model: Any, x: NDArray[Any], mask: NDArray[Any] | None, doing: str
) -> list[NDArray[Any]]:
    """Return the outputs, each (batch, ...)."""
    inputs = getattr(model, "inputs", None)
    try:
        if takes_mask(model):
            outputs = model(x, mask=mask, training=False)
        elif mask is not None and inputs and len(inputs) > 1:
            outputs = model(
                keras.tree.map_structure(
                    lambda each: mask if each.dtype == "bool" else x, model.input
                ),
                training=False,
            )
        else:
            outputs = model(x, training=False)
    except Exception as error:
        raise ShapeError(
            f"{doing} called {model.name} on {x.shape} "
            f"{'without a mask' if mask is None else f'with a mask {mask.shape}'} and "
            f"expected arrays, got {type(error).__name__}: {error} A model with two "
            "inputs is given both, a layer or a model of your own class (x, "
            "mask=mask); leave out sequences that are too short for its windows."
        ) from error
    return [as_wide_floats(each) for each in keras.tree.flatten(outputs)]


def takes_mask(model: Any) -> bool:
    """Tell whether a model is called with ``mask=mask``, and not as `fit` would."""
    # A Sequential may have no inputs before it is first called.
    as_fitted = getattr(model, "inputs", None) or isinstance(model, keras.Sequential)
    return not as_fitted and "mask" in inspect.signature(model.call).parameters


def as_wide_floats(x: Any) -> NDArray[np.float64]:
    """Return an output as an array in which differences are exact."""
    return np.asarray(keras.ops.convert_to_numpy(x)).astype(np.float64)


def refill(x: NDArray[Any], mask: NDArray[np.bool_], fill: str) -> NDArray[Any]:
    """Write zeros or garbage into the padding."""
    filled = x.copy()
    if fill == "zeros":
        filled[~mask] = 0
    elif x.dtype.kind == "f":
        garbage = np.random.default_rng(0).normal(size=filled[~mask].shape)
        garbage *= 10 * max(float(np.abs(x[mask]).max()), 1)
        largest = float(np.finfo(x.dtype).max)
        filled[~mask] = np.clip(garbage, -largest, largest)
    else:  # a token must stay one that the model knows
        real = x[mask]
        filled[~mask] = real[
            np.random.default_rng(0).permutation(len(filled[~mask])) % len(real)
        ]
    return filled


@contextmanager
def uneven_weights(model: Any, *, trainable_only: bool = False) -> Iterator[None]:
    """Give biases and statistics of a new model values that are no longer alike."""
    random = np.random.default_rng(0)
    variables = [*model.variables, *rnn_states(model)]
    kept = [(each, keras.ops.convert_to_numpy(each)) for each in variables]
    try:
        for variable in model.trainable_weights if trainable_only else model.weights:
            value = as_wide_floats(variable)
            # An LSTM's biases are 0 but for those of the forget gate, which are 1.
            alike = value.size > 0 and len(np.unique(value)) <= 2
            if alike and keras.backend.is_float_dtype(variable.dtype):
                variable.assign(value + random.uniform(0.1, 0.5, value.shape))
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def compare(
    name: str,
    number: int,
    steps: int,
    change: str,
    alone: NDArray[Any],
    together: NDArray[Any],
    tolerance: float,
) -> None:
    """Raise an AssertionError if a sequence's output is not what it was alone."""
    if together.shape == alone.shape:
        pass
    elif together.ndim == alone.ndim and together.shape[1:] == alone.shape[1:]:
        together = together[: len(alone)]  # an output a step: drop the padded ones
    else:
        raise ShapeError(
            f"{DOING} expected outputs of {name} that do not depend on the padding, or "
            f"have one step more for each, got {alone.shape} without the batch axis, "
            f"and {together.shape} with {change}. Take Flatten or Reshape out."
        )
    if np.isnan(alone).any():
        raise ValueError(
            f"{DOING} expected numbers from {name}, got NaN for sequence {number} even "
            "alone and unpadded. Look for NaN in the data and in the weights."
        )
    moved, wrong = differences(alone, together, tolerance)
    if not wrong.any():
        return
    worst = np.unravel_index(np.where(wrong, moved, -1).argmax(), moved.shape)
    where = "its output"
    if alone.ndim > 1:
        steps_wrong = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
        where = f"{len(steps_wrong)} of its {len(wrong)} output steps moved, the first "
        where += f"{steps_wrong[0]}; step {worst[0]}"
    raise AssertionError(
        f"{name} depends on padding: sequence {number}, of {steps} steps, was followed "
        f"by {change}, and {where} moved by {moved[worst]:.3g}, from "
        f"{alone[worst]:.3g} to {together[worst]:.3g}. Give "
        "the mask to every layer that looks beyond one step, and use those that read "
        "it, such as MaskedConv1D."
    )


def differences(
    before: NDArray[Any], after: NDArray[Any], tolerance: float | NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how far each number moved, and which moved further than is allowed."""
    with np.errstate(invalid="ignore"):
        moved = np.where(after == before, 0.0, np.abs(after - before))
    # Output by output, so that a huge one does not hide what happens to the others.
    near = moved <= tolerance * np.maximum(1.0, np.abs(before))
    wrong = ~(near & np.isfinite(before)) & (after != before)  # so NaN is wrong
    return moved, wrong
