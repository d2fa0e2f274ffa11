"""Pooling that knows which steps are real, and which are padding."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from ._windows import (
    ChannelsLast,
    fill_padding,
    ones_if_real,
    pad_windows,
    read_series,
    window_mask,
)
from .shapes import ShapeError

_LOWEST = float("-inf")


class _MaskedPooling(ChannelsLast):
    """What maximum and average pooling share."""

    pool_size: tuple[int]
    strides: tuple[int]
    padding: str
    pool_mode: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.padding = str(self.padding).lower()
        if self.padding not in ("valid", "same"):
            raise ShapeError(
                f"{type(self).__name__} expected padding 'valid' or 'same', got "
                f"{self.padding!r}. To pool the past only, put ZeroPadding1D("
                "(pool_size - 1, 0)) in front of a 'valid' pooling layer."
            )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return which steps of the output are real: (batch, time)."""
        return window_mask(mask, self.pool_size[0], self.strides[0], self.padding)

    @property
    def _window(self) -> int:
        """The steps that a sequence needs at least."""
        return self.pool_size[0] if self.padding == "valid" else 1

    def _pool(self, x: Any, value: float) -> Any:
        x = pad_windows(x, self.pool_size[0], self.strides[0], self.padding, value)
        pool = ops.max_pool if self.pool_mode == "max" else ops.average_pool
        return pool(
            x,
            pool_size=self.pool_size[0],
            strides=self.strides[0],
            padding="valid",
            data_format="channels_last",
        )


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedMaxPooling1D(_MaskedPooling, layers.MaxPooling1D):  # type: ignore[misc]
    """The maximum of the real steps of each window; zero where none is real.

    Parameters
    ----------
    pool_size, strides, padding, **kwargs
        As for `keras.layers.MaxPooling1D`, channels last. "valid" drops the steps at
        the end that do not fill a window, at the end of each sequence by itself;
        "same" pools them.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Notes
    -----
    Called, and to be understood with strides, as `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-1.0, -2.0, -3.0, 9.0, 9.0, 9.0], "float32").reshape(1, 6, 1)
    >>> mask = np.array([[True, True, True, False, False, False]])
    >>> layer = MaskedMaxPooling1D(2, padding="same")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [-1.0, -3.0, 0.0]
    >>> np.asarray(layer.compute_mask(x, mask)).tolist()
    [[True, True, False]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, time, channels)."""
        x = read_series(self, inputs, mask, self._window, _LOWEST)
        x = self._pool(x, _LOWEST)
        return fill_padding(x, self.compute_mask(inputs, mask), 0.0)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedAveragePooling1D(_MaskedPooling, layers.AveragePooling1D):  # type: ignore[misc]
    """The mean of the real steps of each window; zero where none is real.

    Parameters
    ----------
    pool_size, strides, padding, **kwargs
        As for `keras.layers.AveragePooling1D`, channels last; see `MaskedMaxPooling1D`.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Notes
    -----
    Called, and to be understood with strides, as `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0], "float32").reshape(1, 6, 1)
    >>> mask = np.array([[True, True, True, False, False, False]])
    >>> layer = MaskedAveragePooling1D(2, padding="same")
    >>> np.asarray(layer(x, mask=mask))[0, :, 0].tolist()
    [1.5, 3.0, 0.0]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, time, channels)."""
        x = read_series(self, inputs, mask, self._window)
        share = self._pool(ones_if_real(x, mask), 0.0)
        x = self._pool(x, 0.0)
        x = ops.where(share > 0, x / ops.where(share > 0, share, 1.0), 0.0)
        return fill_padding(x, self.compute_mask(inputs, mask), 0.0)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedGlobalAveragePooling1D(ChannelsLast, layers.GlobalAveragePooling1D):  # type: ignore[misc]
    """The mean of all real steps; zeros for a sequence that has none.

    `keras.layers.GlobalAveragePooling1D` uses a mask too, but gives NaN where no step
    is real, as behind a "valid" convolution that a sequence was too short for.

    Parameters
    ----------
    **kwargs
        As for `keras.layers.GlobalAveragePooling1D`, channels last.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0, 9.0], [9.0, 9.0, 9.0]], "float32")[..., None]
    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> np.asarray(MaskedGlobalAveragePooling1D()(x, mask=mask)).tolist()
    [[1.5], [0.0]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, channels)."""
        x = read_series(self, inputs, mask, window=0)
        # Half precision would overflow in the sum of a few thousand steps.
        wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        steps = ops.sum(ones_if_real(wide, mask), axis=1, keepdims=self.keepdims)
        total = ops.sum(wide, axis=1, keepdims=self.keepdims)
        return ops.cast(total / ops.maximum(steps, 1.0), x.dtype)


@keras.saving.register_keras_serializable(package="cnnseq_helpers")
class MaskedGlobalMaxPooling1D(ChannelsLast, layers.GlobalMaxPooling1D):  # type: ignore[misc]
    """The maximum of all real steps; zeros for a sequence that has none.

    Parameters
    ----------
    **kwargs
        As for `keras.layers.GlobalMaxPooling1D`, channels last.

    Raises
    ------
    ShapeError, TypeError
        As `MaskedConv1D`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[-1.0, -2.0, 9.0], [9.0, 9.0, 9.0]], "float32")[..., None]
    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> np.asarray(MaskedGlobalMaxPooling1D()(x, mask=mask)).tolist()
    [[-1.0], [0.0]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool the real steps: (batch, channels)."""
        x = read_series(self, inputs, mask, 0, _LOWEST)
        steps = ops.sum(ones_if_real(x, mask), axis=1, keepdims=self.keepdims)
        top = ops.max(x, axis=1, keepdims=self.keepdims, initial=_LOWEST)
        return ops.where(steps > 0, top, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: the output has no time axis."""
        return
