"""The way from an output of a model back to its input, operation by operation."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import keras

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
