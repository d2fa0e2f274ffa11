"""How many input steps an output step depends on, read off the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..shapes import ShapeError
from .graph import (
    CONVOLUTIONS,
    MASKED_WINDOWS,
    MERGES,
    POOLINGS,
    ROW_BY_ROW,
    SHIFTS,
    STEPWISE,
    WHOLE_SEQUENCE,
    calls_of,
    checked_graph_of,
    graph_of,
    inputs_of_call,
    is_known,
    is_model,
    is_own_activation,
    nodes_in_order,
)


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
    measured_receptive_field : the same by experiment.

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
    graph = checked_graph_of(model, "receptive_field")
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
    nodes = [node.input_tensors for node in calls_of(layer)]
    if layer not in model.layers or len(nodes) != 1 or len(nodes[0]) != 1:
        return " Ask for the part in front of it."
    return (
        " Ask for the part in front of it: receptive_field(keras.Model(model.inputs, "
        f"model.get_layer({layer.name!r}).input))."
    )


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
    graph = checked_graph_of(model, doing)
    return _follow(graph, [_start(x.shape) for x in graph.inputs])[0]


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
        elif is_model(operation) and (given := inputs_of_call(node)):
            arriving = [reaches[id(x)] for x in given]
            inner, leaving = _follow(graph_of(operation), arriving, depth + 1)
        else:
            shapes = [tuple(x.shape) for x in node.input_tensors]
            arriving = [reaches[id(x)] for x in node.input_tensors]
            leaving = [through(operation, shapes, x.shape, arriving) for x in outputs]
        reaches.update({id(x): r for x, r in zip(outputs, leaving, strict=True)})
        if not (node.is_input and depth):
            given_to = node.input_tensors
            steps += [Step(depth, operation, given_to, outputs, leaving[0]), *inner]
    return steps, [reaches[id(x)] for x in graph.outputs]


# --- Layer by layer -------------------------------------------------------------------


Shape = tuple[int | None, ...]


class Reach(NamedTuple):
    """The input steps that step t of a tensor sees, and the tensor's length if known.

    They are ``t * stride - left`` to ``t * stride + right``.
    """

    length: int | None
    stride: int = 1
    left: int = 0
    right: int = 0

    def through(self, length: int | None, stride: int, left: int, right: int) -> Reach:
        """Go through an operation that sees its own input from -left to right."""
        return Reach(
            length,
            self.stride * stride,
            self.left + left * self.stride,
            self.right + right * self.stride,
        )

    def __str__(self) -> str:
        size = str(self.left + self.right + 1)
        return size if self.stride == 1 else f"{size}, stride {self.stride}"


class NoReach(NamedTuple):
    """Why a tensor has no receptive field of one known size, and the layer to blame."""

    label: str
    reason: str
    layer: Any = None

    def __str__(self) -> str:
        return self.label


# What does not depend on time, such as the age of a patient beside a recording.
STATIC = NoReach(
    "no time axis", "expected an input (batch, time, ...), got no time axis."
)


def through(
    layer: Any, shapes: Sequence[Shape], output: Shape, entering: Sequence[Any]
) -> Reach | NoReach:
    """Return the reach after a layer, from those of the tensors that enter it."""
    kind = type(layer).__name__
    if kind == "Embedding" and len(shapes[0]) == 2 and entering[0] is STATIC:
        return Reach(shapes[0][1])
    reaches = [reach for reach in entering if isinstance(reach, Reach)]
    for reach in entering:
        if isinstance(reach, NoReach) and reach is not STATIC:
            return reach
    if not reaches:
        stays = len(output) <= 2 or kind == "RepeatVector"
        return STATIC if stays else _unknown(layer, "makes a time axis")
    leaving = _rule(layer, shapes, reaches)
    if isinstance(leaving, Reach) and len(output) > 1:
        lengths = {leaving.length, output[1]} - {None}
        if len(lengths) > 1:
            return _unknown(layer, "stretches its input along time")
    return leaving


def _rule(
    layer: Any, shapes: Sequence[Shape], reaches: Sequence[Reach]
) -> Reach | NoReach:
    kind, rank = type(layer).__name__, len(shapes[0])
    if not is_known(layer):
        return _unknown(layer, "is not one of Keras's own layers or this package's")
    if not _is_plain(getattr(layer, "activation", None)):
        return _unknown(layer, "has an activation of its own")
    if kind in WHOLE_SEQUENCE or mixes_time(layer, rank):
        return _whole_sequence(layer)
    if getattr(layer, "data_format", None) == "channels_first":
        return _unknown(layer, "has its channels, not time, on axis 1")
    if len({(reach.length, reach.stride) for reach in reaches}) != 1:
        return _unknown(layer, "joins branches of different length or stride")
    if kind in MERGES and len({len(shape) for shape in shapes}) != 1:
        return _unknown(layer, "joins tensors with different numbers of axes")
    merged = reaches[0]._replace(
        left=max(reach.left for reach in reaches),
        right=max(reach.right for reach in reaches),
    )
    if kind == "BatchApply" and not keeps_rows_apart(layer.layer):
        return _unknown(layer, "may mix the frames that it makes one batch of")
    if kind in STEPWISE:
        return merged
    if kind in CONVOLUTIONS | POOLINGS:
        return _windowed(layer, merged)
    if kind in SHIFTS:
        return _shifted(layer, merged)
    return _unknown(layer, "is none of these")


def _windowed(layer: Any, reach: Reach) -> Reach | NoReach:
    """Go through a convolution or a pooling."""
    size = window_size(layer)
    left = left_padding(layer, size, reach.length)
    if left is None:
        return _unknown(
            layer, "pads by an amount that depends on the length, which is unknown"
        )
    length = count_windows(layer, size, reach.length)
    return reach.through(length, layer.strides[0], left, size - 1 - left)


def window_size(layer: Any) -> int:
    """Return how many steps a window of a convolution or a pooling covers."""
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    rates = getattr(layer, "dilation_rate", (1,))
    rate = rates if isinstance(rates, int) else rates[0]
    return int((size[0] - 1) * rate + 1)


def left_padding(layer: Any, size: int, length: int | None) -> int | None:
    """Return the padding in front; None where it depends on the unknown length."""
    stride = int(layer.strides[0])
    if layer.padding == "causal":
        return size - 1
    if layer.padding == "valid":
        return 0
    if stride == 1 or type(layer).__name__ in MASKED_WINDOWS:
        # Masked layers keep Keras's padding for whole multiples of the stride.
        return max(size - stride, 0) // 2
    # TensorFlow pads as little as the last window needs, the odd step on the right.
    rests = range(stride) if length is None else [length % stride]
    found = {max(size - (rest or stride), 0) // 2 for rest in rests}
    return found.pop() if len(found) == 1 else None


def count_windows(layer: Any, size: int, length: int | None) -> int | None:
    """Return how many windows there are in so many steps; None if that is unknown."""
    if length is None:
        return None
    short = size - 1 if layer.padding == "valid" else 0
    return max(-(-(length - short) // int(layer.strides[0])), 0)


def _shifted(layer: Any, reach: Reach) -> Reach:
    """Go through a padding or cropping, which renumbers the steps."""
    crops = type(layer).__name__.startswith("Cropping")
    amount = layer.cropping if crops else layer.padding
    left, right = amount[0] if isinstance(amount[0], (tuple, list)) else amount
    if crops:
        left, right = -left, -right
    length = None if reach.length is None else reach.length + left + right
    return reach.through(length, 1, left, -left)


def _is_plain(activation: Any) -> bool:
    """Tell whether an activation is one of Keras's own, which work step by step."""
    return activation is None or is_own_activation(activation)


