"""The parts of assert_padding_invariant: run, change the padding, compare."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

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


def fixed_time(model: Any) -> bool:
    """Tell whether the model takes one number of steps only."""
    inputs = getattr(model, "inputs", None) or []
    return any(len(each.shape) > 1 and each.shape[1] is not None for each in inputs)


def run(model: Any, x: NDArray[Any], mask: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the outputs, each (batch, ...)."""
    inputs = getattr(model, "inputs", None)
    try:
        if not inputs:
            takes_mask = "mask" in inspect.signature(model.call).parameters
            keywords = {"mask": mask} if takes_mask else {}
            outputs = model(x, training=False, **keywords)
        elif len(inputs) == 1:
            outputs = model(x, training=False)
        else:
            dtypes = [keras.backend.standardize_dtype(each.dtype) for each in inputs]
            feed = [mask if dtype == "bool" else x for dtype in dtypes]
            outputs = model(feed, training=False)
    except Exception as error:
        raise ShapeError(
            f"{DOING} called {model.name} on {x.shape} with a mask {mask.shape} and "
            f"expected arrays, got {type(error).__name__}: {error} Leave out sequences "
            "that are too short for it; build it with keras.Input((None, channels))."
        ) from error
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]


def refill(x: NDArray[Any], mask: NDArray[np.bool_], fill: str) -> NDArray[Any]:
    """Write zeros or garbage into the padding."""
    filled = x.copy()
    if fill == "zeros":
        filled[~mask] = 0
    elif x.dtype.kind == "f":
        garbage = np.random.default_rng(0).normal(size=filled[~mask].shape)
        filled[~mask] = 10 * max(np.abs(x[mask]).max(), 1) * garbage
    else:  # a token must stay one that the model knows
        real = x[mask]
        filled[~mask] = real[
            np.random.default_rng(0).permutation(len(filled[~mask])) % len(real)
        ]
    return filled


@contextmanager
def uneven_weights(model: Any) -> Iterator[None]:
    """Give biases and statistics of a new model values that are no longer alike."""
    random = np.random.default_rng(0)
    kept = []
    for variable in model.weights:
        value = keras.ops.convert_to_numpy(variable)
        # An LSTM's biases are 0 but for those of the forget gate, which are 1.
        if value.dtype.kind == "f" and len(np.unique(value)) <= 2:
            kept.append((variable, value))
            variable.assign(value + random.uniform(0.1, 0.5, value.shape))
    try:
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
    allowed = tolerance * max(1.0, float(np.abs(alone).max(initial=0)))
    moved = np.abs(together.astype(float) - alone)
    wrong = ~(moved <= allowed)  # NaN is wrong too
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
        f"{alone[worst]:.3g} to {together[worst]:.3g} (allowed: {allowed:.1g}). Give "
        "the mask to every layer that looks beyond one step, and use those that read "
        "it, such as MaskedConv1D."
    )
