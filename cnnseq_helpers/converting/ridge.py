"""A linear classifier in closed form, judged by leaving out one sample at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Strengths to choose from, for features of deviation 1.
_STRENGTHS = np.logspace(-1, 4, 16)

# What scores may be multiplied by, to make logits of them.
_SCALES = np.geomspace(0.5, 100, 54)


def fit_ridge(features: Floats, labels: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return weights (features, classes) and bias (classes,) of a linear classifier.

    One class against the others, by least squares with a penalty on the weights. The
    strength of the penalty is the one with the least error on samples that were left
    out, one at a time; the scores are scaled such that the cross-entropy of those
    samples is least, and so serve as logits.

    Parameters
    ----------
    features : ndarray of float, (batch, features)
        Of mean 0 and alike in size. What is always 0 gets no weight.
    labels : ndarray of int, (batch,)
        From 0, two classes or more.

    Notes
    -----
    Ridge regression: Hoerl and Kennard, Technometrics 12, 1970. That leaving out a
    sample needs no second fit: Allen, Technometrics 16, 1974. Labels smoothed by their
    number: Platt, "Probabilistic outputs for support vector machines", 1999.

    Examples
    --------
    >>> features, labels = np.array([[-3.0], [-2.0], [2.0], [3.0]]), [0, 0, 1, 1]
    >>> weights, bias = fit_ridge(features, np.array(labels))
    >>> (np.array([[-1.0], [1.0]]) @ weights + bias).argmax(axis=1).tolist()
    [0, 1]
    """
    targets = 2 * np.eye(np.max(labels) + 1)[labels] - 1
    mean = targets.mean(axis=0)
    features = np.asarray(features, "float64")
    left, squares = _decompose(features)
    turned = left.T @ (targets - mean)
    found = []
    for strength in _STRENGTHS:
        kept = squares / (squares + strength)
        leverage = (left**2 @ kept + 1 / len(targets))[:, None]
        fitted = left @ (kept[:, None] * turned) + mean
        left_out = targets + (fitted - targets) / np.maximum(1 - leverage, 1e-9)
        found.append((np.mean((left_out - targets) ** 2), strength, left_out))
    _, strength, left_out = min(found, key=lambda each: each[0])
    weights = features.T @ (left @ (turned / (squares + strength)[:, None]))
    scale = min(_SCALES, key=lambda scale: _cross_entropy(scale * left_out, labels))
    return scale * weights, scale * mean


def _decompose(features: Floats) -> tuple[Floats, Floats]:
    """Return left singular vectors, and the squares of the singular values."""
    if len(features) > features.shape[1]:
        left, sizes, _ = np.linalg.svd(features, full_matrices=False)
        return left, sizes**2
    # Of few samples and many features their products are the smaller matrix, and take
    # a tenth of the time. Squares near 0 lose digits, far below the least strength.
    squares, left = np.linalg.eigh(features @ features.T)
    return left, np.maximum(squares, 0)


def _cross_entropy(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return the loss, as if there was one more sample of each class in each place.

    Where no sample is on the wrong side, the plain one falls with the scale for ever.
    """
    samples, classes = logits.shape
    chosen = np.take_along_axis(logits, np.asarray(labels)[:, None], axis=1)[:, 0]
    expected = (samples * chosen + logits.sum(axis=1)) / (samples + classes)
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(total - expected))
