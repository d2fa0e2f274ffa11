"""From a CNN-LSTM to a 1D-CNN: the same inputs, the same logits, no recurrence."""

from __future__ import annotations

import copy
from typing import Any

import keras

from ..shapes import ShapeError, check_whole
from ..tracing.graph import (
    compile_settings,
    functional_of,
    is_model,
    layers_of,
    name_of_origin,
)
from .recurrent import Calls, given_to, holds_recurrent, survey
from .temporal import OPEN_LENGTH, TemporalConvolutions


def to_cnn1d(model: Any, *, receptive_field: int | None = None) -> keras.Model:
    """Return the 1D-CNN that takes a model's place: same inputs, same logits shape.

    Every recurrent layer gives way to temporal convolutions of the same output shape.
    All other layers are copied with their settings and weights, the head included, so
    that the same labels and the same loss fit. The convolutions are new: the result has
    the signature of the model, not yet its function. Train it, or `distill` it.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one, nested models included, with LSTM,
        GRU, SimpleRNN, RNN of Keras's cells, or Bidirectional around them. It is left
        as it is.
    receptive_field : int, optional
        How many steps of its input, the present one included, each replacement looks
        back at; one that reads both ways looks as many ahead, and one that returns one
        vector for a sequence looks at windows of so many. If not given: all of them;
        512 where the length of the input is unknown.

    Returns
    -------
    keras.Model
        A Functional model of Keras's layers, and of this package's masked ones where
        the recurrent layer was given a mask. It is compiled as the model was.

    Raises
    ------
    ShapeError
        If the model was not built, is of a class with a ``call`` of its own, or holds
        no recurrent layer; if a recurrent layer can't be replaced, because it hands on
        or keeps a state, convolves frames, feeds attention, stands inside another layer
        or is not Keras's; if any layer has its channels first; if `receptive_field` is
        not positive or longer than what the layer reads. The message names the layer.

    See Also
    --------
    distill : trains the result on the logits of the model, or of a better teacher.
    compare_models : both models side by side.

    Notes
    -----
    What returned every step is replaced by convolutions at every step: causal ones with
    zeros in front, or, for Bidirectional, as many steps ahead as back. With
    ``go_backwards`` the steps are reversed first. What returned one vector for a
    sequence is replaced by max pooling (by the power of 2 that leaves 56 steps or
    fewer, by less where it does not divide `receptive_field`; by 4 at unknown length),
    convolutions and the mean over time. A field of up to 8 steps takes one kernel. Of a
    longer one the first kernel reads up to 8 steps, and later ones 3 or 5, dilated, but
    no further than the field in front of them, so that no step is skipped. Every kernel
    has an element on the step itself, so that a series that is far shorter than the
    field is read as well. Each is followed by batch normalisation and ReLU. Causal
    dilated convolutions in the place of recurrent layers are those of Bai, Kolter and
    Koltun, arXiv:1803.01271.

    Where nothing follows the recurrent layer, so that its output is the model's, its
    activation takes the place of the last ReLU, and its name stays. Where it is given a
    mask, the new layers take it. Pooling starts at the first step of the array: padding
    behind changes nothing, padding in front only if it is a multiple of what is pooled.

    ``dropout`` of the recurrent layer becomes SpatialDropout1D. ``recurrent_dropout``,
    initialisers, regularisers and constraints have no counterpart and are not carried
    over, nor is ``trainable=False``, since the new layers must learn.

    Examples
    --------
    >>> from cnnseq_helpers import cnn_lstm
    >>> converted = to_cnn1d(cnn_lstm((100, 6), 4))
    >>> converted.output_shape, [layer.name for layer in converted.layers][-3:]
    ((None, 4), ['lstm_relu_2', 'lstm_mean', 'logits'])
    """
    if receptive_field is not None:
        receptive_field = check_whole("to_cnn1d", "receptive_field", receptive_field)
    _check_model(model)
    taken = {layer.name for layer in layers_of(model)}
    copies = {
        key: _replace(call, receptive_field, taken)
        for key, call in survey(model).items()
    }
    return rebuild(model, copies)


def _check_model(model: Any) -> None:
    cure = (
        "Start a Sequential with keras.Input(shape); write a model with a call() of "
        "its own with the Functional API: keras.Model(inputs, outputs)."
    )
    if not is_model(model):
        name = getattr(model, "name", "")
        raise ShapeError(
            "to_cnn1d expected a Functional model or a built Sequential one, got "
            f"{type(model).__name__}{f' {name!r}' if name else ''}, whose layers have "
            f"no known order. {cure}"
        )
    if not holds_recurrent(model):
        raise ShapeError(
            f"to_cnn1d expected a model with recurrent layers, got {model.name!r} with "
            "none. It needs no conversion: train it as it is."
        )
    for layer in layers_of(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ShapeError(
                "to_cnn1d expected layers with their channels on the last axis, but "
                f"{layer.name!r} ({type(layer).__name__}) has them on axis 1, where "
                "the new layers read time. Build the model with data_format="
                '"channels_last" in that layer, and give it data with channels last.'
            )


def _replace(
    call: Calls, wanted: int | None, taken: set[str]
) -> list[TemporalConvolutions]:
    """Make the layers for each output of a recurrent layer."""
    lengths = [steps for steps in call.lengths if steps is not None]
    length = max(lengths) if len(lengths) == len(call.lengths) else None
    if wanted is not None and length is not None and wanted > length:
        raise ShapeError(
            f"to_cnn1d expected receptive_field to be at most {length}, as many steps "
            f"as {call.layer.name!r} ({type(call.layer).__name__}) reads, got {wanted}."
            " It counts steps at the recurrent layer, after all pooling; leave it out "
            "to see them all."
        )
    field = wanted or length or OPEN_LENGTH
    stacks = []
    for output in call.outputs:
        name = output.name
        while f"{name}_conv_1" in taken:
            name += "_cnn"
        named = output._replace(name=name)
        stacks.append(TemporalConvolutions(named, length, field, masked=call.masked))
    return stacks


# --- Copying the rest -----------------------------------------------------------------


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
        settings = compile_settings(model)
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


def _copy_input(tensor: Any) -> Any:
    name = name_of_origin(tensor)
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _copy(layer: Any) -> Any:
    """Copy a layer with its weights and all else that it learned or adapted to."""
    kinds = {type(each).__name__: type(each) for each in layers_of(layer)}
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
