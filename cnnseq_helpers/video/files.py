"""Clips to and from video files, through PyAV: what is in a file is never trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._extras import require
from ..shapes import ShapeError, check_whole
from .clips import as_clip
from .endings import ClipError, Shown, check_ending

_LONGEST_SIDE = 2**14

_FASTEST = {".mp4": 1000, ".gif": 100}


def read_clip(
    path: str | Path,
    *,
    frames: int | None = None,
    frames_per_second: float | None = None,
    size: tuple[int, int] | None = None,
    channels: int = 3,
) -> NDArray[np.float32]:
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

    Returns
    -------
    ndarray of float32, (time, height, width, channels)
        The frames, with pixels in [0, 1], upright: a phone's note that it was turned
        is followed.

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
        check_whole("read_clip", "frames", frames)
    rate = _check_rate(frames, frames_per_second)
    _check_pictures("read_clip", size, channels)
    clip = (
        sample_frames(Path(path), frames, size, channels)
        if rate is None
        else sample_times(Path(path), rate, size, channels)
    )
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
    if check_whole(doing, "channels", channels) not in (1, 3):
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
            if check_whole(doing, name, pixels) > _LONGEST_SIDE:
                raise ShapeError(
                    f"{doing} expected {name} to be at most {_LONGEST_SIDE} pixels, "
                    f"got {pixels}. Change size."
                )


def _to_uint8(clip: Any) -> NDArray[np.uint8]:
    array = as_clip("write_clip", "clip", clip, takes_bytes=True)
    if max(array.shape[1:3]) > _LONGEST_SIDE:
        raise ShapeError(
            f"write_clip expected sides of at most {_LONGEST_SIDE} pixels, got "
            f"{array.shape[1:3]}. Make the frames smaller."
        )
    if array.dtype == np.uint8:
        return array
    return np.asarray(np.rint(np.clip(array, 0, 1) * 255), dtype=np.uint8)


# --- PyAV -----------------------------------------------------------------------------


Pixels = NDArray[np.uint8]

Opened = tuple[Any, Any, Any]  # a container, its stream of video, and the file

# FFmpeg's names for files that hold their own frames. Playlists, which name other files
# and addresses, are not among them.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,asf,flv,ogg,mpeg,mpegts,mpegvideo"
)

_MODES = {1: "gray", 3: "rgb24"}

_MOST_BYTES = 2**32

_MOST_PIXELS = 2**26


def _import_av() -> Any:
    reading = "cnnseq_helpers reads and writes video files through"
    return require("av", reading, package="PyAV", extra="video")


# --- Reading --------------------------------------------------------------------------


def sample_frames(
    path: Path, frames: int | None, size: tuple[int, int] | None, channels: int
) -> Pixels:
    """Return the wanted frames of a file as (time, height, width, channels)."""
    total = None
    if frames is not None:
        with _opened(path) as (container, stream, _):
            total = sum(packet.size > 0 for packet in container.demux(stream))
    while True:
        with _opened(path) as opened:
            wanted = _spread(frames, total)
            pictures, seen = _decode(opened, wanted, size, channels)
            _check_number(seen, frames or 1)
        if total in (None, seen):
            return np.stack(pictures)
        total = seen  # Some files hold a frame in two packets, or two in one.


def sample_times(
    path: Path, rate: Fraction, size: tuple[int, int] | None, channels: int
) -> Pixels:
    """Return the frames on show at even times: (time, height, width, channels)."""
    reformatter = _import_av().video.reformatter.VideoReformatter()
    pictures: list[Pixels] = []
    copies: list[int] = []
    taken = 0
    with _opened(path) as opened:
        tick = opened[1].time_base
        last = Fraction(0)
        for frame, end in _with_ends(opened):
            # Times were rounded to ticks, so half a tick may decide nothing. Where a
            # frame lasts a tick or a few, as in avi, they are exact, but for the rate.
            lasts, last = end - last, end
            rounding = Fraction(1, 2) if lasts >= 10 else Fraction(lasts) / 1000
            due = math.ceil((end - rounding) * tick * rate)
            if due > taken:
                pictures.append(_picture(frame, size, channels, reformatter))
                copies.append(due - taken)
                taken = due
                _check_fit(pictures, taken)
        _check_number(len(pictures), 1)
    return np.repeat(np.stack(pictures), copies, axis=0)


def _check_number(seen: int, needed: int) -> None:
    if seen < needed:
        raise ClipError(
            f"expected at least {needed} frames, got {seen}. "
            "Ask for fewer frames, or leave the file out."
        )


@contextmanager
def _opened(path: Path) -> Iterator[Opened]:
    """Open a video file; whatever goes wrong while it is read names the file."""
    av = _import_av()
    if not path.exists():
        raise FileNotFoundError(
            f"read_clip expected a video file, but there is no {str(path)!r}. Check "
            "the path; addresses on the network are not read."
        )
    if not path.is_file():
        raise ClipError(
            f"read_clip expected a video file, got {str(path)!r}, which is no file. "
            "Read a folder of clips with ClipFolder."
        )
    settings: dict[str, Any] = {"options": {"format_whitelist": _FORMATS}}
    if int(av.__version__.split(".")[0]) < 19:
        settings["metadata_errors"] = "ignore"  # a title may not be UTF-8
    try:
        with path.open("rb") as file, av.open(file, **settings) as container:
            if not container.streams.video:
                raise ClipError(
                    "expected frames, got a file without any. Leave it out."
                )
            stream = container.streams.best("video")
            stream.thread_type = "NONE"
            stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
            yield container, stream, file
    except ClipError as error:
        raise ClipError(f"read_clip, reading {str(path)!r}, {error}") from None
    except Exception as error:
        # A damaged file can make PyAV raise almost anything.
        raise ClipError(
            f"read_clip, reading {str(path)!r}, expected a whole video file (mp4, "
            "webm, mkv, avi, mov, wmv, mpg or gif), got "
            f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}. "
            "Play it to see whether it is damaged, convert it to mp4, or leave it out."
        ) from error


def _spread(frames: int | None, total: int | None) -> set[int] | None:
    """Return the numbers of the wanted frames; None for all of them."""
    if frames is None or total is None:
        return None
    if frames > total:
        return set()  # to be counted only
    return {i * (total - 1) // max(frames - 1, 1) for i in range(frames)}


def _decode(
    opened: Opened,
    wanted: set[int] | None,
    size: tuple[int, int] | None,
    channels: int,
) -> tuple[list[Pixels], int]:
    """Return the wanted frames, and how many there are in all."""
    reformatter = _import_av().video.reformatter.VideoReformatter()
    pictures: list[Pixels] = []
    shown = Shown([], [])
    for number, frame in enumerate(_frames(opened, shown)):
        if wanted is None or number in wanted:
            pictures.append(_picture(frame, size, channels, reformatter))
            _check_fit(pictures, len(pictures))
    return pictures, len(shown.starts)


def _frames(opened: Opened, shown: Shown) -> Iterator[Any]:
    """Yield all frames, note in `shown` when that is, and see to it that none lacks."""
    container, stream, file = opened
    for number, frame in enumerate(container.decode(stream)):
        if frame.is_corrupt:
            raise ClipError(f"expected whole frames, but frame {number} is damaged.")
        shown.starts.append(frame.pts)
        shown.durations.append(frame.duration or 0)
        yield frame
    check_ending(container, stream, file, shown)


def _with_ends(opened: Opened) -> Iterator[tuple[Any, Fraction]]:
    """Yield each frame with when the next is due, in ticks from the first frame on."""
    shown = Shown([], [])
    last = None
    for frame in _frames(opened, shown):
        if frame.pts is None:
            raise ClipError(
                f"expected a time with each frame, got none with frame "
                f"{len(shown.starts) - 1}. Choose frames=... instead of "
                "frames_per_second, or convert it to mp4."
            )
        if last is not None:
            yield last, Fraction(frame.pts - shown.starts[0])
        last = frame
    if last is not None:
        end = last.pts + max(Fraction(last.duration or shown.usual), Fraction(1))
        yield last, end - shown.starts[0]


def _picture(
    frame: Any, size: tuple[int, int] | None, channels: int, reformatter: Any
) -> Pixels:
    """Return a frame as (height, width, channels), upright."""
    quarter_turns = round(frame.rotation / 90)
    height, width = size or (None, None)
    if quarter_turns % 2:
        height, width = width, height
    small = reformatter.reformat(
        frame, width, height, _MODES[channels], interpolation="AREA"
    )
    picture = small.to_ndarray().reshape(small.height, small.width, channels)
    return np.rot90(picture, quarter_turns)


def _check_fit(pictures: list[Pixels], number: int) -> None:
    first, last = pictures[0], pictures[-1]
    if first.shape != last.shape:
        raise ClipError(
            f"expected frames of one size, got {first.shape[:2]} and then "
            f"{last.shape[:2]}. Give a size=(height, width)."
        )
    if number * first.nbytes * 4 > _MOST_BYTES:  # as float32
        raise ClipError(
            f"expected less than 4 GiB, got over {number} frames of "
            f"{first.shape[:2]}. Give a size, or ask for fewer frames."
        )


# --- Writing --------------------------------------------------------------------------


def write_frames(path: Path, clip: Pixels, rate: Fraction) -> None:
    """Write (time, height, width, channels) as .mp4 or .gif."""
    av = _import_av()
    _, height, width, channels = clip.shape
    pictures = clip if channels == 3 else clip[..., 0]
    frames: Iterator[Any] = (
        av.VideoFrame.from_ndarray(x, format=_MODES[channels]) for x in pictures
    )
    kind = path.suffix.lower()[1:]
    with _replacing(path) as file, av.open(file, "w", format=kind) as container:
        if kind == "mp4":
            stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
            plain = channels == 1 and height % 2 == width % 2 == 0
            stream.pix_fmt = "yuv420p" if plain else "yuv444p"
        else:
            stream = container.add_stream("gif", rate=rate)
            stream.pix_fmt = "gray" if channels == 1 else "pal8"
            if channels == 3:
                frames = _with_palette(frames, height, width, rate)
        stream.height, stream.width, stream.thread_count = height, width, 1
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """Open a file that takes the place of `path` only when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _with_palette(
    frames: Iterator[Any], height: int, width: int, rate: Fraction
) -> Iterator[Any]:
    """Yield frames in the 256 colours that suit the whole clip best."""
    av = _import_av()
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format="rgb24", time_base=1 / rate
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", "reserve_transparent=0")
    recolour = graph.add("paletteuse", "dither=none")
    source.link_to(split)
    split.link_to(recolour, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(recolour, 0, 1)
    recolour.link_to(sink)
    graph.configure()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, 1 / rate
        graph.push(frame)
    graph.push(None)
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
