"""What leaves a model: its outputs, the layers that made them, what came before.

A Functional or Sequential model is read off its graph. A model with a `call` of its own
is traced once, as `fit` would, which tells the shapes of its outputs and no more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from .graph import (
    ACTIVATIONS,
    ANY_RECURRENT,
    CONVOLUTIONS,
    DEPTHWISE,
    GATED_CELLS,
    KEEPS_UNITS,
    MOVES_UNITS,
    NORMALIZATIONS,
    RECURRENT,
    TRANSPOSED,
    WITH_ACTIVATION,
    Link,
    Shape,
    built_shape,
    calls_of,
    carries_mask,
    chain_of,
    graph_of,
    input_structure,
    is_known,
    is_model,
    layers_of,
    output_structure,
)


def is_recurrent(layer: Any) -> bool:
    """Tell whether a layer is one of Keras's recurrent ones, in one or both ways."""
    return type(layer).__name__ in ANY_RECURRENT | {"Bidirectional"} and is_known(layer)


def last_activation(links: Sequence[Link]) -> tuple[str, bool, Any]:
    """Follow the links back to the last activation.

    Return which it is, whether nothing changes what it gives, and whose it is.
    """
    untouched = True
    for link in links:
        operation, kind = link.operation, type(link.operation).__name__
        if is_model(operation):
            graph = graph_of(operation)
            if len(graph.outputs) != 1:
                break
            inner = last_activation(chain_of(graph.outputs[0], graph))
            return inner[0], untouched and inner[1], None
        if kind in ("BatchApply", "TimeDistributed"):
            inner = last_activation([Link(operation.layer, (), (), False)])
            return inner[0], False, operation
        if kind in KEEPS_UNITS | MOVES_UNITS:
            untouched = untouched and kind == "Identity"
            continue
        activation = activation_of(operation)
        if (kind, activation) != ("Activation", "linear"):
            return activation, untouched and _is_untouched(link), operation
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
    return _named(operation.activation) if kind in WITH_ACTIVATION else "unknown"


def _named(activation: Any) -> str:
    if isinstance(activation, keras.Layer):
        return activation_of(activation)
    if activation is None:
        return "linear"
    if not (getattr(activation, "__module__", "") or "").startswith("keras."):
        return "unknown"
    return str(activation.__name__).replace("_", "")


# --- Recurrent layers -----------------------------------------------------------------

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
    if not is_known(cell) or kind not in GATED_CELLS | {"SimpleRNNCell"}:
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


