"""Animations are animated, hold what they were given, and are light."""

import io
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from cnnseq_helpers import ShapeError, animate, moving_digits, use_book_style

from .conftest import sampled

CLIPS = moving_digits(6, frames=20, size=32, seed=0)


def pictures(animation):
    """Return the pictures of the file, grey, and its durations in milliseconds."""
    with Image.open(io.BytesIO(animation.png)) as file:
        assert file.format == "PNG"
        assert file.info["loop"] == 0  # again and again
        found, durations = [], []
        for number in range(file.n_frames):
            file.seek(number)
            found.append(np.asarray(file.convert("L"), float) / 255)
            durations.append(file.info["duration"])
    return np.stack(found), durations


def test_it_moves_in_time_and_pauses_at_the_end():
    shown, durations = pictures(animate({"a": CLIPS[0]}, frames_per_second=5))
    assert len(shown) == 20
    assert durations == [200] * 19 + [800]
    assert all(np.abs(b - a).max() > 0.2 for a, b in pairwise(shown))


def test_each_clip_is_seen_in_its_place():
    clips = np.zeros((2, 3, 8, 8, 1))
    clips[0, 1], clips[1, 2] = 1, 0.5
    shown, _ = pictures(animate({"left": clips[0], "right": clips[1]}))
    _, height, width = shown.shape
    row = int(height * 0.5)
    left, right = shown[:, row, width // 4], shown[:, row, 3 * width // 4]
    np.testing.assert_allclose(left, [0, 1, 0], atol=0.02)
    np.testing.assert_allclose(right, [0, 0, 0.5], atol=0.02)


def test_frames_that_do_not_move_stay_in():
    still = np.full((4, 8, 8, 1), 0.5)
    shown, _ = pictures(animate({"still": still}))
    assert len(shown) == 4  # the number of the frame changes


@pytest.mark.parametrize("style", [False, True])
@pytest.mark.parametrize("number", sampled([3, 1, 6], 3))
def test_it_is_light(number, style):
    open_before = plt.get_fignums()
    with plt.rc_context():
        if style:
            use_book_style()
        noise = np.random.default_rng(0).normal(0, 0.05, CLIPS.shape)
        grainy = np.clip(CLIPS + noise, 0, 1)
        names = "abcdef"[:number]
        found = animate(dict(zip(names, grainy, strict=False)), given=10)
    assert len(found.png) < 300_000
    assert repr(found) == f"Animation(20 frames of {number} clips)"
    assert found._repr_png_() == found.png
    assert plt.get_fignums() == open_before


def test_colours():
    colour = np.zeros((2, 8, 8, 3))
    colour[..., 0] = 1
    with Image.open(io.BytesIO(animate({"red": colour}).png)) as file:
        pixel = file.convert("RGB").getpixel((file.width // 2, file.height // 2))
    np.testing.assert_allclose(pixel, (255, 0, 0), atol=8)


def test_what_would_be_heavy_is_refused():
    noise = np.random.default_rng(0).random((60, 64, 64, 3))
    with pytest.raises(ValueError, match="under 300 kB, got .* fewer frames"):
        animate({"noise": noise})


GOOD = CLIPS[0]


@pytest.mark.parametrize(
    ("clips", "options", "error", "message"),
    [
        ({}, {}, ShapeError, "got 0"),
        (dict.fromkeys("abcdefg", GOOD), {}, ShapeError, "got 7"),
        (
            {"a": GOOD, "b": GOOD[:5]},
            {},
            ShapeError,
            "clip a and clip b.*20.*time=5",
        ),
        ({"a": CLIPS}, {}, ShapeError, "clip a to be"),
        ({"a": GOOD * 2}, {}, ValueError, "clip a in .0, 1"),
        ({"a": GOOD * np.nan}, {}, ValueError, "got NaN"),
        (
            {"a": np.concatenate([GOOD] * 2, -1)},
            {},
            ShapeError,
            "1 channel .grey. or 3",
        ),
        ({"a": GOOD}, {"given": 21}, ShapeError, "at most 20 given"),
        ({"a": GOOD}, {"given": -1}, ShapeError, "given"),
        ({"a": GOOD}, {"frames_per_second": 0}, ValueError, "from 0.1 to 50, got 0"),
    ],
)
def test_refuses(clips, options, error, message):
    with pytest.raises(error, match=message):
        animate(clips, **options)
