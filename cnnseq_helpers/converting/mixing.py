"""New series out of given ones, for a teacher to judge."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How a mixed series differs from the two that it is made of: the shape of the beta
# distribution of their shares, the largest shift as a part of the steps, the spread of
# the scale, and noise as a part of the deviation of all values.
_SHARES, _SHIFT, _SCALE, _NOISE = 0.4, 0.05, 0.1, 0.02


def mix_series(
    x: NDArray[Any], mask: NDArray[Any] | None, number: int
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[Any]]:
    """Return mixtures of two series each, whose they are, and the first one's shares.

    Each series is first moved in time by a few steps, with its ends repeated; the
    mixture is scaled and gets a little noise. Where a mask is given, a mixture has the
    padding of its first series, and at steps where only that one is real, its values.

    Parameters
    ----------
    x : ndarray of float, (batch, time, channels)
        The series.
    mask : ndarray of bool, (batch, time), optional
        Which steps are real.
    number : int
        How many mixtures.

    Returns
    -------
    series : ndarray, (number, time, channels)
        The mixtures, in the type of x.
    pairs : ndarray of int, (number, 2)
        The rows of x that each is made of; its mask is that of the first.
    shares : ndarray of float, (number,)
        From 0 to 1: how much of the first.

    Notes
    -----
    Sums of two samples and their labels are those of Zhang, Cisse, Dauphin and
    Lopez-Paz, "mixup", arXiv:1710.09412. Drawn by a seed of
    ``keras.utils.set_random_seed``.
    """
    draw = np.random.default_rng(random.randrange(2**32))
    real = np.ones(x.shape[:2], bool) if mask is None else mask
    pairs = draw.integers(len(x), size=(number, 2))
    shares = draw.beta(_SHARES, _SHARES, size=number)
    first, second = (_move(x, real, rows, draw) for rows in pairs.T)
    only_first = ~real[pairs[:, 1]][..., None]
    weights = np.where(only_first, 1.0, shares[:, None, None])
    mixed = np.where(only_first, first, weights * first + (1 - weights) * second)
    mixed *= draw.normal(1.0, _SCALE, size=(number, 1, 1))
    # Padding may hold anything, NaN included, so the deviation is that of real steps.
    mixed += draw.normal(0.0, _NOISE * x[real].std(), size=mixed.shape)
    # A teacher that takes no mask reads the padding too, so it stays as it was.
    mixed = np.where(real[pairs[:, 0]][..., None], mixed, x[pairs[:, 0]])
    return mixed.astype(x.dtype), pairs, shares


def _move(
    x: NDArray[Any], real: NDArray[Any], rows: NDArray[Any], draw: np.random.Generator
) -> NDArray[Any]:
    """Return some of the series, each moved in time within its real steps."""
    time = x.shape[1]
    first = real.argmax(axis=1)[rows]
    last = (time - 1 - real[:, ::-1].argmax(axis=1))[rows]
    reach = _SHIFT * (last - first + 1)
    shift = np.rint(draw.uniform(-reach, reach)).astype(int)
    steps = np.arange(time) + shift[:, None]
    steps = np.clip(steps, first[:, None], last[:, None])
    return np.asarray(x[rows[:, None], steps])
