"""Everything that `check_targets` looks at, read into plain records before it judges.

Labels are read as `fit` takes them, on a sample, and go to the output of the model and
to the loss that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from ..tracing.graph import Shape, compiled_metrics
from ..tracing.heads import Head, NotBuiltError, read_heads, unknown_steps
from .losses import Loss, read_loss

# Enough to judge, and looked through in a few milliseconds.
SAMPLE = 1_000_000


class UnreadableError(Exception):
    """What can't be looked at: the code of the problem, and why.

    `is_plain` is that of the case whose labels they are.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code, self.is_plain = code, True


class Source(NamedTuple):
    """What `fit` is given: arrays, or the first batch of a data set.

    `specify` tells what `fit` knows of the inputs when it traces the model, and
    `without_rank` of which parts it does not even know the number of axes.
    """

    is_arrays: bool
    x: Any
    y: Any
    weights: Any
    specify: Callable[[], Any]
    without_rank: tuple[str, ...] = ()


class Labels(NamedTuple):
    """The labels of one output: their shape, and a sample of whole rows.

    `counted` is the sample without what has a sample weight of 0, None if that is not
    known; `name` is what they are called in Python: "y", "y['digit']".
    """

    name: str
    shape: tuple[int, ...]
    sample: np.ndarray
    counted: np.ndarray | None
    dtype: str

    def only_counted(self) -> Labels:
        """Return them without what has a weight of 0, as far as that is known."""
        if self.counted is None or not len(self.counted):
            return self
        return self._replace(sample=self.counted)


class Case(NamedTuple):
    """One output of a model with its labels, its loss and its metrics.

    `is_single` says that the model has no other output, `is_plain` that `y` moreover
    is the very array of its labels.
    """

    head: Head
    labels: Labels
    loss: Loss
    metrics: tuple[Any, ...]
    is_single: bool
    is_plain: bool
    has_inputs: bool

    @property
    def steps(self) -> Shape:
        """The axes of the output between batch and units: time, or height and width."""
        return self.head.shape[1:-1]

    @property
    def units(self) -> int | None:
        """The last axis of the output."""
        return self.head.shape[-1] if len(self.head.shape) > 1 else 1

    @property
    def axes(self) -> Shape:
        """The axes of the labels after the batch."""
        return self.labels.shape[1:]

    @property
    def wanted(self) -> Shape:
        """The axes that labels of this loss should have after the batch."""
        return self.steps if self.loss.kind == "sparse" else self.head.shape[1:]

    def stands_alone(self, operation: Any) -> bool:
        """Tell whether nothing else hangs on an operation and what comes behind it.

        A Reshape behind it does, on the sizes.
        """
        for link in self.head.chain:
            if not link.alone or type(link.operation).__name__ == "Reshape":
                return False
            if link.operation is operation:
                return True
        return False


class Reading(NamedTuple):
    """All that was read; `errors` tell what could not be.

    `rows` are the numbers of samples in the inputs, `unknown_steps` the names of the
    TimeDistributed layers that are called on steps of unknown number.
    """

    errors: list[UnreadableError]
    cases: Sequence[Case] = ()
    labels: Sequence[Labels] = ()
    rows: frozenset[int] = frozenset()
    without_rank: tuple[str, ...] = ()
    unknown_steps: tuple[str, ...] = ()


