"""Clips to and from video files, and a folder of them as batches for `model.fit`.

PyAV does the reading and writing (in ``_av.py``), so FFmpeg's codecs are at hand
without a program to install.
"""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._av import ClipError as ClipError
from ._av import sample_frames, sample_times, write_frames
from .shapes import ShapeError, _check_whole

_LONGEST_SIDE = 2**14
_FASTEST = {".mp4": 1000, ".gif": 100}


def read_clip(
    path: str | Path,
    *,
    frames: int | None = None,
    frames_per_second: float | None = None,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    dtype: str = "float32",
) -> NDArray[Any]:
    """Return the frames of a video file: mp4, webm, mkv, avi, gif and others.

    Parameters
    ----------
    path : str or Path
        A file on this machine.
    frames : int, optional
        How many frames to take, evenly spaced from the first to the last; all of them
        if not given. However many there are, they cover the whole file.
    frames_per_second : float, optional
        Take, instead, the frame on show at 0, 1, 2 ... times ``1 / frames_per_second``
        seconds after the first, until the last one ends. However fast a file was
        recorded, evenly or not, the steps of the clip are of one length; frames that
        are shown for longer are repeated. (How long the last one is shown, mkv and webm
        do not say: as long as most.)
    size : (height, width), optional
        Pixels to resize each frame to, without regard to its proportions, up to 16,384.
    channels : {3, 1}
        Red, green and blue, or grey.
    dtype : {"float32", "uint8"}
        Pixels in [0, 1], or whole numbers from 0 to 255.

    Returns
    -------
    ndarray, (time, height, width, channels)
        The frames, upright: a phone's note that it was turned is followed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ClipError
        If it is no video, is damaged so that it can't be decoded, was cut off (where
        mp4, mkv, webm and gif let it be seen), has fewer frames than asked for or no
        times for them, has frames of different sizes and no `size` is given, or would
        fill over 4 GiB.
    ShapeError, ValueError
        If an argument is not one of those above, or both `frames` and
        `frames_per_second` are given.
    ImportError
        If PyAV is not installed.

    Examples
    --------
    >>> import tempfile
    >>> clip = np.zeros((10, 32, 48, 3), np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_clip(f"{folder}/black.mp4", clip)
    ...     read_clip(f"{folder}/black.mp4", frames=5, channels=1).shape
    (5, 32, 48, 1)

    Ten frames at 10 a second are one second, in which 4 a second make 4:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_clip(f"{folder}/black.mp4", clip, frames_per_second=10)
    ...     read_clip(f"{folder}/black.mp4", frames_per_second=4).shape
    (4, 32, 48, 3)
    """
    if frames is not None:
        _check_whole("read_clip", "frames", frames)
    rate = _check_rate(frames, frames_per_second)
    _check_pictures("read_clip", size, channels)
    if dtype not in ("float32", "uint8", np.float32, np.uint8):
        raise ValueError(
            f"read_clip expected dtype 'float32' or 'uint8', got {dtype!r}. Convert "
            "the clip afterwards: clip.astype(...)."
        )
    clip = (
        sample_frames(Path(path), frames, size, channels)
        if rate is None
        else sample_times(Path(path), rate, size, channels)
    )
    if np.dtype(dtype) == np.uint8:
        return clip
    return np.divide(clip, np.float32(255), dtype=np.float32)


