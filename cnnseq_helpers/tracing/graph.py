"""What Keras keeps of a model's graph, of its layers' states, and their kinds.

The only file that uses names which Keras does not publish, for want of public ones.
Relied on, as in Keras 3.8 to 3.15:

- ``_functional`` of a built Sequential: its graph, which is a Functional model;
- ``_nodes_by_depth`` of a Functional model, by depth from its outputs, and
  ``_inbound_nodes`` of an operation: its calls, each with ``input_tensors``,
  ``outputs``, ``arguments`` and ``is_input``;
- ``_inputs_struct`` and ``_outputs_struct`` of a model: what goes in and out, nested;
- ``_keras_history`` of a symbolic tensor: its operation, and which call of it;
- ``_outbound_nodes`` of an input of a model: what reads it;
- ``_keras_mask`` of a symbolic tensor, which is only asked whether there is one;
- ``_flatten_layers()`` of a layer: itself and all inside it;
- ``_compile_config`` and ``_build_shapes_dict`` of a model: how it was compiled, built;
- ``_compile_metrics`` of a model, with ``_user_metrics`` and
  ``_user_weighted_metrics``: the metrics as `compile` was given them;
- ``_fn_kwargs`` of a loss that wraps a function;
- the module ``keras.src.activations``, in which Keras's activations are defined.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from ..shapes import ShapeError


def is_model(operation: Any) -> bool:
    """Tell whether an operation is a model that its graph describes in full."""
    # A subclass with a `call` of its own may do anything beside its graph.
    call = getattr(type(operation), "call", None)
    plain = getattr(call, "__module__", "").startswith("keras.")
    return plain and hasattr(graph_of(operation), "_nodes_by_depth")


def graph_of(operation: Any) -> Any:
    """Return the Functional model that describes a model, or what is none as it is."""
    return getattr(operation, "_functional", operation)


def layers_of(operation: Any, include_self: bool = True) -> list[Any]:
    """Return a layer and all layers inside it; nothing for what is no layer."""
    flatten = getattr(operation, "_flatten_layers", None)
    return list(flatten(include_self=include_self)) if flatten else []


def calls_of(operation: Any) -> list[Any]:
    """Return the symbolic calls of an operation, its nodes in all graphs."""
    return list(operation._inbound_nodes)


def input_structure(model: Any) -> Any:
    """Return the symbolic inputs as a model takes them, None where it tells none."""
    return getattr(model, "_inputs_struct", None)


def output_structure(model: Any) -> Any:
    """Return the symbolic outputs as a model gives them."""
    return model._outputs_struct


def carries_mask(tensor: Any) -> bool:
    """Tell whether a mask comes with a symbolic tensor."""
    return getattr(tensor, "_keras_mask", None) is not None


def name_of_origin(tensor: Any) -> str:
    """Return the name of the operation that a symbolic tensor left."""
    return str(tensor._keras_history.operation.name)


def is_read(tensor: Any) -> bool:
    """Tell whether an operation reads the symbolic input of a model."""
    return bool(tensor._keras_history.operation._outbound_nodes)


def compile_settings(model: Any) -> dict[str, Any]:
    """Return what `compile` was given; nothing if it was not called."""
    config = getattr(model, "_compile_config", None)
    return dict(getattr(config, "config", None) or {})


def compiled_metrics(model: Any) -> list[Any]:
    """Return the metrics, and the weighted ones, as `compile` was given them."""
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return []
    return [compiled._user_metrics, compiled._user_weighted_metrics]


def built_shape(model: Any) -> Any:
    """Return the input shape that a model with a `call` of its own was built for."""
    return (model._build_shapes_dict or {}).get("input_shape")


def wrapped_options(loss: Any) -> dict[str, Any]:
    """Return the settings of a loss that wraps a function."""
    return dict(loss._fn_kwargs)


def is_own_activation(activation: Any) -> bool:
    """Tell whether an activation is one of Keras's functions."""
    module = getattr(activation, "__module__", "") or ""
    plain = module.startswith("keras.src.activations")
    return plain and hasattr(activation, "__name__")


