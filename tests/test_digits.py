"""The digits move as documented, and alike on every machine."""

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnseq_helpers import (
    DIRECTIONS,
    ShapeError,
    captioned_digits,
    drifting_digits,
    moving_digits,
)


def places(clips):
    """Return the place of what is seen in a frame that has no edges, (n, frames, 2).

    The phase of the longest wave in each frame moves with the digit, whatever it looks
    like; this knows nothing of how the digits were drawn.
    """
    size = clips.shape[2]
    waves = np.fft.fft2(clips[..., 0])
    phases = np.stack([waves[..., 1, 0], waves[..., 0, 1]], axis=-1)
    return -np.angle(phases) * size / (2 * np.pi)


def steps(clips):
    """Return how far the digit goes from frame to frame, (n, frames - 1, 2)."""
    size = clips.shape[2]
    moved = np.diff(places(clips), axis=1)
    return (moved + size / 2) % size - size / 2


@pytest.mark.parametrize("size", [16, 20, 23, 32, 64])
def test_drifting_digits_move_in_their_direction(size):
    clips, labels = drifting_digits(60, frames=7, size=size, seed=3)
    moved = steps(clips)
    np.testing.assert_allclose(moved, moved[:, :1].repeat(6, axis=1), atol=0.02)
    directions = np.array(list(DIRECTIONS.values()))[labels]
    np.testing.assert_array_equal(np.sign(moved[:, 0].round(1)), directions)
    speed = np.abs(moved[:, 0]).max(axis=1)
    assert speed.min() > 3 * size / 64 - 0.02
    assert speed.max() < 5 * size / 64 + 0.02


def test_no_direction_has_a_place_or_a_digit_of_its_own():
    clips, labels = drifting_digits(4000, frames=4, size=16, seed=0)
    assert np.bincount(labels).min() > 400
    for label in range(8):
        mean = clips[labels == label].mean(axis=0)
        # Every pixel of every frame alike, but for chance: one part in sqrt(500 clips).
        assert mean.std() < 0.15 * mean.mean()


def test_a_digit_comes_in_where_it_went_out():
    clips, _ = drifting_digits(20, frames=30, size=16, seed=0)
    mass = clips.sum(axis=(2, 3, 4))
    np.testing.assert_array_equal(mass, mass[:, :1].repeat(30, axis=1))


def test_moving_digits_keep_their_speed_and_turn_at_walls():
    clips = moving_digits(50, frames=40, size=32, seed=0)
    mass = clips.sum(axis=(2, 3, 4))
    np.testing.assert_array_equal(mass, mass[:, :1].repeat(40, axis=1))
    moved = steps(clips)
    speed = np.median(np.abs(moved), axis=1, keepdims=True)
    assert speed.min() > 32 / 64 - 0.02
    assert speed.max() < 32 / 16 + 0.02
    turns = np.abs(np.abs(moved) - speed) > 0.05
    assert 0 < turns.mean() < 0.2  # slower only in the step in which it turns
    before, after = np.sign(moved[:, :-1]), np.sign(moved[:, 1:])
    assert (before != after).mean() < 0.2
    assert ((moved > 0.4).any(axis=1) & (moved < -0.4).any(axis=1)).mean() > 0.8


def test_digits_are_those_of_the_split():
    for split, images in [
        ("train", load_digits().images[:1500]),
        ("test", load_digits().images[1500:]),
    ]:
        clips, _ = drifting_digits(40, frames=1, size=16, seed=0, split=split)
        mass = {int(m) for m in 16 * clips.sum(axis=(1, 2, 3, 4))}
        assert mass <= {int(m) for m in images.sum(axis=(1, 2))}


def test_overlapping_digits_show_the_brighter_pixel():
    clips = moving_digits(30, frames=10, size=32, digits=3, seed=0)
    single = moving_digits(30, frames=10, size=32, digits=1, seed=0)
    assert clips.max() <= 1
    assert clips.mean() > 2 * single.mean()


def test_clips_are_the_same_on_every_machine():
    clips = moving_digits(10, frames=8, size=32, digits=2, seed=7)
    drifts, labels = drifting_digits(10, frames=8, size=16, seed=7)
    # Every pixel is a whole multiple of 1/2**14, so no sum was ever rounded.
    assert (clips * 2**14 % 1 == 0).all()
    digest = hashlib.sha256(clips.tobytes() + drifts.tobytes() + labels.tobytes())
    assert digest.hexdigest() == (
        "0392fadc9d14789668d1dcd5a73e133e9bf415df924178ad54c293493e326a90"
    )


