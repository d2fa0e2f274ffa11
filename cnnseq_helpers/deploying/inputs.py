"""Arrays in the type that an input of a model takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


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
        return array.astype(dtype)
    with np.errstate(invalid="ignore"):
        whole = array.astype(dtype)
    if not np.array_equal(whole, array):
        raise TypeError(
            f"{doing} expected whole numbers of type {dtype} for {symbol.name!r}, got "
            f"{array[whole != array].flat[0]}, which is none. Round x, or build the "
            "model with an input of type float32."
        )
    return whole
