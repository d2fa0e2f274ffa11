"""The frame predictors: shapes, causality, one set of weights, save and load."""

import keras
import numpy as np
import pytest

from cnnseq_helpers import (
    ShapeError,
    assert_causal,
    conv_lstm_predictor,
    convolutional_predictor,
    moving_digits,
    recurrent_predictor,
)
from cnnseq_helpers.video.predicting import count_halvings

from ..conftest import sampled

PREDICTORS = (recurrent_predictor, conv_lstm_predictor, convolutional_predictor)
RECURRENT = PREDICTORS[:2]
CLIPS = moving_digits(4, frames=9, size=16, seed=0)

each = pytest.mark.parametrize("predictor", PREDICTORS)


@each
@pytest.mark.parametrize("shape", [(6, 16, 16, 1), (None, 16, 24, 3), (4, 9, 7, 2)])
def test_one_step_ahead_at_every_step(predictor, shape):
    keras.utils.set_random_seed(0)
    model = predictor(shape, filters=4)
    assert model.output_shape == (None, *shape)
    x = np.random.default_rng(0).random((2, shape[0] or 5, *shape[1:]))
    frames = np.asarray(model(x))
    assert frames.shape == x.shape
    assert frames.min() >= 0
    assert frames.max() <= 1
    assert_causal(model, x)


@each
@pytest.mark.parametrize("num_frames", [1, 3])
def test_the_frames_that_follow(predictor, num_frames):
    model = predictor((5, 16, 24, 3), num_frames, filters=4)
    assert model.output_shape == (None, num_frames, 16, 24, 3)
    x = np.random.default_rng(0).random((2, 5, 16, 24, 3))
    assert model(x).shape == (2, num_frames, 16, 24, 3)


@pytest.mark.parametrize("predictor", RECURRENT)
def test_the_writer_takes_over_the_state_of_the_reader(predictor):
    keras.utils.set_random_seed(0)
    model = predictor((None, 16, 16, 1), 3, filters=4)
    last, *state = model.get_layer("reader").output
    written = model.get_layer("writer")(
        keras.ops.stack([last] * 3, axis=1), initial_state=state
    )
    frames = model.get_layer("each_state")(written)
    by_hand = keras.Model(model.input, frames)
    np.testing.assert_allclose(model(CLIPS), by_hand(CLIPS), atol=1e-6)
    # With another state than the reader's it writes other frames.
    fresh = keras.ops.zeros_like
    other = model.get_layer("writer")(
        keras.ops.stack([last] * 3, axis=1), initial_state=[fresh(s) for s in state]
    )
    without = keras.Model(model.input, model.get_layer("each_state")(other))
    assert np.abs(model(CLIPS) - without(CLIPS)).max() > 1e-4


def test_a_window_is_what_is_seen():
    keras.utils.set_random_seed(0)
    model = convolutional_predictor((None, 16, 16, 1), filters=4, window=3)
    changed = CLIPS.copy()
    changed[:, 2] = 1 - changed[:, 2]
    moved = np.abs(model(changed) - model(CLIPS)).max(axis=(0, 2, 3, 4)) > 1e-6
    assert np.flatnonzero(moved).tolist() == [2, 3, 4]


def test_the_first_windows_are_filled_with_black():
    model = convolutional_predictor((None, 16, 16, 1), filters=4, window=3)
    black = np.concatenate([np.zeros_like(CLIPS[:, :2]), CLIPS], axis=1)
    np.testing.assert_allclose(model(black)[:, 2:], model(CLIPS), atol=1e-6)


@each
@pytest.mark.parametrize("num_frames", sampled([None, 2], 2))
def test_saves_loads_and_trains(predictor, num_frames, tmp_path):
    keras.utils.set_random_seed(0)
    model = predictor((4, 16, 16, 1), num_frames, filters=4)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    x = CLIPS[:, :4]
    y = CLIPS[:, 1:5] if num_frames is None else CLIPS[:, 4:6]
    losses = [model.train_on_batch(x, y) for _ in range(40)]  # means so far
    assert losses[-1] < 0.75 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)


@each
def test_clips_of_a_batch_do_not_mix(predictor):
    for model in (predictor((4, 16, 16, 1), filters=4), predictor((4, 16, 16, 1), 2)):
        together = model(CLIPS[:, :4])
        alone = model(CLIPS[2:3, :4])
        np.testing.assert_allclose(alone[0], together[2], atol=1e-5)


@each
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((16, 16, 1),), {}, "input_shape .time, height, width, channels"),
        (((5, 16, None, 1),), {}, "known but for time"),
        ((5,), {}, "got 5"),
        (((0, 16, 16, 1),), {}, "each size of .0, 16, 16, 1. to be a whole number"),
        (((5, 16, 16, 1), 0), {}, "num_frames to be a whole number of at least 1"),
        (((5, 16, 16, 1), 2.5), {}, "num_frames.*2.5"),
        (((5, 16, 16, 1),), {"filters": 0}, "filters to be a whole number"),
    ],
)
def test_refuses(predictor, arguments, options, message):
    with pytest.raises(ShapeError, match=f"{predictor.__name__} expected.*{message}"):
        predictor(*arguments, **options)


@pytest.mark.parametrize(
    ("predictor", "options"),
    [
        (recurrent_predictor, {"units": 0}),
        (conv_lstm_predictor, {"units": True}),
        (conv_lstm_predictor, {"kernel_size": "5"}),
        (convolutional_predictor, {"window": -1}),
    ],
)
def test_refuses_numbers_of_its_own(predictor, options):
    with pytest.raises(ShapeError, match=f"{next(iter(options))} to be a whole"):
        predictor((5, 16, 16, 1), **options)


def test_frames_can_only_be_stacked_if_their_number_is_known():
    with pytest.raises(ShapeError, match="Give time a number"):
        convolutional_predictor((None, 16, 16, 1), 5)


@pytest.mark.parametrize(
    ("sides", "halvings"),
    [((32, 32), 2), ((64, 64), 3), ((8, 8), 0), ((28, 28), 2), ((100, 96), 2)],
)
def test_halvings(sides, halvings):
    assert count_halvings(sides) == halvings


@each
@pytest.mark.parametrize("mean_pixel", [0.02, 0.5])
def test_predictions_start_at_the_mean_pixel(predictor, mean_pixel):
    keras.utils.set_random_seed(0)
    model = predictor((5, 16, 16, 1), 2, mean_pixel=mean_pixel)
    black = np.zeros((1, 5, 16, 16, 1))
    assert np.mean(model(black)) == pytest.approx(mean_pixel, rel=0.2)


@each
@pytest.mark.parametrize("mean_pixel", [0, 1, -0.1, float("nan"), "0.5", None])
def test_refuses_a_mean_that_no_pixel_has(predictor, mean_pixel):
    with pytest.raises(
        ValueError, match="mean_pixel between 0 and 1, got .*clips.mean"
    ):
        predictor((5, 16, 16, 1), mean_pixel=mean_pixel)
