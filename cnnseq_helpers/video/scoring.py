"""How far predicted frames are from the true ones, horizon by horizon."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._extras import require
from ..shapes import ShapeError
from .clips import as_clips, check_alike

# The side of the window that SSIM compares, scikit-image's default.
_WINDOW = 7


def frame_metrics(predicted: Any, true: Any) -> dict[str, NDArray[np.float64]]:
    """Return four measures of predicted frames, each with one value a horizon.

    Horizon i is the i-th predicted frame. Each value is the mean over all clips.

    Parameters
    ----------
    predicted, true : array_like, (batch, time, height, width, channels)
        Pixels in [0, 1], of one shape, with sides of at least 7 pixels.

    Returns
    -------
    dict of str to ndarray, (time,)
        - ``"mse"``: squared differences, summed over the pixels and channels of a
          frame. Lower is better, 0 is perfect.
        - ``"mae"``: absolute differences, summed in the same way.
        - ``"psnr"``: peak signal-to-noise ratio in decibels; infinite where every clip
          has a perfect frame, or a single one does.
        - ``"ssim"``: structural similarity, 1 for equal frames.

    Raises
    ------
    ShapeError
        If the arrays are not of this shape, differ in it, or frames are too small.
    ValueError
        If pixels are NaN or outside [0, 1], or whole numbers.
    ImportError
        If scikit-image is not installed.

    Notes
    -----
    MSE and MAE are those of OpenSTL (Tan et al., arXiv:2306.11249): sums over a frame,
    so that they grow with its size. The mean over the horizons is OpenSTL's number for
    a model. PSNR and SSIM are scikit-image's, with ``data_range=1``; SSIM is that of
    Wang et al., doi:10.1109/TIP.2003.819861, with a uniform window of 7 by 7 pixels.

    Examples
    --------
    >>> true = np.zeros((2, 3, 8, 8, 1))
    >>> true[:, :, 2:4, 2:4] = 1
    >>> frame_metrics(np.zeros_like(true), true)["mse"]
    array([4., 4., 4.])
    """
    doing = "frame_metrics"
    predicted = as_clips(doing, "predicted", predicted).astype(np.float64)
    true = as_clips(doing, "true", true).astype(np.float64)
    check_alike(doing, ("predicted", "true"), predicted, true)
    if min(true.shape[2:4]) < _WINDOW:
        raise ShapeError(
            f"{doing} compares windows of {_WINDOW} by {_WINDOW} pixels for SSIM, and "
            f"expected frames of at least this size, got {true.shape[2:4]}. Enlarge "
            "the frames."
        )
    difference = predicted - true
    return {
        "mse": (difference**2).sum(axis=(2, 3, 4)).mean(axis=0),
        "mae": np.abs(difference).sum(axis=(2, 3, 4)).mean(axis=0),
        **_frame_by_frame(predicted, true),
    }


def _frame_by_frame(
    predicted: NDArray[np.float64], true: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return scikit-image's measures, the mean over the clips for each horizon."""
    measures = require(
        "skimage.metrics",
        "frame_metrics takes PSNR and SSIM from",
        package="scikit-image",
        extra="video",
    )
    psnr, ssim = np.empty((2, *true.shape[:2]))
    for place in np.ndindex(*psnr.shape):
        pair = true[place], predicted[place]
        with np.errstate(divide="ignore"):  # equal frames: infinitely many decibels
            psnr[place] = measures.peak_signal_noise_ratio(*pair, data_range=1)
        ssim[place] = measures.structural_similarity(
            *pair, data_range=1, channel_axis=-1
        )
    return {"psnr": psnr.mean(axis=0), "ssim": ssim.mean(axis=0)}
