"""New series out of given ones, for a teacher to judge."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The beta distribution of the shares of two series: mostly of one, a little of another.
# Moving, scaling and noise were tried beside, and do harm: benchmarks/mixing.py.
_SHARES = 0.4


def mix_series(
    x: NDArray[Any], mask: NDArray[Any] | None, number: int
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[Any]]:
    """Return mixtures of two series each, whose they are, and the first one's shares.

    Where a mask is given, a mixture has the padding of its first series, and at steps
    where only that one is real, its values.

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
    # Padding may hold anything, NaN included.
    first, second = np.where(real[..., None], x, 0)[pairs.T]
    weights = np.where(real[pairs[:, 1]], shares[:, None], 1.0)[..., None]
    mixed = weights * first + (1 - weights) * second
    # A teacher that takes no mask reads the padding too, so it stays as it was.
    mixed = np.where(real[pairs[:, 0]][..., None], mixed, x[pairs[:, 0]])
    return mixed.astype(x.dtype), pairs, shares
