"""Clips of real handwritten digits that move: made in memory, nothing is downloaded.

All arithmetic is exact: the pixels of a digit are multiples of 1/16, the weights of the
enlargement and of positions between two pixels are multiples of small powers of two. So
every machine makes the same clips, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._extras import require
from .shapes import check_whole

_STEPS_A_PIXEL = 8

_CLIPS_AT_ONCE = 250

_PARTS = {"train": slice(1500), "test": slice(1500, None)}

_CAPTIONED_PARTS = {
    "train": slice(1200),
    "validation": slice(1200, 1500),
    "test": slice(1500, None),
}

_NAMES = (
    "a zero, a one, a two, a three, a four, a five, a six, a seven, an eight, a nine"
).split(", ")

#: The eight directions, clockwise: each name with its step along (height, width).
DIRECTIONS = {
    "right": (0, 1),
    "down right": (1, 1),
    "down": (1, 0),
    "down left": (1, -1),
    "left": (0, -1),
    "up left": (-1, -1),
    "up": (-1, 0),
    "up right": (-1, 1),
}


def moving_digits(
    n: int,
    *,
    frames: int = 20,
    size: int = 32,
    digits: int = 1,
    seed: int,
    split: str = "train",
) -> NDArray[np.float32]:
    """Return clips of real handwritten digits that move and bounce off the walls.

    A digit is a quarter to half as high as the frame, starts anywhere, and moves by the
    same number of pixels from frame to frame: along each axis between ``size / 64`` and
    ``size / 16``. Where it meets a wall, it turns round. Where digits overlap, the
    brighter pixel is seen.

    Parameters
    ----------
    n : int
        How many clips.
    frames : int
        Frames in each clip.
    size : int
        Height and width of a frame in pixels, at least 16.
    digits : int
        Digits in each clip.
    seed : int
        Equal seeds give equal clips, on every machine.
    split : {"train", "test"}
        Which images to draw from: the first 1,500 or the other 297.

    Returns
    -------
    ndarray of float32, (n, frames, size, size, 1)
        Pixels in [0, 1], the background 0.

    Raises
    ------
    ShapeError
        If a number is not whole or too small.
    ValueError
        If there is no such split.
    ImportError
        If scikit-learn, which ships the digits, is not installed.

    Notes
    -----
    The idea is that of Srivastava, Mansimov and Salakhutdinov, "Unsupervised learning
    of video representations using LSTMs", arXiv:1502.04681. The 1,797 images of 8 by 8
    pixels are those of `sklearn.datasets.load_digits`.

    Examples
    --------
    >>> clips = moving_digits(3, frames=20, size=32, digits=2, seed=0)
    >>> clips.shape, clips.dtype
    ((3, 20, 32, 32, 1), dtype('float32'))
    """
    doing = "moving_digits"
    n, frames, size = _check_sizes(doing, n, frames, size)
    digits = check_whole(doing, "digits", digits)
    glyphs, _ = _glyphs(doing, size, split)
    random = _generator(doing, seed, split)
    shape = (n, digits)
    images = random.integers(len(glyphs), size=shape)
    room = (size - glyphs.shape[1]) * _STEPS_A_PIXEL
    start = random.integers(room + 1, size=(*shape, 2))
    speed = random.integers(-(-size // 8), size // 2 + 1, size=(*shape, 2))
    velocity = speed * random.choice((-1, 1), size=(*shape, 2))
    travelled = _travel(start, velocity, frames) % (2 * room)
    positions = np.minimum(travelled, 2 * room - travelled)
    return _draw(glyphs, images, positions, size)


def drifting_digits(
    n: int, *, frames: int = 10, size: int = 32, seed: int, split: str = "train"
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return clips of one digit that drifts in one of eight directions, with labels.

    A digit that leaves the frame on one side comes in on the other. In every single
    frame, each position is thus equally likely for each direction, and only the order
    of the frames tells a direction from its opposite.

    Parameters
    ----------
    n, frames, size, seed, split
        As for `moving_digits`.

    Returns
    -------
    clips : ndarray of float32, (n, frames, size, size, 1)
        Pixels in [0, 1]. Along each axis that it moves along, a digit moves between
        3/64 and 5/64 of `size` from frame to frame, always by the same amount.
    labels : ndarray of int64, (n,)
        Label i means ``list(DIRECTIONS)[i]``: the eight directions, clockwise.

    Raises
    ------
    ShapeError, ValueError, ImportError
        As `moving_digits`.

    Examples
    --------
    >>> clips, labels = drifting_digits(100, seed=0)
    >>> clips.shape, labels.shape
    ((100, 10, 32, 32, 1), (100,))
    >>> list(DIRECTIONS)[labels[0]]
    'up left'
    """
    doing = "drifting_digits"
    n, frames, size = _check_sizes(doing, n, frames, size)
    glyphs, _ = _glyphs(doing, size, split)
    random = _generator(doing, seed, split)
    images = random.integers(len(glyphs), size=(n, 1))
    labels = random.integers(len(DIRECTIONS), size=n)
    around = size * _STEPS_A_PIXEL
    start = random.integers(around, size=(n, 1, 2))
    speed = random.integers(-(-3 * size // 8), 5 * size // 8 + 1, size=(n, 1))
    velocity = speed * np.array(list(DIRECTIONS.values()))[labels]
    positions = _travel(start, velocity[:, None], frames) % around
    return _draw(glyphs, images, positions, size), labels


def captioned_digits(
    n: int,
    *,
    frames: int = 6,
    size: int = 16,
    seed: int,
    split: str = "train",
    pairs: str = "seen",
) -> tuple[NDArray[np.float32], list[str]]:
    """Return clips of one digit that drifts, and what each shows, in words.

    A caption names digit, speed and direction: "a three moves quickly up and to the
    left". Two of the eight directions of each digit are left out, unless they are asked
    for: so a model can be tested on pairs that it has never seen together.

    Parameters
    ----------
    n, frames, size, seed
        As for `moving_digits`.
    split : {"train", "validation", "test"}
        Which images to draw from: the first 1,200, the next 300, or the other 297.
    pairs : {"seen", "unseen"}
        The 60 pairs of a digit and a direction to train on, or the other 20.

    Returns
    -------
    clips : ndarray of float32, (n, frames, size, size, 1)
        Pixels in [0, 1]. As with `drifting_digits`, a digit that leaves the frame comes
        in on the other side. Along each axis that it moves along, it moves between 1/64
        and 2/64 of `size` from frame to frame (slowly), or 4/64 and 6/64 (quickly).
    captions : list of str
        Five to nine words each, out of 22.

    Raises
    ------
    ShapeError, ValueError, ImportError
        As `moving_digits`, and if there are no such pairs.

    Examples
    --------
    >>> clips, captions = captioned_digits(100, seed=0)
    >>> clips.shape
    (100, 6, 16, 16, 1)
    >>> captions[0]
    'a three moves slowly up'
    """
    doing = "captioned_digits"
    n, frames, size = _check_sizes(doing, n, frames, size)
    if pairs not in ("seen", "unseen"):
        raise ValueError(f"{doing} expected pairs 'seen' or 'unseen', got {pairs!r}.")
    glyphs, digits = _glyphs(doing, size, split, _CAPTIONED_PARTS)
    random = _generator(doing, seed, split)
    images = random.integers(len(glyphs), size=(n, 1))
    chosen = random.choice(_TURNS[pairs], size=n)
    directions = (3 * digits[images[:, 0]] + chosen) % len(DIRECTIONS)
    quick = random.integers(2, size=n)
    start = random.integers(size * _STEPS_A_PIXEL, size=(n, 1, 2))
    least = -(np.array([-1, -4]) * size // _STEPS_A_PIXEL)
    most = np.array([2, 6]) * size // _STEPS_A_PIXEL
    speed = random.integers(least[quick], most[quick] + 1)[:, None]
    velocity = speed * np.array(list(DIRECTIONS.values()))[directions]
    positions = _travel(start, velocity[:, None], frames) % (size * _STEPS_A_PIXEL)
    captions = [
        f"{_NAMES[digit]} moves {('slowly', 'quickly')[pace]} {_PHRASES[direction]}"
        for digit, pace, direction in zip(
            digits[images[:, 0]], quick, directions, strict=True
        )
    ]
    return _draw(glyphs, images, positions, size), captions


#: A digit d is not shown in training in the directions 3 d and 3 d + 3.
_TURNS = {"seen": [1, 2, 4, 5, 6, 7], "unseen": [0, 3]}

_PHRASES = [
    " and ".join(
        f"to the {word}" if word in ("left", "right") else word for word in name.split()
    )
    for name in DIRECTIONS
]


def _check_sizes(doing: str, n: int, frames: int, size: int) -> tuple[int, int, int]:
    return (
        check_whole(doing, "n", n),
        check_whole(doing, "frames", frames),
        check_whole(doing, "size", size, at_least=16),
    )


def _generator(doing: str, seed: int, split: str) -> np.random.Generator:
    """Return random numbers that differ from split to split."""
    # Any number will do that differs between the names of the splits.
    return np.random.default_rng(
        [check_whole(doing, "seed", seed, at_least=0), len(split)]
    )


def _glyphs(
    doing: str, size: int, split: str, parts: Mapping[str, slice] = _PARTS
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the digits (image, height, width) of a part, enlarged to fit, and which.

    They are those that scikit-learn ships.
    """
    if split not in list(parts):
        *others, last = map(repr, parts)
        cure = "" if parts is not _PARTS else " For a validation set, take other seeds."
        known = f"{', '.join(others)} or {last}"
        raise ValueError(f"{doing} expected split {known}, got {split!r}.{cure}")
    sklearn = require(
        "sklearn.datasets",
        f"{doing} takes the digits from",
        package="scikit-learn",
        extra="data",
    )
    digits = sklearn.load_digits()
    return _enlarged(digits.images[parts[split]], size), digits.target[parts[split]]


def _enlarged(images: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return images (image, 8, 8), enlarged by a power of two to fit the frame."""
    scaled = (images / 16).astype(np.float32)
    factor = 2 ** ((size // 16).bit_length() - 1)
    # Each new pixel's centre, in old pixels, in units of half a new pixel.
    centres = 2 * np.arange(8 * factor) + 1 - factor
    weights = _between(np.clip(centres, 0, 14 * factor), 2 * factor, 8)
    glyphs: NDArray[np.float32] = np.einsum("pi,nij,qj->npq", weights, scaled, weights)
    return glyphs


def _travel(
    start: NDArray[Any], velocity: NDArray[Any], frames: int
) -> NDArray[np.int64]:
    """Return positions (n, frames, digits, axis) along straight lines."""
    steps = np.arange(frames)[:, None, None]
    return np.asarray(start[:, None] + velocity[:, None] * steps)


def _between(positions: NDArray[Any], unit: int, size: int) -> NDArray[np.float32]:
    """Return weights (..., size) that read or write between the two nearest pixels."""
    whole, part = np.divmod(positions, unit)
    weights = np.zeros((*positions.shape, size), np.float32)
    for pixel, share in ((whole, unit - part), (whole + 1, part)):
        held = np.take_along_axis(weights, pixel[..., None] % size, -1)
        held += share[..., None].astype(np.float32) / np.float32(unit)
        np.put_along_axis(weights, pixel[..., None] % size, held, -1)
    return weights


def _draw(
    glyphs: NDArray[np.float32],
    images: NDArray[np.int64],
    positions: NDArray[np.int64],
    size: int,
) -> NDArray[np.float32]:
    """Draw glyphs with their upper left corners at (n, frames, digits, axis)."""
    n, frames, digits, _ = positions.shape
    clips = np.zeros((n, frames, size, size, 1), np.float32)
    pixels = np.arange(glyphs.shape[1]) * _STEPS_A_PIXEL
    for first in range(0, n, _CLIPS_AT_ONCE):
        chunk = slice(first, first + _CLIPS_AT_ONCE)
        for digit in range(digits):
            corners = positions[chunk, :, digit, :, None] + pixels
            rows, columns = np.moveaxis(_between(corners, _STEPS_A_PIXEL, size), 2, 0)
            glyph = glyphs[images[chunk, digit], None]
            drawn = rows.swapaxes(-1, -2) @ glyph @ columns
            np.maximum(clips[chunk, ..., 0], drawn, out=clips[chunk, ..., 0])
    return clips
