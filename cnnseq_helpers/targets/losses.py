"""What each of Keras's losses wants to be given, however the loss was named."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from ..tracing.graph import wrapped_options

# What the labels of a loss look like, beside an output (batch, ..., units).
KINDS = {
    "SparseCategoricalCrossentropy": "sparse",
    "CategoricalCrossentropy": "one-hot",
    "CategoricalFocalCrossentropy": "one-hot",
    "KLDivergence": "one-hot",
    "BinaryCrossentropy": "binary",
    "BinaryFocalCrossentropy": "binary",
    "Hinge": "hinge",
    "SquaredHinge": "hinge",
    "MeanSquaredError": "regression",
    "MeanAbsoluteError": "regression",
    "MeanAbsolutePercentageError": "regression",
    "MeanSquaredLogarithmicError": "regression",
    "Huber": "regression",
    "LogCosh": "regression",
    "Poisson": "regression",
    "CTC": "ctc",
}

_CLASSES = {name.lower(): name for name in KINDS}


class _UnknownLossError(Exception):
    """A loss whose labels nothing is known of; the text says which, and why."""


class Loss(NamedTuple):
    """A loss of Keras: its class, what labels it wants and how it was set."""

    name: str
    kind: str
    options: Mapping[str, Any]

    @property
    def from_logits(self) -> bool | None:
        """Whether it wants logits, or else probabilities; None for any other loss."""
        if not self.name.endswith("Crossentropy"):
            return False if self.name == "KLDivergence" else None
        return bool(self.options.get("from_logits", False))

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"keras.losses.{self.name}({options})"

    def change(self, name: str = "", **changes: Any) -> Loss:
        """Return the loss with another class or other settings."""
        name = name or self.name
        kept = self.options if name == self.name else {"reduction"} & set(self.options)
        options = {key: self.options[key] for key in kept}
        if name.endswith("Crossentropy"):
            options["from_logits"] = self.from_logits or False
        options |= changes
        if options.get("from_logits") is False:
            del options["from_logits"]
        return Loss(name, KINDS[name], options)


def read_loss(loss: Any, output: tuple[Any, ...], labels: tuple[Any, ...]) -> Loss:
    """Recognise a loss, or return one of kind "unknown" named after the reason."""
    try:
        return _recognise(loss, output, labels)
    except _UnknownLossError as error:
        return Loss(str(error), "unknown", {})


def _recognise(loss: Any, output: tuple[Any, ...], labels: tuple[Any, ...]) -> Loss:
    """Recognise a loss given by name, class, instance or function.

    `output` and `labels` are shapes: "crossentropy" leaves the choice to them.
    """
    options: dict[str, Any] = {}
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        loss = _choose(output, labels)
    if isinstance(loss, functools.partial) and not loss.args:
        options, loss = dict(loss.keywords), loss.func
    try:
        loss = keras.losses.get(loss)
    except (TypeError, ValueError) as error:
        raise _UnknownLossError(
            f"Keras can make no loss of {loss!r} ({error})"
        ) from None
    if type(loss).__name__ == "LossFunctionWrapper":
        options, loss = wrapped_options(loss), loss.fn
    name = getattr(loss, "__name__", type(loss).__name__)
    known = _CLASSES.get(name.replace("_", "").lower())
    if known is None or not (loss.__module__ or "").startswith("keras."):
        raise _UnknownLossError(f"it is not known which labels {name} wants")
    if isinstance(loss, keras.losses.Loss):
        usual = {**type(loss)().get_config(), "name": loss.name}
        # A setting may be an array: the alpha of a focal loss.
        config = {k: np.asarray(v).tolist() for k, v in loss.get_config().items()}
        options = {k: value for k, value in config.items() if usual.get(k) != value}
    if known == "CTC" and (len(output), len(labels)) != (3, 2):
        raise _UnknownLossError(
            "CTC wants an output (batch, time, classes) and labels (batch, letters)"
        )
    if options.pop("axis", -1) != -1:
        raise _UnknownLossError(f"{name} has its classes on another axis than the last")
    return Loss(known, KINDS[known], options)


def _choose(output: tuple[Any, ...], labels: tuple[Any, ...]) -> str:
    if output[-1] == 1:
        return "binary_crossentropy"
    if len(labels) < len(output) or labels[-1:] == (1,):
        return "sparse_categorical_crossentropy"
    return "categorical_crossentropy"
