"""Convolution that knows which steps are real, and a model made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from ._windows import (
    ChannelsLast,
    check_series,
    fill_padding,
    pad_windows,
    read_series,
    window_mask,
)
from .pooling import MaskedGlobalAveragePooling1D, MaskedGlobalMaxPooling1D
from .shapes import ShapeError, _check_whole


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedConv1D(ChannelsLast, layers.Conv1D):  # type: ignore[misc]
    """A convolution along time in which padding counts as the end of the sequence.

    Padded steps are read as the zeros that "same" and "causal" put around a sequence,
    and written as zeros, whatever stands in them. So each sequence gets the values that
    it gets alone and unpadded, in any batch.

    Parameters
    ----------
    filters, kernel_size, strides, padding, dilation_rate, groups, **kwargs
        As for `keras.layers.Conv1D`, channels last.

    Raises
    ------
    ShapeError
        If the input is not (batch, time, channels), or the mask not (batch, time).
        Where Keras counts the axes first, it is a ValueError of its own.
    TypeError
        If the mask is not boolean.

    Notes
    -----
    Called ``layer(x, mask=mask)``; ``layer.compute_mask(x, mask)`` is the mask of the
    output. With ``padding="valid"`` an output step is real if its whole window is, so a
    sequence shorter than the window has none. Padding may stand at either end, with
    strides in front only in whole multiples of the stride.

    Values are those of `keras.layers.Conv1D`, with one exception: strides together
    with "same", at lengths that are no multiple of the stride. There Keras shifts the
    windows by a part of what is missing; here they stay.

    That convolutions should read masks has been asked of Keras since 2015: issue 411 of
    keras-team/keras.

    A saved model loads after ``import cnnseq_helpers``, before or after Keras.

    Examples
    --------
    >>> import numpy as np
    >>> x, mask = np.ones((1, 5, 1), "float32"), np.array([[True] * 3 + [False] * 2])
    >>> layer = MaskedConv1D(1, 3, padding="same", kernel_initializer="ones")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [2.0, 3.0, 2.0, 0.0, 0.0]
    """

    def build(self, input_shape: Any) -> None:
        """Make the kernel, for (batch, time, channels)."""
        check_series(self, input_shape, self._window)
        super().build(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolve the real steps: (batch, time, filters)."""
        x = read_series(self, inputs, mask, self._window)
        x = pad_windows(x, self._reach, self.strides[0], self.padding)
        x = ops.conv(
            x,
            self.kernel,
            strides=self.strides[0],
            padding="valid",
            dilation_rate=self.dilation_rate[0],
            data_format="channels_last",
        )
        if self.use_bias:
            x = ops.add(x, self.bias)
        real = self.compute_mask(inputs, mask)
        if self.activation not in (None, keras.activations.linear):
            # Where an activation has no gradient, such as log at 0, even an output that
            # is dropped would make the gradient NaN.
            x = self.activation(fill_padding(x, real, 1.0))
        return fill_padding(x, real, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return which steps of the output are real: (batch, time)."""
        return window_mask(mask, self._reach, self.strides[0], self.padding)

    @property
    def _window(self) -> int:
        """The steps that a sequence needs at least."""
        return self._reach if self.padding == "valid" else 1

    @property
    def _reach(self) -> int:
        """The steps from the first to the last that one output reads."""
        return int((self.kernel_size[0] - 1) * self.dilation_rate[0] + 1)


# --- A whole model --------------------------------------------------------------------


def masked_cnn1d(
    input_shape: Sequence[int | None],
    num_outputs: int,
    *,
    filters: Sequence[int] = (128, 128, 128),
    kernel_size: int = 3,
) -> keras.Model:
    """Return an untrained 1D-CNN with logits, for padded series and their mask.

    Blocks of convolution, batch normalisation and ReLU, each followed by the next; then
    the mean and the maximum over the real steps, and one dense layer. The answer for a
    series does not depend on its padding, nor does what is learned from it.

    Parameters
    ----------
    input_shape : tuple of int or None
        (time, channels), without the batch axis. Time is best None: any length.
    num_outputs : int
        Logits, one for each class.
    filters : sequence of int
        Output channels of each convolution.
    kernel_size : int
        Steps that each kernel multiplies.

    Returns
    -------
    keras.Model
        From ``[x, mask]``, as of `pad_batch`, to logits (batch, num_outputs).

    Raises
    ------
    ShapeError
        If `input_shape` is not (time, channels), or a number is not whole and positive.

    Notes
    -----
    The fully convolutional network of Wang, Yan and Oates, arXiv:1611.06455, in which
    every layer that looks beyond one step is given the mask, with the maximum beside
    the mean. A saved model loads after ``import cnnseq_helpers``.

    Examples
    --------
    >>> model = masked_cnn1d((None, 12), 9)
    >>> [tuple(each.shape) for each in model.inputs], model.output_shape
    ([(None, None, 12), (None, None)], (None, 9))
    """
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(shape) != 2 or shape[1] is None:
        raise ShapeError(
            "masked_cnn1d expected an input_shape (time, channels), got "
            f"{input_shape!r}. Leave the batch axis out; for any length: (None, 12)."
        )
    if not isinstance(filters, (tuple, list)) or not filters:
        raise ShapeError(
            "masked_cnn1d expected filters to be a sequence, one number for each "
            f"convolution, got {filters!r}. For a single convolution: filters=(128,)."
        )
    for size in (*(size for size in shape if size is not None), kernel_size, *filters):
        _check_whole("masked_cnn1d", "each size", size)
    _check_whole("masked_cnn1d", "num_outputs", num_outputs)
    inputs = keras.Input(shape, name="series")
    mask = keras.Input(shape[:1], dtype="bool", name="mask")
    x = inputs
    for number, width in enumerate(filters, start=1):
        convolve = MaskedConv1D(
            width, kernel_size, padding="same", use_bias=False, name=f"conv_{number}"
        )
        x = convolve(x, mask=mask)
        # Statistics of the last ten batches or so, since small sets make few of them.
        normalise = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")
        x = layers.ReLU(name=f"relu_{number}")(normalise(x, mask=mask))
    pooled = [
        MaskedGlobalAveragePooling1D(name="mean")(x, mask=mask),
        MaskedGlobalMaxPooling1D(name="maximum")(x, mask=mask),
    ]
    logits = layers.Dense(num_outputs, name="logits")(
        layers.Concatenate(name="features")(pooled)
    )
    return keras.Model([inputs, mask], logits, name="masked_cnn1d")
