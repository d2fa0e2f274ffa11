"""A model on a live stream: the whole sequence's answers, chunk by chunk."""

from __future__ import annotations

import copy
import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, name_axes, sizes_fit
from ..tracing.graph import output_structure
from .inputs import in_type_of, out_of_list, read_array
from .pieces import End
from .planning import Plan
from .running import Repeated, States, repeated, start

_DOING = "to_streaming"


def to_streaming(model: Any) -> Stream:
    """Return the model for a live stream: it keeps what it needs of the steps so far.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one, nested models included. Its input
        is (batch, time, ...), or that and a mask (batch, time). The weights are copied:
        what is done to the model afterwards does not change the stream.

    Returns
    -------
    Stream
        ``stream(chunk)`` takes any number of further steps and returns what is certain
        now; ``stream.close()`` returns the rest, at the end of the sequence.

    Raises
    ------
    ShapeError
        If the model was not built or is of a class with a ``call`` of its own, or its
        inputs are not a series, or a series and its mask.
    ValueError
        If a layer looks ahead without end, such as Bidirectional, attention or a
        normalisation over time; is Python of its own; or pads by an amount that depends
        on the length, which is unknown. The message names the layer and the cure.

    See Also
    --------
    step_model : the same for one step at a time, as a Keras model to export.
    receptive_field : how far a model looks back and ahead.

    Notes
    -----
    Of a model with an answer at every step, the answers to all chunks and to `close`,
    one after the other, are those of the model on the whole sequence. Of a model with
    one answer for a sequence, the answer to each chunk is that of the model on all
    steps so far. Both within rounding, however the sequence is cut. What is kept, and
    the work for a step, does not grow with the length.

    Layers are those that see a fixed number of steps ahead (convolutions, poolings,
    paddings, croppings, merged branches), recurrent layers that read forwards, layers
    that work step by step, means and maxima over time, and whatever follows those.
    Before the first step a mean is NaN, a maximum minus infinity, a state zeros.

    Keras pads "same" windows with strides by an amount that depends on the length. So
    the model must then be built for a known length; the windows are those of a sequence
    of this length also where the stream is longer, and `close` refuses another length
    where it would matter.

    Keeping the inputs that convolutions still need is the streaming of Rybakov et al.,
    arXiv:2005.06720. With TensorFlow, a step is compiled once it has come some twenty
    times in the same shapes. All streams of a model, as long as that stays as it is,
    share their copy of it and what is compiled, and so do copies of a stream
    (``copy.copy``), which go on from where it is. A stream can be pickled: it takes the
    weights along, and compiles anew.

    Examples
    --------
    >>> from keras import layers
    >>> x = np.arange(12.0, dtype="float32").reshape(1, 12, 1)
    >>> mean = layers.AveragePooling1D(3, strides=1, padding="same")
    >>> model = keras.Sequential([keras.Input((None, 1)), mean])
    >>> stream = to_streaming(model)
    >>> stream.delay
    1
    >>> [stream(chunk)[0, :, 0].tolist() for chunk in (x[:, :1], x[:, 1:5])]
    [[], [0.5, 1.0, 2.0, 3.0]]
    >>> stream(x[:, 5:])[0, :, 0].tolist(), stream.close()[0, :, 0].tolist()
    ([4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], [10.5])
    """
    return Stream(model)


