"""Buckets of sequences that do not fit in memory, with tf.data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .boundaries import check_boundaries
from .shapes import ShapeError, _check_whole

if TYPE_CHECKING:
    import tensorflow as tf


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
    import tensorflow as tf

    batch_size = _check_whole("bucket_dataset", "batch_size", batch_size)
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
