"""The layers of a model, or of two side by side, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any, NamedTuple

from keras import layers

from ..shapes import name_axes
from .graph import FREE, UNCOUNTED, is_model
from .reach import Step, steps_of

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


# --- Two models side by side ----------------------------------------------------------


class ComparedLayer(NamedTuple):
    """One row of a `ModelComparison`.

    Attributes
    ----------
    change : str
        "-" for a layer of the first model alone, "+" for one of the second alone, ""
        for what both have.
    layer, output_shape, receptive_field : str
        As in a `ShapeTrace`.
    parameters : int
        Weights, and statistics that are not trained.
    multiply_adds : int or None
        For one sequence; None where it can't be told.
    """

    change: str
    layer: str
    output_shape: str
    parameters: int
    multiply_adds: int | None
    receptive_field: str


class ModelComparison(NamedTuple):
    """What two models have in common and where they differ, as text or HTML table."""

    rows: tuple[ComparedLayer, ...]

    def totals(self, change: str) -> tuple[int, int | None]:
        """Return parameters and multiply-adds of the first ("-") or second ("+")."""
        rows = [row for row in self.rows if row.change in ("", change)]
        work = [row.multiply_adds for row in rows]
        known = [count for count in work if count is not None]
        total = sum(known) if len(known) == len(work) else None
        return sum(row.parameters for row in rows), total

    def _cells(self) -> list[tuple[str, str, str, str, str, str]]:
        header = ("", "layer", "output shape", "parameters", "multiply-adds")
        cells = [(*header, "receptive field")]
        for change, layer, shape, parameters, work, field in self.rows:
            cells.append((change, layer, shape, f"{parameters:,}", _count(work), field))
        for change, name in (("-", "total before"), ("+", "total after")):
            parameters, work = self.totals(change)
            cells.append((change, name, "", f"{parameters:,}", _count(work), ""))
        return cells

    def __repr__(self) -> str:
        cells = self._cells()
        a, b, c, d, e, _ = (
            max(map(len, column)) for column in zip(*cells, strict=True)
        )
        return "\n".join(
            f"{u:{a}} {v:{b}}  {w:{c}}  {x:>{d}}  {y:>{e}}  {z}".rstrip()
            for u, v, w, x, y, z in cells
        )

    def _repr_html_(self) -> str:
        return html_table(self._cells(), "model-comparison")


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def compare_models(before: Any, after: Any) -> ModelComparison:
    """Set two models side by side, layer by layer, such as a model and its `to_cnn1d`.

    Parameters
    ----------
    before, after : keras.Model
        Functional models or built Sequential ones. Layers of the same name, output
        shape, parameters and multiply-adds count as the same.

    Returns
    -------
    ModelComparison
        A table, as text and as HTML: what both have, what the first has alone ("-"),
        and the second ("+"), with the totals of both.

    Raises
    ------
    ShapeError
        If a model has no shapes yet.

    Notes
    -----
    Multiply-adds are those of weights with inputs and states, for one sequence, in
    convolutions, dense and recurrent layers; adding biases, normalising, pooling and
    activations count as nothing. Where the time length is unknown, so are they. Layers
    without a rule here, such as attention, make them unknown as well.

    Examples
    --------
    >>> import keras
    >>> from cnnseq_helpers import to_cnn1d
    >>> model = keras.Sequential([
    ...     keras.Input((8, 2), name="series"),
    ...     keras.layers.LSTM(4, name="lstm"),
    ...     keras.layers.Dense(3, name="logits"),
    ... ])
    >>> compare_models(model, to_cnn1d(model)).totals("-")
    (127, 780)
    """
    first, second = _rows(before), _rows(after)
    # The receptive field may differ: it also depends on the layers in front.
    keys = [[row[1:5] for row in rows] for rows in (first, second)]
    merged: list[ComparedLayer] = []
    matches = SequenceMatcher(a=keys[0], b=keys[1], autojunk=False).get_opcodes()
    for kind, start, stop, other_start, other_stop in matches:
        if kind == "equal":
            merged += second[other_start:other_stop]
            continue
        merged += [row._replace(change="-") for row in first[start:stop]]
        merged += [row._replace(change="+") for row in second[other_start:other_stop]]
    return ModelComparison(tuple(merged))


def _rows(model: Any) -> list[ComparedLayer]:
    steps = steps_of(model, "compare_models")
    pairs = zip(trace_shapes(model).rows, steps, strict=True)
    return [
        ComparedLayer("", layer, shape, parameters, _work(step), field)
        for (layer, shape, parameters, field), step in pairs
    ]


# --- Multiply-adds --------------------------------------------------------------------


def _work(step: Step) -> int | None:
    """Return the multiply-adds of one call, for one sequence."""
    if is_model(step.operation):
        return 0  # its layers have rows of their own
    return _layer_work(step.operation, step.inputs[0].shape if step.inputs else ())


def _layer_work(layer: Any, shape: tuple[int | None, ...]) -> int | None:
    """Return the multiply-adds of a layer on one row of a batch of this shape."""
    kind = type(layer).__name__
    inner = getattr(layer, "layer", None)
    if isinstance(layer, layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return _sum(_layer_work(each, shape) for each in both)
    if kind in ("TimeDistributed", "BatchApply"):
        return _product(shape[1], _model_work(inner, (None, *shape[2:])))
    if any(part in kind for part in UNCOUNTED):
        return None
    if getattr(layer, "data_format", None) == "channels_first":
        return None
    kernels = _kernels(layer)
    if kernels is None:
        return None if getattr(layer, "weights", []) and kind not in FREE else 0
    if isinstance(layer, layers.RNN):
        return _product(shape[1], kernels)
    outputs = layer.compute_output_shape(shape)
    return _product(*outputs[1:-1], kernels)


def _model_work(model: Any, shape: tuple[int | None, ...]) -> int | None:
    if is_model(model):
        return _sum(_work(step) for step in steps_of(model, "compare_models"))
    return _layer_work(model, shape)


def _kernels(layer: Any) -> int | None:
    """Return the weights that meet each output step, or None if it has none of them."""
    owners = [layer]
    if isinstance(layer, layers.RNN):
        cell = layer.cell
        owners = list(getattr(cell, "cells", [cell]))
    names = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
    found = [
        math.prod(weight.shape)
        for owner in owners
        for name in names
        if (weight := getattr(owner, name, None)) is not None
    ]
    return sum(found) if found else None


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count for count in known if count)


def _product(*sizes: int | None) -> int | None:
    return None if None in sizes else math.prod(size or 0 for size in sizes)
