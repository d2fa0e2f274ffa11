"""A walk through a model that gives each call of a layer its piece, or refuses it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import keras

from ..shapes import ShapeError, name_axes
from ..tracing.graph import (
    ANY_RECURRENT,
    ATTENTION,
    CONVOLUTIONS,
    ELEMENTWISE,
    MERGES,
    POOLINGS,
    SHIFTS,
    STEPWISE,
    SUMMARIES,
    carries_mask,
    checked_graph_of,
    copy_of,
    graph_of,
    inputs_of_call,
    is_known,
    is_model,
    is_own_activation,
    nodes_in_order,
)
from ..tracing.reach import (
    count_windows,
    keeps_rows_apart,
    left_padding,
    mixes_time,
    window_size,
)
from .pieces import (
    Last,
    LayerWindows,
    Maximum,
    Mean,
    Padding,
    Piece,
    Recurrent,
    Shares,
    Slice,
    mask_of,
)


class Call(NamedTuple):
    """One call of a layer: its piece, and the numbers of the tensors around it.

    Without a piece, the layer is applied to summaries as it is.

    Attributes
    ----------
    key : str
        The layer's name, with those of the models around it; no two are the same.
    reads : dict of int
        Which tensor stands for which symbolic one, by its id.
    series : list of int
        The inputs with a time axis.
    waits : dict of int
        Those of them that are certain before others, whose steps are kept until those
        of the others come: what follows (batch, time) in their shape, their type, and
        how many steps may wait.
    """

    key: str
    node: Any
    piece: Piece | None
    reads: dict[int, int]
    series: list[int]
    waits: dict[int, tuple[tuple[Any, ...], Any, int]]
    writes: list[int]

    def longest(self, name: str) -> int | None:
        """Return how many steps a state may hold; None where the number is fixed."""
        if name.startswith("waiting_"):
            return self.waits[int(name.removeprefix("waiting_"))][2]
        return None if self.piece is None else self.piece.longest.get(name)


class Plan(NamedTuple):
    """The calls of a model in order, and the numbers of what goes in and comes out."""

    graph: Any
    calls: list[Call]
    inputs: list[int]
    outputs: list[int]
    kinds: list[Series | None]


def make_plan(model: Any, doing: str) -> Plan:
    """Plan a copy of a model, which nothing that is done to the model changes."""
    check_inputs(checked_graph_of(model, doing), doing)
    _plan(checked_graph_of(model, doing), doing)  # before the effort of a copy
    return _plan(graph_of(copy_of(model, doing)), doing)


def _plan(graph: Any, doing: str) -> Plan:
    walk = _Walk(doing)
    entering = [walk.add(Series(x.shape[1])) for x in graph.inputs]
    leaving = walk.follow(graph, entering, "")
    return Plan(graph, walk.calls, entering, leaving, walk.kinds)


def check_inputs(graph: Any, doing: str) -> None:
    """Refuse a model of anything but a series, and maybe its mask."""
    inputs = graph.inputs
    masks = [x for x in inputs if is_mask(x)]
    series = [x for x in inputs if not is_mask(x)]
    if len(series) != 1 or len(masks) > 1:
        found = ", ".join(f"{x.name} {name_axes(x.shape)}" for x in inputs)
        raise ShapeError(
            f"{doing} expected a model of one series (batch, time, ...), or of one and "
            f"its mask (batch, time), boolean, got {len(inputs)} inputs: {found}. Join "
            "series to one of more channels, and give what has no time axis at every "
            "step."
        )
    (x,) = series
    tokens = len(x.shape) == 2 and not keras.backend.is_float_dtype(x.dtype)
    if not tokens and (len(x.shape) < 3 or None in x.shape[2:]):
        raise ShapeError(
            f"{doing} expected an input (batch, time, ...), known but for these two, "
            f"got {x.name} {name_axes(x.shape)}. Build the model for "
            "series: keras.Input((None, channels))."
        )


def is_mask(symbol: Any) -> bool:
    """Tell whether an input of a model is a mask."""
    return len(symbol.shape) == 2 and symbol.dtype == "bool"


class _Walk:
    """The calls so far, and for each tensor what kind it is: a series, or a summary."""

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.calls: list[Call] = []
        self.kinds: list[Series | None] = []

    def add(self, kind: Series | None) -> int:
        """Give a tensor a number."""
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def follow(self, graph: Any, entering: list[int], path: str) -> list[int]:
        """Walk through a model, those inside it included; return what leaves it."""
        known = {id(x): n for x, n in zip(graph.inputs, entering, strict=True)}
        for node in nodes_in_order(graph):
            if node.is_input:
                continue
            layer = node.operation
            series = any(self.kinds[known[id(x)]] for x in node.input_tensors)
            if series and is_model(layer):
                given = inputs_of_call(node)
                if not given or any(map(carries_mask, given)):
                    raise refusal(self.doing, layer, *HIDDEN_MASK)
                inner = [known[id(x)] for x in given]
                leaving = self.follow(graph_of(layer), inner, f"{path}{layer.name}/")
            else:
                leaving = self.call(node, known, path)
            known |= {id(x): n for x, n in zip(node.outputs, leaving, strict=True)}
        return [known[id(x)] for x in graph.outputs]

    def call(self, node: Any, known: dict[int, int], path: str) -> list[int]:
        """Note a call; return the numbers of its outputs."""
        reads = {id(x): known[id(x)] for x in node.input_tensors}
        series = [n for n in dict.fromkeys(reads.values()) if self.kinds[n]]
        piece, leaving, waits = None, [None] * len(node.outputs), {}
        if series:
            kinds = [self.kinds[reads[id(x)]] for x in node.input_tensors]
            try:
                arriving = arrive(node, kinds)
                piece, leaving = choose(node, arriving)
            except UnfitError as unfit:
                raise refusal(self.doing, *unfit.args) from None
            latest = arriving.ahead
            waits = {
                reads[id(x)]: (tuple(x.shape[2:]), x.dtype, math.ceil(steps))
                for x in node.input_tensors
                if (steps := self._waiting(reads[id(x)], latest)) > 0
            }
        key, number = f"{path}{node.operation.name}", 2
        while key in {call.key for call in self.calls}:
            key, number = f"{path}{node.operation.name}_call_{number}", number + 1
        writes = [self.add(kind) for kind in leaving]
        self.calls.append(Call(key, node, piece, reads, series, waits, writes))
        return writes

    def _waiting(self, number: int, latest: Fraction) -> Fraction:
        kind = self.kinds[number]
        return (latest - kind.ahead) / kind.stride if kind else Fraction(0)


def refusal(doing: str, layer: Any, why: str, cure: str) -> ValueError:
    """Return the error that names a layer, what is wrong with it, and the cure."""
    wanted = "that see a fixed number of steps ahead"
    if doing == "step_model":
        wanted = "that make one step of each, and see none ahead"
    return ValueError(
        f"{doing} expected layers {wanted}, but {layer.name!r} "
        f"({type(layer).__name__}) {why}. {cure}."
    )


# --- The piece of a layer -------------------------------------------------------------


class UnfitError(Exception):
    """A layer that can't run on a stream, why, and the cure."""


