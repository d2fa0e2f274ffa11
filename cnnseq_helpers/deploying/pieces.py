"""What each layer of a model keeps of a stream, and makes of the steps that come.

A piece holds no state. It is given one, and returns the next: a dictionary of arrays,
and of whole numbers where it counts steps. So the same pieces run a stream, tell what
would be if it ended now, and make the model of one step.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import keras
import numpy as np
from keras import ops

from ..tracing.reach import left_padding

State = dict[str, Any]


class End(Enum):
    """Whether steps follow, or the sequence ends: for a look, or for good."""

    OPEN = 0
    LOOK = 1
    CLOSED = 2


def join(first: Any, second: Any) -> Any:
    """Put steps behind others."""
    return ops.concatenate([first, second], axis=1) if first.shape[1] else second


def mask_of(node: Any) -> Any:
    """Return the mask that a layer is called with, by name or position."""
    arguments = node.arguments.args
    position = 2 if isinstance(node.operation, keras.layers.RNN) else 1
    if len(arguments) > position:
        return arguments[position]
    return node.arguments.kwargs.get("mask")


def part(steps: Any, start: int, stop: int) -> Any:
    """Return some of the steps."""
    whole = start == 0 and stop >= steps.shape[1]
    return steps if whole else steps[:, start:stop]


def as_type(steps: Any, dtype: str) -> Any:
    """Cast what is of another type."""
    same = keras.backend.standardize_dtype(steps.dtype) == dtype
    return steps if same else ops.cast(steps, dtype)


class Piece:
    """A layer of which each output step is made of the input steps at its place.

    Attributes
    ----------
    mask : KerasTensor or None
        The mask that the layer is called with, if it is of matter here.
    longest : dict of int
        How many steps each state may hold, of those that hold now more, now fewer.
    """

    def __init__(self, layer: Any, node: Any) -> None:
        self.layer: Any = layer
        self.mask: Any = None
        self.longest: dict[str, int] = {}
        self.trailing = tuple(node.input_tensors[0].shape[2:])
        self.outputs: list[tuple[tuple[Any, ...], Any]] = [
            (tuple(x.shape[2:]), x.dtype) for x in node.outputs
        ]

    def start(self, batch: int) -> State:
        """Return what is kept before the first step."""
        return {}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Return the output steps that are certain now, and what to keep.

        `call` has ``steps``, those of the first input; their ``mask``, or None; and
        ``apply()``, which calls the layer on all its inputs.
        """
        if call.steps.shape[1] == 0:
            return self.nothing(call.steps), state
        return keras.tree.flatten(call.apply()), state

    def nothing(self, steps: Any) -> list[Any]:
        """Return outputs without any step."""
        batch = steps.shape[0]
        return [ops.zeros((batch, 0, *axes), dtype) for axes, dtype in self.outputs]


# --- Windows --------------------------------------------------------------------------


