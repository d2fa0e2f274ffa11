"""Axis names and convolution arithmetic: works on a machine without TensorFlow."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

Array = TypeVar("Array")

AXIS_NAMES = {
    1: ("batch",),
    2: ("batch", "features"),
    3: ("batch", "time", "channels"),
    4: ("batch", "height", "width", "channels"),
    5: ("batch", "time", "height", "width", "channels"),
}


class ShapeError(ValueError):
    """Shapes that do not fit: what was done, expected and received, and what to do."""

    __module__ = __package__ or __name__  # tracebacks name what can be imported


# --- Axis names -----------------------------------------------------------------------


def check_shape(x: Array, axes: str, /, **sizes: int | None) -> Array:
    """Return `x` unchanged if it has the named axes, and complain by name if not.

    Parameters
    ----------
    x : array or tensor
        Anything with a ``shape``. Sizes that are unknown (None) fit any size.
    axes : str
        The names of the axes in order, separated by blanks: ``"batch time channels"``.
    **sizes : int
        The expected size of an axis, by its name: ``time=20``. None fits any size.

    Returns
    -------
    array or tensor
        `x` itself.

    Raises
    ------
    ShapeError
        If the number of axes or a size differs, or a size is given for an axis that
        `axes` does not name.

    Examples
    --------
    >>> import numpy as np
    >>> x = check_shape(np.zeros((8, 20, 3)), "batch time channels", time=20)
    >>> check_shape(np.zeros((8, 20)), "batch time channels")
    Traceback (most recent call last):
    ...
    cnnseq_helpers.ShapeError: check_shape expected (batch, time, channels), \
got the 2 axes (8, 20). Add what is missing: x[None] adds a first axis of size 1, \
x[..., None] a last one.
    """
    names = axes.split() if isinstance(axes, str) else []
    expected = f"({', '.join(names)})"
    if not names or len(set(names)) < len(names) or not "".join(names).isidentifier():
        raise ShapeError(
            f"check_shape expected different axis names in one string, got {axes!r}. "
            'Name each axis once, with blanks between: "batch time channels".'
        )
    for name, size in sizes.items():
        if name not in names:
            raise ShapeError(
                f"check_shape got the size {name}={size}, but the axes are "
                f"{expected}. Give sizes for these names only."
            )
        if size is not None:
            check_whole("check_shape", name, size, at_least=0)
    try:
        shape = tuple(x.shape)  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        raise ShapeError(
            f"check_shape expected an array with the axes {expected}, got a "
            f"{type(x).__name__} without a known shape. Convert it: np.asarray(x)."
        ) from None
    if len(shape) != len(names):
        cure = (
            "Add what is missing: x[None] adds a first axis of size 1, x[..., None] a "
            "last one."
            if len(shape) < len(names)
            else "Index or reshape the axes away that are not named."
        )
        raise ShapeError(
            f"check_shape expected {expected}, got the {len(shape)} axes {shape}. "
            f"{cure}"
        )
    for name, size in zip(names, shape, strict=True):
        wanted = sizes.get(name)
        if None not in (size, wanted) and wanted != size:
            raise ShapeError(
                f"check_shape expected {name}={wanted}, got {name}={size} in "
                f"{name_axes(shape, names)}. Change the {name} axis of x or the "
                "expected size."
            )
    return x


def name_axes(shape: Sequence[int | None], names: Sequence[str] = ()) -> str:
    """Write a shape with its axis names, those of its rank if none are given.

    Examples
    --------
    >>> name_axes((None, 100, 6))
    '(batch, time=100, channels=6)'
    """
    names = names or AXIS_NAMES.get(len(shape), [f"axis{i}" for i in range(len(shape))])
    sized = (n if s is None else f"{n}={s}" for n, s in zip(names, shape, strict=True))
    return f"({', '.join(sized)})"


# --- Convolution arithmetic -----------------------------------------------------------


def conv_output_length(
    length: int | None,
    kernel_size: int,
    strides: int = 1,
    padding: str = "valid",
    dilation_rate: int = 1,
) -> int | None:
    """Return how many steps leave a convolution, along one axis.

    Parameters
    ----------
    length : int or None
        Steps that enter. None (unknown) gives None.
    kernel_size : int
        Steps that the kernel multiplies.
    strides : int
        Steps from one output to the next. Keras's Conv1D refuses strides and dilation
        together; the arithmetic holds for both.
    padding : {"valid", "same", "causal"}
        As in Keras: no padding; zeros on both sides; zeros in front only.
    dilation_rate : int
        Steps from one kernel element to the next.

    Returns
    -------
    int or None
        Steps of the output.

    Raises
    ------
    ShapeError
        If an argument is not a positive whole number, the padding is unknown, or the
        sequence is shorter than the kernel reaches.

    Notes
    -----
    The relations are those of Dumoulin and Visin, "A guide to convolution arithmetic
    for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> conv_output_length(100, kernel_size=9)
    92
    >>> conv_output_length(100, kernel_size=9, strides=2, padding="same")
    50
    """
    kernel_size = check_whole("conv_output_length", "kernel_size", kernel_size)
    strides = check_whole("conv_output_length", "strides", strides)
    dilation_rate = check_whole("conv_output_length", "dilation_rate", dilation_rate)
    if padding not in ("valid", "same", "causal"):
        raise ShapeError(
            "conv_output_length expected padding 'valid', 'same' or 'causal', "
            f"got {padding!r}. Use one of the three."
        )
    reach = (kernel_size - 1) * dilation_rate + 1
    return _output_length("conv_output_length", length, reach, strides, padding)


def pool_output_length(
    length: int | None,
    pool_size: int,
    strides: int | None = None,
    padding: str = "valid",
) -> int | None:
    """Return how many steps leave a pooling layer, along one axis.

    Parameters
    ----------
    length : int or None
        Steps that enter. None (unknown) gives None.
    pool_size : int
        Steps that are pooled into one.
    strides : int, optional
        Steps from one output to the next; `pool_size` if not given, as in Keras.
    padding : {"valid", "same"}
        "valid" drops the steps at the end that do not fill a pool.

    Returns
    -------
    int or None
        Steps of the output.

    Raises
    ------
    ShapeError
        As `conv_output_length`, and for ``padding="causal"``, which pooling lacks.

    Examples
    --------
    >>> pool_output_length(92, pool_size=4)
    23
    """
    pool_size = check_whole("pool_output_length", "pool_size", pool_size)
    if strides is not None:
        strides = check_whole("pool_output_length", "strides", strides)
    if padding not in ("valid", "same"):
        raise ShapeError(
            "pool_output_length expected padding 'valid' or 'same', got "
            f"{padding!r}. To pool the past only, put "
            "ZeroPadding1D((pool_size - 1, 0)) in front of a 'valid' pooling layer."
        )
    strides = pool_size if strides is None else strides
    return _output_length("pool_output_length", length, pool_size, strides, padding)


def _output_length(
    doing: str, length: int | None, reach: int, strides: int, padding: str
) -> int | None:
    """Count the windows that start every `strides` steps and reach over `reach`."""
    if length is None:
        return None
    length = check_whole(doing, "length", length, at_least=0)
    if padding != "valid":
        return -(-length // strides)
    if length < reach:
        raise ShapeError(
            f"{doing} expected at least {reach} steps, which the window covers without "
            f"padding, got {length}. Use a smaller window, a longer sequence or "
            "padding='same'."
        )
    return (length - reach) // strides + 1


def check_whole(doing: str, name: str, value: Any, at_least: int = 1) -> int:
    """Return a whole number as an int, since NumPy's small ones may overflow."""
    try:
        # True counts as 1 in Python, and is hardly ever meant as a number.
        number = at_least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = at_least - 1
    if number < at_least:
        raise ShapeError(
            f"{doing} expected {name} to be a whole number of at least {at_least}, "
            f"got {value!r}. Change {name}."
        )
    return number


