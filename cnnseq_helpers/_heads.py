"""What leaves a model: its outputs, the layers that made them, what came before.

A Functional or Sequential model is read off its graph. A model with a `call` of its own
is traced once, as `fit` would, because nothing else knows what it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from .tracing import _is_model

Shape = tuple[int | None, ...]


class NotBuiltError(Exception):
    """A model whose output shapes are not known yet."""


class Link(NamedTuple):
    """One operation on the way from an output back to the input."""

    operation: Any
    input_shape: Shape
    output_shape: Shape


class Head(NamedTuple):
    """One output of a model.

    Attributes
    ----------
    name : str or int
        Its key, its name or its number in the model's outputs; "" for a single one.
    number : int
        Which of the outputs it is.
    shape : tuple
        (batch, ..., units), None where unknown.
    activation : str
        The last activation: "linear", "softmax", ...; "unknown" if it can't be told.
    activated_by : keras.Operation or None
        The operation that applies it.
    bare : bool
        Whether nothing follows that activation, so that Keras takes the logits in
        front of it for its loss.
    layer : keras.Layer or None
        The layer that has the units and is an immediate layer of the model.
    chain : tuple of Link
        From the output back to the input, along the tensors with the most axes.
    """

    name: str | int
    number: int
    shape: Shape
    activation: str
    activated_by: Any
    bare: bool
    layer: Any
    chain: tuple[Link, ...]


def read_heads(model: Any, x: Any = None) -> tuple[list[Head], Any]:
    """Return the outputs of a model in order, and their structure by name or number."""
    if _is_model(model):
        graph = getattr(model, "_functional", model)
        structure, read = graph._outputs_struct, _read_graph
    else:
        structure, read = _trace(model, x), _read_traced
    outputs = keras.tree.flatten(structure)
    if isinstance(structure, dict):
        names: list[Any] = sorted(structure)
    elif len(outputs) == 1:
        names = [""]
    else:
        names = getattr(model, "output_names", None) or list(range(len(outputs)))
    named = enumerate(zip(names, outputs, strict=True))
    heads = [read(model, name, number, one) for number, (name, one) in named]
    return heads, structure


# --- Functional and Sequential models -------------------------------------------------

_WITH_UNITS = {"Dense", "EinsumDense"} | {
    f"{kind}{rank}D{end}"
    for kind in ("Conv", "SeparableConv", "DepthwiseConv")
    for rank in (1, 2, 3)
    for end in ("", "Transpose")
}
RECURRENT = set("ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU LSTM SimpleRNN".split())
# What follows an activation and leaves probabilities probabilities, logits logits.
_PASSES = {
    f"{kind}{rank}D"
    for kind in ("AveragePooling", "Cropping", "GlobalAveragePooling", "UpSampling")
    for rank in (1, 2, 3)
} | set(
    "Cast ExpandDims Flatten GetItem Identity Permute RepeatVector Reshape Squeeze "
    "Transpose".split()
)
_NORMALIZATIONS = {"BatchNormalization", "LayerNormalization", "RMSNormalization"}
_OPERATIONS = {"LogSoftmax", "ReLU", "Relu", "Sigmoid", "Softmax", "Tanh"}


def _read_graph(model: Any, name: str | int, number: int, output: Any) -> Head:
    chain = tuple(_chain(output))
    operations = [link.operation for link in chain]
    activation, bare, activated_by = _activation(operations)
    # A loss in another precision casts, and Keras loses sight of the logits.
    bare = bare and output.dtype == keras.config.floatx()
    layer = _unit_layer(operations)
    shape = tuple(output.shape)
    return Head(name, number, shape, activation, activated_by, bare, layer, chain)


def _chain(output: Any) -> list[Link]:
    links: list[Link] = []
    while True:
        operation, node_index, _ = output._keras_history
        inputs = operation._inbound_nodes[node_index].input_tensors
        if not inputs:
            return links
        source = max(inputs, key=lambda x: len(x.shape))
        links.append(Link(operation, tuple(source.shape), tuple(output.shape)))
        output = source


def _unit_layer(operations: list[Any]) -> Any:
    """Return the layer that decides how many units leave, if there is one."""
    for operation in operations:
        inner = getattr(operation, "layer", operation)
        if type(inner).__name__ in _WITH_UNITS | {"GRU", "LSTM", "SimpleRNN"}:
            return operation
        kind = type(operation).__name__
        if kind not in _PASSES | _NORMALIZATIONS | _OPERATIONS | {"Activation"}:
            return None
    return None


def _activation(operations: list[Any]) -> tuple[str, bool, Any]:
    """Follow the operations back to the last activation: which, if bare, and whose."""
    bare = True
    for operation in operations:
        kind = type(operation).__name__
        if _is_model(operation):
            graph = getattr(operation, "_functional", operation)
            if len(graph.outputs) != 1:
                break
            inner = [link.operation for link in _chain(graph.outputs[0])]
            activation, inner_bare, _ = _activation(inner)
            return activation, bare and inner_bare, None
        if kind in ("BatchApply", "TimeDistributed"):
            activation, _, _ = _activation([operation.layer])
            return activation, False, operation
        if kind in _PASSES:
            bare = False
            continue
        activation = _activation_of(operation, kind)
        if (kind, activation) != ("Activation", "linear"):
            return activation, bare, operation
    return "unknown", False, None


def _activation_of(operation: Any, kind: str) -> str:
    if not type(operation).__module__.startswith("keras."):
        return "unknown"
    if kind == "Bidirectional":
        operation = operation.forward_layer
        kind = type(operation).__name__
    if kind in _NORMALIZATIONS:
        return "linear"
    if kind in _OPERATIONS:
        plain = getattr(operation, "axis", -1) == -1
        plain = plain and not getattr(operation, "negative_slope", 0)
        return kind.lower() if plain else "unknown"
    if kind not in _WITH_UNITS | RECURRENT | {"Activation"}:
        return "unknown"
    activation = operation.activation
    if activation is None:
        return "linear"
    if not (getattr(activation, "__module__", "") or "").startswith("keras."):
        return "unknown"
    name = getattr(activation, "__name__", type(activation).__name__)
    return str(name).lower().replace("_", "")


# --- Models with a call of their own --------------------------------------------------


def _trace(model: Any, x: Any) -> Any:
    """Run a model symbolically on inputs like `x`, or like those that built it."""
    import tensorflow as tf

    if not getattr(model, "built", False):
        raise NotBuiltError
    if x is None:
        shape = (model._build_shapes_dict or {}).get("input_shape")
        if shape is None:
            raise NotBuiltError
        x = keras.tree.map_shape_structure(
            lambda s: tf.TensorSpec((None, *s[1:]), keras.config.floatx()), shape
        )
    else:
        x = keras.tree.map_structure(
            lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), x
        )
    traced = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    return traced.get_concrete_function(x).structured_outputs


_GRAPH_OPERATIONS = {
    **dict.fromkeys(["BiasAdd", "MatMul", "BatchMatMulV2", "Conv2D"], "linear"),
    **{name: name.lower() for name in ("Relu", "Sigmoid", "Softmax", "Tanh")},
}


def _read_traced(model: Any, name: str | int, number: int, output: Any) -> Head:
    operation, bare = output.op, True
    while operation.type in ("Identity", "Reshape", "Squeeze", "ExpandDims"):
        bare = bare and operation.type == "Identity"
        operation = operation.inputs[0].op
    activation = _GRAPH_OPERATIONS.get(operation.type, "unknown")
    shape = tuple(output.shape)
    return Head(name, number, shape, activation, None, bare, None, ())
