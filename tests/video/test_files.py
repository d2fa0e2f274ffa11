"""Clips go to files and come back; what is no clip gives a clear error."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from cnnseq_helpers import (
    ClipError,
    ShapeError,
    moving_digits,
    read_clip,
    write_clip,
)

random = np.random.default_rng(0)


def gradient(frames=12, height=32, width=48):
    """Return a colourful clip that changes smoothly."""
    t, y, x = np.meshgrid(
        np.linspace(0, 1, frames),
        np.linspace(0, 1, height),
        np.linspace(0, 1, width),
        indexing="ij",
    )
    return np.stack([x, y, (t + x) / 2], axis=-1)


CLIPS = {
    "digits": moving_digits(1, frames=12, size=32, digits=2, seed=0)[0],
    "gradient": gradient(),
    "grey noise": random.random((5, 32, 32, 1)),
    "colour noise": random.random((5, 32, 32, 3)),
    "odd sides": gradient(3, 33, 21),
    "odd sides, grey": gradient(3, 33, 21)[..., :1],
    "one pixel": np.ones((2, 1, 1, 1)),
    "one frame": gradient(1),
}


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
@pytest.mark.parametrize("name", CLIPS)
def test_clips_come_back(tmp_path, name, suffix):
    clip, path = CLIPS[name], tmp_path / f"clip.{suffix}"
    write_clip(path, clip)
    back = read_clip(path, channels=clip.shape[3])
    assert back.dtype == np.float32
    assert back.shape == clip.shape
    assert np.abs(back - clip).mean() < 0.06


def test_a_grey_gif_is_exact(tmp_path):
    clip = random.integers(0, 256, (4, 9, 7, 1), dtype=np.uint8)
    write_clip(tmp_path / "clip.gif", clip)
    back = read_clip(tmp_path / "clip.gif", channels=1)
    np.testing.assert_array_equal(back, np.float32(clip) / 255)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("h264.mkv", "libx264", "yuv420p"),
        ("mpeg4.mp4", "mpeg4", "yuv420p"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("vp9.mp4", "libvpx-vp9", "yuv420p"),
        ("animated.gif", "gif", "rgb8"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_files_of_others_are_read(tmp_path, name, codec, pixels, channels):
    clip = (gradient() * 255).round().astype(np.uint8)
    with av.open(tmp_path / name, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, pixels
        for picture in clip:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    back = read_clip(tmp_path / name, channels=channels)
    expected = gradient()
    if channels == 1:  # the luma of ITU-R BT.601
        expected = expected @ np.array([[0.299], [0.587], [0.114]])
    assert back.shape == expected.shape
    assert np.abs(back - expected).mean() < 0.08


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (1, [0]),
        (2, [0, 11]),
        (3, [0, 5, 11]),
        (6, [0, 2, 4, 6, 8, 11]),
        (12, list(range(12))),
    ],
)
def test_frames_are_spread_over_the_file(tmp_path, suffix, frames, expected):
    path = tmp_path / f"clip.{suffix}"
    write_clip(path, CLIPS["digits"])
    whole = read_clip(path)
    np.testing.assert_array_equal(read_clip(path, frames=frames), whole[expected])


def test_frames_are_resized_by_area(tmp_path):
    clip = np.zeros((2, 8, 16, 1))
    clip[:, :4, :8] = 1
    write_clip(tmp_path / "clip.gif", clip)
    small = read_clip(tmp_path / "clip.gif", size=(2, 4), channels=1)
    np.testing.assert_allclose(
        small[0, ..., 0], [[1, 1, 0, 0], [0, 0, 0, 0]], atol=0.02
    )
    assert read_clip(tmp_path / "clip.gif", size=(20, 30)).shape == (2, 20, 30, 3)


def test_a_turned_phone_is_followed(tmp_path):
    # An mp4 notes a turn in the matrix of its track header.
    upright = b"\0\1\0\0" + bytes(12) + b"\0\1\0\0" + bytes(12) + b"\x40\0\0\0"
    turned = bytes(4) + b"\0\1\0\0" + bytes(4) + b"\xff\xff\0\0" + bytes(16)
    turned += b"\x40\0\0\0"
    clip = np.zeros((3, 32, 48, 1))
    clip[:, :16, :16] = 1  # a mark in the upper left corner
    write_clip(tmp_path / "clip.mp4", clip)
    data = (tmp_path / "clip.mp4").read_bytes()
    start = data.index(upright, data.index(b"tkhd"))
    data = data[:start] + turned + data[start + len(upright) :]
    (tmp_path / "clip.mp4").write_bytes(data)
    back = read_clip(tmp_path / "clip.mp4", channels=1)
    # Turned clockwise by a quarter: the mark is in the upper right corner.
    np.testing.assert_allclose(back, np.rot90(clip, -1, axes=(1, 2)), atol=0.1)
    small = read_clip(tmp_path / "clip.mp4", size=(24, 16), channels=1)
    assert small.shape == (3, 24, 16, 1)
    assert small[0, 3, 13, 0] > 0.9 > 0.1 > small[0, 3, 3, 0]


def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    path = tmp_path / "clip.gif"
    write_clip(path, np.zeros((4, 16, 16, 1)))
    monkeypatch.setattr("cnnseq_helpers.video.files._MODES", {1: "no such mode"})
    with pytest.raises(ValueError, match="no such mode"):
        write_clip(path, np.zeros((9, 16, 16, 1)))
    monkeypatch.undo()
    assert len(read_clip(path)) == 4
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["md5:clip.gif", "file:clip.gif", "äö %d ü.mp4"])
def test_names_are_just_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(name, np.zeros((4, 16, 16, 1)))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(read_clip(name)) == 4


@pytest.mark.parametrize("rate", [1, 12.5, 29.97, np.float32(100)])
def test_the_speed_is_written(tmp_path, rate):
    write_clip(tmp_path / "clip.mp4", CLIPS["digits"], frames_per_second=rate)
    with av.open(tmp_path / "clip.mp4") as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(
            rate, rel=1e-3
        )


# --- What is no clip ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a whole video file"),
        (b"not a video at all", "expected a whole video file"),
        (b"ffconcat version 1.0\nfile good.mp4\n", "expected a whole video file"),
        (b"#EXTM3U\n#EXTINF:10,\ngood.mp4\n#EXT-X-ENDLIST\n", "a whole video file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    write_clip(tmp_path / "good.mp4", CLIPS["digits"])
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(ClipError, match=message) as caught:
        read_clip(tmp_path / "bad.mp4")
    assert "bad.mp4" in str(caught.value)


def test_a_title_in_another_encoding_does_no_harm(tmp_path):
    with av.open(tmp_path / "clip.mp4", "w") as container:
        container.metadata["title"] = "ZXrich"
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32), np.uint8), format="gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = (tmp_path / "clip.mp4").read_bytes()
    assert b"ZXrich" in data
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"ZX", b"Z\xfc"))  # Latin-1
    assert read_clip(tmp_path / "clip.mp4").shape == (1, 32, 32, 3)


def test_a_file_with_sound_only_is_refused(tmp_path):
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        samples = np.zeros((1, 4096), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ClipError, match="expected frames, got a file without any"):
        read_clip(tmp_path / "sound.mp4")


def test_frames_that_change_their_size_need_a_size(tmp_path):
    with av.open(tmp_path / "mixed.mkv", "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuvj420p"
        for number, side in enumerate((16, 16, 32)):
            codec = av.CodecContext.create("mjpeg", "w")
            codec.height, codec.width, codec.pix_fmt = side, side, "yuvj420p"
            codec.time_base = Fraction(1, 10)
            grey = np.full((side, side), 99, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray")
            for packet in codec.encode(frame.reformat(format="yuvj420p")):
                packet.stream, packet.pts, packet.dts = stream, number, number
                container.mux(packet)
    with pytest.raises(ClipError, match=r"got \(16, 16\) and then \(32, 32\). Give a"):
        read_clip(tmp_path / "mixed.mkv")
    assert read_clip(tmp_path / "mixed.mkv", size=(8, 8)).shape == (3, 8, 8, 3)


def test_no_path_leads_elsewhere(tmp_path):
    for path in ("missing.mp4", "http://127.0.0.1/clip.mp4", "concat:a.mp4|b.mp4"):
        with pytest.raises(FileNotFoundError, match="expected a video file"):
            read_clip(path)
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(ClipError, match="which is no file"):
            read_clip(path)


@pytest.mark.parametrize("faststart", [False, True])
def test_an_mp4_that_was_cut_off_is_refused(tmp_path, faststart):
    path = tmp_path / "clip.mp4"
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = 32
        for picture in CLIPS["digits"]:
            frame = av.VideoFrame.from_ndarray(
                (picture[..., 0] * 255).astype(np.uint8), format="gray"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        packets = [p.pos for p in container.demux(video=0) if p.size]
    data = path.read_bytes()
    # Within a frame, and exactly between two.
    for length in (len(data) // 2, max(packets), max(packets) + 3, 100, 8):
        path.write_bytes(data[:length])
        with pytest.raises(ClipError, match="clip.mp4"):
            read_clip(path)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.gif", "gif", "gray"),
        ("clip.webm", "libvpx-vp9", "yuv420p"),
        ("clip.mkv", "libx264", "yuv420p"),
    ],
)
def test_other_files_that_were_cut_off_are_refused(tmp_path, name, codec, pixels):
    path = tmp_path / name
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, pixels
        for _ in range(20):
            noise = random.integers(0, 256, (32, 32), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(read_clip(path)) == 20
    data = path.read_bytes()
    for share in (0.9, 0.5, 0.2):
        path.write_bytes(data[: int(share * len(data))])
        for frames in (None, 3):
            with pytest.raises(ClipError, match=name):
                read_clip(path, frames=frames)


def test_a_clip_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.gif", np.zeros((10, 32, 32, 1)))
    monkeypatch.setattr("cnnseq_helpers.video.files._MOST_BYTES", 10 * 32 * 32 * 4)
    assert read_clip(tmp_path / "clip.gif", channels=1).nbytes == 10 * 32 * 32 * 4
    with pytest.raises(ClipError, match=r"less than 4 GiB, got over 4 frames"):
        read_clip(tmp_path / "clip.gif")


@pytest.mark.parametrize("frames", [13, 1000, 10**12])
def test_more_frames_than_there_are(tmp_path, frames):
    for name in ("clip.mp4", "clip.gif"):
        write_clip(tmp_path / name, CLIPS["digits"])
        message = f"{name}.*expected at least {frames} frames, got 12"
        with pytest.raises(ClipError, match=message):
            read_clip(tmp_path / name, frames=frames)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path):
    # The first bytes of a gif: 60,000 by 4,000 pixels, one byte of them given.
    header = b"GIF89a" + (60000).to_bytes(2, "little") + (4000).to_bytes(2, "little")
    header += (
        b"\x80\0\0" + bytes(6) + b"," + bytes(4) + header[6:10] + b"\0\x02\x01\0\0;"
    )
    (tmp_path / "bomb.gif").write_bytes(header)
    with pytest.raises(ClipError, match="bomb.gif"):
        read_clip(tmp_path / "bomb.gif")


CORRUPT = """
import sys
from pathlib import Path
import numpy as np
from cnnseq_helpers import ClipError, read_clip