def read(model: Any, y: Any, loss: Any, x: Any) -> Reading:
    """Read model, labels, loss and inputs as they are given to `check_targets`."""
    try:
        source = _read_source(model, y, x)
    except UnreadableError as error:
        return Reading([error])
    heads: list[Head] = []
    structure: Any = None
    pairs: list[_Pair] = []
    labels: list[Labels] = []
    cases: list[Case] = []
    errors: list[UnreadableError] = []
    with _noted(errors):
        heads, structure = _read_outputs(model, source.x)
    loss = getattr(model, "loss", None) if loss is None else loss
    if loss is None:
        why = "There is no loss: none was given, and none was compiled."
        errors.append(UnreadableError("no-loss", why))
    with _noted(errors):
        pairs = _pair(heads, isinstance(structure, dict), source, loss)
    for pair in pairs:
        with _noted(errors, pair.is_plain):
            labels.append(_read_labels(pair, source.is_arrays))
            if pair.head is not None and loss is not None:
                known = read_loss(pair.loss, pair.head.shape, labels[-1].shape)
                metrics = _metrics_of(model, pair.head, len(heads))
                told = len(heads) == 1, pair.is_plain, source.x is not None
                cases.append(Case(pair.head, labels[-1], known, metrics, *told))
    return Reading(
        errors,
        cases,
        labels,
        _count_rows(source.x),
        source.without_rank,
        unknown_steps(model, source.specify) if heads else (),
    )


@contextmanager
def _noted(errors: list[UnreadableError], is_plain: bool = True) -> Iterator[None]:
    """Keep what could not be read in a list, and go on behind the block."""
    try:
        yield
    except UnreadableError as error:
        error.is_plain = is_plain
        errors.append(error)


def _read_outputs(model: Any, x: Any) -> tuple[list[Head], Any]:
    try:
        return read_heads(model, x)
    except NotBuiltError:
        why = "The model is not built, so the shapes of its outputs are not known."
        raise UnreadableError("not-built", why) from None


def _count_rows(x: Any) -> frozenset[int]:
    arrays = keras.tree.flatten(x)
    return frozenset(int(a.shape[0]) for a in arrays if len(getattr(a, "shape", ())))


# --- What fit is given ----------------------------------------------------------------


def _read_source(model: Any, y: Any, x: Any) -> Source:
    """Look at what was given as `y`: arrays, or a data set of (x, y)."""
    if y is None:
        raise UnreadableError("no-labels", "There are no labels: y is None.")
    if hasattr(y, "__next__"):
        why = (
            "The labels come from a generator, and looking at them would use them up. "
            "Check one batch: x, y = next(generator)."
        )
        raise UnreadableError("unreadable-labels", why)
    if hasattr(y, "element_spec") and hasattr(y, "take"):
        batch = _parts(next(iter(y.take(1)), None))
        promised = _parts(y.element_spec)
        source = Source(False, *batch, lambda: promised[0], _without_rank(promised))
        if _has_no_batch(model, source.x):
            why = "The data set gives single samples, without a batch axis."
            raise UnreadableError("not-batched", why)
        # Run eagerly, `fit` looks at the batches themselves.
        eager = getattr(model, "run_eagerly", False)
        return source._replace(without_rank=()) if eager else source
    if isinstance(y, keras.utils.PyDataset):
        batch = _parts(y[0] if y.num_batches != 0 else None)
        # Keras leaves open what differs between the first two batches.
        count = min(2, y.num_batches or 2)
        return Source(False, *batch, lambda: _common(*[y[i][0] for i in range(count)]))
    return Source(True, x, y, None, lambda: _common(x))


