"""Whether a video file is all there, as far as its format lets it be seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_SEGMENT, _CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")

# What a Matroska segment is made of, clusters of frames and their index among it, and
# what a cluster.
_PARTS = {
    parent: {bytes.fromhex(name) for name in names.split()}
    for parent, names in {
        _SEGMENT: "114d9b74 1549a966 1654ae6b 1f43b675 1c53bb6b 1941a469 1043a770"
        " 1254c367 ec bf",
        _CLUSTER: "e7 5854 a7 ab a3 a0 af ec bf",
    }.items()
}


class ClipError(ValueError):
    """A video file or a folder of them that can't be used: which one, and why."""

    __module__ = "cnnseq_helpers"  # tracebacks name what can be imported


class Shown(NamedTuple):
    """When each frame of a file is shown, and for how long, in ticks of its clock."""

    starts: list[int | None]
    durations: list[int]

    @property
    def usual(self) -> float:
        """From one frame to the next, mostly."""
        known = [start for start in self.starts if start is not None]
        steps = np.diff(known) if len(known) > 1 else np.array(self.durations)
        return float(np.median(steps)) if len(steps) else 0.0


def check_ending(container: Any, stream: Any, file: Any, shown: Shown) -> None:
    """Complain of a file that was cut off, where its format lets it be seen."""
    kind, whole = container.format.name, None
    if kind == "gif":
        whole = _gif_is_whole(file)
    elif kind == "avi":
        whole = _avi_is_whole(file)
    elif kind.startswith("mov"):
        whole, fragments = _mp4_is_whole(file)
        # Behind the last frame there may be sound, or nothing; of a file of fragments,
        # only those frames are counted that are still there.
        every = 0 < stream.frames <= len(shown.starts)
        if whole is False and every and not fragments:
            whole = None
    elif kind.startswith("matroska"):
        whole = _matroska_is_whole(file)
    if whole is False:
        raise ClipError(
            "expected a whole file, but a part of it is missing, as a rule the last. "
            "It was cut off or damaged: copy it again, or leave it out."
        )
    if whole is None:
        _check_length(container, stream, shown)


def _check_length(container: Any, stream: Any, shown: Shown) -> None:
    """Complain if the last frame ends before the file does, by its own account."""
    starts = [start for start in shown.starts if start is not None]
    if not starts or not any(shown.durations):
        return
    tick, usual = stream.time_base, float(shown.usual * stream.time_base)
    ends = (
        start + (duration or shown.usual)
        for start, duration in zip(shown.starts, shown.durations, strict=True)
        if start is not None
    )
    seconds = float(max(ends) * tick)
    kind, expected = container.format.name, 0.0
    if kind.startswith("matroska") and len(container.streams) == 1:
        expected = (container.duration or 0) / 1e6
    if kind.startswith("mov"):
        expected = float((stream.duration or 0) * tick)
        seconds -= float(min(starts) * tick)
        # With B-frames, a file adds up durations in another order than it shows them.
        seconds = max(seconds, float(sum(shown.durations) * tick))
    if expected - seconds > max(usual, float(tick)):
        raise ClipError(
            f"expected {expected:.2f} s, as the file says, got {seconds:.2f} s. It was "
            "cut off: copy it again, or leave it out."
        )


def _size(file: Any) -> int:
    return int(file.seek(0, 2))


def _gif_is_whole(file: Any) -> bool:
    file.seek(-min(_size(file), 2**16), 2)
    return bool(file.read().rstrip(b"\0\r\n").endswith(b";"))


def _avi_is_whole(file: Any) -> bool | None:
    """Tell whether the file is as long as it says; None if it does not say."""
    size = _size(file)
    file.seek(4)
    length = int.from_bytes(file.read(4), "little")
    if not 0 < length < 2**31:  # not filled in, or longer than can be written there
        return None
    return False if length + 8 > size + 1 else None  # a last byte evens the length


def _mp4_is_whole(file: Any) -> tuple[bool | None, bool]:
    """Tell whether no box that holds frames ends behind the file; None if unclear.

    And whether it is made of fragments, each with frames and a list of its own.
    """
    size, place, fragments = _size(file), 0, False
    while place + 8 <= size:
        file.seek(place)
        length, name = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:
            return None, fragments
        fragments = fragments or name == b"moof"
        place += length
        if place > size:
            lost = name in (b"mdat", b"moof", b"moov")
            return (False if lost else None), fragments
    return None, fragments


def _matroska_is_whole(file: Any) -> bool | None:
    """Tell whether all parts of a file are there and sound; None if unclear."""
    size = _size(file)
    place, length, _ = _matroska_part(file, 0)
    place, length, name = _matroska_part(file, place + (length or size))
    if name != _SEGMENT or length is None:
        return None
    return place + length <= size and _follow(file, place, place + length, _SEGMENT)


def _follow(file: Any, place: int, end: int, parent: bytes) -> bool | None:
    """Tell whether parts, one behind the other, end where their parent does."""
    while place < end:
        place, length, name = _matroska_part(file, place)
        if len(name) > 4:
            return False  # no name has more bytes: zeros, or other damage
        if length is None or name not in _PARTS[parent]:
            return None
        if name == _CLUSTER and not _follow(file, place, place + length, name):
            return False
        place += length
    return place == end


def _matroska_part(file: Any, place: int) -> tuple[int, int | None, bytes]:
    """Return where a part's content starts, how long it is if known, and its name."""
    file.seek(place)
    head = file.read(16) + bytes(16)
    wide = 9 - head[0].bit_length()
    width = 9 - head[wide].bit_length()
    # The first bit that is set tells how many bytes a number has, and is none of it.
    number = int.from_bytes(head[wide : wide + width], "big") - (1 << 7 * width)
    known = number != (1 << 7 * width) - 1
    # Damaged lengths may be below zero: never go back.
    return place + wide + width, max(number, 0) if known else None, head[:wide]
