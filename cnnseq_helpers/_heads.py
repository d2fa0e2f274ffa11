"""What leaves a model: its outputs, the layers that made them, what came before.

A Functional or Sequential model is read off its graph. A model with a `call` of its own
is traced once, as `fit` would, because nothing else knows what it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from ._activations import (
    ACTIVATIONS,
    CONVOLUTIONS,
    KEEPS_UNITS,
    NORMALIZATIONS,
    RECURRENT,
    is_known,
    last_activation,
)
from ._chains import Link, Shape, chain_of
from .tracing import is_model


class NotBuiltError(Exception):
    """A model whose output shapes are not known yet."""


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

_SIZED = {kind for kind in CONVOLUTIONS if "Depth" not in kind} | RECURRENT | {"Dense"}


def _read_graph(model: Any, name: str | int, number: int, output: Any) -> Head:
    graph = getattr(model, "_functional", model)
    chain = tuple(chain_of(output, graph))
    operations = [link.operation for link in chain]
    activation, bare, activated_by = last_activation(chain)
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
        and is_known(layer)
        and type(layer).__name__ != "Lambda"
        for layer in model._flatten_layers(include_self=False)
    )


def _unit_layer(operations: list[Any]) -> Any:
    """Return the layer whose units are those of the output, if it can be told."""
    for operation in operations:
        kind = type(operation).__name__
        if type(getattr(operation, "layer", operation)).__name__ in _SIZED:
            return operation
        if kind not in KEEPS_UNITS | NORMALIZATIONS | ACTIVATIONS:
            return None
    return None


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