def _parts(element: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of a batch, or what is promised of each."""
    if element is None:
        raise UnreadableError("no-labels", "The data set has no batches.")
    if not isinstance(element, (tuple, list)) or len(element) not in (2, 3):
        raise UnreadableError("no-labels", "The data set does not give pairs (x, y).")
    x, y, *weights = element
    return x, y, weights[0] if weights else None


def _without_rank(promised: tuple[Any, ...]) -> tuple[str, ...]:
    def is_open(spec: Any) -> bool:
        return type(spec).__name__ == "TensorSpec" and spec.shape.rank is None

    named = zip(("x", "y", "weights"), map(keras.tree.flatten, promised), strict=True)
    return tuple(name for name, specs in named if any(map(is_open, specs)))


def _has_no_batch(model: Any, x: Any) -> bool:
    inputs, given = getattr(model, "inputs", None) or [], keras.tree.flatten(x)
    return len(given) == len(inputs) > 0 and all(
        match(tuple(one.shape), tuple(other.shape[1:]))
        for one, other in zip(given, inputs, strict=True)
    )


def match(axes: Shape, other: Shape) -> bool:
    """Tell whether axes may have the same sizes; an unknown length is not 1."""
    return len(axes) == len(other) and all(
        a == b or (None in (a, b) and 1 not in (a, b))
        for a, b in zip(axes, other, strict=True)
    )


def _common(*batches: Any) -> Any:
    """Specify inputs like those of all these batches."""
    import tensorflow as tf

    def specify(*arrays: Any) -> Any:
        sizes = [set(axis) for axis in zip(*map(np.shape, arrays), strict=True)]
        known = (size.pop() if len(size) == 1 else None for size in sizes[1:])
        kind = getattr(arrays[0], "dtype", None) or np.asarray(arrays[0]).dtype
        return tf.TensorSpec((None, *known), kind)

    if batches[0] is None:
        return None
    return keras.tree.map_structure(specify, *batches)


# --- The labels, loss and metrics of each output --------------------------------------


class _Pair(NamedTuple):
    """An output, if it is known, and what is given for it."""

    head: Head | None
    name: str
    labels: Any
    weights: Any
    loss: Any
    is_plain: bool = False


def _pair(heads: list[Head], named: bool, source: Source, loss: Any) -> list[_Pair]:
    """Give each output that has a loss its labels."""
    y, weights, names = source.y, source.weights, [head.name for head in heads]
    losses = _losses(names, named, loss)
    if len(heads) <= 1 and not isinstance(y, dict):
        head, own = heads[0] if heads else None, losses[0] if heads else None
        wrapped = isinstance(y, (list, tuple)) and len(y) == 1
        if wrapped and not _is_list_of_numbers(y):
            return [_Pair(head, "y[0]", y[0], _part(weights, 0), own)]
        return [_Pair(head, "y", y, weights, own, source.is_arrays)]
    learned = [i for i, own in enumerate(losses) if loss is None or own]
    keys: list[Any] = []
    if isinstance(y, dict):
        keys = [names[i] for i in learned if names[i] in y and set(y) <= set(names)]
    elif isinstance(y, (list, tuple)):
        places = {len(learned): range(len(learned)), len(heads): learned}
        keys = list(places.get(len(y), ()))
    elif len(learned) == 1:
        return [_Pair(heads[learned[0]], "y", y, weights, losses[learned[0]])]
    if heads and len(keys) < max(1, len(learned)):
        given = "one array"
        if isinstance(y, (dict, list, tuple)):
            some = isinstance(y, dict)
            given = (
                f"labels for {', '.join(map(repr, y))}" if some else f"{len(y)} arrays"
            )
        raise _misfit(names, f"y holds {given}")
    return [
        _Pair(heads[i], f"y[{key!r}]", y[key], _part(weights, key), losses[i])
        for i, key in zip(learned, keys, strict=True)
    ]


def _losses(names: list[Any], named: bool, loss: Any) -> list[Any]:
    """Return the loss of each output."""
    single, given = len(names) == 1, loss
    if isinstance(loss, dict):
        # Keras lets losses be left out where the outputs are a dictionary, not a list.
        names = list(loss) if single and len(loss) == 1 else names
        absent = () if named or single else set(names) - set(loss)
        if not single and (absent or set(loss) - set(names)):
            raise _misfit(names, f"the losses are for {', '.join(map(repr, loss))}")
        given = [loss.get(name) for name in names]
    if not isinstance(given, (list, tuple)) or (single and len(given) > 1):
        return [given] * len(names)
    if len(given) != len(names) > 1:
        raise _misfit(names, f"there are {len(given)} losses")
    wrapped = [isinstance(own, (list, tuple)) and len(own) == 1 for own in given]
    return [own[0] if alone else own for own, alone in zip(given, wrapped, strict=True)]


def _misfit(names: list[Any], given: str) -> UnreadableError:
    wanted = "a single one" if names == [""] else ", ".join(map(repr, names))
    return UnreadableError(
        "outputs", f"The outputs of the model are {wanted}; {given}."
    )


def _part(weights: Any, key: Any) -> Any:
    """Return the weights of one output: its own, or those of all."""
    if not isinstance(weights, (dict, list, tuple)):
        return weights
    try:
        return weights[key]
    except (IndexError, KeyError, TypeError):
        why = "The sample weights do not have the structure of the labels."
        raise UnreadableError("outputs", why) from None


def _metrics_of(model: Any, head: Head, outputs: int) -> tuple[Any, ...]:
    """Return the metrics of one output, from where `compile` takes them."""
    found: list[Any] = []
    for metrics in compiled_metrics(model):
        own = metrics
        if outputs > 1 and isinstance(metrics, dict):
            own = metrics.get(head.name)
        elif outputs > 1:
            listed = isinstance(metrics, (list, tuple)) and len(metrics) == outputs
            own = metrics[head.number] if listed else None
        found += [one for one in keras.tree.flatten(own) if one is not None]
    return tuple(found)


# --- The labels of one output ---------------------------------------------------------


def _read_labels(pair: _Pair, is_array: bool) -> Labels:
    """Return the shape of the labels of one output and a sample of them."""
    given, kind = pair.labels, type(pair.labels).__name__
    if kind in ("RaggedTensor", "SparseTensor"):
        raise UnreadableError("unreadable-labels", f"The labels are a {kind}.")
    try:
        array = np.asarray(given)
    except ValueError as error:
        why = f"The labels do not make one array: {error}"
        raise UnreadableError("unreadable-labels", why) from None
    shape, dtype = array.shape, array.dtype.name
    if array.dtype.kind == "V" and "float" in dtype:
        array = array.astype("float32")  # bfloat16 is no number to NumPy
    if array.dtype == object:
        array = _unboxed(array)
    if array.ndim == 0:
        why = f"The labels are a single {kind}, without a batch axis."
        raise UnreadableError("no-labels", why)
    if array.size == 0:
        raise UnreadableError("no-labels", f"The labels {shape} are empty.")
    if array.dtype.kind in "SU":
        why = f"The labels {shape} are text, and losses compare numbers."
        raise UnreadableError("label-strings", why)
    if array.dtype.kind not in "biuf":
        why = f"The labels {shape} are of dtype {dtype}, no real numbers."
        raise UnreadableError("unreadable-labels", why)
    if isinstance(given, (list, tuple)) and is_array:
        why = (
            f"The labels {shape} are a list, which fit takes for one array for each "
            "output. Its error blames x."
        )
        raise UnreadableError("label-list", why)
    every = -(-array.size // SAMPLE)
    counted = _with_weight(array, pair.weights)
    counted = None if counted is None else counted[::every]
    return Labels(pair.name, shape, array[::every], counted, dtype)


def _unboxed(array: np.ndarray) -> np.ndarray:
    """Turn an array of Python objects into one of text; refuse anything else."""
    kinds = {type(value) for value in array.flat}
    if kinds <= {str, bytes, np.str_}:
        return array.astype(str)
    if all(issubclass(kind, (bool, int, float, np.number)) for kind in kinds):
        why = "The labels are numbers in an array of Python objects, which fit refuses."
        raise UnreadableError("label-dtype", why)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    why = f"The labels are Python objects: {names}."
    raise UnreadableError("unreadable-labels", why)


def _with_weight(array: np.ndarray, weights: Any) -> np.ndarray | None:
    """Return the labels whose weight is not 0, or None if the two do not match."""
    weights = np.ones(()) if weights is None else np.asarray(weights)
    while weights.ndim and weights.shape != array.shape[: weights.ndim]:
        if weights.shape[-1] != 1:
            return None
        weights = weights[..., 0]
    counted: np.ndarray = array[weights != 0] if weights.ndim else array
    return counted


def _is_list_of_numbers(y: Any) -> bool:
    """Tell whether `y` is a list of numbers, or of lists of them: no list of arrays."""
    return not any(len(getattr(value, "shape", ())) for value in y)


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
