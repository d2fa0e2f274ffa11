"""A convolutional network in front of an LSTM, for series and for video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from .padding.masked import MaskedConv1D, MaskedMaxPooling1D
from .shapes import (
    ShapeError,
    check_convolutions,
    check_input_shape,
    check_whole,
    is_mask_of,
    name_axes,
)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class BatchApply(layers.Wrapper):  # type: ignore[misc]
    """Apply a layer to each frame, as if all frames of all clips were one large batch.

    (batch, time, ...) becomes (batch * time, ...), goes through the layer once, and is
    taken apart again: the values of a loop over the frames, whether the time length is
    known or not. A mask (batch, time) is passed on to the next layer; the layer inside
    does not see it, and computes masked frames too.

    Parameters
    ----------
    layer : keras.layers.Layer
        A layer or model that takes one frame a row, (batch, ...), such as a CNN.
    **kwargs
        ``name``, ``dtype`` and the like, as for any layer.

    Raises
    ------
    ShapeError
        If the input is not (batch, time, ...) with at least three axes, or a mask is
        not (batch, time).

    Notes
    -----
    Batch normalisation inside takes its statistics, and activity regularisation its
    mean, over all frames at once; `keras.layers.TimeDistributed` takes them for each
    time step. The name is that of the same idea in Sonnet: ``snt.BatchApply``.

    Examples
    --------
    >>> import keras
    >>> clips = keras.Input((None, 32, 32, 1))
    >>> BatchApply(keras.layers.Conv2D(8, 3))(clips).shape
    (None, None, 30, 30, 8)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Build the layer inside for frames."""
        frame = self._frame_shape(input_shape)
        try:
            super().build(frame)
        except Exception as error:
            raise ShapeError(
                f"{self.name} (BatchApply) builds {self.layer.name!r} for one frame a "
                f"row, {name_axes(frame)}, and got {type(error).__name__}: {error} The "
                "layer inside sees no time axis: call one that needs it by itself."
            ) from error

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return what the layer makes of each frame: (batch, time, ...)."""
        self._check_mask(inputs.shape, mask)
        batch, time, *frame = ops.shape(inputs)
        outputs = self._single(self.layer(ops.reshape(inputs, (batch * time, *frame))))
        return ops.reshape(outputs, (batch, time, *ops.shape(outputs)[1:]))

    def compute_output_spec(self, inputs: Any, mask: Any = None, **_: Any) -> Any:
        """Return the shape and type of the output, without computing it."""
        self._check_mask(inputs.shape, mask)
        frames = keras.KerasTensor(self._frame_shape(inputs.shape), inputs.dtype)
        outputs = self._single(self.layer.compute_output_spec(frames))
        shape = (*inputs.shape[:2], *outputs.shape[1:])
        return keras.KerasTensor(shape, outputs.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        """Return the shape of the output, without computing it."""
        inputs = keras.KerasTensor(tuple(input_shape), self.compute_dtype)
        return self.compute_output_spec(inputs).shape

    def _frame_shape(self, shape: Any) -> tuple[int | None, ...]:
        axes = shape if isinstance(shape, (tuple, list)) else ()
        if len(axes) < 3 or not all(a is None or isinstance(a, int) for a in axes):
            raise ShapeError(
                f"{self.name} (BatchApply) expected one input (batch, time, ...) with "
                f"at least three axes, got {shape}. Give it whole clips or series, and "
                "the layer inside will see one frame a row."
            )
        return (None, *axes[2:])

    def _single(self, outputs: Any) -> Any:
        if not hasattr(outputs, "shape"):
            raise ShapeError(
                f"{self.name} (BatchApply) expected a layer with one output, got "
                f"{len(outputs)} from {self.layer.name!r}. Apply one BatchApply for "
                "each output, or join them inside: Concatenate()."
            )
        return outputs

    def _check_mask(self, shape: Any, mask: Any) -> None:
        if mask is not None and not is_mask_of(mask.shape, shape):
            raise ShapeError(
                f"{self.name} (BatchApply) expected a mask "
                f"{name_axes(shape[:2], ('batch', 'time'))}, one value a frame, got "
                f"{tuple(mask.shape)}. Make it from the lengths of the clips: mask = "
                "np.arange(time) < lengths[:, None]. What masks parts of a frame, as "
                "Masking() on pixels or Embedding(mask_zero=True) do, belongs inside."
            )


# What a series is pooled by, and the side in pixels down to which frames are halved.
_POOL = 4

_LARGEST_SIDE = 4


def cnn_lstm(
    input_shape: Sequence[int | None],
    num_outputs: int,
    *,
    masked: bool = False,
    filters: Sequence[int] | None = None,
    kernel_size: int | None = None,
    units: int = 32,
) -> keras.Model:
    """Return an untrained CNN-LSTM with logits, for series or for video.

    Series (time, channels) go through convolutions along time, max pooling by 4, and an
    LSTM. Clips (time, height, width, channels) go frame by frame (`BatchApply`) through
    convolutions that halve height and width, are flattened, so that the LSTM knows not
    only what is seen but where, and normalised.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, channels) or (time, height, width, channels), without the batch axis.
        Only time may be None: any length, for series from 12 steps on, unless filters
        and kernel_size ask for more.
    num_outputs : int
        Logits, one for each class.
    masked : bool
        Take a mask (batch, time) as second input. Then the convolutions of a series are
        padded ("same"), so that one that is shorter than a window is read as well.
    filters : sequence of int, optional
        Output channels of each convolution. If not given: 32 in one convolution for
        series; for clips 16 in each of as many as bring both sides to 4 pixels or less.
    kernel_size : int, optional
        Steps, or pixels along height and width: 9 and 3 if not given.
    units : int
        Size of the LSTM's state.

    Returns
    -------
    keras.Model
        From batches of such sequences, or ``[x, mask]`` as of `pad_batch`, to logits
        (batch, num_outputs): for the loss, one label for each sequence, and
        ``from_logits=True``.

    Raises
    ------
    ShapeError
        If `input_shape` has another number of axes or an unknown size other than time,
        a number is not whole and positive, or a series is too short for the window.

    Notes
    -----
    The first form is that of Ordóñez and Roggen, doi:10.3390/s16010115, with pooling;
    the second that of Donahue et al., arXiv:1411.4389, in small.

    Examples
    --------
    >>> cnn_lstm((100, 6), 4).output_shape
    (None, 4)
    >>> cnn_lstm((None, 16, 16, 1), 8).output_shape
    (None, 8)
    >>> cnn_lstm((None, 6), 4, masked=True).input_shape
    [(None, None, 6), (None, None)]
    """
    inputs, features, mask = read_steps(
        "cnn_lstm", input_shape, masked, _along_time, filters, kernel_size
    )
    units = check_whole("cnn_lstm", "units", units)
    num_outputs = check_whole("cnn_lstm", "num_outputs", num_outputs)
    summary = layers.LSTM(units, name="lstm")(features, mask=mask)
    logits = layers.Dense(num_outputs, name="logits")(summary)
    return keras.Model(inputs, logits, name="cnn_lstm")


def read_steps(
    doing: str,
    input_shape: Any,
    masked: bool,
    along_time: Callable[[Any, Any, Any, Any], tuple[Any, Any]],
    filters: Any,
    kernel_size: int | None,
) -> tuple[Any, Any, Any]:
    """Return inputs, features (batch, time, channels), and their mask or None."""
    shape = check_input_shape(
        doing, input_shape, "time channels", "time height width channels"
    )
    x = keras.Input(shape, name="series" if len(shape) == 2 else "clip")
    mask = keras.Input(shape[:1], dtype="bool", name="mask") if masked else None
    inputs = [x, mask] if masked else x
    if len(shape) == 2:
        return inputs, *along_time(x, mask, filters, kernel_size)
    cnn = _frame_by_frame(doing, shape[1:], filters, kernel_size)
    return inputs, BatchApply(cnn, name="each_frame")(x), mask


def _along_time(
    x: Any, mask: Any, filters: Any, kernel_size: int | None
) -> tuple[Any, Any]:
    """Convolve along time, then pool."""
    filters, kernel_size = check_convolutions(
        "cnn_lstm",
        (32,) if filters is None else filters,
        9 if kernel_size is None else kernel_size,
    )
    if mask is None:
        _check_length(x.shape[1], filters, kernel_size)
    for position, number in enumerate(filters, start=1):
        options = {"activation": "relu", "name": f"conv_{position}"}
        x = convolve(x, mask, number, kernel_size, **options)
    return pool(x, mask, _POOL, name="pool")


def convolve(x: Any, mask: Any, filters: int, kernel_size: int, **options: Any) -> Any:
    """Convolve a series; with a mask, in windows that are padded."""
    if mask is not None:
        options |= {"padding": "same"}
        return MaskedConv1D(filters, kernel_size, **options)(x, mask=mask)
    options["data_format"] = "channels_last"
    return layers.Conv1D(filters, kernel_size, **options)(x)


def pool(x: Any, mask: Any, size: int, **options: Any) -> tuple[Any, Any]:
    """Return the maximum of each window, and which windows are real."""
    if mask is None:
        options["data_format"] = "channels_last"
        return layers.MaxPooling1D(size, **options)(x), None
    layer = MaskedMaxPooling1D(size, **options | {"padding": "same"})
    return layer(x, mask=mask), layer.compute_mask(x, mask)


def _check_length(time: int | None, filters: Sequence[int], kernel_size: int) -> None:
    needed = len(filters) * (kernel_size - 1) + _POOL
    if time is not None and time < needed:
        raise ShapeError(
            f"cnn_lstm expected series of at least {needed} steps, for "
            f"filters={filters}, kernel_size={kernel_size} and pooling by {_POOL}, got "
            f"{time}. Use a smaller kernel_size or longer series."
        )


def _frame_by_frame(
    doing: str, frame: Sequence[int], filters: Any, kernel_size: int | None
) -> keras.Model:
    """Halve the frame with each convolution, and keep where things are."""
    if filters is None:
        halvings = (max(frame[:2]) - 1) // _LARGEST_SIDE
        filters = (16,) * max(halvings.bit_length(), 1)
    filters, kernel_size = check_convolutions(
        doing, filters, 3 if kernel_size is None else kernel_size
    )
    convolutions = [
        layers.Conv2D(
            number,
            kernel_size,
            strides=2,
            padding="same",
            data_format="channels_last",
            activation="relu",
            name=f"conv_{position}",
        )
        for position, number in enumerate(filters, start=1)
    ]
    features = [
        layers.Flatten("channels_last", name="features"),
        layers.LayerNormalization(name="normalisation"),
    ]
    return keras.Sequential(
        [keras.Input(frame, name="frame"), *convolutions, *features], name="cnn"
    )
