"""Steps through the pieces of a model, in order."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from .pieces import End, Piece, State, join, part
from .planning import Call, Plan

States = dict[str, State]


class _Given(NamedTuple):
    """What a piece is given: the first input, its mask, the layer on its inputs."""

    steps: Any
    mask: Any
    apply: Any


def start(plan: Plan, batch: int) -> States:
    """Return what each call keeps before the first step."""
    states = {}
    for call in plan.calls:
        if call.piece is not None:
            states[call.key] = call.piece.start(batch) | {
                f"waiting_{number}": ops.zeros((batch, 0, *axes), dtype)
                for number, (axes, dtype, _) in call.waits.items()
            }
    return states


def advance(
    plan: Plan, states: States, given: list[Any], end: End, *, summarise: bool = False
) -> tuple[list[Any], States]:
    """Return the outputs of a model for further steps, and what to keep.

    Layers behind a summary are applied at an end, or if `summarise` says so.
    """
    tensors: dict[int, Any] = dict(zip(plan.inputs, given, strict=True))
    following: States = {}
    for call in plan.calls:
        outputs: list[Any] = [None] * len(call.writes)
        if call.piece is not None:
            outputs, kept = _go_on(call, call.piece, states[call.key], tensors, end)
            following[call.key] = kept
        elif summarise or end is not End.OPEN:
            outputs = keras.tree.flatten(_apply(call, tensors))
        tensors |= dict(zip(call.writes, outputs, strict=True))
    return [tensors[number] for number in plan.outputs], following


def _go_on(
    call: Call, piece: Piece, state: State, tensors: dict[int, Any], end: End
) -> tuple[list[Any], State]:
    """Let a piece read the steps that have come on all its inputs."""
    come = {
        number: join(state[f"waiting_{number}"], tensors[number])
        if number in call.waits
        else tensors[number]
        for number in call.series
    }
    ready = min(steps.shape[1] for steps in come.values())
    now = {number: part(steps, 0, ready) for number, steps in come.items()}
    waiting = {f"waiting_{number}": come[number][:, ready:] for number in call.waits}
    own = {name: each for name, each in state.items() if not name.startswith("waiting")}
    mask = call.reads.get(id(piece.mask))
    given = _Given(
        now[call.series[0]],
        None if mask is None else now[mask],
        lambda: _apply(call, now),
    )
    outputs, kept = piece.advance(own, given, end)
    return outputs, kept | waiting


def _apply(call: Call, tensors: dict[int, Any]) -> Any:
    """Call the layer as the model does, on other tensors."""
    filled = {symbol: tensors[number] for symbol, number in call.reads.items()}
    arguments, options = call.node.arguments.fill_in(filled)
    return call.node.operation(*arguments, **options)