class Windows(Piece):
    """Windows over the steps: keeps the steps that later ones need.

    The padding is done by hand: `left` steps of it stand in front. Which steps are real
    is kept where `counts` says so.
    """

    # What padding is read as.
    value = 0.0

    def __init__(
        self, layer: Any, node: Any, reach: int, stride: int, left: int, padded: bool
    ) -> None:
        super().__init__(layer, node)
        self.reach, self.stride, self.left, self.padded = reach, stride, left, padded
        self.longest = {"steps": reach - 1, "real": reach - 1}
        self.mask = mask_of(node)
        self.counts = self.mask is not None

    def start(self, batch: int) -> State:
        """Return the padding in front, and that the first window starts there."""
        return self._padding(batch, self.left) | {"gap": 0}

    def _padding(self, batch: Any, number: int) -> State:
        shape = (batch, number, *self.trailing)
        padding = {"steps": ops.full(shape, self.value, self.layer.compute_dtype)}
        if self.counts:
            padding["real"] = ops.zeros((batch, number), "bool")
        return padding

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Apply the layer to the windows that are full now."""
        come = {name: join(state[name], each) for name, each in self.read(call).items()}
        gap, length = state["gap"], come["steps"].shape[1]
        if self.padded and end is not End.OPEN:
            unread = length - gap - self.left
            if end is End.CLOSED:
                self.check_length(unread)
            windows = max(-(-unread // self.stride), 0)
            needed = gap + (windows - 1) * self.stride + self.reach
            missing = max(needed - length, 0) if windows else 0
            more = self._padding(call.steps.shape[0], missing)
            come = {name: join(each, more[name]) for name, each in come.items()}
            length += missing
        number = max((length - gap - self.reach) // self.stride + 1, 0)
        following = gap + number * self.stride
        kept = {
            name: part(each, min(following, length), length)
            for name, each in come.items()
        }
        kept["gap"] = max(following - length, 0)
        if not number:
            return self.nothing(call.steps), kept
        seen = following - self.stride + self.reach
        full = {name: part(each, gap, seen) for name, each in come.items()}
        return [self.apply(**full)], kept

    def read(self, call: Any) -> State:
        """Return steps, padding replaced, and which are real if that is kept."""
        steps = as_type(call.steps, self.layer.compute_dtype)
        if self.mask is not None:
            wide = ops.reshape(call.mask, (*call.mask.shape, *[1] * len(self.trailing)))
            return {"steps": ops.where(wide, steps, self.value), "real": call.mask}
        if self.counts:
            return {"steps": steps, "real": ops.ones(steps.shape[:2], "bool")}
        return {"steps": steps}

    def check_length(self, unread: int) -> None:
        """Refuse to close a sequence that would have been padded otherwise."""

    def apply(self, steps: Any, real: Any = None) -> Any:
        """Return the output for each of the windows that steps consist of."""
        raise NotImplementedError


class LayerWindows(Windows):
    """A convolution or pooling, which is applied to whole windows, without padding."""

    def __init__(
        self, layer: Any, node: Any, reach: int, left: int, built_for: int | None
    ) -> None:
        stride, padded = layer.strides[0], layer.padding != "valid"
        super().__init__(layer, node, reach, stride, left, padded)
        self.built_for = built_for
        average = "Average" in type(layer).__name__
        # A mean leaves padding out, and so must know where it is.
        self.shares = average and (padded or self.counts)
        self.counts |= self.shares
        # Nothing wins less than this in a maximum.
        self.value = float("-inf") if "Max" in type(layer).__name__ else 0.0
        config = layer.get_config() | {"padding": "valid"}
        self.valid = type(layer).from_config(config)
        self.valid.build((None, None, *self.trailing))
        self.valid.set_weights(layer.get_weights())

    def check_length(self, unread: int) -> None:
        """Refuse to close a sequence that Keras would have padded otherwise."""
        if self.built_for is None:
            return
        if left_padding(self.layer, self.reach, unread) != self.left:
            kind = type(self.layer).__name__
            raise ValueError(
                f"stream.close() expected a sequence of {self.built_for} steps at "
                f"{self.layer.name!r} ({kind}), since the model is built for it and "
                "Keras's 'same' padding with strides depends on the length, got more "
                "or fewer. Close after as many steps as the model is built for, or do "
                "without close()."
            )

    def apply(self, steps: Any, real: Any = None) -> Any:
        """Apply the layer, and leave out what the mask does."""
        outputs = self.valid(steps)
        if self.shares:
            share = self.valid(ops.cast(real, steps.dtype)[..., None])
            outputs = ops.where(share > 0, outputs / ops.where(share > 0, share, 1), 0)
        if self.mask is None:
            return outputs
        # A window counts if the step that it stands at is real. Without padding all of
        # its steps must be, of which padding at an end cuts off the first or the last.
        starts = steps.shape[1] - self.reach + 1
        first = self.left if self.padded else 0
        here = real[:, first : first + starts : self.stride]
        if not self.padded:
            here = ops.logical_and(here, real[:, self.reach - 1 :: self.stride])
        return ops.where(here[..., None], outputs, 0)


def double(x: Any) -> Any:
    """Return numbers in double precision: NumPy's on JAX, which has none by default."""
    if keras.backend.backend() == "jax" and not keras.utils.is_keras_tensor(x):
        return np.asarray(x, "float64")
    return ops.cast(ops.convert_to_tensor(x), "float64")


def single(x: Any, dtype: str) -> Any:
    """Return numbers in double precision as a tensor of a layer's type."""
    if isinstance(x, np.ndarray):
        x = x.astype("float32")
    return ops.cast(ops.convert_to_tensor(x), dtype)


def functions_for(x: Any) -> Any:
    """Return what computes with numbers that `double` gave: NumPy or `keras.ops`."""
    return np if isinstance(x, np.ndarray) else ops


