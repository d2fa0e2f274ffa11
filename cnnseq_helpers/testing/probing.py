"""Run a model on changed input, with weights that hide nothing, and compare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError
from ..tracing.graph import forget, rnn_states


def build(model: Any, x: Any, call: Callable[[], Any]) -> None:
    """Build what is not built yet by a call; a Sequential for any number of steps."""
    if model.built:
        return
    if isinstance(model, keras.Sequential) and isinstance(x, np.ndarray):
        model.build((None, None, *x.shape[2:]))
    else:
        call()
        forget(model)


def check_layer(model: Any, doing: str) -> None:
    """Refuse what has no weights to read."""
    if not isinstance(model, keras.Layer):
        raise TypeError(
            f"{doing} expected a Keras layer or model, got a {type(model).__name__}. "
            "For a function: keras.layers.Lambda(function)."
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


def add_noise(
    x: NDArray[Any], size: float, values: NDArray[Any], random: np.random.Generator
) -> NDArray[Any]:
    """Add noise to floats, so many times as large as the largest of some values."""
    scale = size * float(np.abs(values[np.isfinite(values)]).max(initial=1))
    largest = float(np.finfo(x.dtype).max)
    noise = scale * random.normal(size=x.shape)
    return np.clip(x + noise, -largest, largest).astype(x.dtype)


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
