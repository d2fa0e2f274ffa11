"""Temporal convolutions that take the place of a recurrent layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import layers, ops

from ._recurrent import Recurrent
from .masking import MaskedConv1D
from .pooling import MaskedGlobalAveragePooling1D
from .shapes import ShapeError

# A short field needs no more than one kernel. Of a longer one the first kernel reads
# neighbouring steps, later ones at most as many, as far apart as needed.
_ONE_KERNEL = 8
# A summary needs no resolution of single steps: pooling by 4 loses little, and more of
# it bounds the cost of long sequences.
_POOLED_FROM = 16
_POOL = 4
_STEPS_LEFT = 28
# How far layers look back where the length, and so the reach needed, is unknown.
OPEN_LENGTH = 512


class Window(NamedTuple):
    """One convolution: the steps that it multiplies, and how far apart they are."""

    kernel_size: int
    dilation_rate: int


def plan_windows(field: int) -> list[Window]:
    """Return the cheapest convolutions that together see exactly `field` steps.

    Each step is seen: the dilation of a kernel is at most the field in front of it. And
    each kernel has an element on the step itself, which a dilated one of even size,
    centred as "same" does it, has not. So a sequence that is shorter than the field,
    however much, is read as a long one is, and not only the padding around it.
    """
    firsts = range(min(field, _ONE_KERNEL), 0, -1)
    return min((_widen(n, field) for n in firsts if (field - n) % 2 == 0), key=_cost)


def _widen(first: int, field: int) -> list[Window]:
    """Put dilated kernels of 3 or 5 steps behind a first one of so many."""
    windows, seen = [Window(first, 1)], first
    while missing := field - seen:
        others = 2 if missing <= 2 * seen else 4
        rate = min(seen, missing // others)
        windows.append(Window(others + 1, rate))
        seen += others * rate
    return windows


def _cost(plan: list[Window]) -> tuple[int, int]:
    return len(plan), sum(window.kernel_size for window in plan)


def plan_at_least(field: int) -> list[Window]:
    """Return the cheapest convolutions that see `field` steps or a few more."""
    return min((plan_windows(field + more) for more in range(5)), key=_cost)


def plan_pooling(length: int | None, field: int) -> int:
    """Return by how much a summary pools: a power of 2 that divides a shorter field."""
    if length is None or length < _POOLED_FROM:
        return 1
    pool = _POOL
    while length > pool * _STEPS_LEFT:
        pool *= 2
    while field < length and field % pool:
        pool //= 2
    return pool


class TemporalConvolutions:
    """The layers for one recurrent layer, made once and applied at each of its calls.

    Blocks of convolution, batch normalisation and ReLU. What returned every step stays
    at every step: causal, or seeing both ways. What returned one vector for a sequence
    pools, convolves, and takes the mean of all steps. `field` is how many steps are
    seen at least; exactly as many where it is shorter than the sequence.
    """

    def __init__(
        self,
        recurrent: Recurrent,
        length: int | None,
        field: int,
        *,
        masked: bool = False,
        pooled: bool = True,
    ) -> None:
        self.recurrent = recurrent
        self.masked = masked
        self.options = {"dtype": recurrent.dtype}
        self.name = recurrent.name
        # Windows that start at fixed steps would move with padding in front.
        pool = 1
        if pooled and not (recurrent.per_step or masked):
            pool = plan_pooling(length, field)
        self.pool = None
        if pool > 1:
            self.pool = layers.MaxPooling1D(
                pool,
                padding="same",
                data_format="channels_last",
                name=f"{self.name}_pool",
                **self.options,
            )
        self.drop = None
        if recurrent.dropout:
            # An LSTM drops the same channels at every step, and so does this layer.
            self.drop = layers.SpatialDropout1D(
                recurrent.dropout, name=f"{self.name}_dropout", **self.options
            )
        plan = plan_windows if length is None or field < length else plan_at_least
        windows = plan(-(-field // pool))
        self.blocks = [
            self._make_block(number, window, number == len(windows))
            for number, window in enumerate(windows, 1)
        ]
        self.mean = None
        if not recurrent.per_step:
            mean = layers.GlobalAveragePooling1D
            if masked:
                mean = MaskedGlobalAveragePooling1D
            # An output of the model keeps the name that losses know it by.
            known = self.name if recurrent.activation else f"{self.name}_mean"
            self.mean = mean(data_format="channels_last", name=known, **self.options)

    def _make_block(self, number: int, window: Window, last: bool) -> list[Any]:
        convolution = MaskedConv1D if self.masked else layers.Conv1D
        kernel_size, padding = window.kernel_size, "same"
        if self.recurrent.per_step and self.recurrent.both_ways:
            kernel_size = 2 * kernel_size - 1  # as many steps ahead as back
        elif self.recurrent.per_step:
            padding = "causal"
        return [
            convolution(
                self.recurrent.channels,
                kernel_size,
                dilation_rate=window.dilation_rate,
                padding=padding,
                data_format="channels_last",
                use_bias=False,
                name=f"{self.name}_conv_{number}",
                **self.options,
            ),
            # Statistics of the last ten batches or so, since small sets make few.
            layers.BatchNormalization(
                momentum=0.9, name=f"{self.name}_norm_{number}", **self.options
            ),
            self._make_activation(number, last),
        ]

    def _make_activation(self, number: int, last: bool) -> Any:
        if not (last and self.recurrent.activation):
            return layers.ReLU(name=f"{self.name}_relu_{number}", **self.options)
        name = self.name if self.recurrent.per_step else f"{self.name}_activation"
        activation = self.recurrent.activation
        return layers.Activation(activation, name=name, **self.options)

    def __call__(self, x: Any, mask: Any = None) -> Any:
        """Return what takes the place of the recurrent layer's output."""
        mask = mask if self.masked else None
        if not keras.backend.is_float_dtype(x.dtype):  # as recurrent layers take them
            x = ops.cast(x, self.blocks[0][0].compute_dtype)
        if self.recurrent.backwards:
            if self.masked and mask is None:
                raise ShapeError(
                    f"to_cnn1d turns the steps for {self.name!r} round, and the mask "
                    "with them, but inside of a model the mask is not at hand. Convert "
                    "the inner model by itself, with the mask as an input."
                )
            x = ops.flip(x, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        x = x if self.drop is None else self.drop(x)
        x = x if self.pool is None else self.pool(x)
        for convolution, normalisation, activation in self.blocks:
            x = _apply(convolution, x, mask)
            x = activation(_apply(normalisation, x, mask))
        return x if self.mean is None else _apply(self.mean, x, mask)


def _apply(layer: Any, x: Any, mask: Any) -> Any:
    # Without one given, a layer that knows masks takes the one that x carries.
    return layer(x) if mask is None else layer(x, mask=mask)
