"""Where to part sequences by length, so that little is padded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..shapes import ShapeError, as_array, check_whole

# With more different lengths than these, the boundaries are chosen among so many
# quantiles and the longest ones, of which a single one may cost much padding.
_QUANTILES = 512

_LONGEST = 256


def bucket_boundaries(
    lengths: ArrayLike, *, num_buckets: int = 8, min_samples: int = 1
) -> list[int]:
    """Return the boundaries that pad these lengths the least.

    Parameters
    ----------
    lengths : array_like of int, (sample,)
        Steps of each sequence.
    num_buckets : int
        Buckets at most. Each is one more shape of batches.
    min_samples : int
        Sequences that a bucket must hold, if there are so many; with the batch size,
        hardly a batch is smaller than half of it.

    Returns
    -------
    list of int
        The longest length of each bucket, in rising order.

    Raises
    ------
    ShapeError
        If there is no length, or a number is not whole and positive.

    Notes
    -----
    An exact search by dynamic programming, as for the optimal partition of a line:
    Bellman, doi:10.1145/366573.366611. With more than 768 different lengths the
    boundaries are chosen among 512 quantiles and the 256 longest.

    Examples
    --------
    >>> bucket_boundaries([7, 7, 8, 20, 21, 60], num_buckets=3)
    [8, 21, 60]
    """
    num_buckets = check_whole("bucket_boundaries", "num_buckets", num_buckets)
    min_samples = check_whole("bucket_boundaries", "min_samples", min_samples)
    ordered = np.sort(_check_lengths(lengths))
    ends = np.unique(ordered)
    if len(ends) > _QUANTILES + _LONGEST:
        shares = np.linspace(0, 1, _QUANTILES)
        chosen = np.quantile(ordered, shares, method="higher")
        ends = np.unique(np.concatenate([chosen, ends[-_LONGEST:]]))
    # Below each candidate: how many sequences; steps, with padding, of one bucket.
    count = np.concatenate([[0], np.searchsorted(ordered, ends, side="right")])
    held = count[None, 1:] - count[:-1, None]
    allowed = held >= min(min_samples, len(ordered))
    steps = np.where(allowed, held * ends.astype(float), np.inf)
    best, choices = steps[0], [np.zeros(len(ends), int)]
    for _ in range(num_buckets - 1):
        # Sequences up to candidate i - 1 in the buckets so far, the others in one more.
        total = np.concatenate([[np.inf], best[:-1]])[:, None] + steps
        choice = total.argmin(axis=0)
        more = total[choice, np.arange(len(ends))]
        if more[-1] >= best[-1]:
            break
        best = more
        choices.append(choice)
    boundaries, last = [], len(ends) - 1
    for choice in reversed(choices):
        boundaries.append(int(ends[last]))
        last = int(choice[last]) - 1
    return boundaries[::-1]


def _check_lengths(lengths: Any) -> NDArray[np.int64]:
    array: NDArray[Any] = as_array(lengths)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        raise ShapeError(
            "bucket_boundaries expected the steps of each sequence, whole numbers in "
            f"one list, got {lengths!r:.100}. From sequences: [len(each) for each in "
            "sequences]."
        )
    if array.min() < 1:
        raise ShapeError(
            "bucket_boundaries expected at least one step in each sequence, got "
            f"{array.min()} in sequence {array.argmin()}. Leave it out."
        )
    return array.astype(np.int64)


def check_boundaries(
    doing: str, boundaries: Any, lengths: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the boundaries as an array, if they rise and reach over all lengths."""
    array = np.asarray(boundaries)
    whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iu"
    if not whole or array[0] < 1 or (np.diff(array.astype(np.int64)) < 1).any():
        raise ShapeError(
            f"{doing} expected boundaries to be whole, positive numbers in rising "
            f"order, got {boundaries!r:.100}. bucket_boundaries(lengths) finds some."
        )
    if lengths is not None and lengths.max() > array[-1]:
        raise ShapeError(
            f"{doing} expected no sequence to be longer than the last boundary, "
            f"{array[-1]}, got {lengths.max()} steps in sequence {lengths.argmax()}. "
            f"Add a boundary: {[*array.tolist(), int(lengths.max())]}."
        )
    return array.astype(np.int64)
