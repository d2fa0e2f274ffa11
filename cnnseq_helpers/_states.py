"""What stateful recurrent layers remember from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


def rnn_states(model: Any) -> list[Any]:
    """Return what stateful recurrent layers remember; `variables` leaves that out."""
    stateful = [x for x in model._flatten_layers() if getattr(x, "stateful", False)]
    states = [getattr(layer, "states", None) or [] for layer in stateful]
    return [each for each in keras.tree.flatten(states) if each is not None]


def forget(model: Any) -> None:
    """Set the states of stateful layers to zero."""
    # Not by reset_state(), which fails on stacked cells in Keras 3.15.
    for state in rnn_states(model):
        state.assign(keras.ops.zeros_like(state))


@contextmanager
def kept(model: Any) -> Iterator[None]:
    """Give a model its states back in the end, whatever happened."""
    before = [(state, np.array(state)) for state in rnn_states(model)]
    try:
        yield
    finally:
        for state, value in before:
            state.assign(value)
