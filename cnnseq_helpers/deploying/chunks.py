"""Whether chunks and stored states belong to a model and to a stream."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, name_axes
from .inputs import as_array, in_type_of, out_of_list
from .planning import Plan
from .running import States, start

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
    array = as_array(part, "stream(chunk)")
    if array.ndim != len(expected) or array.shape[2:] != expected[2:]:
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
    pairs = zip(value.shape, wanted, strict=False)
    fits = len(value.shape) == len(wanted) and all(b in (None, a) for a, b in pairs)
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
