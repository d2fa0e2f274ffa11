"""The model of one step, with its states outside: for export."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

from ..tracing.graph import is_read
from .pieces import End, Mean, Shares, State
from .planning import Call, Plan, make_plan, refusal
from .running import advance, start

_DOING = "step_model"


def step_model(model: Any) -> keras.Model:
    """Return the model that reads one step, and hands its states in and out.

    It is the same function as the model, written for a live stream and for runtimes
    that have no loops: a recurrent layer is one call of its cell, a causal convolution
    reads the steps that it still needs from a state. It has no loop, and converts to
    plain operations.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one, nested models included, with one
        input (batch, time, ...). Its layers are causal and have no strides: causal
        convolutions, recurrent layers, and layers that work step by step. It returns
        every step, or the last one, or the last state of a recurrent layer.

    Returns
    -------
    keras.Model
        A Functional model ``[step, *states] -> [answer, *states]`` of Keras's layers.
        The step is (batch, 1, ...); the answer (batch, 1, ...), or (batch, ...) where
        the model returns one answer for a sequence. States start as zeros, of the
        shapes of ``step.inputs[1:]``. The weights are copies.

    Raises
    ------
    ShapeError
        If the model was not built or is of a class with a ``call`` of its own, or its
        input has no time axis.
    ValueError
        If a layer looks ahead, has strides, summarises all steps by a mean or maximum,
        or takes a mask. The message names the layer and the cure.

    See Also
    --------
    to_streaming : takes any number of steps at once, and layers that look ahead.

    Notes
    -----
    States outside of the layers, for export, are known from Rybakov et al., "Streaming
    keyword spotting on mobile devices", arXiv:2005.06720.

    Examples
    --------
    >>> from keras import layers
    >>> model = keras.Sequential(
    ...     [keras.Input((None, 6)), layers.Conv1D(8, 9, padding="causal", name="conv")]
    ... )
    >>> step = step_model(model)
    >>> step.input_shape
    [(None, 1, 6), (None, 8, 6)]
    >>> states = [np.zeros((1, *x.shape[1:]), "float32") for x in step.inputs[1:]]
    >>> answer, *states = step([np.ones((1, 1, 6), "float32"), *states])
    >>> tuple(answer.shape)
    (1, 1, 8)
    """
    plan = make_plan(model, _DOING)
    for call in plan.calls:
        _check_call(plan, call)
    steps = [
        keras.Input((1, *x.shape[2:]), dtype=x.dtype, name=x.name)
        for x in plan.graph.inputs
    ]
    primed, names = _prime(plan), _Names(plan)
    states = {
        key: {
            name: _symbol(names.new(f"{key}_{name}"), each)
            for name, each in state.items()
        }
        for key, state in primed.items()
    }
    answers, following = advance(plan, states, steps, End.OPEN, summarise=True)
    known, new = [], []
    for key, state in states.items():
        for name, each in state.items():
            if isinstance(each, keras.KerasTensor) and is_read(each):
                known.append(each)
                new.append(following[key][name])
    step = keras.Model([*steps, *known], [*answers, *new], name=f"{model.name}_step")
    # Keras exports to ONNX only what was called before.
    step([keras.ops.zeros((1, *x.shape[1:]), x.dtype) for x in step.inputs])
    return step


class _Names:
    """Names of which no two are the same, and which every runtime takes.

    Layers of models inside the model may have the same, and so may cells.
    """

    def __init__(self, plan: Plan) -> None:
        self.known = {x.name for x in plan.graph.inputs}
        for call in plan.calls:
            layers = (
                getattr(call.piece, "valid", None),
                getattr(call.node.operation, "cell", None),
                call.node.operation,
            )
            for layer in filter(None, layers):
                layer.name = self.new(call.key)

    def new(self, wanted: str) -> str:
        """Return a name like the wanted one."""
        wanted = name = re.sub(r"\W", "_", wanted, flags=re.ASCII).strip("_") or "x"
        number = 2
        while name in self.known:
            name, number = f"{wanted}_{number}", number + 1
        self.known.add(name)
        return name


def _symbol(name: str, kept: Any) -> Any:
    """Return an input for a state; a number of steps, or no steps at all, stay."""
    if not hasattr(kept, "shape") or 0 in kept.shape:
        return kept
    return keras.Input(kept.shape[1:], dtype=kept.dtype, name=name)


def _prime(plan: Plan) -> dict[str, State]:
    """Return the states once the padding in front of the first step was read."""
    steps = [keras.ops.zeros((1, 0, *x.shape[2:]), x.dtype) for x in plan.graph.inputs]
    _, states = advance(plan, start(plan, 1), steps, End.OPEN)
    for call in plan.calls:
        for kept in states.get(call.key, {}).values():
            if np.any(keras.ops.convert_to_numpy(kept)):
                raise refusal(_DOING, call.node.operation, *_STARTS_ELSEWHERE)
    return states


def _check_call(plan: Plan, call: Call) -> None:
    """Refuse a layer that does not make one step of one step, at once."""
    layer = call.node.operation
    if call.piece is None:
        return
    if call.piece.mask is not None:
        raise refusal(_DOING, layer, *_MASKED)
    if isinstance(call.piece, (Mean, Shares)):
        raise refusal(_DOING, layer, *_SUMMARY)
    for kind in (plan.kinds[number] for number in call.writes):
        if kind and kind.stride != 1:
            raise refusal(_DOING, layer, *_STRIDED)
        if kind and kind.ahead > 0:
            raise refusal(_DOING, layer, *_AHEAD)


_MASKED = (
    "takes a mask, and a step that is left out is not given at all",
    "Build the model without a mask and load the weights, or use to_streaming",
)
_SUMMARY = (
    "summarises all steps so far",
    "End the model in a recurrent layer or x[:, -1], or use to_streaming",
)
_STRIDED = (
    "gives fewer steps than it reads, or more",
    "Use strides of 1, dilation in the place of pooling, or to_streaming",
)
_AHEAD = (
    "needs steps that come later",
    "Use padding='causal', or to_streaming, which answers later",
)
_STARTS_ELSEWHERE = (
    "starts from something else than zeros",
    "Use padding='causal' in the place of padding layers, or to_streaming",
)