random = np.random.default_rng(0)
sources = [Path(name).read_bytes() for name in sys.argv[2:]]
read, refused = 0, 0
for variant in range(200):
    data = bytearray(sources[variant % len(sources)])
    if variant % 2:
        del data[random.integers(len(data)) :]
    else:
        for place in random.integers(len(data), size=1 + variant // 20):
            data[place] ^= 1 << random.integers(8)
    path = Path(sys.argv[1])
    path.write_bytes(data)
    try:
        frames = None if variant % 3 else 4
        clip = read_clip(path, frames=frames, size=(16, 16))
        assert clip.shape[1:] == (16, 16, 3) and len(clip) > 0
        read += 1
    except ClipError as error:
        assert str(path) in str(error)
        refused += 1
print(read, refused)
"""


def test_two_hundred_damaged_files_give_frames_or_the_clear_error(tmp_path):
    sources = [tmp_path / "clip.mp4", tmp_path / "clip.gif", tmp_path / "clip.webm"]
    for path in sources[:2]:
        write_clip(path, CLIPS["digits"])
    with av.open(sources[2], "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10)
        stream.height = stream.width = 32
        for _ in range(8):
            noise = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    # In a process of its own, so that a crash or a hang of the decoder is seen.
    arguments = [sys.executable, "-c", CORRUPT, tmp_path / "damaged", *sources]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    read, refused = map(int, result.stdout.split())
    assert read + refused == 200
    assert read > 20
    assert refused > 20


# --- Arguments ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"frames": 0}, ShapeError, "frames to be a whole number of at least 1, got 0"),
        ({"frames": 2.5}, ShapeError, "got 2.5"),
        ({"size": 32}, ShapeError, r"size=\(height, width\), got 32"),
        ({"size": (32, 0)}, ShapeError, "width to be a whole number"),
        ({"size": (10**6, 8)}, ShapeError, "height to be at most 16384 pixels"),
        ({"channels": 4}, ShapeError, "or 1 .grey., got 4"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, options, error, message):
    write_clip(tmp_path / "clip.mp4", CLIPS["digits"])
    with pytest.raises(error, match=message):
        read_clip(tmp_path / "clip.mp4", **options)


@pytest.mark.parametrize(
    ("clip", "error", "message"),
    [
        (np.zeros((2, 8, 8)), ShapeError, r"got \(2, 8, 8\).*channels axis"),
        (np.zeros((1, 2, 8, 8, 1)), ShapeError, "one clip of a batch"),
        (np.zeros((2, 8, 8, 2)), ShapeError, "with 1 channel .grey. or 3"),
        (np.zeros((0, 8, 8, 1)), ShapeError, "at least one frame"),
        (np.full((2, 8, 8, 1), np.nan), ValueError, "got NaN"),
        (np.full((2, 8, 8, 1), 1.5), ValueError, "from 1.5 to 1.5"),
        (np.full((2, 8, 8, 1), -0.1), ValueError, "from -0.1 to -0.1"),
        (np.zeros((2, 8, 8, 1), int), ValueError, "floats .*, got int64"),
        (np.zeros((2, 8, 8, 1), bool), ValueError, "floats .*, got bool"),
    ],
)
def test_other_arrays_are_not_written(tmp_path, clip, error, message):
    with pytest.raises(error, match=message):
        write_clip(tmp_path / "clip.mp4", clip)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "rate", "error", "message"),
    [
        ("clip.avi", 10, ValueError, "ends in .mp4 or .gif, got"),
        ("missing/clip.mp4", 10, FileNotFoundError, "no such folder"),
        ("clip.mp4", 0, ValueError, "from 0.01 to 1000, got 0"),
        ("clip.mp4", float("nan"), ValueError, "got nan"),
        ("clip.gif", 101, ValueError, "from 0.01 to 100, got 101"),
    ],
)
def test_impossible_files_are_not_written(tmp_path, name, rate, error, message):
    with pytest.raises(error, match=message):
        write_clip(tmp_path / name, np.zeros((2, 8, 8, 1)), frames_per_second=rate)
    assert not list(tmp_path.iterdir())