class Stream:
    """A model that reads a sequence, or a batch of them, chunk by chunk.

    Made by `to_streaming`.

    Attributes
    ----------
    delay : int
        How many further steps an answer waits for. It is 0 for causal models, and where
        there is one answer, for all steps so far.
    """

    def __init__(self, model: Any) -> None:
        self._read(repeated(model, _DOING))
        self._states: States | None = None
        self._batch: int | None = None
        self._closed = False

    def _read(self, shared: Repeated) -> None:
        """Take over what does not change from step to step."""
        self._advance, self._plan = shared, shared.plan
        self._structure = output_structure(self._plan.graph)
        kinds = [self._plan.kinds[number] for number in self._plan.outputs]
        self._summaries = [kind is None for kind in kinds]
        self.delay = max([0, *[math.ceil(kind.ahead) for kind in kinds if kind]])

    def __call__(self, chunk: Any) -> Any:
        """Return what is certain now that further steps have come.

        Parameters
        ----------
        chunk : array_like, (batch, n, ...)
            The next n steps, also none. For a model with a mask [chunk, mask].

        Returns
        -------
        ndarray
            The next answers, (batch, m, ...), where m may be 0; or the one answer for
            all steps so far, (batch, ...). Structured as the outputs of the model.
        """
        self._refuse_if_closed("stream(chunk)")
        arrays = read_chunk(self._plan.graph, chunk, self._batch)
        states = self._states or start(self._plan, len(arrays[0]))
        given = [keras.ops.convert_to_tensor(array) for array in arrays]
        outputs, self._states = self._advance(states, given, End.OPEN)
        self._batch = len(arrays[0])
        if any(self._summaries):
            ending = self._end(End.LOOK)
            pairs = zip(self._summaries, outputs, ending, strict=True)
            outputs = [end if summary else now for summary, now, end in pairs]
        return self._pack(outputs)

    def close(self) -> Any:
        """Return the last answers, made with the padding at the end of the sequence."""
        self._refuse_if_closed("stream.close()")
        if self._states is None:
            raise ValueError(
                "stream.close() expected a chunk before it, which tells how many "
                "sequences there are, and none came. Call stream(chunk) first."
            )
        outputs = self._end(End.CLOSED)
        self._closed = True
        return self._pack(outputs)

    def reset(self) -> None:
        """Forget all steps, for a new sequence."""
        self._states = self._batch = None
        self._closed = False

    @property
    def states(self) -> dict[str, NDArray[Any]]:
        """A copy of all that is kept of the steps so far; empty before the first chunk.

        Give it back, to this stream or to another one of the same model, to go on from
        there. ``np.savez(file, **stream.states)`` stores it. The keys are names of
        layers: a model that is loaded from its ``.keras`` file has the same ones.
        """
        return {
            f"{key}.{name}": np.array(each)
            for key, state in _as_arrays(self._states or {}).items()
            for name, each in state.items()
        }

    @states.setter
    def states(self, states: dict[str, Any]) -> None:
        found, batch = None, None
        if states:
            found, batch = read_states(self._plan, states, self._batch)
        self._states, self._batch, self._closed = found, batch, False

    def __copy__(self) -> Stream:
        """Return a stream that goes on from here by itself."""
        # No state is ever changed in its place.
        other = Stream.__new__(Stream)
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: vars(self)[name] for name in ("_batch", "_closed")}
        return kept | {
            "model": self._plan.graph,
            "_states": self._states and _as_arrays(self._states),
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self._read(repeated(kept.pop("model"), _DOING))
        vars(self).update(kept)

    def _refuse_if_closed(self, call: str) -> None:
        if self._closed:
            raise ValueError(
                f"{call} expected a stream that goes on, but it was closed: its "
                "sequence is at its end. Call stream.reset() to begin another one."
            )

    def _end(self, end: End) -> list[Any]:
        """Return what follows if the sequence ends here."""
        nothing = [
            keras.ops.zeros((self._batch, 0, *x.shape[2:]), x.dtype)
            for x in self._plan.graph.inputs
        ]
        return self._advance(self._states or {}, nothing, end)[0]

    def _pack(self, outputs: list[Any]) -> Any:
        arrays = [np.asarray(keras.ops.convert_to_numpy(each)) for each in outputs]
        return keras.tree.pack_sequence_as(self._structure, arrays)


def _as_arrays(states: States) -> States:
    """Return states without tensors, whole numbers as they are."""
    return {
        key: {
            name: each if isinstance(each, int) else keras.ops.convert_to_numpy(each)
            for name, each in state.items()
        }
        for key, state in states.items()
    }


# --- Chunks ---------------------------------------------------------------------------


_CURE_MASK = (
    "pad_batch returns series and mask; of one chunk: [x[:, a:b], mask[:, a:b]]."
)


def read_chunk(graph: Any, chunk: Any, batch: int | None) -> list[NDArray[Any]]:
    """Return a chunk as arrays, one for each input, if they fit model and stream."""
    inputs = graph.inputs
    if isinstance(chunk, dict):
        parts = [chunk[x.name] for x in inputs if x.name in chunk]
    elif len(inputs) > 1:
        parts = list(chunk) if isinstance(chunk, (list, tuple)) else [chunk]
    else:
        parts = [out_of_list(chunk, inputs[0])]
    if len(parts) != len(inputs):
        names = ", ".join(x.name for x in inputs)
        came = f"{len(parts)}"
        if isinstance(chunk, dict):
            came = f"a dictionary of {', '.join(map(str, chunk)) or 'nothing'}"
        wanted, cure = f"arrays for {len(inputs)} inputs, {names}", _CURE_MASK
        if len(inputs) == 1:
            wanted = f"an array for {names}"
            cure = "Give it under the input's name."
        raise ShapeError(f"stream(chunk) expected {wanted}, got {came}. {cure}")
    arrays = [_as_array(part, x) for part, x in zip(parts, inputs, strict=True)]
    if len({array.shape[:2] for array in arrays}) > 1:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise ShapeError(
            "stream(chunk) expected a mask (batch, time) of the chunk's own steps, got "
            f"{shapes}. {_CURE_MASK}"
        )
    if len(arrays[0]) == 0:
        raise ShapeError(
            "stream(chunk) expected one sequence at least, got batch=0. Call it only "
            "while there are sequences; a chunk may have no steps."
        )
    fixed = inputs[0].shape[0]
    if batch is None and fixed is not None and arrays[0].shape[0] != fixed:
        raise ShapeError(
            f"stream(chunk) expected batch={fixed}, for which the model is built, got "
            f"batch={arrays[0].shape[0]}. Give as many sequences."
        )
    if batch is not None and arrays[0].shape[0] != batch:
        raise ShapeError(
            f"stream(chunk) expected batch={batch}, the sequences that this stream has "
            f"begun, got batch={arrays[0].shape[0]}. Go on with the same sequences, or "
            "call stream.reset() to begin others."
        )
    return arrays


def _as_array(part: Any, symbol: Any) -> NDArray[Any]:
    """Return a part of a chunk in the type of an input, if it has its axes."""
    expected = (None, None, *symbol.shape[2:])
    array = read_array(part, "stream(chunk)")
    if not sizes_fit(array.shape, expected):
        raise ShapeError(
            f"stream(chunk) expected {name_axes(expected)} for {symbol.name!r}, got "
            f"{array.shape}. Keep the axes also for a single step: x[:, t : t + 1]; a "
            "single sequence is a batch of one: x[None]."
        )
    return in_type_of(symbol, array, "stream(chunk)")


# --- States ---------------------------------------------------------------------------


def read_states(plan: Plan, given: Any, batch: int | None) -> tuple[States, int | None]:
    """Return stored states, and of how many sequences, if they fit model and stream."""
    states = start(plan, 1)
    names = {f"{key}.{name}" for key, state in states.items() for name in state}
    if set(given) != names:
        wrong = sorted(set(given) ^ names)
        raise ShapeError(
            "stream.states expected what a stream of the same model keeps, but "
            f"{wrong[0]!r} is {'missing' if wrong[0] in names else 'unknown'}. Give "
            "back all of stream.states, unchanged. Its keys are names of layers, which "
            "a model that is loaded from its .keras file keeps; in a model that is "
            "built anew Keras may number them otherwise: give them names."
        )
    found = set() if batch is None else {batch}
    for call in plan.calls:
        state = states.get(call.key, {})
        for name, expected in state.items():
            full = f"{call.key}.{name}"
            value = np.asarray(given[full])
            _check_state(full, value, expected, call.longest(name))
            value = _in_kept_type(full, value, expected)
            if np.ndim(expected):
                found.add(value.shape[0])
            state[name] = value if np.ndim(expected) else int(value)
    if len(found) > 1:
        raise ShapeError(
            "stream.states expected states of one batch, got those of "
            f"{' and '.join(map(str, sorted(found)))} sequences. Give states of as "
            "many as this stream has begun, or call stream.reset() first."
        )
    return states, found.pop() if found else None


def _check_state(
    name: str, value: NDArray[Any], expected: Any, longest: int | None
) -> None:
    """Refuse a state of another shape, or of more steps than it may hold."""
    shape = np.shape(expected)
    wanted = (None, *shape[1:]) if shape else ()
    if longest is not None:
        wanted = (None, None, *shape[2:])
    fits = sizes_fit(value.shape, wanted)
    if not fits or (longest is not None and value.shape[1] > longest):
        most = "" if longest is None else f", with at most {longest} steps"
        raise ShapeError(
            f"stream.states expected {name!r} of shape {wanted}{most}, got "
            f"{value.shape}. Give back what stream.states was, for the same model."
        )


def _in_kept_type(name: str, value: NDArray[Any], expected: Any) -> NDArray[Any]:
    """Return a state in the type that the stream keeps, however it was stored."""
    kept = np.dtype("int64")
    if hasattr(expected, "dtype"):
        kept = np.asarray(keras.ops.convert_to_numpy(expected)).dtype
    if value.dtype.kind == "V" and value.dtype.itemsize == kept.itemsize:
        return value.view(kept)  # np.savez forgets that numbers are bfloat16
    try:
        cast = value.astype(kept, casting="same_kind" if value.size else "unsafe")
    except TypeError:
        cast = None
    if cast is None or (not np.ndim(expected) and np.any(cast < 0)):
        raise TypeError(
            f"stream.states expected {name!r} to be numbers of type {kept}"
            f"{'' if np.ndim(expected) else ', none below 0'}, got {value.dtype}. Give "
            "back what stream.states was."
        )
    return cast
