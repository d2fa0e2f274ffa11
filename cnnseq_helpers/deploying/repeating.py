"""What a stream does again and again is compiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from .pieces import End
from .planning import Plan
from .running import States, advance

# Compiling takes as long as tens of steps do without. A loop is written out, step by
# step; and each function takes memory.
OFTEN = 20
_LONGEST_CHUNK = 16
_MOST_FUNCTIONS = 32
_MOST_COUNTS = 1000

Step = Callable[[list[Any], list[Any]], tuple[list[Any], States]]


class Repeated:
    """`advance`, compiled for what has come in the same shapes before."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
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
            self._functions[signature] = _compiled(self._plan, numbers, end)
        if signature in self._functions:
            return self._functions[signature](tensors, given)
        return advance(self._plan, states, given, end)

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


def _compiled(plan: Plan, numbers: States, end: End) -> Step:
    """Return `advance` as a function of tensors; whole numbers are part of it."""
    following: States = {}

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def of_tensors(tensors: list[Any], given: list[Any]) -> tuple[Any, Any]:
        outputs, states = advance(plan, _join(numbers, tensors), given, end)
        numbers_then, tensors_then = _split(states)
        following.update(numbers_then)
        return outputs, tensors_then

    def step(tensors: list[Any], given: list[Any]) -> tuple[list[Any], States]:
        outputs, then = of_tensors(tensors, given)
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
