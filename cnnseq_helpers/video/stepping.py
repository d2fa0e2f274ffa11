"""A model that reads frame by frame, and remembers what its recurrent layers know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from ..tracing.graph import calls_of, is_model, nodes_in_order
from ..tracing.reach import Reach, through

_RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.ConvLSTM2D)


def steps_alone(model: Any) -> bool:
    """Tell whether recurrent layers alone make a frame depend on others."""
    single = is_model(model) and len(model.inputs) == len(model.outputs) == 1
    return single and all(
        _is_plain(node) and (_reads_forward(node.operation) or _frame_by_frame(node))
        for node in nodes_in_order(model)
        if not node.is_input
    )


def _is_plain(node: Any) -> bool:
    """Tell whether an operation is called once, on tensors alone, and sets no mask."""
    operation = node.operation
    given = node.arguments.kwargs.values()
    return (
        len(calls_of(operation)) == 1
        and all(each is None or each is False for each in given)
        and type(operation) is not layers.Masking
    )


def _reads_forward(layer: Any) -> bool:
    """Tell whether it is a recurrent layer that gives one output for each frame."""
    return (
        type(layer) in _RECURRENT
        and layer.return_sequences
        and not (layer.go_backwards or layer.return_state)
        and len(calls_of(layer)[0].input_tensors) == 1
    )


def _frame_by_frame(node: Any) -> bool:
    shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
    outputs = [tuple(tensor.shape) for tensor in node.outputs]
    if len(outputs) != 1 or any(len(shape) < 3 for shape in shapes):
        return False
    here = Reach(None)
    return through(node.operation, shapes, outputs[0], [here] * len(shapes)) == here


def with_state(model: Any) -> Callable[[Any], Any]:
    """Return the model as a function that remembers its state from call to call.

    The recurrent layers' cells are called frame by frame, all other layers as they are.
    """
    states: dict[int, Any] = {}

    def read(layer: Any, steps: Any) -> Any:
        steps = keras.ops.cast(steps, layer.compute_dtype)
        if id(layer) not in states:
            states[id(layer)] = layer.get_initial_state(steps.shape[0])
        outputs = []
        for t in range(steps.shape[1]):
            output, states[id(layer)] = layer.cell(
                steps[:, t], states[id(layer)], training=False
            )
            outputs.append(output)
        return keras.ops.stack(outputs, axis=1)

    def step(frames: Any) -> Any:
        tensors = {id(model.inputs[0]): keras.ops.convert_to_tensor(frames)}
        for node in nodes_in_order(model):
            if node.is_input:
                continue
            arguments, options = node.arguments.fill_in(tensors)
            if _reads_forward(node.operation):
                outputs = read(node.operation, *arguments)
            else:
                outputs = node.operation(*arguments, **options)
            tensors[id(node.outputs[0])] = outputs
        return tensors[id(model.outputs[0])]

    return step
