"""Sequences of different length in one batch: nothing cut, nothing cast in silence."""

from __future__ import annotations

from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
)
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..shapes import ShapeError, check_whole


def pad_batch(
    sequences: Iterable[Any],
    *,
    length: int | None = None,
    dtype: DTypeLike = "float32",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Pad sequences with zeros at the end to one length, and tell which steps are real.

    Parameters
    ----------
    sequences : iterable of array_like, each (time, ...)
        Series (time, channels), clips (time, height, width, channels) or whatever has
        time first and is alike behind it. Or a `tf.RaggedTensor` (batch, None, ...), of
        which each row is a sequence.
    length : int, optional
        Steps to pad to; those of the longest sequence if not given.
    dtype : dtype
        Type of the result. Floats may be rounded to the nearest it has; whatever else
        would change a number of an array is an error. (Of a nested list NumPy makes an
        array first, of floats if there is one float in it.)

    Returns
    -------
    x : ndarray, (batch, time, ...)
        The sequences, each followed by padding.
    mask : ndarray of bool, (batch, time)
        True where a step is real.

    Raises
    ------
    ShapeError
        If there is no sequence, one has no step, one is longer than `length`, or they
        differ behind the time axis.
    TypeError
        If a sequence has no numbers, or floats are to become integers.
    ValueError
        If a number is NaN or infinite, or `dtype` has no such number.

    Examples
    --------
    >>> x, mask = pad_batch([[[0.9], [0.8], [0.7]], [[0.5]]])
    >>> x.shape, x.dtype
    ((2, 3, 1), dtype('float32'))
    >>> mask.tolist()
    [[True, True, True], [True, False, False]]
    """
    return pad_arrays(as_arrays(sequences), length, dtype)


def as_arrays(sequences: Any, what: str = "sequence") -> dict[int, NDArray[Any]]:
    """Return the sequences as arrays that are alike, by their numbers.

    Errors call them by `what` and number, so that labels a step can be told apart.
    """
    given = read_rows(sequences)
    arrays = dict(enumerate(given))
    if not arrays:
        raise ShapeError("pad_batch expected at least one sequence, got none.")
    # A call for each of thousands of arrays would take as long as padding them.
    plain = {
        type(each) is np.ndarray and each.ndim > 0 and each.dtype.kind in "biuf"
        for each in arrays.values()
    }
    if plain != {True}:
        pairs = cure_for_pairs(given)
        arrays = {i: _as_array(what, i, each, pairs) for i, each in arrays.items()}
    alike = len({array.shape[1:] for array in arrays.values()}) == 1
    if not alike or not all(map(len, arrays.values())):
        tuples = all(isinstance(each, tuple) and len(each) == 2 for each in given)
        _refuse_shape(what, arrays, f" {UNZIP}" if tuples else "")
    return arrays


def pad_arrays(
    arrays: Mapping[int, NDArray[Any]],
    length: int | None = None,
    dtype: DTypeLike = "float32",
    what: str = "sequence",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Pad arrays that `as_arrays` has found to be alike."""
    dtype = _check_dtype(dtype)
    if {array.dtype for array in arrays.values()} != {dtype}:
        for number, array in arrays.items():
            _check_kept(f"{what} {number}", array, dtype)
    lengths = np.array([len(array) for array in arrays.values()])
    steps = _padded_length(list(arrays), lengths, length)
    behind = next(iter(arrays.values())).shape[1:]
    x = np.zeros((len(arrays), steps, *behind), dtype)
    with np.errstate(over="ignore"):
        for row, array in zip(x, arrays.values(), strict=True):
            row[: len(array)] = array
    mask = np.arange(steps) < lengths[:, None]
    if dtype.kind == "f":
        _check_finite(what, x, arrays)
    return x, mask


def _check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        checked = np.dtype("O" if dtype is None else dtype)
    except TypeError:
        checked = np.dtype("O")
    if checked.kind not in "biuf":
        raise TypeError(
            f"pad_batch expected a dtype of real numbers, got {dtype!r}. Leave it at "
            "'float32', or give 'int32' for tokens."
        )
    return checked


def _as_array(what: str, number: int, sequence: Any, pairs: str) -> NDArray[Any]:
    """Return a sequence as an array of numbers with a time axis."""
    if pairs:
        raise ShapeError(
            f"pad_batch expected {what} {number} to be an array (time, ...), got a "
            f"{type(sequence).__name__} of two things unlike each other. {pairs}"
        )
    try:
        array = np.asarray(sequence)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"pad_batch expected {what} {number} to have as many channels at every "
            f"step, got {type(error).__name__}: {error}. Fill in what is missing."
        ) from error
    if array.ndim == 0:
        raise ShapeError(
            f"pad_batch expected {what} {number} to be an array (time, ...), got a "
            f"{type(sequence).__name__}. {cure_for_one(sequence)}"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"pad_batch expected real numbers in {what} {number}, got {array.dtype}. "
            f"{cure_for_kind(array.dtype.kind)}"
        )
    steps = sequence if isinstance(sequence, (list, tuple)) else ()
    if np.ma.is_masked(sequence) or any(map(np.ma.is_masked, steps)):
        raise ValueError(
            f"pad_batch expected all numbers of {what} {number} to be there, got a "
            "masked array. Fill it: sequence.filled(...)."
        )
    return array


