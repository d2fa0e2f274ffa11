"""From a CNN-LSTM to a 1D-CNN: the same inputs, the same logits, no recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ._rebuilding import rebuild
from ._recurrent import Calls, Recurrent, holds_recurrent, survey
from ._temporal import OPEN_LENGTH, TemporalConvolutions
from .combining import check_convolutions, read_steps
from .shapes import ShapeError, _check_whole
from .tracing import is_model

# Series are pooled by this after each convolution until at most so many steps stay.
_POOL = 2
_STEPS_LEFT = 64


def cnn1d(
    input_shape: Sequence[int | None],
    num_outputs: int,
    *,
    filters: Sequence[int] | None = None,
    kernel_size: int | None = None,
    units: int = 64,
) -> keras.Model:
    """Return an untrained 1D-CNN with logits, for the jobs of `cnn_lstm`.

    Series (time, channels) go through convolution, batch normalisation, ReLU and max
    pooling by 2, again and again until at most 64 steps are left. Clips (time, height,
    width, channels) go frame by frame through the CNN of `cnn_lstm`. Then come the
    temporal convolutions that `to_cnn1d` puts in an LSTM's place, which see the whole
    sequence, and the mean over time. It is made for accuracy: what `to_cnn1d` makes of
    a `cnn_lstm` pools more and is quicker.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, channels) or (time, height, width, channels), without the batch axis.
        Only time may be None: any length, of which each feature then sees 512 steps
        (after pooling).
    num_outputs : int
        Logits, one for each class.
    filters : sequence of int, optional
        Output channels of each convolution in front. If not given: 32 for series, in as
        many as bring 64 steps or less; for clips as in `cnn_lstm`.
    kernel_size : int, optional
        Steps, or pixels along height and width: 9 and 3 if not given.
    units : int
        Channels of the temporal convolutions.

    Returns
    -------
    keras.Model
        From batches of such sequences to logits (batch, num_outputs): for the loss, one
        label for each sequence, and ``from_logits=True``.

    Raises
    ------
    ShapeError
        If `input_shape` has another number of axes or an unknown size other than time,
        or a number is not whole and positive.

    See Also
    --------
    cnnseq_helpers.masking.masked_cnn1d : for padded series and their mask.

    Examples
    --------
    >>> cnn1d((100, 6), 4).output_shape
    (None, 4)
    >>> cnn1d((None, 16, 16, 1), 8).output_shape
    (None, 8)
    """
    inputs, features = read_steps(
        "cnn1d", input_shape, _along_time, filters, kernel_size
    )
    units = _check_whole("cnn1d", "units", units)
    num_outputs = _check_whole("cnn1d", "num_outputs", num_outputs)
    length = features.shape[1]
    temporal = TemporalConvolutions(
        Recurrent("temporal", units), length, length or OPEN_LENGTH, pooled=False
    )
    logits = layers.Dense(num_outputs, name="logits")(temporal(features))
    return keras.Model(inputs, logits, name="cnn1d")


def _along_time(inputs: Any, filters: Any, kernel_size: int | None) -> Any:
    """Convolve and pool along time; fewer than four steps are not pooled."""
    if filters is None:
        filters, left = [32], (inputs.shape[1] or 1) / _POOL
        while left > _STEPS_LEFT:
            filters, left = [*filters, 32], left / _POOL
    filters, kernel_size = check_convolutions(
        "cnn1d", filters, 9 if kernel_size is None else kernel_size
    )
    x = inputs
    for number, channels in enumerate(filters, start=1):
        # What is longer than the series would read nothing but padding.
        size = min(kernel_size, x.shape[1] or kernel_size)
        x = layers.Conv1D(
            channels,
            size,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name=f"conv_{number}",
        )(x)
        normalise = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")
        x = layers.ReLU(name=f"relu_{number}")(normalise(x))
        pool = min(_POOL, max(1, (x.shape[1] or _POOL**2) // _POOL))
        x = layers.MaxPooling1D(
            pool, padding="same", data_format="channels_last", name=f"pool_{number}"
        )(x)
    return x


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
    cnnseq_helpers.distilling.distill : trains the result on the model's own logits.
    cnnseq_helpers.comparing.compare_models : both models side by side.

    Notes
    -----
    What returned every step is replaced by convolutions at every step: causal ones with
    zeros in front, or, for Bidirectional, as many steps ahead as back. With
    ``go_backwards`` the steps are reversed first. What returned one vector for a
    sequence is replaced by max pooling (by 4 from 16 steps on, by more where otherwise
    over 28 steps would be left, by less where 4 does not divide `receptive_field`; not
    at all at unknown length), convolutions and the mean over time. A field of up to
    8 steps takes one kernel. Of a longer one the first kernel reads up to 8 steps, and
    later ones 3 or 5, dilated, but no further than the field in front of them, so that
    no step is skipped. Every kernel has an element on the step itself, so that a series
    that is far shorter than the field is read as well. Each is followed by batch
    normalisation and ReLU. Causal dilated convolutions in the place of recurrent layers
    are those of Bai, Kolter and Koltun, arXiv:1803.01271.

    Where nothing follows the recurrent layer, so that its output is the model's, its
    activation takes the place of the last ReLU, and its name stays. Where it is given a
    mask, nothing is pooled.

    ``dropout`` of the recurrent layer becomes SpatialDropout1D. ``recurrent_dropout``,
    initialisers, regularisers and constraints have no counterpart and are not carried
    over, nor is ``trainable=False``, since the new layers must learn.

    Examples
    --------
    >>> from cnnseq_helpers import cnn_lstm
    >>> converted = to_cnn1d(cnn_lstm((100, 6), 4))
    >>> converted.output_shape, [layer.name for layer in converted.layers][-3:]
    ((None, 4), ['lstm_relu_1', 'lstm_mean', 'logits'])
    """
    if receptive_field is not None:
        receptive_field = _check_whole("to_cnn1d", "receptive_field", receptive_field)
    _check_model(model)
    taken = {layer.name for layer in model._flatten_layers()}
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
    for layer in model._flatten_layers():
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