def test_seeds_and_splits_differ_and_repeat():
    first = moving_digits(5, seed=0)
    np.testing.assert_array_equal(first, moving_digits(5, seed=0))
    assert (first != moving_digits(5, seed=1)).any()
    _, train_labels = drifting_digits(40, size=16, seed=0)
    _, test_labels = drifting_digits(40, size=16, seed=0, split="test")
    assert (train_labels != test_labels).any()  # not the same motion of other digits


def test_a_thousand_clips_are_made_at_once():
    clips = moving_digits(1000, frames=20, size=32, seed=0)
    assert clips.shape == (1000, 20, 32, 32, 1)


@pytest.mark.parametrize("size", [16, 20, 32])
def test_captions_say_what_moves_where(size):
    clips, captions = captioned_digits(200, frames=7, size=size, seed=1)
    moved = steps(clips)
    np.testing.assert_allclose(moved, moved[:, :1].repeat(6, axis=1), atol=0.02)
    signs = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    for way, caption in zip(moved[:, 0], captions, strict=True):
        words = caption.split()
        said = np.sum([signs[word] for word in words if word in signs], axis=0)
        np.testing.assert_array_equal(np.sign(way.round(1)), said)
        share = np.abs(way).max() / size
        slow = "slowly" in words
        assert (1 / 64 if slow else 4 / 64) < share + 0.002
        assert share - 0.005 < (2 / 64 if slow else 6 / 64)
    assert captions[0] == "a three moves quickly up and to the right"
    words = {word for caption in captions for word in caption.split()}
    assert len(words) == 22
    assert {len(caption.split()) for caption in captions} == {5, 7, 9}


def test_captions_name_the_digit_of_a_part_of_the_images():
    images, digits = load_digits().images, load_digits().target
    names = "zero one two three four five six seven eight nine".split()
    for split, part in [
        ("train", slice(1200)),
        ("validation", slice(1200, 1500)),
        ("test", slice(1500, None)),
    ]:
        known = {
            (int(mass), names[digit])
            for mass, digit in zip(
                images[part].sum(axis=(1, 2)), digits[part], strict=True
            )
        }
        clips, captions = captioned_digits(60, frames=1, seed=0, split=split)
        mass = (16 * clips.sum(axis=(1, 2, 3, 4))).astype(int)
        shown = {
            (m, caption.split()[1]) for m, caption in zip(mass, captions, strict=True)
        }
        assert shown <= known


def test_no_pair_is_both_seen_and_unseen():
    pairs = {}
    for kind, number in (("seen", 60), ("unseen", 20)):
        _, captions = captioned_digits(3000, frames=1, seed=0, pairs=kind)
        said = [caption.split() for caption in captions]
        pairs[kind] = {(words[1], *words[4:]) for words in said}
        assert len(pairs[kind]) == number
    assert not pairs["seen"] & pairs["unseen"]
    for place in (0, slice(1, None)):  # each digit and each direction in training
        parts = [{pair[place] for pair in pairs[kind]} for kind in pairs]
        assert parts[0] == parts[1]


def test_captions_are_the_same_on_every_machine():
    clips, captions = captioned_digits(20, seed=7)
    text = "\n".join(captions).encode()
    assert hashlib.sha256(clips.tobytes() + text).hexdigest() == (
        "d4e45359e0aa777d7ce8a3696f2b79b2bd54d065df224dc3401b5ba33531220f"
    )


def test_unknown_parts_of_captions_are_refused():
    with pytest.raises(ValueError, match="'validation' or 'test', got 'val'"):
        captioned_digits(2, seed=0, split="val")
    with pytest.raises(ValueError, match="pairs 'seen' or 'unseen', got 'all'"):
        captioned_digits(2, seed=0, pairs="all")


@pytest.mark.parametrize("make", [moving_digits, drifting_digits])
def test_impossible_clips_are_refused(make):
    for options in (
        {"n": 0},
        {"frames": 0},
        {"size": 15},
        {"size": 20.5},
        {"seed": -1},
        {"seed": None},
    ):
        with pytest.raises(ShapeError, match=f"{make.__name__} expected"):
            make(**{"n": 2, "seed": 0, **options})
    with pytest.raises(ValueError, match="'train' or 'test', got 'validation'"):
        make(2, seed=0, split="validation")
    with pytest.raises(ShapeError, match="digits to be a whole number"):
        moving_digits(2, digits=0, seed=0)
