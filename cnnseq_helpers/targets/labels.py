"""Labels as `fit` takes them: read on a sample, and rewritten by a line of code."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

# Enough to judge, and looked through in a few milliseconds.
SAMPLE = 1_000_000


class UnreadableError(Exception):
    """Labels that can't be looked at: why, what to do, and the code of the problem."""

    def __init__(self, why: str, fix: str, code: str = "unreadable-labels") -> None:
        super().__init__(why)
        self.fix, self.code = fix, code


class Source(NamedTuple):
    """Where the labels of a call come from: `y` itself, and a batch of `x` and `y`.

    `kind` is "arrays", "tf.data" or "PyDataset"; `weights` are the sample weights, if
    any come with the batch.
    """

    kind: str
    x: Any
    y: Any
    weights: Any = None


class Labels(NamedTuple):
    """The labels of one output: their shape, and a sample of whole rows.

    `counted` is the sample without what has a sample weight of 0; None if that is not
    known.
    """

    shape: tuple[int, ...]
    sample: np.ndarray
    counted: np.ndarray | None
    place: str
    dtype: str


def read_source(y: Any, x: Any) -> Source:
    """Look at what was given as `y`: arrays, or a data set of (x, y)."""
    if y is None:
        raise UnreadableError("There are no labels: y is None.", _GIVE, "no-labels")
    if hasattr(y, "element_spec") and hasattr(y, "take"):
        kind, batch = "tf.data", next(iter(y.take(1)), None)
    elif isinstance(y, keras.utils.PyDataset):
        kind, batch = "PyDataset", y[0] if y.num_batches != 0 else None
    elif hasattr(y, "__next__"):
        raise UnreadableError(
            "The labels come from a generator, and looking at them would use them up.",
            "# Check one batch: x, y = next(generator), then check_targets(model, y).",
        )
    else:
        return Source("arrays", x, y)
    if batch is None:
        raise UnreadableError("The data set has no batches.", _GIVE, "no-labels")
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        why = "The data set does not give pairs (x, y)."
        raise UnreadableError(why, _GIVE, "no-labels")
    return Source(kind, *batch)


_GIVE = "# Give the labels as y, or a data set of pairs (x, y)."

_PAD = "# Pad them to one length, with a sample weight of 0 where there is no label."