def sizes_fit(shape: Sequence[Any], other: Sequence[Any]) -> bool:
    """Tell whether two shapes may be the same; None fits any size."""
    pairs = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def is_mask_of(mask_shape: Sequence[Any], shape: Sequence[Any]) -> bool:
    """Tell whether a mask may be (batch, time) of a series."""
    return len(mask_shape) == 2 and sizes_fit(mask_shape, shape[:2])


def as_array(given: Any) -> Any:
    """Return an array; one without axes if it has no such shape."""
    import numpy as np

    try:
        return np.asarray(given)
    except ValueError:  # sequences of different lengths
        return np.array(None)


# --- Arguments of models --------------------------------------------------------------


def check_input_shape(doing: str, input_shape: Any, *forms: str) -> tuple[Any, ...]:
    """Return an input shape that has one of the forms, or refuse it.

    A form names the axes, the first of which is time: ``"time channels"``. Sizes are
    known, but for time.
    """
    shape = _as_tuple(input_shape)
    axes = [form.split() for form in forms]
    if len(shape) not in map(len, axes) or None in shape[1:]:
        expected = " or ".join(f"({', '.join(names)})" for names in axes)
        raise ShapeError(
            f"{doing} expected an input_shape {expected}, known but for time, got "
            f"{input_shape!r}. Leave the batch axis out; a grey frame has 1 channel."
        )
    for size in shape:
        if size is not None:
            check_whole(doing, f"each size of {shape}", size)
    return shape


def _as_tuple(sequence: Any) -> tuple[Any, ...]:
    """Return what a tuple, list, array or shape holds; nothing for anything else."""
    plain = isinstance(sequence, Iterable) and not isinstance(sequence, str)
    return tuple(sequence) if plain else ()


def check_convolutions(
    doing: str, filters: Any, kernel_size: Any
) -> tuple[list[int], int]:
    """Return output channels and kernel size as whole numbers, or refuse them."""
    numbers = _as_tuple(filters)
    if not numbers:
        raise ShapeError(
            f"{doing} expected filters to be a sequence, one number for each "
            f"convolution, got {filters!r}. For a single convolution: filters=(32,)."
        )
    return (
        [check_whole(doing, "each of filters", number) for number in numbers],
        check_whole(doing, "kernel_size", kernel_size),
    )
