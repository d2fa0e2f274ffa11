"""Batches of sequences of similar length: less padding, and few different shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from .boundaries import bucket_boundaries, check_boundaries
from .padding import pad_numbered
from .shapes import ShapeError, _check_whole

if TYPE_CHECKING:
    import tensorflow as tf

# --- Batches in memory ----------------------------------------------------------------


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
) -> BucketBatches:
    """Batch sequences of similar length together, padded to a few different lengths.

    Parameters
    ----------
    sequences : sequence of array_like, each (time, ...)
        As for `pad_batch`.
    labels : ndarray (sample, ...), or list of ndarray, each (time, ...), optional
        An array for a label, or a vector, a sequence; a list of arrays for a label a
        step. Without labels, batches to predict from.
    batch_size : int
        Sequences in a batch, at most: what a bucket holds is dealt evenly, so that no
        batch is left with a few.
    boundaries : sequence of int, optional
        The lengths to pad to, in rising order. If not given, the at most eight that
        pad least, each with at least `batch_size` sequences: `bucket_boundaries`.
    seed : int, optional
        Deal and order the batches anew each epoch. If not given, all epochs have the
        same batches.

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
        As `pad_batch`.

    Notes
    -----
    Every sequence comes once an epoch, in one of at most two shapes of batch for each
    boundary. The dealing depends on `seed` and the epoch alone. On top of it `fit`
    shuffles the order of batches with Python's random numbers, which
    `keras.utils.set_random_seed` fixes, or ``shuffle=False`` turns off.

    Predictions come in bucket order. To put them back, leave out the seed:
    ``predictions[np.argsort(batches.order)]``.

    Examples
    --------
    >>> series = [np.ones((steps, 3)) for steps in (5, 9, 4, 10)]
    >>> batches = bucket_batches(series, np.array([0, 1, 0, 1]), batch_size=2)
    >>> [(x.shape, y.tolist()) for (x, mask), y in batches]
    [((2, 5, 3), [0, 0]), ((2, 10, 3), [1, 1])]
    """
    batch_size = _check_whole("bucket_batches", "batch_size", batch_size)
    sequences = list(sequences)
    steps_each = np.array([len(each) for each in map(np.atleast_1d, sequences)], int)
    per_step = _check_labels(labels, steps_each)
    if not steps_each.size or not steps_each.all():
        pad_numbered(enumerate(sequences))  # says what is wrong
    if boundaries is None:
        boundaries = bucket_boundaries(steps_each, min_samples=batch_size)
    ends = check_boundaries("bucket_batches", boundaries, steps_each)
    place = np.searchsorted(ends, steps_each)
    buckets = []
    for number in np.unique(place):
        sample = np.flatnonzero(place == number)
        end = int(ends[number])
        x, mask = pad_numbered([(i, sequences[i]) for i in sample], end)
        bucket = {"sample": sample, "x": x, "mask": mask}
        if per_step:
            held = [(i, np.asarray(labels[i])) for i in sample]
            dtype = np.result_type(*[label for _, label in held])
            bucket["y"], _ = pad_numbered(held, end, dtype=dtype)
            bucket["weights"] = mask.astype(np.float32)
        elif labels is not None:
            bucket["y"] = np.asarray(labels)[sample]
        buckets.append(bucket)
    return BucketBatches(buckets, batch_size, seed)


def _check_labels(labels: Any, lengths: NDArray[np.int64]) -> bool:
    """Tell whether there is a label a step, and refuse what fits neither."""
    if labels is None:
        return False
    if len(labels) != len(lengths):
        raise ShapeError(
            "bucket_batches expected as many labels as sequences, got "
            f"{len(labels)} labels and {len(lengths)} sequences. Each needs its own."
        )
    if not isinstance(labels, (list, tuple)) or all(np.ndim(y) == 0 for y in labels):
        return False
    for number, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        if np.ndim(label) == 0 or len(label) != length:
            raise ShapeError(
                "bucket_batches took the list of labels for a label a step, and "
                f"expected {length} in sequence {number}, got {np.shape(label)}. If "
                "they are one vector a sequence, stack them: np.stack(labels)."
            )
    return True


# --- Batches of data that do not fit in memory ----------------------------------------


def bucket_dataset(
    dataset: tf.data.Dataset, *, batch_size: int, boundaries: Sequence[int]
) -> tf.data.Dataset:
    """Batch a `tf.data.Dataset` of single sequences as `bucket_batches` does lists.

    The dataset is read once from start to end, and a batch leaves as soon as its bucket
    is full, so that at most ``batch_size * len(boundaries)`` sequences are held.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Elements (sequence, label): (time, ...) of floats, and any label. A label whose
        first axis has no fixed size is one label a step. Shuffle it before.
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
        If elements are not (sequence, label), or boundaries do not rise.
    tensorflow.errors.InvalidArgumentError
        When it is read: if a sequence is empty or longer than the last boundary, or has
        other steps than its labels, or holds NaN or infinity.

    Notes
    -----
    The number of batches is not known before they are counted, so `fit` warns once that
    the input ran out, at the end of the first epoch. Give it ``shuffle=False``.

    Examples
    --------
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
    import tensorflow as tf

    batch_size = _check_whole("bucket_dataset", "batch_size", batch_size)
    ends = check_boundaries("bucket_dataset", boundaries).tolist()
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or not spec[0].shape.rank:
        raise ShapeError(
            "bucket_dataset expected elements (sequence, label), the sequence (time, "
            f"...), got {spec}. Map to that form, and leave batching to this function."
        )
    per_step = bool(spec[1].shape.rank) and spec[1].shape[0] is None

    def check(x: Any, y: Any) -> Any:
        time = tf.shape(x)[0]
        held = "bucket_dataset expected a sequence of at least one step, and of at "
        checks = [
            tf.debugging.assert_positive(
                time, held + "least one. Leave out empty ones."
            ),
            tf.debugging.assert_less_equal(
                time, ends[-1], f"{held}most {ends[-1]}, the last boundary. Add one."
            ),
        ]
        if per_step:
            message = "bucket_dataset expected a label for each step."
            checks.append(tf.debugging.assert_equal(tf.shape(y)[0], time, message))
        if x.dtype.is_floating:
            message = "bucket_dataset expected finite numbers. Fill gaps before."
            x = tf.debugging.check_numerics(x, message)
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