def _refuse_shape(what: str, arrays: Mapping[int, NDArray[Any]], hint: str) -> NoReturn:
    """Name the sequence that can't stand beside the first."""
    (first, *_) = arrays
    behind = arrays[first].shape[1:]
    for number, array in arrays.items():
        if len(array) == 0:
            raise ShapeError(
                f"pad_batch expected at least one step in {what} {number}, got "
                f"{array.shape}. Leave it out, together with its label."
            )
        if array.shape[1:] != behind:
            expected = ", ".join(["time", *map(str, behind)])
            raise ShapeError(
                f"pad_batch expected {what} {number} to be ({expected}) like {what} "
                f"{first}, got {array.shape}. Time comes first; bring all to the same "
                f"channels, and frames to the same size.{hint}"
            )
    raise AssertionError("some sequence is unlike the first")


def _check_kept(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Refuse numbers that `dtype` would cut, wrap or round to other whole numbers."""
    if array.dtype.kind == "f" and dtype.kind != "f":
        raise TypeError(
            f"pad_batch expected whole numbers for dtype={dtype.name}, got "
            f"{array.dtype} in {name}: what stands behind the point would "
            "be cut. Leave dtype at 'float32'."
        )
    if array.dtype.kind == "f":
        return
    if dtype.kind == "f":  # whole numbers are exact up to here
        highest = 2 ** (np.finfo(dtype).nmant + 1)
        lowest = -highest
    else:
        lowest, highest = (
            (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        )
    wrong = (array < lowest) | (array > highest)
    for place in zip(*np.nonzero(wrong), strict=True):
        came = int(array[place])
        with np.errstate(over="ignore"):
            there = dtype.type(came) if dtype.kind == "f" else np.nan
        if not np.isfinite(there) or int(there) != came:
            raise ValueError(
                f"pad_batch expected numbers that {dtype.name} can hold, got {came} in "
                f"{name} at step {place[0]}. Give a wider dtype."
            )


def _padded_length(
    numbers: list[int], lengths: NDArray[np.int64], length: int | None
) -> int:
    steps = longest = int(lengths.max())
    if length is not None:
        steps = check_whole("pad_batch", "length", length)
        if steps < longest:
            raise ShapeError(
                f"pad_batch expected a length of at least {longest}, the steps of "
                f"sequence {numbers[lengths.argmax()]}, got {steps}. Give a larger "
                f"length, or cut by yourself what you can do without: [:{steps}]."
            )
    return steps


def _check_finite(
    what: str, x: NDArray[Any], arrays: Mapping[int, NDArray[Any]]
) -> None:
    """Refuse NaN and infinities, which one step of training spreads to all weights."""
    with np.errstate(all="ignore"):
        if np.isfinite(np.dot(x.ravel(), x.ravel())):
            return  # the sum of squares is quicker, and finite only if all are
    wrong = ~np.isfinite(x)
    if not wrong.any():
        return
    row, *place = np.unravel_index(wrong.argmax(), x.shape)
    number = list(arrays)[row]
    came = arrays[number][tuple(place)]
    cure = "Fill gaps before padding, or leave the sequence out."
    if np.isfinite(came):
        cure = f"That is beyond {x.dtype}: give a wider dtype, or scale the data."
    raise ValueError(
        f"pad_batch expected finite numbers, got {came} in {what} {number} at step "
        f"{place[0]}. {cure}"
    )


# --- What a batch may come as ---------------------------------------------------------


def read_rows(sequences: Any) -> list[Any]:
    """Return the sequences one by one, or refuse what does not hold them in order."""
    if hasattr(sequences, "ragged_rank"):
        return _read_ragged(sequences)
    cure = _cure_for_all(sequences)
    if cure:
        raise ShapeError(
            f"pad_batch expected a list of arrays (time, ...), got a "
            f"{type(sequences).__name__}. {cure}"
        )
    return list(sequences)


def _cure_for_all(sequences: Any) -> str:
    """Return how to make a list of sequences of what is none; nothing if it is one."""
    if isinstance(sequences, (Mapping, KeysView, ItemsView)):
        return (
            "Keep its keys, which would get lost, and give list(dictionary.values())."
        )
    if isinstance(sequences, Set):
        return "A set has no order: put the sequences into a list."
    if isinstance(sequences, (str, bytes)):
        return f"For one text as numbers: [{_letters(sequences)}]."
    if hasattr(sequences, "columns"):
        return (
            "For the table as one sequence: [table.to_numpy()]. For one from each "
            "group of rows: [rows.to_numpy() for _, rows in table.groupby(...)]."
        )
    if not isinstance(sequences, Iterable) or getattr(sequences, "shape", 1) == ():
        return "Put the sequences into a list: [first, second], time first in each."
    return ""


def _letters(text: str | bytes) -> str:
    return "[ord(letter) for letter in text]" if isinstance(text, str) else "list(text)"


def _read_ragged(ragged: Any) -> list[Any]:
    """Return the rows of a `tf.RaggedTensor`, if each is an array."""
    if ragged.ragged_rank != 1:
        raise ShapeError(
            "pad_batch expected a ragged tensor (batch, None, ...) in which only time "
            f"differs, got {ragged.shape} with ragged_rank={ragged.ragged_rank}. If "
            "all steps have the same channels: ragged.to_list()."
        )
    values, ends = np.asarray(ragged.values), np.asarray(ragged.row_splits)
    return [values[start:end] for start, end in pairwise(ends)]


def cure_for_one(sequence: Any) -> str:
    """Return how to make an array of a sequence that NumPy makes none of."""
    if hasattr(sequence, "ragged_rank"):
        return (
            "Its rows are the sequences: [row for ragged in batches for row in ragged]."
        )
    if isinstance(sequence, Iterator):
        return "It can be read once only: [list(steps) for steps in sequences]."
    if isinstance(sequence, Mapping):
        return (
            "If it has one series for each name, they are its channels: "
            "np.stack(list(sequence.values()), axis=-1)."
        )
    if isinstance(sequence, Set):
        return "A set has no order: put its steps into a list."
    if isinstance(sequence, (str, bytes)):
        return f"Give texts as numbers: [{_letters(sequence)} for text in texts]."
    if sequence is None:
        return "Leave it out, together with its label."
    return "If all of them are the steps of one sequence: [sequence]."


def cure_for_pairs(sequences: Sequence[Any]) -> str:
    """Return how to take pairs apart; nothing if these are sequences of two steps."""
    two = all(isinstance(each, (tuple, list)) and len(each) == 2 for each in sequences)
    if not two or not any(map(_is_pair, sequences)):
        return ""
    firsts, seconds = zip(*sequences, strict=True)
    if all(isinstance(second, Iterator) for second in seconds):
        return (
            "These are names with groups, which can be read only while they are made: "
            "[list(group) for _, group in groupby(...)]."
        )
    if all(isinstance(first, str) or np.ndim(first) == 0 for first in firsts):
        return (
            "These are pairs of a name and a sequence: [sequence for _, sequence in "
            "pairs]."
        )
    return UNZIP


UNZIP = (
    "If these are pairs of a sequence and its label: sequences, labels = zip(*pairs)."
)


def _is_pair(sequence: Any) -> bool:
    """Tell whether this can be a pair, but no sequence of two steps."""
    if isinstance(sequence[1], Iterator):
        return True
    try:
        first, second = (np.shape(each) for each in sequence)
    except ValueError:
        return isinstance(sequence, tuple)
    # In a list, two steps may lack some channels; a number beside an array is no step,
    # and nobody writes the two steps of a sequence as a tuple of arrays.
    if isinstance(sequence, tuple) and all(hasattr(each, "shape") for each in sequence):
        return () not in (first, second) or first != second
    return first != second and (isinstance(sequence, tuple) or () in (first, second))


def cure_for_kind(kind: str) -> str:
    """Return how to make real numbers of an array of another kind."""
    if kind == "c":
        return "Take np.abs(sequence), or real and imaginary part as channels."
    if kind in "mM":
        return (
            "Count from a first time: (times - times[0]) / np.timedelta64(1, 's'), and "
            "durations likewise."
        )
    return "If it holds numbers in another form: np.asarray(sequence).astype(float)."
