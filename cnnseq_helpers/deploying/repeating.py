"""What streams do again and again is compiled, once for all streams of a model."""

from __future__ import annotations

import json
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..tracing.graph import checked_graph_of, functional_of
from .pieces import End
from .planning import Plan, make_plan
from .running import States, advance

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

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
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
    traced = of_tensors.get_concrete_function(*specs)

    def step(kept: list[Any], given: list[Any]) -> tuple[list[Any], States]:
        kept, given = ([tf.convert_to_tensor(x) for x in p] for p in (kept, given))
        outputs, then = traced(kept, given)
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
        if all(np.array_equal(*map(_array, pair)) for pair in pairs):
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


def _array(weight: Any) -> Any:
    return keras.ops.convert_to_numpy(weight)