class Shares(Windows):
    """RandomConvolutions: keeps at how many steps each kernel was positive so far."""

    def __init__(self, layer: Any, node: Any) -> None:
        reach = 2 * layer.reach + 1
        super().__init__(layer, node, reach, layer.strides, layer.reach, padded=True)
        self.counts = True
        self.features = int(node.outputs[0].shape[-1])

    def start(self, batch: int) -> State:
        """Return the padding in front, and counts of nothing."""
        return super().start(batch) | {"total": np.zeros((batch, self.features + 1))}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Count further steps."""
        (new,), kept = super().advance(state, call, end)
        total = double(state["total"])
        if new.shape[1]:
            total = total + double(new[:, 0])
        share = (total[:, 1:] / functions_for(total).maximum(total[:, :1], 1) + 1) / 2
        return [single(share, self.outputs[0][1])], kept | {"total": total}

    def read(self, call: Any) -> State:
        """Return the series in whole numbers, and which steps are real."""
        real = (
            ops.ones(call.steps.shape[:2], "bool") if self.mask is None else call.mask
        )
        return {"steps": self.layer.round_series(call.steps, call.mask), "real": real}

    def apply(self, steps: Any, real: Any = None) -> Any:
        """Return how many positions are real, and the sums of signs."""
        last = steps.shape[1] - self.layer.reach
        here = ops.cast(real[:, self.layer.reach : last : self.stride, None], "float32")
        signs = self.layer.sum_signs(steps, here, self.mask is not None)
        return ops.concatenate([ops.sum(here, axis=1), signs], axis=-1)[:, None]


# --- Parts of a sequence --------------------------------------------------------------


class Slice(Piece):
    """The steps from one on, all but the last ones, every so many: x[:, a:-b:s]."""

    def __init__(
        self, layer: Any, node: Any, first: int, held: int, stride: int = 1
    ) -> None:
        super().__init__(layer, node)
        self.first, self.held, self.stride = first, held, stride
        self.longest = {"steps": held}

    def start(self, batch: int) -> State:
        """Return nothing held back, and the steps to leave out."""
        axes, dtype = self.outputs[0]
        return {"steps": ops.zeros((batch, 0, *axes), dtype), "gap": self.first}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Let through all but the last ones, from the next step on that counts."""
        steps, gap = join(state["steps"], call.steps), state["gap"]
        ready = max(steps.shape[1] - self.held, 0)
        outputs = steps[:, gap : ready : self.stride]
        gap = gap + outputs.shape[1] * self.stride - ready
        return [outputs], {"steps": steps[:, ready:], "gap": gap}


class Padding(Piece):
    """Zeros in front and behind."""

    def __init__(self, layer: Any, node: Any, before: int, behind: int) -> None:
        super().__init__(layer, node)
        self.before, self.behind = before, behind

    def start(self, batch: int) -> State:
        """Return how many zeros are still to come in front."""
        return {"before": self.before}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Put the first zeros in front of the first steps, and the last ones behind."""
        outputs = self._pad_frames(call.steps)
        if state["before"]:
            outputs = join(self._zeros(outputs, state["before"]), outputs)
        if self.behind and end is not End.OPEN:
            outputs = join(outputs, self._zeros(outputs, self.behind))
        return [outputs], {"before": 0}

    def _pad_frames(self, steps: Any) -> Any:
        """Pad height and width, where there are any."""
        amounts: Any = self.layer.padding
        if not isinstance(amounts[0], (tuple, list)):
            return steps
        others = [tuple(each) for each in amounts[1:]]
        return ops.pad(steps, [(0, 0), (0, 0), *others, (0, 0)])

    def _zeros(self, steps: Any, number: int) -> Any:
        axes, dtype = self.outputs[0]
        return ops.zeros((steps.shape[0], number, *axes), dtype)


# --- Summaries ------------------------------------------------------------------------


class Recurrent(Piece):
    """A recurrent layer: keeps what its cell knows, and calls the cell step by step."""

    def __init__(self, layer: Any, node: Any) -> None:
        super().__init__(layer, node)
        self.mask = mask_of(node)
        self.like = layer.get_initial_state(1)

    def start(self, batch: int) -> State:
        """Return a state of zeros."""
        known = keras.tree.flatten(self.layer.get_initial_state(batch))
        return {f"state_{number}": each for number, each in enumerate(known, 1)}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Read the steps one by one; those that the mask leaves out change nothing."""
        steps = as_type(call.steps, self.layer.compute_dtype)
        known, outputs = list(state.values()), []
        for t in range(steps.shape[1]):
            packed = keras.tree.pack_sequence_as(self.like, known)
            output, following = self.layer.cell(steps[:, t], packed, training=False)
            following = keras.tree.flatten(following)
            if self.mask is not None:
                pairs = zip(following, known, strict=True)
                following = [_where(call.mask[:, t], *pair) for pair in pairs]
                output = self._masked_output(output, call.mask[:, t], known)
            known = following
            outputs.append(output)
        first = self._last(known)
        if self.layer.return_sequences:
            joined = ops.stack(outputs, axis=1) if outputs else None
            first = self.nothing(steps)[0] if joined is None else joined
        states = known if self.layer.return_state else []
        return [first, *states], dict(zip(state, known, strict=True))

    def _last(self, known: list[Any]) -> Any:
        """Return the last output, which all of Keras's cells keep as a state."""
        packed = keras.tree.pack_sequence_as(self.like, known)
        if isinstance(self.layer.cell, keras.layers.StackedRNNCells):
            packed = packed[-1]
        return keras.tree.flatten(packed)[0]

    def _masked_output(self, output: Any, real: Any, known: list[Any]) -> Any:
        zeros = getattr(self.layer, "zero_output_for_mask", False)
        last = self._last(known)
        return _where(real, output, ops.zeros_like(last) if zeros else last)


