"""What a batch of sequences may come as, and what to do about all else."""

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
from typing import Any

import numpy as np

from .shapes import ShapeError


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
    # In a list, two steps may lack some channels; a number beside an array is no step.
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
