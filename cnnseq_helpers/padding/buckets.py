"""Batches of sequences of similar length: less padding, and few different shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._extras import require_tensorflow
from ..shapes import ShapeError, check_whole
from .batches import as_arrays, pad_arrays, read_rows
from .boundaries import bucket_boundaries, check_boundaries

if TYPE_CHECKING:
    import tensorflow as tf

_LABELS = "the labels of sequence"


class BucketBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of sequences of similar length, as `bucket_batches` returns them.

    ``len(batches)`` is their number, ``batches[i]`` is one of them, and `order` holds
    the numbers of the sequences in the order in which they come.
    """

    def __init__(
        self, buckets: list[dict[str, Any]], batch_size: int, seed: int | None
    ) -> None:
        super().__init__()
        self._buckets = buckets
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Deal the sequences anew, unless there is no seed."""
        self._epoch += 1
        random = (
            None
            if self._seed is None
            else np.random.default_rng([self._seed, self._epoch])
        )
        self._batches = []
        for number, bucket in enumerate(self._buckets):
            rows = np.arange(len(bucket["sample"]))
            if random is not None:
                random.shuffle(rows)
            parts = -(-len(rows) // self._batch_size)
            self._batches += [(number, part) for part in np.array_split(rows, parts)]
        if random is not None:
            random.shuffle(self._batches)
        self._put_another_length_second()

    def _put_another_length_second(self) -> None:
        """Let Keras see that lengths differ: it takes the shape of all from two."""
        numbers = [number for number, _ in self._batches]
        for place, number in enumerate(numbers):
            if number != numbers[0]:
                self._batches.insert(1, self._batches.pop(place))
                return

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        number, rows = self._batches[index]
        bucket = self._buckets[number]
        batch = [bucket[name][rows] for name in ("y", "weights") if name in bucket]
        return (bucket["x"][rows], bucket["mask"][rows]), *batch

    @property
    def order(self) -> NDArray[np.int64]:
        """The numbers of the sequences, in the order of this epoch."""
        return np.concatenate(
            [self._buckets[number]["sample"][rows] for number, rows in self._batches]
        )


def bucket_batches(
    sequences: Sequence[Any],
    labels: Any = None,
    *,
    batch_size: int,
    boundaries: Sequence[int] | None = None,
    seed: int | None = None,
    dtype: DTypeLike = "float32",
) -> BucketBatches:
    """Batch sequences of similar length together, padded to a few different lengths.

    Parameters
    ----------
    sequences : sequence of array_like, each (time, ...)
        As for `pad_batch`.
    labels : ndarray (sample, ...), or list of ndarray, each (time,), optional
        An array for a label, or a vector, a sequence; a list of arrays for a label a
        step, or (time, outputs) for a vector a step, or a `tf.RaggedTensor` of them.
        Without labels, batches to predict from.
    batch_size : int
        Sequences in a batch, at most: what a bucket holds is dealt evenly, so that no
        batch is left with a few.
    boundaries : sequence of int, optional
        The lengths to pad to, in rising order. If not given, the at most eight that
        pad least, each with at least `batch_size` sequences: `bucket_boundaries`.
    seed : int, optional
        Deal and order the batches anew each epoch. If not given, all epochs have the
        same batches.
    dtype : dtype
        Type of the padded sequences, as for `pad_batch`: "int32" for tokens.

    Returns
    -------
    BucketBatches
        For `fit`, `evaluate` and `predict`: batches ``((x, mask), y)``. With a label a
        step ``((x, mask), y, weights)``, where weights are 1 for real steps, else 0.

    Raises
    ------
    ShapeError
        As `pad_batch`; if sequences and labels differ in number or steps; if a sequence
        is longer than the last boundary.
    TypeError, ValueError
        As `pad_batch`; if labels have no order or no one type, or some are missing.

    Notes
    -----
    Every sequence comes once an epoch, in one of at most two shapes of batch for each
    boundary. The dealing depends on `seed` and the epoch alone; each `fit`, `evaluate`
    or `predict` deals anew when an epoch of it ends. On top of it `fit` shuffles the
    order of batches with Python's random numbers, which `keras.utils.set_random_seed`
    fixes, or ``shuffle=False`` turns off. With ``steps_per_epoch`` or
    ``validation_steps`` Keras ends its epochs elsewhere: leave out the seed.

    Predictions come in bucket order. To put them back, leave out the seed:
    ``predictions[np.argsort(batches.order)]``. With a label a step, Keras does not take
    ``class_weight`` beside the weights.

    Examples
    --------
    >>> series = [np.ones((steps, 3)) for steps in (5, 9, 4, 10)]
    >>> batches = bucket_batches(series, np.array([0, 1, 0, 1]), batch_size=2)
    >>> [(x.shape, y.tolist()) for (x, mask), y in batches]
    [((2, 5, 3), [0, 0]), ((2, 10, 3), [1, 1])]
    """
    batch_size = check_whole("bucket_batches", "batch_size", batch_size)
    if seed is not None:
        check_whole("bucket_batches", "seed", seed, at_least=0)
    arrays = as_arrays(sequences)
    steps = np.array([len(array) for array in arrays.values()])
    whole, per_step = _check_labels(labels, steps)
    if boundaries is None:
        boundaries = bucket_boundaries(steps, min_samples=batch_size)
    ends = check_boundaries("bucket_batches", boundaries, steps)
    place = np.searchsorted(ends, steps)
    buckets = []
    for number in np.unique(place):
        sample, end = np.flatnonzero(place == number), int(ends[number])
        x, mask = pad_arrays({i: arrays[i] for i in sample}, end, dtype=dtype)
        bucket = {"sample": sample, "x": x, "mask": mask}
        if whole is not None:
            bucket["y"] = whole[sample]
        if per_step:
            kind = np.result_type(*{label.dtype for label in per_step.values()})
            held = {i: per_step[i] for i in sample}
            bucket["y"], _ = pad_arrays(held, end, dtype=kind, what=_LABELS)
            bucket["weights"] = mask.astype(np.float32)
        buckets.append(bucket)
    return BucketBatches(buckets, batch_size, seed)


def _check_labels(
    labels: Any, steps: NDArray[np.int64]
) -> tuple[NDArray[Any] | None, dict[int, NDArray[Any]]]:
    """Return labels of sequences as an array, or labels of steps by sequence."""
    if labels is None:
        return None, {}
    if hasattr(labels, "ragged_rank"):
        labels = read_rows(labels)
    if isinstance(labels, (str, bytes, Set, Mapping)) or not _has_length(labels):
        raise TypeError(
            "bucket_batches expected labels in an array, one a sequence, or in a list "
            f"of arrays, one a step, got a {type(labels).__name__}. Put them in order, "
            "such as list(labels), or list(labels.values()) of a dict."
        )
    held = labels if hasattr(labels, "shape") else list(labels)
    if len(held) != len(steps):
        raise ShapeError(
            "bucket_batches expected as many labels as sequences, got "
            f"{len(held)} labels and {len(steps)} sequences. Each needs its own."
        )
    if isinstance(held, list) and any(np.ndim(label) for label in held):
        return None, _check_steps(held, steps)
    array = np.asarray(held)
    mixed = array.dtype.kind in "US" and not all(isinstance(y, str) for y in held)
    if array.dtype.kind == "O" or mixed:
        raise TypeError(
            f"bucket_batches expected labels of one type, got {labels!r:.100}. Fill in "
            "what is missing; of an array of objects make a list: list(labels)."
        )
    missing = array.dtype.kind == "f" and not np.isfinite(array).all()
    if missing or np.ma.is_masked(held):
        raise ValueError(
            f"bucket_batches expected a label for each sequence, got {labels!r:.100}. "
            "Leave out sequences without a label."
        )
    return array, {}


def _has_length(labels: Any) -> bool:
    try:
        return len(labels) >= 0
    except TypeError:  # numbers, generators, arrays without an axis
        return False


def _check_steps(
    labels: list[Any], steps: NDArray[np.int64]
) -> dict[int, NDArray[Any]]:
    """Return labels of steps as arrays, if there are as many as steps."""
    for number, (label, length) in enumerate(zip(labels, steps, strict=True)):
        if np.ndim(label) == 0 or len(label) != length:
            raise ShapeError(
                "bucket_batches took the list of labels for a label a step, and "
                f"expected {length} in sequence {number}, got {np.shape(label)}. If "
                "they are one vector a sequence, stack them: np.stack(labels)."
            )
    arrays = as_arrays(labels, _LABELS)
    if arrays[0].ndim > 2:
        raise ShapeError(
            "bucket_batches expected labels of a step to be one number or one vector, "
            f"got {arrays[0].shape} for sequence 0. The weights of steps fit no other "
            "loss: make one axis of what follows time."
        )
    return arrays


# --- From a stream --------------------------------------------------------------------


def bucket_dataset(
    dataset: tf.data.Dataset, *, batch_size: int, boundaries: Sequence[int]
) -> tf.data.Dataset:
    """Batch a `tf.data.Dataset` of single sequences as `bucket_batches` does lists.

    The dataset is read once from start to end, and a batch leaves as soon as its bucket
    is full, so that at most ``batch_size * len(boundaries)`` sequences are held.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Elements (sequence, label), tensors. The size of a sequence's first axis, time,
        is open, all others are fixed; the rows of a ragged tensor are such elements, by
        ``from_tensor_slices((ragged, labels))``. A label whose first axis is open is
        one label a step. Shuffle the dataset before.
    batch_size : int
        Sequences in a batch; the last batch of each bucket may hold fewer.
    boundaries : sequence of int
        The lengths to pad to, in rising order: `bucket_boundaries` finds good ones from
        a sample of the lengths.

    Returns
    -------
    tf.data.Dataset
        Of ``((x, mask), y)``, or with a label a step ``((x, mask), y, weights)``.

    Raises
    ------
    ShapeError
        If elements are not of this form, or boundaries do not rise.
    ImportError
        Without TensorFlow, which may be installed beside another backend of Keras.
    tensorflow.errors.InvalidArgumentError
        When it is read: if a sequence is empty or longer than the last boundary, or has
        other steps than its labels, or holds NaN or infinity.

    Notes
    -----
    The number of batches is not known before they are counted, so `fit` warns once that
    the input ran out, at the end of the first epoch. Give it ``shuffle=False``.

    Examples
    --------
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> series = [np.ones((steps, 3), "float32") for steps in (5, 9, 4, 10)]
    >>> dataset = tf.data.Dataset.from_generator(
    ...     lambda: zip(series, [0, 1, 0, 1]),
    ...     output_signature=(tf.TensorSpec((None, 3)), tf.TensorSpec((), tf.int64)),
    ... )
    >>> batches = bucket_dataset(dataset, batch_size=2, boundaries=[5, 10])
    >>> [tuple(x.shape) for (x, mask), y in batches]
    [(2, 5, 3), (2, 10, 3)]
    """
    tf = require_tensorflow(
        "bucket_dataset, whose batches are a tf.data.Dataset (bucket_batches takes "
        "lists), needs"
    )
    batch_size = check_whole("bucket_dataset", "batch_size", batch_size)
    ends = check_boundaries("bucket_dataset", boundaries).tolist()
    if not isinstance(dataset, tf.data.Dataset):
        raise ShapeError(
            "bucket_dataset expected a tf.data.Dataset of elements (sequence, label), "
            f"got a {type(dataset).__name__}. What is in memory is for bucket_batches; "
            "pairs that are read one by one: tf.data.Dataset.from_generator(lambda: "
            "pairs, output_signature=(tf.TensorSpec((None, 12)), tf.TensorSpec(())))."
        )
    per_step = _check_spec(dataset.element_spec)

    def check(x: Any, y: Any) -> Any:
        time = tf.shape(x)[0]
        checks = [
            tf.debugging.assert_positive(
                time,
                "bucket_dataset expected at least one step in a sequence, got none. "
                "Leave out empty sequences.",
            ),
            tf.debugging.assert_less_equal(
                time,
                ends[-1],
                "bucket_dataset expected no sequence longer than the last boundary, "
                f"{ends[-1]}. Raise the last boundary.",
            ),
        ]
        if per_step:
            message = (
                "bucket_dataset expected a label for each step, got another number. "
                "Give labels of one value a sequence a fixed size in the signature."
            )
            checks.append(tf.debugging.assert_equal(tf.shape(y)[0], time, message))
        message = "bucket_dataset expected finite numbers. Fill gaps before."
        x, y = (
            tf.debugging.check_numerics(each, message)
            if each.dtype.is_floating
            else each
            for each in (x, y)
        )
        with tf.control_dependencies([op for op in checks if op is not None]):
            mask = tf.ones([time], tf.bool)
        weights = (tf.ones([time], tf.float32),) if per_step else ()
        return (x, mask), y, *weights

    return dataset.map(check).bucket_by_sequence_length(
        lambda inputs, *_: tf.shape(inputs[0])[0],
        bucket_boundaries=[end + 1 for end in ends],
        bucket_batch_sizes=[batch_size] * (len(ends) + 1),
        pad_to_bucket_boundary=True,
    )


def _check_spec(spec: Any) -> bool:
    """Tell whether there is a label a step, and refuse elements of another form."""
    parts = spec if isinstance(spec, tuple) and len(spec) == 2 else ()
    shapes = [part.shape for part in parts if hasattr(part, "shape")]
    ranks = [shape.rank for shape in shapes]
    known = len(ranks) == 2 and None not in ranks and ranks[0] > 0
    known = known and shapes[0][0] is None
    if not known or any(None in tuple(shape)[1:] for shape in shapes):
        raise ShapeError(
            "bucket_dataset expected elements (sequence, label), tensors of which the "
            f"first axis, time, and no other has an open size, got {spec}. Map to that "
            "form, or say so in the signature: tf.TensorSpec((None, 12)), and leave "
            "batching to this call: dataset.unbatch()."
        )
    return ranks[1] > 0 and shapes[1][0] is None