def _where(real: Any, new: Any, old: Any) -> Any:
    """Take the new value for the sequences of which a step is real."""
    return ops.where(ops.reshape(real, (-1,) + (1,) * (len(new.shape) - 1)), new, old)


class Last(Piece):
    """The last step, or the one so many steps before: x[:, -b]."""

    def __init__(self, layer: Any, node: Any, number: int) -> None:
        super().__init__(layer, node)
        self.number, self.dtype = number, node.input_tensors[0].dtype
        self.key = node.arguments.args[1]

    def start(self, batch: int) -> State:
        """Return zeros for steps that did not come yet."""
        return {"steps": ops.zeros((batch, self.number, *self.trailing), self.dtype)}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Keep the last steps."""
        steps = call.steps
        if steps.shape[1] < self.number:
            steps = join(state["steps"], steps)
        steps = part(steps, steps.shape[1] - self.number, steps.shape[1])
        return [self.layer(steps, self.key)], {"steps": steps}


class Mean(Piece):
    """The mean of all steps so far, of real ones where there is a mask."""

    def __init__(self, layer: Any, node: Any) -> None:
        super().__init__(layer, node)
        self.mask = mask_of(node)

    def start(self, batch: int) -> State:
        """Return a sum in double precision, which long streams need, and a count."""
        count = np.zeros((batch, *[1] * len(self.trailing)))
        return {"sum": np.zeros((batch, *self.trailing)), "count": count}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Add the steps."""
        real, steps = self.read(call)
        on = functions_for(steps)
        total = on.add(state["sum"], on.sum(on.where(real, steps, 0.0), axis=1))
        count = on.add(state["count"], on.sum(double(real), axis=1))
        own = type(self.layer).__name__.startswith("Masked")
        with np.errstate(invalid="ignore"):  # no step yet: the mean is not a number
            mean = on.divide(total, on.maximum(count, 1.0) if own else count)
        return [self.finish(mean)], {"sum": total, "count": count}

    def read(self, call: Any) -> tuple[Any, Any]:
        """Return which steps are real, with all axes of the steps; and the steps."""
        real = call.mask
        if real is None:
            real = ops.ones(call.steps.shape[:2], "bool")
        real = ops.reshape(real, (*real.shape, *[1] * len(self.trailing)))
        return real, double(call.steps)

    def finish(self, summary: Any) -> Any:
        """Return a summary in the layer's shape and type."""
        if self.layer.keepdims:
            summary = summary[:, None]
        return single(summary, self.outputs[0][1])


class Maximum(Mean):
    """The maximum of all steps so far, of real ones where there is a mask."""

    def start(self, batch: int) -> State:
        """Return a maximum of nothing, and that no step was real."""
        lowest = np.full((batch, *self.trailing), -np.inf)
        known = np.zeros((batch, *[1] * len(self.trailing)), bool)
        return {"top": lowest, "any": known}

    def advance(self, state: State, call: Any, end: End) -> tuple[list[Any], State]:
        """Compare the steps."""
        real, steps = self.read(call)
        on, lowest = functions_for(steps), float("-inf")
        top = on.max(on.where(real, steps, lowest), axis=1, initial=lowest)
        top = on.maximum(state["top"], top)
        known = on.logical_or(state["any"], on.any(real, axis=1))
        shown = top
        if type(self.layer).__name__.startswith("Masked"):
            shown = on.where(known, top, 0.0)
        return [self.finish(shown)], {"top": top, "any": known}
