"""Copy a model layer by layer, with other layers for the recurrent ones."""

from __future__ import annotations

import copy
from typing import Any

import keras

from ._recurrent import given_to, holds_recurrent
from .shapes import ShapeError
from .tracing import is_model


def rebuild(model: Any, copies: dict[int, Any]) -> keras.Model:
    """Copy a model, with other layers for the recurrent ones.

    `copies` holds what has a copy already, so that what is shared stays shared.
    """

    def copied(layer: Any) -> Any:
        if id(layer) not in copies:
            if is_model(layer) and holds_recurrent(layer):
                copies[id(layer)] = rebuild(layer, copies)
            else:
                # An operation that is no layer, such as a sum, has nothing to copy.
                is_layer = isinstance(layer, keras.Layer)
                copies[id(layer)] = _copy(layer) if is_layer else layer
        return copies[id(layer)]

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(layer, list):
            return layer(*args, **kwargs)
        steps, _, mask = given_to(*args, **kwargs)
        outputs = [stack(steps, mask) for stack in layer]
        return outputs if len(outputs) > 1 else outputs[0]

    graph = functional_of(model)
    # Without inputs of its own, clone_model would name them after their tensors.
    inputs = keras.tree.map_structure(_copy_input, graph.input)
    rebuilt = keras.models.clone_model(
        graph, input_tensors=inputs, clone_function=copied, call_function=called
    )
    if model.compiled:
        settings = dict(model._compile_config.config)
        # What has a state is made anew; a function or a name serves both.
        for name in ("optimizer", "metrics", "weighted_metrics"):
            settings[name] = keras.tree.map_structure(_anew, settings.get(name))
        rebuilt.compile(**settings)
        # A saved model loads with an optimizer that is built.
        rebuilt.optimizer.build(rebuilt.trainable_variables)
    return rebuilt


def _anew(setting: Any) -> Any:
    stateful = isinstance(setting, (keras.optimizers.Optimizer, keras.metrics.Metric))
    return type(setting).from_config(setting.get_config()) if stateful else setting


def functional_of(model: Any) -> keras.Model:
    """Return a Functional model of the same layers, structured as `fit` gives data."""
    ends = (model.inputs[0], model.outputs[0])
    if not isinstance(model, keras.Sequential):
        ends = (model.input, model.output)
    return keras.Model(*ends, name=model.name)


def _copy_input(tensor: Any) -> Any:
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _copy(layer: Any) -> Any:
    """Copy a layer with its weights and all else that it learned or adapted to."""
    kinds = {type(each).__name__: type(each) for each in layer._flatten_layers()}
    try:
        with keras.saving.custom_object_scope(kinds):
            return copy.deepcopy(layer)
    except Exception as error:
        raise ShapeError(
            "to_cnn1d copies the layers that are not recurrent, as saving and loading "
            f"does, and expected to be able to, but {layer.name!r} "
            f"({type(layer).__name__}) raised {type(error).__name__}: {error} Give the "
            "layer a get_config() that returns all arguments of its __init__, and "
            "register functions of your own: keras.saving.register_keras_serializable."
        ) from error