def nodes_in_order(model: Any) -> list[Any]:
    """Return the calls of a model's layers, each after those that it depends on."""
    by_depth = graph_of(model)._nodes_by_depth
    return [
        node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]
    ]


def checked_graph_of(model: Any, doing: str) -> Any:
    """Return the graph of a model, or say what `doing` needs instead."""
    if not is_model(model):
        raise ShapeError(
            f"{doing} expected a Functional model or a built Sequential one, got "
            f"{type(model).__name__}. Start a Sequential with keras.Input(shape); "
            "write a model with a call() of its own with the Functional API."
        )
    return graph_of(model)


def _flat(given: Any) -> list[Any]:
    parts = isinstance(given, (list, tuple))
    return [x for part in given for x in _flat(part)] if parts else [given]


def inputs_of_call(node: Any) -> list[Any]:
    """Return what a nested model was called on, input by input; [] if unclear."""
    # The node's own list of tensors holds masks too, and sorts a dictionary's keys.
    arguments, graph = node.arguments, graph_of(node.operation)
    given = arguments.args[0] if arguments.args else arguments.kwargs["inputs"]
    if isinstance(given, dict):
        names = input_structure(graph)
        ours = (
            sorted(names) if isinstance(names, dict) else [x.name for x in graph.inputs]
        )
        given = [given.get(name) for name in ours]
    given = _flat(given)
    known = {id(x) for x in node.input_tensors}
    fits = len(given) == len(graph.inputs) and all(id(x) in known for x in given)
    return given if fits else []


# --- Kinds of layers ------------------------------------------------------------------

# Keras's layers and this package's do what their names say; others may do anything.
KNOWN_PACKAGES = ("keras", "cnnseq_helpers")


def _each_rank(*kinds: str) -> set[str]:
    return {f"{kind}{rank}D" for kind in kinds for rank in (1, 2, 3)}


MASKED_WINDOWS = {"MaskedConv1D", "MaskedMaxPooling1D", "MaskedAveragePooling1D"}

DEPTHWISE = _each_rank("DepthwiseConv")

CONVOLUTIONS = DEPTHWISE | _each_rank("Conv", "SeparableConv") | {"MaskedConv1D"}

TRANSPOSED = {f"Conv{rank}DTranspose" for rank in (1, 2, 3)}

POOLINGS = _each_rank("MaxPooling", "AveragePooling") | (MASKED_WINDOWS - CONVOLUTIONS)

SHIFTS = _each_rank("ZeroPadding", "Cropping")

MERGES = set("Add Average Concatenate Maximum Minimum Multiply Subtract".split())

NORMALIZATIONS = {"BatchNormalization", "LayerNormalization", "RMSNormalization"}

RECURRENT = {"GRU", "LSTM", "SimpleRNN"}

CONV_LSTMS = _each_rank("ConvLSTM")

ANY_RECURRENT = RECURRENT | {"RNN"} | CONV_LSTMS

CELLS = {f"{kind}Cell" for kind in RECURRENT}

# In these, gates scale and mix what the activation gives.
GATED_CELLS = {"ConvLSTMCell", "GRUCell", "LSTMCell"}

ATTENTION = set(
    "AdditiveAttention Attention GroupedQueryAttention MultiHeadAttention".split()
)

# The mean or maximum of a series.
SUMMARIES = {
    f"{masked}Global{which}Pooling1D"
    for masked in ("", "Masked")
    for which in ("Average", "Max")
}

WITH_ACTIVATION = CONVOLUTIONS | TRANSPOSED | {"Activation", "Dense", "EinsumDense"}

ACTIVATIONS = set("Activation LogSoftmax ReLU Relu Sigmoid Softmax Tanh".split())

# What leaves probabilities probabilities and logits logits, unit by unit ...
KEEPS_UNITS = _each_rank(
    "AveragePooling", "Cropping", "GlobalAveragePooling", "UpSampling"
) | set(
    "Cast Dropout Identity MaskedAveragePooling1D MaskedGlobalAveragePooling1D".split()
)

