"""Clips that move on a page: a looping picture, without any script."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._clips import as_alike
from .plotting import _pyplot
from .shapes import ShapeError, _check_whole
from .strips import plain

_LARGEST = 300_000  # bytes, so that a page stays light on a phone
_INCHES, _DOTS = 5.2, 100  # as wide as the book's figures
_COLOURS = 64
_PAUSE = 4  # how much longer the last picture stays than the others


class Animation:
    """A looping picture that a notebook and its page show: an animated PNG.

    Attributes
    ----------
    png : bytes
        The file: ``Path("clip.png").write_bytes(animation.png)`` saves it.
    """

    def __init__(self, png: bytes, description: str) -> None:
        self.png = png
        self._description = description

    def __repr__(self) -> str:
        return f"Animation({self._description})"

    def _repr_png_(self) -> bytes:
        return self.png


def animate(
    clips: Mapping[str, NDArray[Any]],
    *,
    given: int = 0,
    frames_per_second: float = 4,
) -> Animation:
    """Return clips side by side as a picture that moves, in a loop.

    Parameters
    ----------
    clips : mapping of str to ndarray, (time, height, width, channels)
        Up to 6 clips by their names, pixels in [0, 1], all of one shape, grey or red,
        green and blue.
    given : int
        How many frames at the start were given; the others are marked as predicted.
    frames_per_second : float
        How fast it is played. The last frame stays four times as long.

    Returns
    -------
    Animation
        An animated PNG of under 300 kB, shown by browsers and notebooks.

    Raises
    ------
    ShapeError
        If there is no clip or more than 6, clips differ in shape, or `given` is more
        than the frames that there are.
    ValueError
        If pixels are not floats in [0, 1], the speed is not positive, or the file would
        be larger.

    Examples
    --------
    >>> from cnnseq_helpers import moving_digits
    >>> one, two = moving_digits(2, frames=5, seed=0)
    >>> animate({"one": one, "two": two})
    Animation(5 frames of 2 clips)
    """
    doing = "animate"
    if not 0 < len(clips) <= 6:
        raise ShapeError(
            f"{doing} expected 1 to 6 clips by their names, got {len(clips)}. Choose "
            "those that matter."
        )
    shown = dict(zip(clips, as_alike(doing, clips), strict=True))
    frames = len(next(iter(shown.values())))
    if _check_whole(doing, "given", given, at_least=0) > frames:
        raise ShapeError(
            f"{doing} expected at most {frames} given frames, as many as there are, "
            f"got {given}. Change given."
        )
    if not 0.1 <= frames_per_second <= 50:
        raise ValueError(
            f"{doing} expected frames_per_second from 0.1 to 50, got "
            f"{frames_per_second!r}. Change it."
        )
    png = _encode(_draw(shown, given), 1000 / float(frames_per_second))
    if len(png) > _LARGEST:
        raise ValueError(
            f"{doing} keeps a file under {_LARGEST // 1000} kB, got "
            f"{len(png) // 1000} kB. Show fewer frames or fewer clips."
        )
    return Animation(png, f"{frames} frames of {len(clips)} clips")


def _draw(clips: Mapping[str, NDArray[Any]], given: int) -> list[NDArray[np.uint8]]:
    """Return a picture (height, width, red green blue) for each frame."""
    plt = _pyplot()
    frames, height, width, _ = next(iter(clips.values())).shape
    panel_height = _INCHES / max(len(clips), 2) * height / width
    figure, panels = plt.subplots(
        1,
        len(clips),
        figsize=(_INCHES, panel_height + 0.8),
        dpi=_DOTS,
        squeeze=False,
        layout="constrained",
    )
    images = []
    for panel, (name, clip) in zip(panels[0], clips.items(), strict=True):
        images.append(panel.imshow(clip[0], cmap="gray", vmin=0, vmax=1))
        panel.set_title(plain(name), loc="center")
        panel.set_axis_off()
    pictures = []
    for number in range(frames):
        kind = "" if not given else "given" if number < given else "predicted"
        figure.suptitle(f"frame {number}  {kind}", y=0.02, va="bottom", fontsize=11)
        for image, clip in zip(images, clips.values(), strict=True):
            image.set_data(clip[number])
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    return pictures


def _encode(pictures: list[NDArray[np.uint8]], milliseconds: float) -> bytes:
    """Return an animated PNG of few colours that starts again at its end."""
    from PIL import Image  # comes with matplotlib

    # One palette for all pictures, taken from all of them.
    palette = Image.fromarray(np.concatenate(pictures)).quantize(
        _COLOURS, Image.Quantize.MAXCOVERAGE
    )
    first, *rest = (
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    )
    durations = [milliseconds] * len(rest) + [_PAUSE * milliseconds]
    file = io.BytesIO()
    first.save(
        file,
        format="PNG",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
        optimize=True,
    )
    return file.getvalue()