# --- Outputs --------------------------------------------------------------------------


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
    keras_sees_logits : bool
        Whether nothing follows that activation, so that Keras takes the logits in
        front of it for its loss.
    layer : keras.Layer or None
        The layer whose number of units is that of the output.
    masked : bool
        Whether a mask comes with the output, so that the loss leaves steps out.
    can_be_extended : bool
        Whether the model is of one of Keras's own classes, its inputs no dictionary.
    can_be_cloned : bool
        Whether nothing but weights is lost when it is built anew: all layers are
        Keras's or this package's, none is frozen, adapted or a Lambda.
    chain : tuple of Link
        From the output back to the input, along the tensors with the most axes.
    """

    name: str | int
    number: int
    shape: Shape
    activation: str = "unknown"
    activated_by: Any = None
    keras_sees_logits: bool = False
    layer: Any = None
    masked: bool = False
    can_be_extended: bool = False
    can_be_cloned: bool = False
    chain: tuple[Link, ...] = ()


def read_heads(model: Any, x: Any = None) -> tuple[list[Head], Any]:
    """Return the outputs of a model in order, and their structure by name or number."""
    described = is_model(model)
    structure = output_structure(graph_of(model)) if described else _traced(model, x)
    outputs = keras.tree.flatten(structure)
    if keras.tree.is_nested(structure) and len(outputs) != len(structure):
        raise NotImplementedError("outputs inside of outputs are not looked at")
    if isinstance(structure, dict):
        names: list[Any] = sorted(structure)
    elif len(outputs) == 1:
        names = [""]
    else:
        names = getattr(model, "output_names", None) or list(range(len(outputs)))
    numbered = enumerate(zip(names, outputs, strict=True))
    if described:
        heads = [_read_graph(model, name, i, output) for i, (name, output) in numbered]
    else:
        # The length of the first call is not a property of the model.
        shape_of = _any_length if x is None else tuple
        heads = [Head(name, i, shape_of(one.shape)) for i, (name, one) in numbered]
    return heads, structure


def _any_length(shape: Shape) -> Shape:
    return (*[None] * (len(shape) - 1), *tuple(shape)[-1:])


# --- Functional and Sequential models -------------------------------------------------

_SIZED = (CONVOLUTIONS | TRANSPOSED | RECURRENT | {"Dense"}) - DEPTHWISE


def _read_graph(model: Any, name: str | int, number: int, output: Any) -> Head:
    graph = graph_of(model)
    chain = tuple(chain_of(output, graph))
    activation, seen, activated_by = last_activation(chain)
    own = type(model).__module__.startswith("keras.")
    own = own and not isinstance(input_structure(graph), dict)
    return Head(
        name,
        number,
        shape=tuple(output.shape),
        activation=activation,
        activated_by=activated_by,
        # A loss in another precision casts, and Keras loses sight of the logits.
        keras_sees_logits=seen and output.dtype == keras.config.floatx(),
        layer=_unit_layer([link.operation for link in chain]),
        masked=carries_mask(output),
        can_be_extended=own,
        can_be_cloned=own and _forgets_nothing(model),
        chain=chain,
    )


def _forgets_nothing(model: Any) -> bool:
    return all(
        layer.trainable
        and not hasattr(layer, "adapt")
        and is_known(layer)
        and type(layer).__name__ != "Lambda"
        for layer in layers_of(model, include_self=False)
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


def _traced(model: Any, x: Any) -> Any:
    """Return symbolic outputs for inputs like `x`, or like those that built a model."""
    if not getattr(model, "built", False):
        raise NotBuiltError
    if x is None:
        x = input_structure(model)
    if x is None:
        shape = built_shape(model)
        if shape is None:
            raise NotBuiltError
        x = keras.tree.map_shape_structure(lambda s: keras.KerasTensor(s), shape)
    if keras.backend.backend() == "tensorflow":
        return _trace(model, keras.tree.map_structure(_specify, x))
    symbols = keras.tree.map_structure(_symbol, x)
    return _Untrained(model).compute_output_spec(symbols)


def _specify(array: Any) -> Any:
    import tensorflow as tf

    return tf.TensorSpec(*_like(array))


def _symbol(array: Any) -> Any:
    shape, kind = _like(array)
    return keras.KerasTensor(shape, keras.backend.standardize_dtype(kind))


def _like(array: Any) -> tuple[Shape, Any]:
    """Return shape, of any batch, and type of an array."""
    array = array if hasattr(array, "dtype") else np.asarray(array)
    return (None, *array.shape[1:]), array.dtype


class _Untrained(keras.Operation):  # type: ignore[misc]
    """A model outside of training, as something that tells the shapes of its outputs.

    Each backend has its own way to find them without computing anything.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def call(self, x: Any) -> Any:
        return self.model(x, training=False)


def _trace(model: Any, specification: Any) -> Any:
    """Run a model symbolically on inputs of these specifications, as `fit` does."""
    import tensorflow as tf

    # The scope keeps losses and changes of variables away from the model.
    with keras.StatelessScope():
        run = tf.function(lambda x: model(x, training=False), autograph=False)
        return run.get_concrete_function(specification).structured_outputs


# --- TimeDistributed over a time axis whose length fit does not know ------------------


def unknown_steps(model: Any, specify: Callable[[], Any]) -> tuple[str, ...]:
    """Name the layers that would run over the samples in place of the steps."""
    kind = "TimeDistributed"
    known = [layer for layer in layers_of(model) if is_known(layer)]
    wrappers = [layer for layer in known if type(layer).__name__ == kind]
    if not wrappers or not _counts_samples():
        return ()
    specification = specify()
    if specification is None:
        return ()
    shapes = [spec.shape for spec in keras.tree.flatten(specification)]
    if any(shape.rank is None for shape in shapes):
        return ()  # which is told by itself
    calls = [call for layer in wrappers for call in calls_of(layer)]
    lengths = [call.input_tensors[0].shape[1] for call in calls]
    if None not in {*lengths, *(size for shape in shapes for size in shape[1:])}:
        return ()  # not worth tracing
    with _watched(wrappers) as unknown:
        _trace(model, specification)
    return tuple(dict.fromkeys(layer.name for layer in unknown))


@functools.cache
def _counts_samples() -> bool:
    """Try whether this version of Keras takes samples for steps.

    Where `fit` knows every length, as on backends other than TensorFlow, it does not.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    layer = keras.layers.TimeDistributed(keras.layers.Identity())
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 1))])
    try:
        return bool(run(np.zeros((2, 3, 1), "float32")).shape[1] != 3)
    except Exception:
        return True


@contextmanager
def _watched(layers: list[Any]) -> Iterator[list[Any]]:
    """Note which layers are called on steps of unknown number."""
    unknown = []

    def watch(layer: Any, call: Any, inputs: Any, *others: Any, **options: Any) -> Any:
        if inputs.shape[1] is None:
            unknown.append(layer)
        return call(inputs, *others, **options)

    for layer in layers:
        # Keras would track what is set in the usual way.
        watched = functools.partial(watch, layer, layer.call)
        object.__setattr__(layer, "call", watched)
    try:
        yield unknown
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