class Series(NamedTuple):
    """When the steps of a tensor are certain, and how many there are, if known.

    Step t is certain once step ``t * stride + ahead`` of the input has come.
    """

    length: int | None
    stride: Fraction = Fraction(1)
    ahead: Fraction = Fraction(0)

    def through(self, length: int | None, stride: Any, ahead: int) -> Series:
        """Go through a layer that needs so many steps after the one it starts at."""
        return Series(length, self.stride * stride, self.ahead + ahead * self.stride)


def arrive(node: Any, kinds: list[Series | None]) -> Series:
    """Return how the inputs of a layer arrive together, if it may have them."""
    layer = node.operation
    found = [each for each in kinds if each]
    activation = getattr(layer, "activation", None)
    own = activation is not None and not is_own_activation(activation)
    if not is_known(layer) or type(layer).__name__ == "Lambda" or own:
        raise UnfitError(layer, *_PYTHON)
    if len(found) < len(kinds):
        raise UnfitError(layer, *_JOINS_SUMMARY)
    if len({each.stride for each in found}) > 1:
        raise UnfitError(layer, *_STRIDES)
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnfitError(layer, *_CHANNELS_FIRST)
    if any(
        _spans_time(each, x.shape)
        for each in _constants(node)
        for x in node.input_tensors[:1]
    ):
        raise UnfitError(layer, *_CONSTANT)
    return found[0]._replace(ahead=max(each.ahead for each in found))