def read_labels(given: Any, place: str, weights: Any, source: Source) -> Labels:
    """Return the shape of the labels of one output and a sample of them.

    `place` is how to write them as code: "y", "y['digit']"; `weights` are the sample
    weights of this output, or None.
    """
    if type(given).__name__ in ("RaggedTensor", "SparseTensor"):
        raise UnreadableError(f"The labels are a {type(given).__name__}.", _PAD)
    try:
        array = np.asarray(given)
    except ValueError as error:
        why = f"The labels do not make one array: {error}"
        raise UnreadableError(why, _PAD) from None
    shape, dtype = array.shape, array.dtype.name
    if array.dtype.kind == "V" and "float" in dtype:
        array = array.astype("float32")  # bfloat16 is no number to NumPy
    if array.dtype == object:
        array = _unboxed(array, place, source)
    if array.ndim == 0:
        why = f"The labels are a single {type(given).__name__}, without a batch axis."
        raise UnreadableError(why, _GIVE, "no-labels")
    if array.size == 0:
        raise UnreadableError(f"The labels {shape} are empty.", _GIVE, "no-labels")
    if array.dtype.kind in "SU":
        why = f"The labels {shape} are text, and losses compare numbers."
        raise UnreadableError(why, _as_indices(place, source), "label-strings")
    if array.dtype.kind not in "biuf":
        why = f"The labels {shape} are of dtype {dtype}, no real numbers."
        raise UnreadableError(why, "# Turn them into numbers.")
    if isinstance(given, (list, tuple)) and source.kind == "arrays":
        why = (
            f"The labels {shape} are a list, which fit takes for one array for each "
            "output. Its error blames x."
        )
        fix = rewrite(source, place, "np.asarray({y})")
        raise UnreadableError(why, fix, "label-list")
    every = -(-array.size // SAMPLE)
    counted = array if weights is None else _weighted(array, np.asarray(weights))
    counted = None if counted is None else counted[::every]
    return Labels(shape, array[::every], counted, place, dtype)


def _weighted(array: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return the labels without those of weight 0, or None if the two do not match."""
    while weights.ndim and weights.shape != array.shape[: weights.ndim]:
        if weights.shape[-1] != 1:
            return None
        weights = weights[..., 0]
    counted: np.ndarray = array[weights != 0]
    return counted


def _unboxed(array: np.ndarray, place: str, source: Source) -> np.ndarray:
    """Turn an array of Python objects into one of text; refuse anything else."""
    kinds = {type(value) for value in array.flat}
    if kinds <= {str, bytes, np.str_}:
        return array.astype(str)
    if all(issubclass(kind, (bool, int, float, np.number)) for kind in kinds):
        why = "The labels are numbers in an array of Python objects, which fit refuses."
        fix = rewrite(source, place, 'np.asarray({y}, "float32")')
        raise UnreadableError(why, fix, "label-dtype")
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise UnreadableError(f"The labels are Python objects: {names}.", _PAD)


def _as_indices(place: str, source: Source) -> str:
    if source.kind == "tf.data" and place == "y":
        lookup = "lookup = keras.layers.StringLookup(num_oov_indices=0)"
        adapt = "lookup.adapt(y.map(lambda x, y, *weights: y))"
        return f"{lookup}\n{adapt}\n{rewrite(source, place, 'lookup({y})')}"
    return rewrite(source, place, "np.unique({y}, return_inverse=True)[1]")


def keep_finite(labels: Labels, source: Source) -> str:
    """Write the code that leaves out the samples whose labels are missing."""
    place, finite = labels.place, np.isfinite(labels.sample)
    whole = finite.reshape(len(finite), -1).all(axis=1)
    if source.kind != "arrays":
        return "# In the pipeline: leave out the samples whose labels are missing."
    if source.x is None or whole.mean() < 0.9:
        return "# Replace what is missing by 0, with a sample weight of 0 there."
    return (
        f"keep = np.isfinite(np.asarray({place})).reshape(len({place}), -1).all(1)\n"
        "x, y = keras.tree.map_structure(lambda a: np.asarray(a)[keep], (x, y))"
    )


def is_list_of_numbers(y: Any) -> bool:
    """Tell whether `y` is a list of numbers, or of lists of them: no list of arrays."""
    return isinstance(y, (list, tuple)) and not any(
        len(getattr(value, "shape", ())) for value in y
    )


# --- What the values are --------------------------------------------------------------


def are_whole(labels: Labels) -> bool:
    """Tell whether all labels are whole numbers."""
    sample = labels.sample
    return sample.dtype.kind in "biu" or bool(np.all(sample == np.round(sample)))


def are_in(labels: Labels, low: float, high: float) -> bool:
    """Tell whether all labels lie between two numbers, with room for rounding."""
    small = 1e-3 * (high - low) if labels.sample.dtype.kind == "f" else 0
    return bool(
        labels.sample.min() >= low - small and labels.sample.max() <= high + small
    )


def are_yes_or_no(labels: Labels) -> bool:
    """Tell whether all labels are 0 or 1."""
    return are_whole(labels) and are_in(labels, 0, 1)


def are_rows(labels: Labels) -> bool:
    """Tell whether the last axis holds probabilities: one-hot rows do, padding too."""
    if not are_in(labels, 0, 1):
        return False
    sums = labels.sample.sum(axis=-1, dtype="float64")
    # Each of the columns may have been rounded to two decimals.
    room = max(0.01, 0.005 * labels.sample.shape[-1]) + 1e-6
    return bool(np.all((np.abs(sums - 1) < room) | (sums == 0)) and sums.any())


def hold_several(labels: Labels) -> bool:
    """Tell whether some rows hold more than one 1."""
    return are_yes_or_no(labels) and bool(labels.sample.sum(axis=-1).max() > 1)


# --- Code that changes labels ---------------------------------------------------------


def rewrite(source: Source, place: str, expression: str) -> str:
    """Write the code that sets the labels at `place`; "{y}" stands for the old ones."""
    new = expression.replace("{y}", place)
    if source.kind == "PyDataset":
        return f"# In its __getitem__: {place} = {new}"
    if source.kind == "arrays":
        tuples = place != "y" and isinstance(source.y, tuple)
        return f"y = list(y)\n{place} = {new}" if tuples else f"{place} = {new}"
    new = new.replace(f"np.asarray({place})", place)
    for name in ("reshape", "swapaxes", "transpose"):
        new = new.replace(f"np.{name}(", f"keras.ops.{name}(")
    if "np." in new:
        return f"# For the whole data set, not batch by batch: {place} = {new}"
    weights = ", weights" if source.weights is not None else ""
    labels = _within(source.y, place, new)
    return f"y = y.map(lambda x, y{weights}: (x, {labels}{weights}))"


def _within(y: Any, place: str, new: str) -> str:
    """Write the structure of one batch of labels with those at `place` replaced."""
    if place == "y":
        return new
    key = place[2:-1]
    if isinstance(y, dict):
        return f"{{**y, {key}: {new}}}"
    parts = [new if str(i) == key else f"y[{i}]" for i in range(len(y))]
    return f"({', '.join(parts)})"


def count_rows(x: Any) -> set[int]:
    """Return the numbers of samples that the arrays of a structure hold."""
    arrays = keras.tree.flatten(x)
    return {int(a.shape[0]) for a in arrays if len(getattr(a, "shape", ()))}
