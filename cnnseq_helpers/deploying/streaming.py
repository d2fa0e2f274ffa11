"""A model on a live stream: the whole sequence's answers, chunk by chunk."""

from __future__ import annotations

import copy
import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..tracing.graph import output_structure
from .chunks import read_chunk, read_states
from .pieces import End
from .repeating import Repeated, repeated
from .running import States, start

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
