"""Clips whose frames are not evenly timed are read whole, and sampled by time."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from cnnseq_helpers import ClipError, read_clip, write_clip

CODECS = {
    "h264.mp4": ("libx264", {}),
    "h264.mkv": ("libx264", {}),
    "h264, no B-frames.mkv": ("libx264", {"bf": "0"}),
    "vp9.webm": ("libvpx-vp9", {}),
    "vp8.webm": ("libvpx", {}),
    "mpeg4.mp4": ("mpeg4", {}),
    "mpeg4.mkv": ("mpeg4", {}),
    "faststart.mp4": ("libx264", {}),
}
COPIES = {"h264.mp4": "copied h264.mkv", "mpeg4.mp4": "copied mpeg4.mkv"}
KINDS = [*CODECS, *COPIES.values()]


def timings(seed):
    """Return when each of some frames is shown, in ms, in many ways."""
    random = np.random.default_rng(seed)
    even = np.arange(24) * 40
    dropped = np.delete(even, random.choice(np.arange(1, 24), 5, replace=False))
    return {
        "even": even,
        "frames dropped": dropped,
        "jitter": np.cumsum(random.integers(5, 120, 20)),
        "slides": np.cumsum(random.choice([500, 1000, 3000, 9000], 6)),
        "late": int(random.integers(1000, 90_000)) + dropped,
        "one frame": even[:1],
        "two frames, late": random.integers(2, 5000) + np.array([0, 777]),
    }


def write(path, times, last=0):
    """Write frames that grow lighter, one at each time; return the path."""
    codec, options = CODECS[path.name]
    mux = {"movflags": "faststart"} if path.name.startswith("fast") else {}
    with av.open(path, "w", options=mux) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            grey = np.full((32, 32), 8 * number + 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray")
            frame.pts, frame.time_base = int(time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copy(path, target, last=None):
    """Copy the stream as it is into another file, the last packet lasting longer."""
    with av.open(path) as source, av.open(target, "w") as container:
        stream = source.streams.video[0]
        copied = container.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        if last is not None:
            packets[-1].duration = int(last / stream.time_base)
        for packet in packets:
            packet.stream = copied
            container.mux(packet)
    return target


def make(folder, kind, times):
    if kind in CODECS:
        return write(folder / kind, times)
    (source,) = (name for name, copied in COPIES.items() if copied == kind)
    return copy(write(folder / source, times), folder / kind)


def frames_of(path):
    """Return how many frames are read; none if the file is refused by its name."""
    try:
        return len(read_clip(path))
    except ClipError as error:
        return 0 if path.name in str(error) else None


def numbers(clip):
    """Return which frame each is, from how light it is."""
    return np.rint((clip.mean(axis=(1, 2, 3)) * 255 - 20) / 8).astype(int).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_unevenly_timed_files_are_read(tmp_path, kind, seed):
    for name, times in timings(seed).items():
        path = make(tmp_path, kind, times)
        assert numbers(read_clip(path)) == list(range(len(times))), name
        assert numbers(read_clip(path, frames=len(times)))[-1] == len(times) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_files_are_refused_wherever_they_are_cut(tmp_path, kind):
    for name, times in timings(3).items():
        path = make(tmp_path, kind, times)
        data = path.read_bytes()
        for length in np.linspace(0, len(data) - 1, 30).astype(int):
            path.write_bytes(data[:length])
            lost = len(times) - frames_of(path)
            # Of an mp4, a few bytes behind all frames may be missing.
            assert lost == len(times) or (kind.endswith("mp4") and not lost), name


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "mp4" not in kind])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_files_that_end_in_zeros_are_refused(tmp_path, kind, share):
    # As of a download that set the room aside and stopped.
    for times in timings(4).values():
        path = make(tmp_path, kind, times)
        data = path.read_bytes()
        kept = int(share * len(data))
        path.write_bytes(data[:kept] + bytes(len(data) - kept))
        # The index, behind all frames, is not needed.
        assert frames_of(path) in (0, len(times))


def with_unknown_size(path):
    """Say of a Matroska file, as a recording in a browser does, that it is open."""
    data = path.read_bytes()
    start = data.index(b"\x18\x53\x80\x67") + 4
    assert data[start] == 1
    path.write_bytes(data[:start] + b"\x01" + b"\xff" * 7 + data[start + 8 :])
    return path


@pytest.mark.parametrize("kind", ["vp9.webm", "h264.mkv", "mpeg4.mkv"])
@pytest.mark.parametrize("seed", range(3))
def test_without_a_size_the_end_of_the_last_frame_counts(tmp_path, kind, seed):
    for name, times in timings(seed).items():
        path = with_unknown_size(make(tmp_path, kind, times))
        assert len(read_clip(path)) == len(times), name
        if name == "slides":  # of a few, the usual time says little
            continue
        data = path.read_bytes()
        usual = np.median(np.diff(times)) if len(times) > 1 else 40
        for length in np.linspace(len(data) // 4, len(data) - 1, 20).astype(int):
            path.write_bytes(data[:length])
            kept = frames_of(path) or len(times)
            ends = [*times[1:], times[-1] + 40]
            # For a frame that another follows, FFmpeg reckons with 40 ms too.
            assert ends[-1] - ends[kept - 1] <= usual + 40, (name, length)


def test_a_film_with_sound_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for number in range(20):
            grey = np.full((32, 32), 8 * number + 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray")
            container.mux(stream.encode(frame))
            samples = np.zeros((1, 800), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 800 * number
            container.mux(sound.encode(frame))
        container.mux(stream.encode(None))
    assert len(read_clip(path)) == 20
    data = path.read_bytes()
    for share in (0.9, 0.5):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ClipError, match="cut off"):
            read_clip(path)


@pytest.mark.parametrize("last", [0.001, 5])
@pytest.mark.parametrize("source", COPIES)
def test_however_long_the_last_frame_lasts_a_copy_is_read(tmp_path, source, last):
    for name, times in timings(5).items():
        path = write(tmp_path / source, times)
        copied = copy(path, tmp_path / COPIES[source], last)
        assert len(read_clip(copied)) == len(times), name


# --- Sampling by time -----------------------------------------------------------------


def on_show(times, rate, end):
    """Return which frame is on show at each sampling time; times in ms."""
    found, due = [], Fraction(int(times[0]))
    while due + Fraction(1, 2) < end:
        found.append(int((times <= float(due) + 0.5).sum()) - 1)
        due += 1000 / Fraction(rate)
    return found


@pytest.mark.parametrize("rate", [0.3, 2, 25, np.float32(37.5)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_on_show_at_each_time_is_taken(tmp_path, kind, rate):
    for name, times in timings(6).items():
        path = make(tmp_path, kind, times)
        found = numbers(read_clip(path, frames_per_second=rate))
        # How long the last frame lasts is the codec's or the container's to say.
        with av.open(path) as container:
            *_, last = container.decode(video=0)
            lasts = round(1000 * last.duration * last.time_base)
        whole = on_show(times, float(rate), int(times[-1]) + max(lasts, 1))
        assert abs(len(found) - len(whole)) <= 1, name
        known = min(len(found), len(whole))
        assert found[:known] == whole[:known], name
        assert set(found[known:]) <= {len(times) - 1}, name
        assert found[0] == 0, name


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (10, range(10)),
        (5, [0, 2, 4, 6, 8]),
        (2, [0, 5]),
        (3, [0, 3, 6]),
        (20, np.repeat(range(10), 2)),
        (0.5, [0]),
        (1e-300, [0]),
        (Fraction(10, 3), [0, 3, 6, 9]),
        (np.int64(4), [0, 2, 5, 7]),
    ],
)
def test_ten_frames_a_second_by_hand(tmp_path, name, rate, expected):
    levels = (8 * np.arange(10) + 20) / 255
    clip = np.broadcast_to(levels[:, None, None, None], (10, 16, 16, 1))
    write_clip(tmp_path / name, clip, frames_per_second=10)
    found = read_clip(tmp_path / name, frames_per_second=rate, channels=1)
    assert numbers(found) == list(expected)


@pytest.mark.parametrize("rate", [24, 30, 60, Fraction(30000, 1001)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mov", "ts", "flv", "mpg"])
def test_at_its_own_rate_each_frame_of_a_file_comes_once(tmp_path, suffix, rate):
    # Matroska rounds times to 1/1000 s, and so does flv.
    path = tmp_path / f"clip.{suffix}"
    with av.open(path, "w") as container:
        codec = {"flv": "flv", "mpg": "mpeg1video"}.get(suffix, "mpeg4")
        write_frames(container, codec, rate, number=25)
    given = float(rate)
    assert numbers(read_clip(path, frames_per_second=given)) == list(range(25))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (5, [0, 2, 4, 6, 8]),
        (7, [0, 1, 2, 4, 5, 7, 8]),
        (15, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9]),
        (20, np.repeat(range(10), 2)),
    ],
)
@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv"])
def test_where_a_tick_is_a_whole_frame_half_a_tick_is_half_a_frame(
    tmp_path, suffix, rate, expected
):
    with av.open(tmp_path / f"clip.{suffix}", "w") as container:
        write_frames(container)
    found = read_clip(tmp_path / f"clip.{suffix}", frames_per_second=rate)
    assert numbers(found) == list(expected)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("clip.avi", ""),
        ("clip.mp4", "frag_every_frame+empty_moov"),
        ("clip.mp4", "frag_keyframe+empty_moov+default_base_moof"),
    ],
)
def test_cut_off_avi_and_fragments_are_refused(tmp_path, name, flags):
    path = tmp_path / name
    options = {"movflags": flags} if flags else {}
    with av.open(path, "w", options=options) as container:
        write_frames(container, options={"g": "3"})
    assert frames_of(path) == 10
    data = path.read_bytes()
    ends = boxes(data) if flags else set()
    for length in np.linspace(len(data) // 4, len(data) - 2, 60).astype(int):
        path.write_bytes(data[:length])
        # Between two fragments, nothing tells that there were more of them.
        assert frames_of(path) in (0, 10) or length in ends


def boxes(data):
    """Return where the boxes of an mp4 end, with room for the head of the next."""
    ends, place = set(), 0
    while place < len(data):
        place += int.from_bytes(data[place : place + 4], "big")
        ends |= set(range(place, place + 8))
    return ends


def write_frames(container, codec="mpeg4", rate=10, number=10, options=None):
    stream = container.add_stream(codec, rate=rate, options=options or {})
    stream.height = stream.width = 32
    stream.pix_fmt = "yuv420p"
    for level in range(20, 20 + 8 * number, 8):
        grey = np.full((32, 32), level, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="gray")
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def test_size_and_channels_hold_for_frames_by_time(tmp_path):
    path = write(tmp_path / "h264.mkv", timings(7)["jitter"])
    options = {"size": (8, 12), "channels": 1}
    clip = read_clip(path, frames_per_second=50, **options)
    assert clip.shape[1:] == (8, 12, 1)
    assert len(clip) > 20


def test_files_that_were_cut_off_are_not_sampled(tmp_path):
    path = write(tmp_path / "vp9.webm", timings(8)["frames dropped"])
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ClipError, match="vp9.webm"):
        read_clip(path, frames_per_second=5)


@pytest.mark.parametrize("rate", [5, 1e6, 1e300, 10**400])
def test_repeated_frames_may_not_fill_the_memory(tmp_path, monkeypatch, rate):
    write_clip(tmp_path / "clip.gif", np.zeros((2, 32, 32, 1)), frames_per_second=0.5)
    monkeypatch.setattr("cnnseq_helpers.video.files._MOST_BYTES", 10 * 32 * 32 * 4)
    with pytest.raises(ClipError, match="less than 4 GiB, got over"):
        read_clip(tmp_path / "clip.gif", channels=1, frames_per_second=rate)
    assert len(read_clip(tmp_path / "clip.gif", channels=1, frames_per_second=2)) == 8


@pytest.mark.parametrize(
    "rate", [0, -1, float("nan"), float("inf"), "2", True, 1j, [2], np.float64(0)]
)
def test_other_rates_are_refused(tmp_path, rate):
    write_clip(tmp_path / "clip.gif", np.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match="a positive, finite number, got .* Change it"):
        read_clip(tmp_path / "clip.gif", frames_per_second=rate)


def test_frames_and_their_rate_are_not_given_together(tmp_path):
    write_clip(tmp_path / "clip.gif", np.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match="frames=2 and frames_per_second=3. Choose"):
        read_clip(tmp_path / "clip.gif", frames=2, frames_per_second=3)


def test_frames_without_times_can_only_be_counted(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.gif", np.zeros((2, 8, 8, 1)))

    def frames(_, shown):
        shown.starts.append(None)
        yield SimpleNamespace(pts=None)

    monkeypatch.setattr("cnnseq_helpers.video.files._frames", frames)
    with pytest.raises(ClipError, match="with frame 0. Choose frames=... instead"):
        read_clip(tmp_path / "clip.gif", frames_per_second=3)