def keeps_rows_apart(operation: Any) -> bool:
    """Tell whether a layer or model is known not to mix the rows of a batch."""
    if operations := getattr(graph_of(operation), "operations", None):
        return all(map(keeps_rows_apart, operations))
    if type(operation).__name__ in ("BatchApply", "TimeDistributed"):
        return keeps_rows_apart(operation.layer)
    axes = getattr(operation, "axis", -1)
    axes = axes if isinstance(axes, (tuple, list)) else [axes]
    return (
        type(operation).__module__.split(".")[0] == "keras"
        and type(operation).__name__ in ROW_BY_ROW
        and _is_plain(getattr(operation, "activation", None))
        # Counted from the end, only the last axis is never that of the rows.
        and all(axis is not None and (axis > 0 or axis == -1) for axis in axes)
    )


def mixes_time(layer: Any, rank: int) -> bool:
    """Tell whether a layer that could work step by step works along axis 0 or 1."""
    kind = type(layer).__name__
    if kind == "Dense":
        return rank == 2
    if kind in ("BatchNormalization", "Normalization") or not hasattr(layer, "axis"):
        return False
    if layer.axis is None:
        return True
    axes = layer.axis if isinstance(layer.axis, (tuple, list)) else [layer.axis]
    return not {0, 1}.isdisjoint(axis % rank for axis in axes)


def _whole_sequence(layer: Any) -> NoReach:
    return NoReach(
        "no limit",
        "expected layers that see a fixed number of steps, got "
        f"{layer.name!r} ({type(layer).__name__}), which joins the whole sequence.",
        layer,
    )


def _unknown(layer: Any, why: str) -> NoReach:
    return NoReach(
        "unknown",
        "expected Keras convolutions, poolings, paddings and layers that work step by "
        f"step along axis 1, but {layer.name!r} ({type(layer).__name__}) {why}. "
        "Measure it: cnnseq_helpers.measured_receptive_field(model).",
    )
