"""What each Keras layer does to a receptive field along axis 1.

The rules know Keras's own layers by their class names and read their settings, so that
nothing has to be imported. A layer that they do not know is never guessed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Reach(NamedTuple):
    """The input steps that step t of a tensor sees, and the tensor's length if known.

    They are ``t * stride - left`` to ``t * stride + right``.
    """

    length: int | None
    stride: int = 1
    left: int = 0
    right: int = 0

    def through(self, length: int | None, stride: int, left: int, right: int) -> Reach:
        """Go through an operation that sees its own input from -left to right."""
        return Reach(
            length,
            self.stride * stride,
            self.left + left * self.stride,
            self.right + right * self.stride,
        )

    def __str__(self) -> str:
        size = str(self.left + self.right + 1)
        return size if self.stride == 1 else f"{size}, stride {self.stride}"


class NoReach(NamedTuple):
    """Why a tensor has no receptive field of one known size: a label and a sentence."""

    label: str
    reason: str

    def __str__(self) -> str:
        return self.label


def _each_rank(*kinds: str) -> set[str]:
    return {f"{kind}{rank}D" for kind in kinds for rank in (1, 2, 3)}


_CONVOLUTIONS = _each_rank("Conv", "SeparableConv", "DepthwiseConv")
_POOLINGS = _each_rank("MaxPooling", "AveragePooling")
_SHIFTS = _each_rank("ZeroPadding", "Cropping")
_STEPWISE = _each_rank("SpatialDropout") | set(
    "Activation ActivityRegularization Add AlphaDropout Average BatchNormalization "
    "Concatenate Dense Dropout ELU Embedding GaussianDropout GaussianNoise Identity "
    "LayerNormalization LeakyReLU Masking Maximum Minimum Multiply Normalization PReLU "
    "RMSNormalization ReLU Relu Rescaling Softmax Subtract TimeDistributed "
    "UnitNormalization".split()
)
_WHOLE_SEQUENCE = _each_rank(
    "ConvLSTM", "GlobalAveragePooling", "GlobalMaxPooling"
) | set(
    "AdditiveAttention Attention Bidirectional Flatten GRU GroupNormalization "
    "GroupQueryAttention LSTM MultiHeadAttention RNN SimpleRNN".split()
)


def through(
    layer: Any, rank: int, entering: Sequence[Reach | NoReach]
) -> Reach | NoReach:
    """Return the reach after a layer, from those of the tensors that enter it."""
    reaches = []
    for reach in entering:
        if isinstance(reach, NoReach):
            return reach
        reaches.append(reach)
    kind = type(layer).__name__
    if type(layer).__module__.split(".")[0] != "keras":
        return _unknown(layer, "is not one of Keras's own layers")
    if kind in _WHOLE_SEQUENCE or _mixes_time(layer, rank):
        return _whole_sequence(layer)
    if getattr(layer, "data_format", None) == "channels_first":
        return _unknown(layer, "has its channels, not time, on axis 1")
    if len({(reach.length, reach.stride) for reach in reaches}) != 1:
        return _unknown(layer, "joins branches of different length or stride")
    merged = reaches[0]._replace(
        left=max(reach.left for reach in reaches),
        right=max(reach.right for reach in reaches),
    )
    if kind in _STEPWISE:
        return merged
    if kind in _CONVOLUTIONS:
        span = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        return _windowed(layer, merged, span)
    if kind in _POOLINGS:
        return _windowed(layer, merged, layer.pool_size[0] - 1)
    if kind in _SHIFTS:
        return _shifted(layer, merged)
    return _unknown(layer, "is none of these")


def _windowed(layer: Any, reach: Reach, span: int) -> Reach | NoReach:
    """Go through a window of span + 1 steps: a convolution or a pooling."""
    length, stride = reach.length, layer.strides[0]
    if layer.padding == "same" and length is None and stride > 1:
        return _unknown(
            layer, "pads by an amount that depends on the length, which is unknown"
        )
    if layer.padding == "same":
        # TensorFlow pads as little as the last window needs, the odd step on the right.
        padded = span
        if length is not None:
            padded = max((-(-length // stride) - 1) * stride + span + 1 - length, 0)
        left = padded // 2
    else:
        padded = left = span if layer.padding == "causal" else 0
    if length is not None:
        length = (length + padded - span - 1) // stride + 1
    return reach.through(length, stride, left, span - left)


def _shifted(layer: Any, reach: Reach) -> Reach:
    """Go through a padding or cropping, which renumbers the steps."""
    crops = type(layer).__name__.startswith("Cropping")
    amount = layer.cropping if crops else layer.padding
    left, right = amount[0] if isinstance(amount[0], (tuple, list)) else amount
    if crops:
        left, right = -left, -right
    length = None if reach.length is None else reach.length + left + right
    return reach.through(length, 1, left, -left)


def _mixes_time(layer: Any, rank: int) -> bool:
    """Tell whether a layer that could work step by step works along axis 1."""
    kind, axis = type(layer).__name__, getattr(layer, "axis", None)
    if kind == "Dense":
        return rank == 2
    if kind in ("BatchNormalization", "Normalization") or axis is None:
        return False
    axes = axis if isinstance(axis, (tuple, list)) else [axis]
    return 1 in [a % rank for a in axes]


def _whole_sequence(layer: Any) -> NoReach:
    return NoReach(
        "no limit",
        "expected layers that see a fixed number of steps, got "
        f"{layer.name!r} ({type(layer).__name__}), which joins the whole sequence. Ask "
        "for the part in front of it: receptive_field(keras.Model(model.inputs, "
        f"model.get_layer({layer.name!r}).input)).",
    )


def _unknown(layer: Any, why: str) -> NoReach:
    return NoReach(
        "unknown",
        "expected Keras convolutions, poolings, paddings and layers that work step by "
        f"step along axis 1, but {layer.name!r} ({type(layer).__name__}) {why}. "
        "Measure it: cnnseq_helpers.measured_receptive_field(model).",
    )
