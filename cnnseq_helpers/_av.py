"""PyAV: frames out of a file and into one. What is in a file is never trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._endings import ClipError as ClipError
from ._endings import Shown, check_ending

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
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "cnnseq_helpers.video reads and writes through PyAV, which is not "
            "installed. Install the extra: pip install 'cnnseq-helpers[video]'."
        ) from error
    return av


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
        for frame, end in _with_ends(opened):
            # Times were rounded to ticks: half a tick may decide nothing.
            due = math.ceil((end - Fraction(1, 2)) * tick * rate)
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