def choose(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of a layer, and of which kind its outputs are."""
    layer, kind = node.operation, type(node.operation).__name__
    for kinds, make in (
        (CONVOLUTIONS | POOLINGS, _windows),
        (SHIFTS, _shift),
        (SUMMARIES | {"RandomConvolutions"}, _summary),
        (ANY_RECURRENT, _recurrent),
        ({"GetItem"}, _item),
    ):
        if kind in kinds:
            return make(node, arriving)
    if kind == "UpSampling1D":
        length = arriving.length and arriving.length * layer.size
        return Piece(layer, node), [
            arriving.through(length, Fraction(1, layer.size), 0)
        ]
    for kinds, reason in _REASONS:
        if kind in kinds:
            raise UnfitError(layer, *reason)
    joins = kind in MERGES | ELEMENTWISE
    ranks = {len(x.shape) for x in node.input_tensors}
    apart = kind == "BatchApply" and not keeps_rows_apart(layer.layer)
    known = joins or kind in STEPWISE
    if not known or apart or (joins and len(ranks) > 1):
        raise UnfitError(layer, *_UNKNOWN)
    rank = len(node.input_tensors[0].shape)
    if mixes_time(layer, rank) or _by_place(layer):
        raise UnfitError(layer, *_ALONG_TIME)
    return Piece(layer, node), [arriving] * len(node.outputs)


def _windows(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of a convolution or pooling."""
    layer = node.operation
    reach, stride = window_size(layer), layer.strides[0]
    if reach == stride == 1 and mask_of(node) is None:
        return Piece(layer, node), [arriving]
    if len(layer.strides) > 1 and layer.padding != "valid":
        raise UnfitError(layer, *_PADS_FRAMES)
    left = left_padding(layer, reach, arriving.length)
    if left is None:
        raise UnfitError(layer, *_PADS_BY_LENGTH)
    known = left_padding(layer, reach, None) is None
    built_for = arriving.length if known else None
    length = count_windows(layer, reach, arriving.length)
    piece = LayerWindows(layer, node, reach, left, built_for)
    return piece, [arriving.through(length, stride, reach - 1 - left)]


def _shift(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of a padding or cropping."""
    layer = node.operation
    crops = type(layer).__name__.startswith("Cropping")
    amount = layer.cropping if crops else layer.padding
    frames = isinstance(amount[0], (tuple, list))
    before, behind = amount[0] if frames else amount
    length = arriving.length
    if not crops:
        length = length and length + before + behind
        leaving = arriving.through(length, 1, -before)
        return Padding(layer, node, before, behind), [leaving]
    if frames and any(any(each) for each in amount[1:]):
        raise UnfitError(layer, *_PADS_FRAMES)
    length = length and max(length - before - behind, 0)
    leaving = arriving.through(length, 1, before + behind)
    return Slice(layer, node, before, behind), [leaving]


def _summary(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of a mean or maximum of all steps."""
    kind = type(node.operation).__name__
    if kind == "RandomConvolutions":
        return Shares(node.operation, node), [None]
    return (Maximum if "Max" in kind else Mean)(node.operation, node), [None]


def _recurrent(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of a recurrent layer."""
    layer = node.operation
    if layer.go_backwards:
        raise UnfitError(layer, *_BACKWARDS)
    state = [*node.arguments.args, node.arguments.kwargs.get("initial_state")][1]
    if state is not None:
        raise UnfitError(layer, *_INITIAL_STATE)
    if not all(map(is_known, getattr(layer.cell, "cells", [layer.cell]))):
        raise UnfitError(layer, *_PYTHON)
    first = arriving if layer.return_sequences else None
    return Recurrent(layer, node), [first, *[None] * (len(node.outputs) - 1)]


def _item(node: Any, arriving: Series) -> tuple[Piece, list[Any]]:
    """Return the piece of ``x[:, ...]``."""
    layer, key = node.operation, node.arguments.args[1]
    key = tuple(key) if isinstance(key, (tuple, list)) else (key,)  # a list if loaded
    if key[0] is Ellipsis and len(key) < len(node.input_tensors[0].shape):
        return Piece(layer, node), [arriving]
    time, rest = key[1] if len(key) > 1 else None, key[2:]
    if key[0] == slice(None) and isinstance(time, int) and time < 0:
        return Last(layer, node, -time), [None]
    if key[0] == slice(None) and isinstance(time, slice):
        first, stop, stride = time.start or 0, time.stop or 0, time.step or 1
        whole = (first, stop, stride) == (0, 0, 1)
        if whole:
            return Piece(layer, node), [arriving]
        if first >= 0 >= stop and stride > 0 and not rest:
            ahead = first - stop
            length = arriving.length
            length = length and max(-(-(length - ahead) // stride), 0)
            piece = Slice(layer, node, first, -stop, stride)
            return piece, [arriving.through(length, stride, ahead)]
    raise UnfitError(layer, *_PARTS)


def _constants(node: Any) -> list[Any]:
    """Return the arrays that a layer is called with beside its inputs."""
    given = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
    return [
        each
        for each in given
        if hasattr(each, "shape") and not isinstance(each, keras.KerasTensor)
    ]


def _spans_time(constant: Any, shape: Any) -> bool:
    """Tell whether an array that meets a series has values for single steps."""
    axes = len(shape) - 1
    return len(constant.shape) >= axes and constant.shape[-axes] != 1


def _by_place(layer: Any) -> bool:
    """Tell whether a layer has weights of its own for each step."""
    kind = type(layer).__name__
    if kind in ("BatchNormalization", "Normalization"):
        axes = layer.axis if isinstance(layer.axis, (tuple, list)) else [layer.axis]
        return 1 in axes
    return kind == "PReLU" and 1 not in (layer.shared_axes or ())


# --- Why some are refused -------------------------------------------------------------

_PYTHON = (
    "is Python of its own, which may look anywhere",
    "Build it of Keras's layers, and name activations of Keras's: activation='relu'",
)
HIDDEN_MASK = (
    "is a model inside the model that is handed a mask out of sight",
    "Give it the mask as an input of its own: keras.Input((None,), dtype='bool')",
)
_JOINS_SUMMARY = (
    "joins each step with a summary of the whole sequence",
    "Stream the part in front of it, and the summary by itself",
)
_CONSTANT = (
    "is given an array with values for single steps",
    "Give the model what depends on the step's number as further channels",
)
_STRIDES = (
    "joins branches of different strides",
    "Bring both to the same number of steps",
)
_CHANNELS_FIRST = (
    "has its channels, not time, on axis 1",
    "Build it with data_format='channels_last'",
)
_PADS_FRAMES = (
    "pads or crops frames together with time",
    "Use padding='valid' after a ZeroPadding layer, and BatchApply for single frames",
)
_PADS_BY_LENGTH = (
    "pads the front by an amount that depends on the length, which is unknown",
    "Build the model for a known number of steps, or use padding='valid' or the masked "
    "layer of cnnseq_helpers, whose windows start at the first step",
)
_BACKWARDS = (
    "reads from the last step backwards, and a stream has none",
    "Train it with go_backwards=False",
)
_INITIAL_STATE = (
    "starts from a state that comes from elsewhere",
    "Let it start from zeros, and give what it is to know as further channels",
)
_PARTS = (
    "takes steps by their number, or from the end",
    "Use x[:, -1] for the last step, or x[:, a:-b] for all but the first and last",
)
_ALONG_TIME = (
    "works along time, over all steps",
    "Let it work over the channels: axis=-1",
)
_UNKNOWN = (
    "may join any steps",
    "Work step by step, by BatchApply(layer), or along time, by Conv1D or LSTM",
)
_REASONS = (
    (
        {"Bidirectional"},
        (
            "also reads from the last step backwards, and a stream has none",
            "Train the layer inside it alone, or stream windows of the model's length",
        ),
    ),
    (
        ATTENTION,
        (
            "compares all steps with each other",
            "Use causal convolutions or an LSTM, or stream windows of fixed length",
        ),
    ),
    (
        {"Flatten", "Reshape", "Permute"},
        (
            "takes the time axis apart",
            "Summarise by GlobalAveragePooling1D, x[:, -1] or an LSTM; for single "
            "frames use BatchApply(layer)",
        ),
    ),
    (
        {"GroupNormalization"},
        (
            "normalises over all steps",
            "Use LayerNormalization or BatchNormalization, over the channels",
        ),
    ),
)
