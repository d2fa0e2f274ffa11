"""The last activation on the way to an output, and what later layers leave of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ._chains import Link, chain_of
from .tracing import is_model

# Keras's layers and this package's do what their names say; others may do anything.
KNOWN_PACKAGES = ("keras", "cnnseq_helpers")

CONVOLUTIONS = {
    f"{kind}{rank}D{end}"
    for kind in ("Conv", "SeparableConv", "DepthwiseConv")
    for rank in (1, 2, 3)
    for end in ("", "Transpose")
} | {"MaskedConv1D"}
RECURRENT = {"GRU", "LSTM", "SimpleRNN"}
_ANY_RECURRENT = RECURRENT | {"RNN"} | {f"ConvLSTM{rank}D" for rank in (1, 2, 3)}
_WITH_ACTIVATION = CONVOLUTIONS | {"Activation", "Dense", "EinsumDense"}
ACTIVATIONS = {
    "Activation",
    "ReLU",
    "Relu",
    "Sigmoid",
    "Softmax",
    "LogSoftmax",
    "Tanh",
}
NORMALIZATIONS = {"BatchNormalization", "LayerNormalization", "RMSNormalization"}
# What leaves probabilities probabilities and logits logits, unit by unit ...
KEEPS_UNITS = {
    f"{kind}{rank}D"
    for kind in ("AveragePooling", "Cropping", "GlobalAveragePooling", "UpSampling")
    for rank in (1, 2, 3)
} | {"Cast", "Dropout", "Identity", "MaskedAveragePooling1D"}
KEEPS_UNITS |= {"MaskedGlobalAveragePooling1D"}
# ... and what does so in other axes.
_MOVES_UNITS = set(
    "ExpandDims Flatten GetItem Permute RepeatVector Reshape Squeeze Transpose".split()
)


def is_recurrent(layer: Any) -> bool:
    """Tell whether a layer is one of Keras's recurrent ones, in one or both ways."""
    return type(layer).__name__ in _ANY_RECURRENT | {"Bidirectional"} and is_known(
        layer
    )


def is_known(operation: Any) -> bool:
    """Tell whether an operation is Keras's or this package's."""
    return type(operation).__module__.split(".")[0] in KNOWN_PACKAGES


def last_activation(links: Sequence[Link]) -> tuple[str, bool, Any]:
    """Follow the links back to the last activation: which, if bare, and whose."""
    bare = True
    for link in links:
        operation, kind = link.operation, type(link.operation).__name__
        if is_model(operation):
            graph = getattr(operation, "_functional", operation)
            if len(graph.outputs) != 1:
                break
            inner = last_activation(chain_of(graph.outputs[0], graph))
            return inner[0], bare and inner[1], None
        if kind in ("BatchApply", "TimeDistributed"):
            inner = last_activation([Link(operation.layer, (), (), False)])
            return inner[0], False, operation
        if kind in KEEPS_UNITS | _MOVES_UNITS:
            bare = bare and kind == "Identity"
            continue
        activation = activation_of(operation)
        if (kind, activation) != ("Activation", "linear"):
            return activation, bare and _is_untouched(link), operation
    return "unknown", False, None


def _is_untouched(link: Link) -> bool:
    """Tell whether a layer hands on the very tensor that its activation made."""
    if is_recurrent(link.operation):
        unrolled = getattr(link.operation, "unroll", False)
        every_step = getattr(link.operation, "return_sequences", True)
        return bool(unrolled and not every_step and not link.masked)
    return not (type(link.operation).__name__ == "MaskedConv1D" and link.masked)


def activation_of(operation: Any) -> str:
    """Name the activation of an operation; "linear" for none, or else "unknown"."""
    kind = type(operation).__name__
    if not is_known(operation):
        return "unknown"
    if kind in NORMALIZATIONS:
        return "linear"
    if kind in ACTIVATIONS - {"Activation"}:
        plain = getattr(operation, "axis", -1) == -1
        plain = plain and not getattr(operation, "negative_slope", 0)
        plain = plain and getattr(operation, "max_value", None) is None
        return kind.lower() if plain else "unknown"
    if is_recurrent(operation):
        return _both_ways(operation) if kind == "Bidirectional" else _one_way(operation)
    return _named(operation.activation) if kind in _WITH_ACTIVATION else "unknown"


def _named(activation: Any) -> str:
    if isinstance(activation, keras.Layer):
        return activation_of(activation)
    if activation is None:
        return "linear"
    if not (getattr(activation, "__module__", "") or "").startswith("keras."):
        return "unknown"
    return str(activation.__name__).replace("_", "")


# --- Recurrent layers -----------------------------------------------------------------

# In these, gates scale and mix what the activation gives.
_GATED = {"ConvLSTMCell", "GRUCell", "LSTMCell"}
_SOFTMAX = {"softmax", "sparsemax"}
_SIGMOID = {"hardsigmoid", "sigmoid"}
# What stays as it is between the same bounds after a product with a gate.
_BOUNDLESS = {"linear", "relu", "softplus", "exponential"}

# Rows of these do not sum to one, and a sum of two sigmoids goes up to 2.
SPOILED = {"gated softmax", "joined softmax", "summed sigmoid", "summed softmax"}


def _one_way(layer: Any) -> str:
    # The second output of a recurrent layer, its cell state, knows no bounds.
    if getattr(layer, "return_state", False):
        return "unknown"
    cell = layer.cell
    while type(cell).__name__ == "StackedRNNCells":
        cell = cell.cells[-1]
    kind = type(cell).__name__
    if not is_known(cell) or kind not in _GATED | {"SimpleRNNCell"}:
        return "unknown"
    activation = _named(cell.activation)
    if kind == "SimpleRNNCell":
        return activation
    if activation in _SOFTMAX:
        return "gated softmax"
    gates = _named(cell.recurrent_activation)
    return activation if gates in _SIGMOID or activation == "linear" else "unknown"


def _both_ways(layer: Any) -> str:
    one, other = (
        _one_way(each) for each in (layer.forward_layer, layer.backward_layer)
    )
    merged = layer.merge_mode
    if one != other:
        return "unknown"
    if merged is None or one in {"gated softmax", *_BOUNDLESS}:
        return "summed softmax" if (one, merged) == ("gated softmax", "sum") else one
    if one in _SOFTMAX and merged != "ave":
        return "summed softmax" if merged == "sum" else "joined softmax"
    if merged == "sum":
        return "summed sigmoid" if one in _SIGMOID else "unknown"
    return one
