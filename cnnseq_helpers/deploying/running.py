"""Steps through the pieces of a model, in order; compiled if they come again."""

from __future__ import annotations

import json
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ..tracing.graph import checked_graph_of, functional_of
from .pieces import End, Piece, State, join, part
from .planning import Call, Plan, make_plan

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


# --- Compiled, where the same comes again and again -----------------------------------


# Compiling takes as long as tens of steps do without. A loop is written out, step by
# step; and each function takes memory.
OFTEN = 20
_LONGEST_CHUNK = 16
_MOST_FUNCTIONS = 32
_MOST_COUNTS = 1000

Step = Callable[[list[Any], list[Any]], tuple[list[Any], States]]


class Repeated:
    """`advance`, compiled for what has come in the same shapes before.

    It has no states: streams of one model share it, and its copy of the model.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._seen: Counter[Any] = Counter()
        self._functions: dict[Any, Step] = {}

    def __call__(
        self, states: States, given: list[Any], end: End
    ) -> tuple[list[Any], States]:
        """Return the outputs of a model for further steps, and what to keep."""
        numbers, tensors = _split(states)
        shapes = tuple(tuple(each.shape) for each in [*tensors, *given])
        signature = (end, shapes, tuple(map(tuple, map(dict.values, numbers.values()))))
        if signature not in self._functions and self._is_worth_it(signature, given):
            self._functions[signature] = _compiled(
                self.plan, numbers, tensors, given, end
            )
        if signature in self._functions:
            return self._functions[signature](tensors, given)
        return advance(self.plan, states, given, end)

    def _is_worth_it(self, signature: Any, given: list[Any]) -> bool:
        if (
            given[0].shape[1] > _LONGEST_CHUNK
            or len(self._functions) >= _MOST_FUNCTIONS
            or keras.backend.backend() != "tensorflow"
        ):
            return False
        if len(self._seen) >= _MOST_COUNTS:
            self._seen.clear()
        self._seen[signature] += 1
        return self._seen[signature] > OFTEN


def _compiled(
    plan: Plan, numbers: States, tensors: list[Any], given: list[Any], end: End
) -> Step:
    """Return `advance` as a function of tensors; whole numbers are part of it."""
    import tensorflow as tf

    following: States = {}

    def of_tensors(tensors: list[Any], given: list[Any]) -> tuple[Any, Any]:
        outputs, states = advance(plan, _join(numbers, tensors), given, end)
        numbers_then, tensors_then = _split(states)
        following.update(numbers_then)
        return outputs, tensors_then

    specs = [
        [tf.TensorSpec(each.shape, each.dtype) for each in part]
        for part in (tensors, given)
    ]
    # Traced here and once: TensorFlow would warn where many functions are new.
    compiled = tf.function(of_tensors, autograph=False)
    traced = compiled.get_concrete_function(*specs)

    def step(tensors: list[Any], given: list[Any]) -> tuple[list[Any], States]:
        parts = ([*map(tf.convert_to_tensor, part)] for part in (tensors, given))
        outputs, then = traced(*parts)
        return outputs, _join(following, then)

    return step


def _split(states: States) -> tuple[States, list[Any]]:
    """Return the whole numbers of states, None for each tensor; and the tensors."""
    numbers = {
        key: {
            name: each if isinstance(each, int) else None
            for name, each in state.items()
        }
        for key, state in states.items()
    }
    kept = [each for state in states.values() for each in state.values()]
    return numbers, [each for each in kept if not isinstance(each, int)]


def _join(numbers: States, tensors: list[Any]) -> States:
    """Put tensors where numbers are None."""
    following = iter(tensors)
    return {
        key: {
            name: next(following) if each is None else each
            for name, each in state.items()
        }
        for key, state in numbers.items()
    }


# --- Once for all streams of a model --------------------------------------------------


_SHARED: weakref.WeakKeyDictionary[Any, tuple[str, weakref.ref[Repeated]]] = (
    weakref.WeakKeyDictionary()
)


def repeated(model: Any, doing: str) -> Repeated:
    """Return what all streams of a model share, as long as the model stays as it is."""
    checked_graph_of(model, doing)
    functional = functional_of(model)
    settings = _settings(functional)
    known, shared = _SHARED.get(model, ("", None))
    found = shared() if shared else None
    if found and settings and known == settings:
        pairs = zip(functional.weights, found.plan.graph.weights, strict=True)
        if all(
            np.array_equal(*map(keras.ops.convert_to_numpy, pair)) for pair in pairs
        ):
            return found
    found = Repeated(make_plan(model, doing))
    _SHARED[model] = settings, weakref.ref(found)
    return found


def _settings(model: Any) -> str:
    """Return the layers of a model and their settings as text; "" if they tell none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of lambdas, refused elsewhere
            settings = keras.saving.serialize_keras_object(model.get_config())
        return json.dumps(settings, sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):
        return ""
