"""How far a model sees and which shapes leave its layers, read off its graph.

Nothing here imports TensorFlow or Keras: the model that is handed in brings them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from ._reach import STATIC, NoReach, Reach, through
from .shapes import ShapeError, name_axes


class ReceptiveField(NamedTuple):
    """The input steps that one output step depends on.

    Output step t sees the input steps from ``t * stride - left`` to
    ``t * stride + right``, as far as they exist.

    Attributes
    ----------
    size : int
        ``left + right + 1`` steps.
    stride : int
        Input steps from one output step to the next.
    left, right : int
        Steps before and after ``t * stride``. A causal model has ``right == 0``.
    """

    size: int
    stride: int
    left: int
    right: int


def receptive_field(model: Any) -> ReceptiveField:
    """Return how many input steps one output step of a model depends on.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one with one input and one output,
        both (batch, time, ...). Convolutions, poolings, paddings, croppings, layers
        that work step by step, nested models and merged branches are understood.

    Returns
    -------
    ReceptiveField
        The size, stride, left and right reach along axis 1, in input steps.

    Raises
    ------
    ShapeError
        If a layer joins the whole sequence (a recurrent layer, a global pooling), or is
        neither Keras's nor this package's, or the model was not built. The message
        names the layer.

    See Also
    --------
    cnnseq_helpers.testing.measured_receptive_field : the same by experiment.

    Notes
    -----
    The recursion is that of Araujo, Norris and Sim, "Computing Receptive Fields of
    Convolutional Neural Networks", Distill 2019, doi:10.23915/distill.00021.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([
    ...     keras.Input((100, 6)),
    ...     keras.layers.Conv1D(32, 9),
    ...     keras.layers.MaxPooling1D(4),
    ... ])
    >>> receptive_field(model)
    ReceptiveField(size=12, stride=4, left=0, right=11)
    """
    graph = _graph(model, "receptive_field")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ShapeError(
            "receptive_field expected a model with one input and one output, got "
            f"{len(graph.inputs)} and {len(graph.outputs)}. Build a keras.Model of one "
            "output and the one input that it depends on."
        )
    _, (reach,) = _follow(graph, [_start(graph.inputs[0].shape)])
    if isinstance(reach, NoReach):
        raise ShapeError(f"receptive_field {reach.reason}{_cut(model, reach.layer)}")
    size = reach.left + reach.right + 1
    return ReceptiveField(size, reach.stride, reach.left, reach.right)


def _cut(model: Any, layer: Any) -> str:
    """Say how to ask for the part of a model in front of a layer, if there is one."""
    if layer is None:
        return ""
    nodes = [node.input_tensors for node in layer._inbound_nodes]
    if layer not in model.layers or len(nodes) != 1 or len(nodes[0]) != 1:
        return " Ask for the part in front of it."
    return (
        " Ask for the part in front of it: receptive_field(keras.Model(model.inputs, "
        f"model.get_layer({layer.name!r}).input))."
    )


# --- The sequence of shapes -----------------------------------------------------------


class TracedLayer(NamedTuple):
    """One row of a `ShapeTrace`."""

    layer: str
    output_shape: str
    parameters: int
    receptive_field: str


class ShapeTrace(NamedTuple):
    """The layers of a model and what leaves each of them, as a text or HTML table."""

    rows: tuple[TracedLayer, ...]

    @property
    def parameters(self) -> int:
        """The parameters of all layers together."""
        return sum(row.parameters for row in self.rows)

    def _cells(self) -> list[tuple[str, str, str, str]]:
        header = ("layer", "output shape", "parameters", "receptive field")
        body = [(a, b, f"{count:,}", d) for a, b, count, d in self.rows]
        return [header, *body, ("total", "", f"{self.parameters:,}", "")]

    def __repr__(self) -> str:
        cells = self._cells()
        a, b, c, _ = (max(map(len, column)) for column in zip(*cells, strict=True))
        lines = (f"{w:{a}}  {x:{b}}  {y:>{c}}  {z}".rstrip() for w, x, y, z in cells)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(self._cells(), "shape-trace")


def html_table(cells: Sequence[Sequence[str]], kind: str) -> str:
    """Return rows of text, the header first, as a table of this class."""
    header, *body = (
        [escape(cell).replace("  ", "&emsp;") for cell in row] for row in cells
    )
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in body)
    return (
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def trace_shapes(model: Any) -> ShapeTrace:
    """List the layers of a model: output shape by axis name, parameters, field.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one. The layers of nested models are
        indented.

    Returns
    -------
    ShapeTrace
        A table, as text and as HTML. The receptive field counts the input steps, along
        axis 1, that one output step depends on: "no limit" stands after a layer that
        joins the whole sequence, "unknown" where `receptive_field` gives up.

    Raises
    ------
    ShapeError
        If the model has no shapes yet.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([
    ...     keras.Input((100, 6), name="recording"),
    ...     keras.layers.Conv1D(32, 9, name="conv"),
    ...     keras.layers.LSTM(32, name="lstm"),
    ... ])
    >>> trace_shapes(model)
    layer          output shape                   parameters  receptive field
    recording      (batch, time=100, channels=6)           0  1
    conv (Conv1D)  (batch, time=92, channels=32)       1,760  9
    lstm (LSTM)    (batch, features=32)                8,320  no limit
    total                                             10,080
    """
    counted: set[int] = set()
    rows = []
    for depth, operation, _, outputs, reach in steps_of(model, "trace_shapes"):
        kind = type(operation).__name__
        label = operation.name if kind == "InputLayer" else f"{operation.name} ({kind})"
        shapes = ", ".join(map(_name_output, outputs))
        # The layers of a model have rows of their own; a keras.ops call has no weights.
        weights = [] if is_model(operation) else getattr(operation, "weights", [])
        fresh = [weight for weight in weights if id(weight) not in counted]
        counted.update(map(id, fresh))
        parameters = sum(math.prod(weight.shape) for weight in fresh)
        rows.append(TracedLayer("  " * depth + label, shapes, parameters, str(reach)))
    return ShapeTrace(tuple(rows))


def _name_output(output: Any) -> str:
    of_steps = output.dtype == "bool" and len(output.shape) == 2
    return name_axes(output.shape, ("batch", "time") if of_steps else ())


# --- Walking through a model ----------------------------------------------------------


class Step(NamedTuple):
    """One call of a layer, on which tensors, and how far its outputs see."""

    depth: int
    operation: Any
    inputs: list[Any]
    outputs: list[Any]
    reach: Reach | NoReach


def steps_of(model: Any, doing: str) -> list[Step]:
    """Return the calls of a model's layers in order, nested models taken apart too."""
    graph = _graph(model, doing)
    return _follow(graph, [_start(x.shape) for x in graph.inputs])[0]


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


