"""A walk through a model that gives each call of a layer its piece, or refuses it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import keras

from ..shapes import ShapeError, name_axes
from ..tracing.graph import (
    carries_mask,
    checked_graph_of,
    copy_of,
    graph_of,
    inputs_of_call,
    is_model,
    nodes_in_order,
)
from .choosing import HIDDEN_MASK, Series, UnfitError, arrive, choose
from .pieces import Piece


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