def write_clip(
    path: str | Path, clip: NDArray[Any], *, frames_per_second: float = 10
) -> None:
    """Write a clip to a video file: H.264 in .mp4, or an animated .gif.

    An existing file is replaced when the new one is complete. H.264 is lossy: pixels
    come back almost, not exactly. Colour and odd sides are stored at full colour
    resolution (4:4:4), which some players do not show; grey clips with even sides are
    stored in the usual way. A gif keeps grey exactly, has 256 colours a clip, and
    counts time in 1/100 s.

    Parameters
    ----------
    path : str or Path
        Ends in .mp4 or .gif.
    clip : ndarray, (time, height, width, channels)
        Floats in [0, 1] or uint8; 1 channel (grey) or 3 (red, green, blue).
    frames_per_second : float
        How fast it is to be played: up to 1000, in a gif up to 100.

    Raises
    ------
    ShapeError
        If the clip is not of this shape, or empty.
    ValueError
        If it has other values, NaN among them, or the ending or speed is not possible.
    FileNotFoundError
        If the folder does not exist.
    ImportError
        If PyAV is not installed.

    Examples
    --------
    >>> import tempfile
    >>> clip = np.random.default_rng(0).random((10, 32, 32, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_clip(f"{folder}/noise.gif", clip)
    ...     bool(abs(read_clip(f"{folder}/noise.gif", channels=1) - clip).max() < 0.01)
    True
    """
    path = Path(path)
    pixels = _to_uint8(clip)
    if path.suffix.lower() not in _FASTEST:
        raise ValueError(
            f"write_clip expected a path that ends in .mp4 or .gif, got {str(path)!r}."
            " Change the ending."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"write_clip expected to write into a folder, got {str(path)!r}, but there "
            "is no such folder. Make it: path.parent.mkdir(parents=True)."
        )
    fastest = _FASTEST[path.suffix.lower()]
    if not 0.01 <= frames_per_second <= fastest:
        raise ValueError(
            f"write_clip expected frames_per_second from 0.01 to {fastest}, got "
            f"{frames_per_second!r}. Change frames_per_second."
        )
    rate = Fraction(float(frames_per_second)).limit_denominator(1001)
    write_frames(path, pixels, rate)


def _check_rate(frames: int | None, frames_per_second: Any) -> Fraction | None:
    if frames_per_second is None:
        return None
    if frames is not None:
        raise ValueError(
            f"read_clip expected frames or frames_per_second, got frames={frames!r} "
            f"and frames_per_second={frames_per_second!r}. Choose one: so many frames "
            "of each file, or steps of one length."
        )
    number = isinstance(frames_per_second, Real) and frames_per_second is not True
    if not number or not 0 < frames_per_second < math.inf:
        raise ValueError(
            "read_clip expected frames_per_second to be a positive, finite number, got "
            f"{frames_per_second!r}. Change it: 2 takes a frame every half second."
        )
    if isinstance(frames_per_second, Rational):
        above, below = frames_per_second.numerator, frames_per_second.denominator
        return Fraction(int(above), int(below))
    return Fraction(float(frames_per_second))


def _check_pictures(doing: str, size: tuple[int, int] | None, channels: int) -> None:
    if _check_whole(doing, "channels", channels) not in (1, 3):
        raise ShapeError(
            f"{doing} expected channels=3 (red, green, blue) or 1 (grey), got "
            f"{channels!r}. Change channels."
        )
    if size is not None:
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise ShapeError(
                f"{doing} expected size=(height, width), got {size!r}. Change size."
            )
        for name, pixels in zip(("height", "width"), size, strict=True):
            if _check_whole(doing, name, pixels) > _LONGEST_SIDE:
                raise ShapeError(
                    f"{doing} expected {name} to be at most {_LONGEST_SIDE} pixels, "
                    f"got {pixels}. Change size."
                )


def _to_uint8(clip: Any) -> NDArray[np.uint8]:
    if not isinstance(clip, np.ndarray):
        raise ShapeError(
            "write_clip expected an array (time, height, width, channels), got a "
            f"{type(clip).__name__}. Convert it: np.asarray(clip)."
        )
    if clip.ndim != 4 or clip.shape[3] not in (1, 3) or 0 in clip.shape:
        raise ShapeError(
            "write_clip expected (time, height, width, channels) with 1 or 3 channels "
            f"and at least one frame, got {clip.shape}. Add a channels axis to grey "
            "frames: clip[..., None]; write the clips of a batch one by one."
        )
    if max(clip.shape[1:3]) > _LONGEST_SIDE:
        raise ShapeError(
            f"write_clip expected sides of at most {_LONGEST_SIDE} pixels, got "
            f"{clip.shape[1:3]}. Make the frames smaller."
        )
    if clip.dtype == np.uint8:
        return clip
    if not np.issubdtype(clip.dtype, np.floating):
        raise ValueError(
            f"write_clip expected floats in [0, 1] or uint8, got {clip.dtype}. "
            "Convert it: clip.astype('uint8') if values run from 0 to 255."
        )
    if not ((clip >= 0) & (clip <= 1)).all():
        raise ValueError(
            "write_clip expected pixels in [0, 1], got values from "
            f"{clip.min()} to {clip.max()}. Scale or clip them: np.clip(clip, 0, 1); "
            "replace NaN."
        )
    return np.asarray(np.rint(clip * 255), dtype=np.uint8)
