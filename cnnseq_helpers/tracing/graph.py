"""What Keras keeps of a model's graph, and of what its layers remember."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from ..shapes import ShapeError


def is_model(operation: Any) -> bool:
    """Tell whether an operation is a model that its graph describes in full."""
    # A built Sequential keeps its graph in _functional; a Functional model is one. A
    # subclass with a `call` of its own may do anything beside its graph.
    graph = getattr(operation, "_functional", operation)
    call = getattr(type(operation), "call", None)
    plain = getattr(call, "__module__", "").startswith("keras.")
    return plain and hasattr(graph, "_nodes_by_depth")


def nodes_in_order(model: Any) -> list[Any]:
    """Return the calls of a model's layers, each after those that it depends on."""
    by_depth = _graph(model, "")._nodes_by_depth
    return [
        node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]
    ]


def _graph(model: Any, doing: str) -> Any:
    if not is_model(model):
        raise ShapeError(
            f"{doing} expected a Functional model or a built Sequential one, got "
            f"{type(model).__name__}. Start a Sequential with keras.Input(shape); "
            "write a model with a call() of its own with the Functional API."
        )
    return getattr(model, "_functional", model)


def _flat(given: Any) -> list[Any]:
    parts = isinstance(given, (list, tuple))
    return [x for part in given for x in _flat(part)] if parts else [given]


def _given(node: Any) -> list[Any]:
    """Return what a nested model was called on, input by input; [] if unclear."""
    # The node's own list of tensors holds masks too, and sorts a dictionary's keys.
    arguments, graph = node.arguments, _graph(node.operation, "")
    given = arguments.args[0] if arguments.args else arguments.kwargs["inputs"]
    if isinstance(given, dict):
        names = graph._inputs_struct
        ours = (
            sorted(names) if isinstance(names, dict) else [x.name for x in graph.inputs]
        )
        given = [given.get(name) for name in ours]
    given = _flat(given)
    known = {id(x) for x in node.input_tensors}
    fits = len(given) == len(graph.inputs) and all(id(x) in known for x in given)
    return given if fits else []


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
        node = operation._inbound_nodes[node_index]
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
    for (
        node
    ) in nodes:  # from the outputs on, so that readers come before what they read
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


# --- Copies ---------------------------------------------------------------------------


def functional_of(model: Any) -> keras.Model:
    """Return a Functional model of the same layers, structured as `fit` gives data."""
    ends = (model.inputs[0], model.outputs[0])
    if not isinstance(model, keras.Sequential):
        ends = (model.input, model.output)
    return keras.Model(*ends, name=model.name)