# ... and what does so in other axes.
MOVES_UNITS = set(
    "ExpandDims Flatten GetItem Permute RepeatVector Reshape Squeeze Transpose".split()
)

STEPWISE = (
    MERGES
    | NORMALIZATIONS
    | _each_rank("SpatialDropout")
    | set(
        "Activation ActivityRegularization AlphaDropout Any BatchApply Dense Dropout "
        "ELU Embedding GaussianDropout GaussianNoise Identity LeakyReLU Masking "
        "MixtureHead Normalization NotEqual PReLU ReLU Relu Rescaling Softmax "
        "TimeDistributed UnitNormalization".split()
    )
)

# What stands between a recurrent layer and a head, and leaves the steps apart.
POINTWISE = set(
    "Activation BatchNormalization Dense Dropout LayerNormalization LeakyReLU ReLU "
    "Softmax".split()
)

# keras.ops that work element by element.
ELEMENTWISE = set(
    "Abs Absolute Cast Clip Divide Equal Exp Gelu Greater GreaterEqual HardSigmoid "
    "LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Negative "
    "Power Reciprocal Selu Sigmoid Sign Silu Softplus Softsign Sqrt Square Tanh "
    "TrueDivide Where".split()
)

WHOLE_SEQUENCE = (
    ANY_RECURRENT
    | ATTENTION
    | SUMMARIES
    | _each_rank("GlobalAveragePooling", "GlobalMaxPooling")
    | {"Bidirectional", "Flatten", "GroupNormalization"}
)

# Whose weights cost no multiplication that is counted ...
FREE = NORMALIZATIONS | {"Embedding", "GroupNormalization", "Normalization", "PReLU"}

# ... and parts of the names of those whose kernels do not meet each output step once,
# or that multiply without a kernel.
UNCOUNTED = ("Attention", "ConvLSTM", "EinsumDense", "Transpose")

ROW_BY_ROW = (
    (STEPWISE - {"Any", "NotEqual"})
    | CONVOLUTIONS
    | TRANSPOSED
    | POOLINGS
    | SHIFTS
    | WHOLE_SEQUENCE
    | _each_rank("UpSampling")
    | {"InputLayer", "Permute", "RepeatVector", "Reshape"}
)


def is_known(operation: Any) -> bool:
    """Tell whether an operation is one of Keras's own or of this package's."""
    return type(operation).__module__.split(".")[0] in KNOWN_PACKAGES


def is_made_of(layer: Any, kinds: set[str]) -> bool:
    """Tell whether a layer is of one of these kinds, or of a class derived from one."""
    return not kinds.isdisjoint(each.__name__ for each in type(layer).__mro__)


# --- From an output back to the input -------------------------------------------------


Shape = tuple[int | None, ...]


class Link(NamedTuple):
    """One operation on the way from an output back to the input.

    `alone` tells whether no other branch joins in it or leaves from it, masks left
    aside; `masked`, whether a mask comes with its input.
    """

    operation: Any
    input_shape: Shape
    output_shape: Shape
    alone: bool
    masked: bool = False


def chain_of(output: Any, graph: Any) -> list[Link]:
    """Follow an output back to the input, along the tensors with the most axes."""
    by_depth = graph._nodes_by_depth
    nodes = [node for depth in sorted(by_depth) for node in by_depth[depth]]
    used = _uses(nodes, graph)
    called = Counter(id(node.operation) for node in nodes)
    links: list[Link] = []
    while True:
        operation, node_index, _ = output._keras_history
        node = calls_of(operation)[node_index]
        inputs = _without_masks(node)
        if not inputs:
            return links
        single = used[id(output)] <= 1 and called[id(operation)] <= 1
        source = max(inputs, key=lambda x: len(x.shape))
        shapes = tuple(source.shape), tuple(output.shape)
        masked = len(inputs) < len(node.input_tensors)
        links.append(Link(operation, *shapes, single and len(inputs) == 1, masked))
        output = source