def _start(shape: tuple[int | None, ...]) -> Reach | NoReach:
    return Reach(shape[1]) if len(shape) > 2 else STATIC


def _follow(
    graph: Any, entering: Sequence[Reach | NoReach], depth: int = 0
) -> tuple[list[Step], list[Reach | NoReach]]:
    """Walk through a model in order: its layers, and the reach of each output."""
    reaches = {id(x): reach for x, reach in zip(graph.inputs, entering, strict=True)}
    steps = []
    for node in nodes_in_order(graph):
        operation, outputs = node.operation, node.outputs
        inner: list[Step] = []
        if node.is_input:
            leaving = [reaches[id(x)] for x in outputs]
        elif is_model(operation) and (given := _given(node)):
            arriving = [reaches[id(x)] for x in given]
            inner, leaving = _follow(_graph(operation, ""), arriving, depth + 1)
        else:
            shapes = [tuple(x.shape) for x in node.input_tensors]
            arriving = [reaches[id(x)] for x in node.input_tensors]
            leaving = [through(operation, shapes, x.shape, arriving) for x in outputs]
        reaches.update({id(x): r for x, r in zip(outputs, leaving, strict=True)})
        if not (node.is_input and depth):
            given_to = node.input_tensors
            steps += [Step(depth, operation, given_to, outputs, leaving[0]), *inner]
    return steps, [reaches[id(x)] for x in graph.outputs]


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
