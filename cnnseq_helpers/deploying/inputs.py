"""What a model is given: arrays of the shapes, types and names of its inputs."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, as_array, name_axes, sizes_fit
from ..tracing.graph import input_structure


def read_array(given: Any, doing: str) -> NDArray[Any]:
    """Return an array, one without axes if it has no such shape; or refuse its mask."""
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(
            f"{doing} expected an array without a mask of its own, got a masked array. "
            "Give x.filled(0), and which steps are real as an input of the model."
        )
    array: NDArray[Any] = as_array(given)
    return array


def out_of_list(given: Any, symbol: Any) -> Any:
    """Return the only array for a model of one input, which may stand in a list."""
    single = isinstance(given, (list, tuple)) and len(given) == 1
    nested = single and np.ndim(given[0]) == len(symbol.shape)
    return given[0] if nested else given


def in_type_of(symbol: Any, array: NDArray[Any], doing: str) -> NDArray[Any]:
    """Return an array in the type of an input, or say why it is none of it."""
    dtype = keras.backend.standardize_dtype(symbol.dtype)
    if array.dtype.kind not in ("b" if dtype == "bool" else "biuf"):
        raise TypeError(
            f"{doing} expected numbers of type {dtype} for {symbol.name!r}, got "
            f"{array.dtype}. Convert: x.astype({dtype!r}); a mask is True where a "
            "step is real."
        )
    if dtype == "bool" or keras.backend.is_float_dtype(dtype):
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
        if cast.dtype.itemsize < array.dtype.itemsize:
            lost = np.isfinite(array) & ~np.isfinite(cast)
            if lost.any():
                raise TypeError(
                    f"{doing} expected numbers that fit {dtype} for {symbol.name!r}, "
                    f"got {array[lost].flat[0]}. Scale x."
                )
        return cast
    with np.errstate(invalid="ignore"):
        whole = array.astype(dtype)
    if not np.array_equal(whole, array):
        raise TypeError(
            f"{doing} expected whole numbers of type {dtype} for {symbol.name!r}, got "
            f"{array[whole != array].flat[0]}, which is none. Round x, or build the "
            "model with an input of type float32."
        )
    return whole


def read_inputs(model: Any, x: Any) -> list[Any]:
    """Return an array for each input of a model, of its type, or refuse it."""
    inputs = model.inputs
    if isinstance(x, dict):
        x = _in_order(model, x)
        x = x if len(inputs) > 1 else x[0]
    parts = [out_of_list(x, inputs[0])]
    if len(inputs) > 1 and isinstance(x, (list, tuple)):
        parts = list(x)
    if len(parts) != len(inputs):
        names = ", ".join(each.name for each in inputs)
        raise ShapeError(
            f"export_model expected x for the {len(inputs)} inputs {names}, got "
            f"{len(parts)}. Give a list of arrays, in this order."
        )
    pairs = zip(inputs, parts, strict=True)
    arrays = [_read_input(each, part) for each, part in pairs]
    rows = {len(array) for array in arrays}
    if len(rows) > 1 or 0 in rows:
        raise ShapeError(
            "export_model expected as many sequences for each input, one at least, got "
            f"{[len(array) for array in arrays]}. Give all inputs of the same samples."
        )
    return arrays


def _in_order(model: Any, x: dict[str, Any]) -> list[Any]:
    """Return the arrays of a dictionary in the order of a model's inputs."""
    structure = input_structure(model)
    names = sorted(structure) if isinstance(structure, dict) else names_of(model)
    if set(names) != set(x):
        raise ShapeError(
            f"export_model expected x for the inputs {', '.join(names)}, got a "
            f"dictionary of {', '.join(map(str, x))}. Name each array as its input is."
        )
    return [x[name] for name in names]


def _read_input(wanted: Any, given: Any) -> Any:
    array = read_array(given, "export_model")
    if not sizes_fit(array.shape, wanted.shape):
        raise ShapeError(
            f"export_model expected x for the input {wanted.name} to be "
            f"{name_axes(wanted.shape)}, got {array.shape}. Give sequences of the "
            "model's input shape, with the batch axis in front: x[None] adds one."
        )
    return in_type_of(wanted, array, "export_model")


def symbols_of(model: Any) -> Any:
    """Return the symbolic inputs, structured as the model takes them."""
    structure = input_structure(model)
    return model.inputs[0] if structure is None else structure


def names_of(model: Any) -> list[str]:
    """Return the names of the inputs in their order."""
    return [each.name for each in model.inputs]


def argument_name(name: str) -> str:
    """Return the name of an input as TensorFlow takes it, like a Python argument's."""
    return re.sub(r"\W", "_", name)


def pack_inputs(model: Any, arrays: list[Any]) -> Any:
    """Return one array for each input as the model takes them."""
    return keras.tree.pack_sequence_as(symbols_of(model), arrays)


def flat_answers(outputs: Any) -> list[Any]:
    """Return all outputs of a model as arrays, in double precision."""
    return [np.asarray(each, "float64") for each in keras.tree.flatten(outputs)]
