"""Labels whose samples are not along their first axis: long vectors, other axes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..tracing.heads import Head
from .cases import Case, Found, lost_steps
from .labels import Labels
from .shape_rules import fits

# Fewer rows than these may look one-hot by chance.
_ROWS = 4


def arrange(head: Head | None, labels: Labels, kind: str, rows: int) -> Found | None:
    """Find the samples in labels of another number: the fix is an expression of {y}."""
    if head is None:
        return None
    shape, axes = labels.shape, _likely_axes(head)
    whole = tuple(size for size in shape if size != 1)
    if shape[0] == 1 and whole[:1] == (rows,):
        why = "an axis of size 1 stands in front of that of the samples."
        return Found("label-axes", why, _reshape(whole))
    order = next(
        (
            order
            for order in itertools.permutations(range(len(shape)))
            if len(shape) < 5
            and shape[order[0]] == rows
            and tuple(shape[i] for i in order[1:]) in axes
        ),
        None,
    )
    if order is not None:
        why = "the samples are along another axis than the first."
        return Found("label-axes", why, f"np.transpose(np.asarray({{y}}), {order})")
    steps = head.shape[1:-1]
    if steps and None not in steps and shape[0] == rows * math.prod(steps):  # type: ignore[arg-type]
        why = "steps and samples share the first axis."
        return Found("batch-size", why, _reshape((rows, *steps, *shape[1:])))
    for one in axes:
        vector = one[-1:] not in ((), (1,)) and whole == (rows * math.prod(one),)
        if vector and _may_be_rows(labels, one[-1], kind):
            why = f"the {one[-1]} values of each row stand in one long vector."
            return Found("batch-size", why, _reshape((rows, *one)))
    return None


def _likely_axes(head: Head) -> list[tuple[int, ...]]:
    """Return what may follow the batch axis: steps, steps and units, or units alone."""
    units = head.shape[-1:] if len(head.shape) > 1 else ()
    steps = head.shape[1:-1]
    likely = [steps, (*steps, 1), (*steps, *units), units]
    known = [axes for axes in likely if None not in axes]
    return [tuple(size for size in axes if size is not None) for axes in known]


def _reshape(shape: tuple[Any, ...]) -> str:
    return f"np.reshape({{y}}, {tuple(shape)})"


def _may_be_rows(labels: Labels, columns: int, kind: str) -> bool:
    """Tell whether blocks of so many values may be the rows of this loss."""
    sample = labels.sample
    if kind in ("regression", "hinge"):
        return True
    if sample.min() < 0 or sample.max() > 1:
        return False
    if kind == "binary":
        return True
    if sample.size < math.prod(labels.shape):  # every so many values only
        return bool(abs(columns * sample.mean(dtype="float64") - 1) < 0.05)
    sums = sample.reshape(-1, columns).sum(axis=-1, dtype="float64")
    return bool(np.all(np.abs(sums - 1) < 0.01) and kind in ("sparse", "one-hot"))


# --- Without the inputs, which tell the number of samples -----------------------------


def misplaced(case: Case) -> Found | None:
    """Recognise samples along another axis where only the labels can tell."""
    if case.source.x is not None or case.source.kind != "arrays":
        return None
    for rule in (_one_hot_vector,) if fits(case) else _MISPLACED:
        if found := rule(case):
            return found
    return None


def _one_hot_vector(case: Case) -> Found | None:
    """Recognise one-hot rows behind one another; two columns may be chance."""
    units, sample = case.units or 0, case.labels.sample
    vector = case.axes in ((), (1,)) and sample.size == case.labels.shape[0]
    one_hot = case.loss.kind in ("sparse", "one-hot", "binary")
    if not (vector and one_hot and units > 2) or sample.size % units:
        return None
    rows = sample.reshape(-1, units)
    if len(rows) < _ROWS or not np.isin(rows, (0, 1)).all():
        return None
    # Yes and no in turns, of period `units`, has its 1 in the same column throughout.
    if (rows.sum(axis=1) != 1).any() or len(np.unique(rows.argmax(axis=1))) < 2:
        return None
    known = [size for size in case.steps if size is not None]
    fits = len(known) == len(case.steps) and len(rows) % math.prod(known) == 0
    shape = ", ".join(map(str, (-1, *(known if fits else ()), units)))
    why = (
        f"these are one-hot rows of {units} columns behind one another in one long "
        "vector, not as many class indices."
    )
    return Found("batch-size", why, case.relabel(f"np.reshape({{y}}, ({shape}))"))


def _one_sample(case: Case) -> Found | None:
    shape, steps = case.labels.shape, case.steps
    likely = [axes for axes in _likely_axes(case.head) if axes or not steps]
    if shape[0] != 1 or len(shape) < 2 or shape[1] == 1 or lost_steps(case):
        return None
    if shape[1:] in likely or shape[2:] not in likely:
        return None
    why = (
        f"this is one sample. If there are {shape[1]}, an axis of size 1 stands in "
        "front of them."
    )
    return Found("label-axes", why, case.relabel(_reshape(shape[1:])))


def _transposed(case: Case) -> Found | None:
    shape, units = case.labels.shape, case.units
    if case.steps or len(shape) != 2 or units == 1 or shape[0] != units:
        return None
    if shape[1] <= units or lost_steps(case):
        return None
    columns = np.asarray(case.labels.sample, "float64")
    one_hot = len(columns) == units and np.all(np.abs(columns.sum(axis=0) - 1) < 0.01)
    if case.loss.kind in ("sparse", "one-hot") and not one_hot:
        return None
    why = f"the {units} columns are along the first axis, where the samples should be."
    return Found("label-axes", why, case.relabel("np.transpose(np.asarray({y}))"))


_MISPLACED = (_one_hot_vector, _one_sample, _transposed)
