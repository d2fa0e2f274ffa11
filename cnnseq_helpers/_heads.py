"""What leaves a model: its outputs, the layers that made them, what came before.

A Functional or Sequential model is read off its graph. A model with a `call` of its own
is traced once, as `fit` would, because nothing else knows what it does.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import keras
import numpy as np

from .tracing import is_model

Shape = tuple[int | None, ...]


class NotBuiltError(Exception):
    """A model whose output shapes are not known yet."""


class Link(NamedTuple):
    """One operation on the way from an output back to the input.

    `alone` tells whether no other branch joins in it or leaves from it.
    """

    operation: Any
    input_shape: Shape
    output_shape: Shape
    alone: bool


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
        The layer whose number of units is that of the output.
    masked : bool
        Whether a mask comes with the output, so that the loss leaves steps out.
    extendable : bool
        Whether the model is of one of Keras's own classes, its inputs no dictionary.
    rebuildable : bool
        Whether nothing but weights is lost when it is built anew: all layers are
        Keras's or this package's, none is frozen, adapted or a Lambda.
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
    masked: bool
    extendable: bool
    rebuildable: bool
    chain: tuple[Link, ...]


def read_heads(model: Any, x: Any = None) -> tuple[list[Head], Any]:
    """Return the outputs of a model in order, and their structure by name or number."""
    if is_model(model):
        graph = getattr(model, "_functional", model)
        structure, read = graph._outputs_struct, _read_graph
    else:
        structure, read = _trace(model, x), _read_traced
    outputs = keras.tree.flatten(structure)
    if keras.tree.is_nested(structure) and len(outputs) != len(structure):
        raise NotImplementedError("outputs inside of outputs are not looked at")
    if isinstance(structure, dict):
        names: list[Any] = sorted(structure)
    elif len(outputs) == 1:
        names = [""]
    else:
        names = getattr(model, "output_names", None) or list(range(len(outputs)))
    named = enumerate(zip(names, outputs, strict=True))
    heads = [read(model, name, number, one) for number, (name, one) in named]
    if read is _read_traced and x is None:
        # The length of the first call is not a property of the model.
        heads = [head._replace(shape=_any_length(head.shape)) for head in heads]
    return heads, structure


def _any_length(shape: Shape) -> Shape:
    return (*[None] * (len(shape) - 1), *shape[-1:])


# --- Functional and Sequential models -------------------------------------------------

_CONVOLUTIONS = {
    f"{kind}{rank}D{end}"
    for kind in ("Conv", "SeparableConv", "DepthwiseConv")
    for rank in (1, 2, 3)
    for end in ("", "Transpose")
}
RECURRENT = {"GRU", "LSTM", "SimpleRNN"}
_WITH_ACTIVATION = _CONVOLUTIONS | RECURRENT | {"Activation", "Dense", "EinsumDense"}
_SIZED = {kind for kind in _CONVOLUTIONS if "Depth" not in kind} | RECURRENT | {"Dense"}
_ACTIVATIONS = {
    "Activation",
    "ReLU",
    "Relu",
    "Sigmoid",
    "Softmax",
    "LogSoftmax",
    "Tanh",
}
_NORMALIZATIONS = {"BatchNormalization", "LayerNormalization", "RMSNormalization"}
# What leaves probabilities probabilities and logits logits, unit by unit ...
_KEEPS_UNITS = {
    f"{kind}{rank}D"
    for kind in ("AveragePooling", "Cropping", "GlobalAveragePooling", "UpSampling")
    for rank in (1, 2, 3)
} | {"Cast", "Dropout", "Identity"}
# ... and what does so in other axes.
_MOVES_UNITS = set(
    "ExpandDims Flatten GetItem Permute RepeatVector Reshape Squeeze Transpose".split()
)


def _read_graph(model: Any, name: str | int, number: int, output: Any) -> Head:
    graph = getattr(model, "_functional", model)
    chain = tuple(_chain(output, graph))
    operations = [link.operation for link in chain]
    activation, bare, activated_by = _activation(operations)
    # A loss in another precision casts, and Keras loses sight of the logits.
    bare = bare and output.dtype == keras.config.floatx()
    layer, masked = _unit_layer(operations), getattr(output, "_keras_mask", None)
    shape = tuple(output.shape)
    own = type(model).__module__.startswith("keras.")
    own = own and not isinstance(graph._inputs_struct, dict)
    return Head(
        name=name,
        number=number,
        shape=shape,
        activation=activation,
        activated_by=activated_by,
        bare=bare,
        layer=layer,
        masked=masked is not None,
        extendable=own,
        rebuildable=own and _forgets_nothing(model),
        chain=chain,
    )


def _forgets_nothing(model: Any) -> bool:
    return all(
        layer.trainable
        and not hasattr(layer, "adapt")
        and type(layer).__module__.split(".")[0] in ("keras", __package__)
        and type(layer).__name__ != "Lambda"
        for layer in model._flatten_layers(include_self=False)
    )


def _chain(output: Any, graph: Any) -> list[Link]:
    nodes = [node for level in graph._nodes_by_depth.values() for node in level]
    used = Counter(id(x) for node in nodes for x in node.input_tensors)
    used.update(id(x) for x in graph.outputs)
    called = Counter(id(node.operation) for node in nodes)
    links: list[Link] = []
    while True:
        operation, node_index, _ = output._keras_history
        inputs = operation._inbound_nodes[node_index].input_tensors
        if not inputs:
            return links
        single = used[id(output)] <= 1 and called[id(operation)] <= 1
        source = max(inputs, key=lambda x: len(x.shape))
        shapes = tuple(source.shape), tuple(output.shape)
        links.append(Link(operation, *shapes, single and len(inputs) == 1))
        output = source


def _unit_layer(operations: list[Any]) -> Any:
    """Return the layer whose units are those of the output, if it can be told."""
    for operation in operations:
        kind = type(operation).__name__
        if type(getattr(operation, "layer", operation)).__name__ in _SIZED:
            return operation
        if kind not in _KEEPS_UNITS | _NORMALIZATIONS | _ACTIVATIONS:
            return None
    return None


def _activation(operations: list[Any]) -> tuple[str, bool, Any]:
    """Follow the operations back to the last activation: which, if bare, and whose."""
    bare = True
    for operation in operations:
        kind = type(operation).__name__
        if is_model(operation):
            graph = getattr(operation, "_functional", operation)
            if len(graph.outputs) != 1:
                break
            inner = [link.operation for link in _chain(graph.outputs[0], graph)]
            activation, inner_bare, _ = _activation(inner)
            return activation, bare and inner_bare, None
        if kind in ("BatchApply", "TimeDistributed"):
            activation, _, _ = _activation([operation.layer])
            return activation, False, operation
        if kind in _KEEPS_UNITS | _MOVES_UNITS:
            bare = bare and kind == "Identity"
            continue
        activation = _activation_of(operation, kind)
        if (kind, activation) != ("Activation", "linear"):
            return activation, bare, operation
    return "unknown", False, None


def _activation_of(operation: Any, kind: str) -> str:
    if not type(operation).__module__.startswith("keras."):
        return "unknown"
    if kind in _NORMALIZATIONS:
        return "linear"
    if kind in _ACTIVATIONS - {"Activation"}:
        plain = getattr(operation, "axis", -1) == -1
        plain = plain and not getattr(operation, "negative_slope", 0)
        plain = plain and getattr(operation, "max_value", None) is None
        return kind.lower() if plain else "unknown"
    # The second output of a recurrent layer, its cell state, knows no bounds.
    if kind not in _WITH_ACTIVATION or getattr(operation, "return_state", False):
        return "unknown"
    activation = operation.activation
    if isinstance(activation, keras.Layer):
        return _activation_of(activation, type(activation).__name__)
    if activation is None:
        return "linear"
    if not (getattr(activation, "__module__", "") or "").startswith("keras."):
        return "unknown"
    return str(activation.__name__).replace("_", "")


# --- Models with a call of their own --------------------------------------------------


def _trace(model: Any, x: Any) -> Any:
    """Run a model symbolically on inputs like `x`, or like those that built it."""
    import tensorflow as tf

    def like(array: Any) -> Any:
        array = array if hasattr(array, "dtype") else np.asarray(array)
        return tf.TensorSpec((None, *array.shape[1:]), array.dtype)

    if not getattr(model, "built", False):
        raise NotBuiltError
    if x is None:
        x = getattr(model, "_inputs_struct", None)
    if x is None:
        shape = (model._build_shapes_dict or {}).get("input_shape")
        if shape is None:
            raise NotBuiltError
        x = keras.tree.map_shape_structure(lambda s: keras.KerasTensor(s), shape)
    # The scope keeps losses and changes of variables away from the model.
    with keras.StatelessScope():
        traced = tf.function(lambda x: model(x, training=False), autograph=False)
        specification = keras.tree.map_structure(like, x)
        return traced.get_concrete_function(specification).structured_outputs


def _read_traced(model: Any, name: str | int, number: int, output: Any) -> Head:
    operation, bare = output.op, output.dtype.name == keras.config.floatx()
    while operation.type in ("Identity", "Reshape", "Squeeze", "ExpandDims"):
        bare = bare and operation.type == "Identity"
        operation = operation.inputs[0].op
    activation = "unknown"
    if operation.type in ("Relu", "Sigmoid", "Softmax", "Tanh"):
        activation = operation.type.lower()
    elif operation.type == "BiasAdd" or _multiplies_weights(operation):
        activation = "linear"
    shape = tuple(output.shape)
    return Head(
        name, number, shape, activation, None, bare, None, False, False, False, ()
    )


def _multiplies_weights(operation: Any) -> bool:
    weights = operation.type in ("Conv2D", "MatMul") and operation.inputs[1].op.type
    return bool(weights == "ReadVariableOp")