def _uses(nodes: list[Any], graph: Any) -> Counter[int]:
    """Count who reads each tensor; operations that make nothing but a mask don't."""
    used = Counter(id(x) for x in graph.outputs)
    masks = {id(x) for node in nodes for x in _masks(node)}
    # From the outputs on, so that readers come before what they read.
    for node in nodes:
        outputs = [id(x) for x in node.outputs]
        only_mask = not any(used[x] for x in outputs) and bool(masks & {*outputs})
        if only_mask:
            masks |= {id(x) for x in node.input_tensors}
        else:
            used.update(id(x) for x in _without_masks(node))
    return used


def _masks(node: Any) -> list[Any]:
    given = keras.tree.flatten(node.arguments.kwargs.get("mask"))
    return [x for x in given if x is not None]


def _without_masks(node: Any) -> list[Any]:
    masks = {id(x) for x in _masks(node)}
    return [x for x in node.input_tensors if id(x) not in masks]


# --- States of recurrent layers -------------------------------------------------------


def rnn_states(model: Any) -> list[Any]:
    """Return what stateful recurrent layers remember; `variables` leaves that out."""
    stateful = [x for x in layers_of(model) if getattr(x, "stateful", False)]
    states = [getattr(layer, "states", None) or [] for layer in stateful]
    return [each for each in keras.tree.flatten(states) if each is not None]


def forget(model: Any) -> None:
    """Set the states of stateful layers to zero."""
    # Not by reset_state(), which fails on stacked cells in Keras 3.15.
    for state in rnn_states(model):
        state.assign(keras.ops.zeros_like(state.value))  # JAX takes no variable


@contextmanager
def kept(model: Any) -> Iterator[None]:
    """Give a model its states back in the end, whatever happened."""
    before = [(state, np.array(state)) for state in rnn_states(model)]
    try:
        yield
    finally:
        for state, value in before:
            state.assign(value)


# --- Copies ---------------------------------------------------------------------------


def functional_of(model: Any) -> keras.Model:
    """Return a Functional model of the same layers, structured as `fit` gives data."""
    ends = (model.inputs[0], model.outputs[0])
    if not isinstance(model, keras.Sequential):
        ends = (model.input, model.output)
    return keras.Model(*ends, name=model.name)


def copy_of(model: Any, doing: str) -> keras.Model:
    """Return a Functional copy, which nothing that is done to the model changes."""
    kinds = {type(each).__name__: type(each) for each in layers_of(model)}
    try:
        with keras.saving.custom_object_scope(kinds), _named_plainly(model):
            return copy.deepcopy(functional_of(model))
    except Exception as error:
        raise ValueError(
            f"{doing} copies the model, as saving and loading does, and expected to be "
            f"able to, but got {type(error).__name__}: {error} Register functions and "
            "layers of your own: keras.saving.register_keras_serializable."
        ) from error


def is_named_plainly(model: Any) -> bool:
    """Tell whether TensorFlow takes the names of a model and its layers in graphs."""
    return all(layer.name == plain_name(layer.name) for layer in _named(model))


def plain_name(name: str) -> str:
    """Return the name of a layer as TensorFlow takes it in a graph."""
    plain = re.sub(r"[^\w.\\/>-]", "_", name, flags=re.ASCII)
    return plain if re.match(r"[a-zA-Z0-9.]", plain) else f"x{plain}"


@contextmanager
def _named_plainly(model: Any) -> Iterator[None]:
    """Let layers have names that TensorFlow takes, for a while."""
    before = [(layer, layer.name) for layer in _named(model)]
    taken = {name for _, name in before}
    try:
        for layer, name in before:
            plain, number = plain_name(name), 2
            while plain != name and plain in taken:
                plain, number = f"{plain_name(name)}_{number}", number + 1
            taken.add(plain)
            layer.name = plain
        yield
    finally:
        for layer, name in before:
            layer.name = name


def _named(model: Any) -> list[Any]:
    """Return a model and its layers but for inputs, whose names are the user's."""
    inputs = keras.layers.InputLayer
    return [each for each in layers_of(model) if not isinstance(each, inputs)]
