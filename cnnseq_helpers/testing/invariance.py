"""Does padding change the answer? Change the padding, and see."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError
from .probing import add_noise, build, check_layer, differences, run, uneven_weights


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
    check_layer(model, DOING)
    build(model, x, lambda: run(model, x, mask, DOING))
    check_length(model)
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


# --- Padding --------------------------------------------------------------------------


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


def check_length(model: Any) -> None:
    """Refuse models of one length only."""
    for each in keras.tree.flatten(getattr(model, "inputs", None) or []):
        if len(each.shape) > 1 and each.shape[1] is not None:
            raise ShapeError(
                f"{DOING} expected a model that takes any number of steps, got "
                f"{model.name}, which takes {each.shape[1]}. Build it with "
                "keras.Input((None, channels)); set_weights(...) copies the weights."
            )


def refill(x: NDArray[Any], mask: NDArray[np.bool_], fill: str) -> NDArray[Any]:
    """Write zeros or garbage into the padding."""
    filled = x.copy()
    if fill == "zeros":
        filled[~mask] = 0
    elif x.dtype.kind == "f":
        nothing = np.zeros_like(filled[~mask])
        filled[~mask] = add_noise(nothing, 10, x[mask], np.random.default_rng(0))
    else:  # a token must stay one that the model knows
        real = x[mask]
        filled[~mask] = real[
            np.random.default_rng(0).permutation(len(filled[~mask])) % len(real)
        ]
    return filled


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
