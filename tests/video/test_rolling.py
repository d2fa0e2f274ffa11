"""rollout, held against loops by hand: closed, blind to the future, with a state."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from cnnseq_helpers import (
    BatchApply,
    ShapeError,
    conv_lstm_predictor,
    convolutional_predictor,
    moving_digits,
    recurrent_predictor,
    rollout,
)
from cnnseq_helpers.tracing.graph import forget
from cnnseq_helpers.video.rolling import as_stream

from ..conftest import sampled

SHAPE = (16, 16, 1)
CLIPS = moving_digits(5, frames=12, size=16, seed=0)
PREDICTORS = (recurrent_predictor, conv_lstm_predictor, convolutional_predictor)
each = pytest.mark.parametrize("predictor", PREDICTORS)


def one_step(predictor, time=None):
    keras.utils.set_random_seed(0)
    return predictor((time, *SHAPE), filters=4)


def by_hand(model, clip, steps, window=None):
    """Show the model all frames so far, or the last few, again and again."""
    seen = clip
    for _ in range(steps):
        shown = seen if window is None else seen[:, -window:]
        seen = np.concatenate([seen, np.asarray(model(shown))[:, -1:]], axis=1)
    return seen[:, clip.shape[1] :]


@each
def test_one_step_again_and_again(predictor):
    model = one_step(predictor)
    expected = by_hand(model, CLIPS[:, :7], 6)
    np.testing.assert_allclose(rollout(model, CLIPS[:, :7], 6), expected, atol=1e-5)


@each
def test_a_window_of_the_last_frames(predictor):
    model = one_step(predictor, time=4)
    expected = by_hand(model, CLIPS[:, :7], 6, window=4)
    np.testing.assert_allclose(rollout(model, CLIPS[:, :7], 6), expected, atol=1e-5)


@each
def test_the_future_changes_nothing(predictor):
    model = one_step(predictor)
    changed = CLIPS.copy()
    changed[:, 6:] = 1 - changed[:, 6:]
    first, second = (rollout(model, clips[:, :6], 5) for clips in (CLIPS, changed))
    np.testing.assert_array_equal(first, second)
    past = changed[:, :6].copy()
    past[:, 5] = 1 - past[:, 5]
    assert np.abs(rollout(model, past, 5) - first).max() > 1e-4


@each
@pytest.mark.parametrize("steps", sampled([7, 1, 3, 4], 4))
def test_several_frames_a_call(predictor, steps):
    keras.utils.set_random_seed(0)
    model = predictor((5, *SHAPE), 3, filters=4)
    seen = CLIPS[:, :6]
    for _ in range(3):
        seen = np.concatenate([seen, np.asarray(model(seen[:, -5:]))], axis=1)
    predicted = rollout(model, CLIPS[:, :6], steps, new_frames=3)
    assert predicted.shape == (5, steps, *SHAPE)
    np.testing.assert_allclose(predicted, seen[:, 6 : 6 + steps], atol=1e-5)


def test_a_model_that_returns_one_frame():
    clip = keras.Input((3, *SHAPE))
    model = keras.Model(clip, 0.5 * clip[:, 0] + 0.5 * clip[:, 2])
    frames = CLIPS[:, :3]
    for _ in range(4):
        following = (frames[:, -3] + frames[:, -1]) / 2
        frames = np.concatenate([frames, following[:, None]], axis=1)
    np.testing.assert_allclose(rollout(model, CLIPS[:, :3], 4), frames[:, 3:])


@each
def test_the_same_for_any_number_of_clips(predictor):
    clips = moving_digits(53, frames=4, size=16, seed=1)
    model = one_step(predictor)
    together = rollout(model, clips, 3)
    for i in (0, 49, 50, 52):
        alone = rollout(model, clips[i : i + 1], 3)
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


# --- State ----------------------------------------------------------------------------


def pixelwise(*between):
    """Return a one-step model with other layers between its input and its output."""
    clip = x = keras.Input((None, *SHAPE))
    for layer in between:
        x = layer(x)
    frames = layers.Conv3D(1, 1, activation="sigmoid")(x)
    return keras.Model(clip, frames)


def conv_lstm(**options):
    options = {"padding": "same", "return_sequences": True, **options}
    return layers.ConvLSTM2D(2, 3, **options)


class Flicker(layers.Layer):
    """A layer of one's own that joins all frames so far."""

    def call(self, x):
        return ops.cumsum(x, axis=1) / 20


KEEP = {
    "recurrent": lambda: one_step(recurrent_predictor),
    "ConvLSTM": lambda: one_step(conv_lstm_predictor),
    "two of them": lambda: pixelwise(conv_lstm(), conv_lstm()),
    "normalised": lambda: pixelwise(layers.BatchNormalization(), conv_lstm()),
    "stateful": lambda: keras.Sequential(
        [
            keras.Input(batch_shape=(5, None, *SHAPE)),
            conv_lstm(stateful=True),
            layers.Conv3D(1, 1, activation="sigmoid"),
        ]
    ),
    "stateful, after a convolution along time": lambda: keras.Sequential(
        [
            keras.Input(batch_shape=(5, None, *SHAPE)),
            layers.ZeroPadding3D(((1, 0), (0, 0), (0, 0))),
            layers.Conv3D(2, (2, 1, 1)),
            conv_lstm(stateful=True),
            layers.Conv3D(1, 1, activation="sigmoid"),
        ]
    ),
    "convolutional": lambda: one_step(convolutional_predictor),
    "convolution along time": lambda: pixelwise(
        layers.ZeroPadding3D(((2, 0), (0, 0), (0, 0))),
        layers.Conv3D(2, (3, 1, 1)),
        conv_lstm(),
    ),
    "inside another model": lambda: pixelwise(
        keras.Sequential([keras.Input((None, *SHAPE)), conv_lstm()])
    ),
}
ALL_AGAIN = {
    "own layer": lambda: pixelwise(Flicker(), conv_lstm()),
    "state from elsewhere": lambda: started_elsewhere(),
}


def started_elsewhere():
    clip = keras.Input((None, *SHAPE))
    first = ops.repeat(clip[:, 0], 2, axis=-1)
    frames = conv_lstm()(clip, initial_state=[first, first])
    return keras.Model(clip, layers.Conv3D(1, 1, activation="sigmoid")(frames))


@pytest.mark.parametrize(
    ("make", "keeps"),
    sampled([(make, True) for make in KEEP.values()], 3)
    + sampled([(make, False) for make in ALL_AGAIN.values()], 2),
    ids=[*KEEP, *ALL_AGAIN],
)
def test_the_state_is_kept_where_nothing_else_remembers(make, keeps):
    keras.utils.set_random_seed(0)
    model = make()
    assert (as_stream(model) is not None) == keeps
    expected = CLIPS[:, :6]
    for _ in range(4):
        forget(model)
        following = np.asarray(model(expected))[:, -1:]
        expected = np.concatenate([expected, following], axis=1)
    found = rollout(model, CLIPS[:, :6], 4)
    np.testing.assert_allclose(found, expected[:, 6:], atol=1e-5)


def test_the_model_stays_as_it_is():
    model = one_step(conv_lstm_predictor)
    before = [weight.copy() for weight in model.get_weights()]
    outputs = np.asarray(model(CLIPS))
    rollout(model, CLIPS, 3)
    assert not model.get_layer("memory").stateful
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(outputs, model(CLIPS))
    assert len(model.get_layer("memory")._inbound_nodes) == 1


def test_dropout_is_off():
    model = pixelwise(layers.Dropout(0.5), conv_lstm())
    np.testing.assert_array_equal(
        rollout(model, CLIPS[:, :3], 2), rollout(model, CLIPS[:, :3], 2)
    )


# --- What is refused ------------------------------------------------------------------


def peeking():
    clip = keras.Input((None, *SHAPE))
    return keras.Model(
        clip, layers.Conv3D(1, 3, padding="same", activation="sigmoid")(clip)
    )


def test_a_model_that_looks_ahead():
    with pytest.raises(ValueError, match="looks ahead.*assert_causal.*new_frames=6"):
        rollout(peeking(), CLIPS[:, :6], 2)


def test_a_block_taken_for_a_step():
    model = convolutional_predictor((6, *SHAPE), 6, filters=4)
    with pytest.raises(ValueError, match="new_frames=6"):
        rollout(model, CLIPS[:, :6], 6)


def of(outputs):
    clip = keras.Input((None, *SHAPE))
    return keras.Model(clip, outputs(clip))


GOOD = of(lambda clip: clip)


@pytest.mark.parametrize(
    ("model", "clip", "options", "error", "message"),
    [
        (GOOD, CLIPS[0], {}, ShapeError, "clip.None. makes a batch"),
        (GOOD, CLIPS * 255, {}, ValueError, "clip in .0, 1.*by 255"),
        (GOOD, CLIPS * np.nan, {}, ValueError, "clip, got NaN"),
        (GOOD, CLIPS.astype("uint8"), {}, ValueError, "uint8"),
        (GOOD, CLIPS[:, :0], {}, ShapeError, "at least one of each"),
        (GOOD, CLIPS[:, :, :8], {}, ShapeError, "height=8.*height=16"),
        (GOOD, CLIPS, {"steps": 0}, ShapeError, "steps to be a whole number.*got 0"),
        (GOOD, CLIPS, {"steps": -3}, ShapeError, "got -3"),
        (GOOD, CLIPS, {"steps": 2.5}, ShapeError, "got 2.5"),
        (GOOD, CLIPS, {"new_frames": 0}, ShapeError, "new_frames to be a whole"),
        (GOOD, CLIPS, {"new_frames": 20}, ShapeError, "20 new frames.*got 12"),
        (
            keras.Sequential([keras.Input((20, *SHAPE)), layers.ReLU()]),
            CLIPS,
            {},
            ShapeError,
            "at least 20 frames.*got 12",
        ),
        (of(lambda x: 3 * x - 1), CLIPS, {}, ValueError, "predicts in .0, 1.*sigmoid"),
        (of(lambda x: x / ops.sum(x - x)), CLIPS, {}, ValueError, "predicts, got NaN"),
        (
            of(lambda x: ops.reshape(x, (-1, 12, 256))),
            CLIPS,
            {},
            ShapeError,
            "return frames.*12, 256.*Reshape vectors",
        ),
        (of(lambda x: x[:, :, :8]), CLIPS, {}, ShapeError, "return frames"),
        (of(lambda x: [x, x]), CLIPS, {}, ShapeError, "and .\\d, 12, 16, 16, 1"),
        (keras.Sequential([layers.ReLU()]), CLIPS, {}, ShapeError, "was built"),
        (layers.ReLU(), CLIPS, {}, ShapeError, "expected a keras.Model"),
        (len, CLIPS, {}, ShapeError, "got builtin_function"),
    ],
)
def test_refuses(model, clip, options, error, message):
    options = {"steps": 2, **options}
    steps = options.pop("steps")
    with pytest.raises(error, match=message):
        rollout(model, clip, steps, **options)


def test_says_what_the_model_said():
    model = of(lambda x: BatchApply(layers.ReLU())(ops.reshape(x, (-1, 7, *SHAPE))))
    with pytest.raises(ShapeError, match="rollout called .* and got "):
        rollout(model, CLIPS[:, :6], 2)


def test_longer_rollouts_show_their_progress(capsys, monkeypatch):
    import tqdm

    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, **options):
            bars.append(options)
            super().__init__(**{**options, "delay": 0})

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    rollout(GOOD, CLIPS, 7, new_frames=2)
    assert bars[0]["total"] == 4
    assert bars[0]["delay"] == 1
    assert "4/4" in capsys.readouterr().err


# --- Found by attack ------------------------------------------------------------------


def adapted():
    normalise = layers.Normalization(axis=-1)
    normalise.adapt(CLIPS * 0.3 + 0.5)
    return pixelwise(normalise, conv_lstm())


def constant_state():
    clip = keras.Input((None, *SHAPE))
    state = ops.ones((5, *SHAPE[:2], 2)) * 0.5
    frames = conv_lstm()(clip, initial_state=[state, state])
    return keras.Model(clip, layers.Conv3D(1, 1, activation="sigmoid")(frames))


class Summing(layers.ConvLSTM2D):
    """A recurrent layer whose outputs know more than its state."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return ops.cumsum(super().call(sequences), axis=1) / 10


def own_activation(x):
    return ops.tanh(x) / 2


def one_layer_twice():
    dense = layers.Dense(1, activation="sigmoid")
    clip = keras.Input((None, *SHAPE))
    x = BatchApply(dense)(clip)
    x = layers.ConvLSTM2D(1, 3, padding="same", return_sequences=True)(x)
    return keras.Model(clip, BatchApply(dense)(x))


def flattened(layer):
    clip = keras.Input((None, *SHAPE))
    x = BatchApply(layers.Flatten())(clip)
    x = layers.Dense(256, activation="sigmoid")(layer(x))
    return keras.Model(clip, BatchApply(layers.Reshape(SHAPE))(x))


ATTACKS = {
    "adapted": adapted,
    "constant state": constant_state,
    "subclass": lambda: pixelwise(Summing(2, 3, padding="same", return_sequences=True)),
    "activation of one's own": lambda: pixelwise(conv_lstm(activation=own_activation)),
    "one layer twice": one_layer_twice,
    "GRU": lambda: flattened(layers.GRU(8, return_sequences=True)),
    "SimpleRNN": lambda: flattened(layers.SimpleRNN(8, return_sequences=True)),
    "unknown size of batch, masking": lambda: flattened(
        keras.Sequential([layers.Masking(), layers.LSTM(8, return_sequences=True)])
    ),
    "half precision": lambda: pixelwise(conv_lstm(dtype="mixed_float16")),
}


@pytest.mark.parametrize("kind", sampled(ATTACKS, 3))
def test_equals_a_loop_by_hand(kind):
    keras.utils.set_random_seed(0)
    model = ATTACKS[kind]()
    expected = by_hand(model, CLIPS[:, :6], 4)
    atol = 1e-3 if "half" in kind else 1e-5
    np.testing.assert_allclose(rollout(model, CLIPS[:, :6], 4), expected, atol=atol)


def test_states_from_before_stay():
    keras.utils.set_random_seed(0)
    for make in (
        KEEP["stateful"],
        KEEP["stateful, after a convolution along time"],
    ):
        model = make()
        model(CLIPS[:, :3])
        (memory,) = (x for x in model._flatten_layers() if hasattr(x, "cell"))
        before = [np.array(state) for state in memory.states]
        rollout(model, CLIPS[:, :6], 2)
        with pytest.raises(ShapeError, match="9 new frames"):
            rollout(model, CLIPS[:, :6], 2, new_frames=9)
        for old, new in zip(before, memory.states, strict=True):
            np.testing.assert_array_equal(old, new)


def test_inputs_in_a_list():
    clip = keras.Input((None, *SHAPE))
    frames = layers.Conv3D(1, 1, activation="sigmoid")(conv_lstm()(clip))
    model = keras.Model([clip], frames)
    expected = by_hand(keras.Model(clip, frames), CLIPS[:, :6], 3)
    np.testing.assert_allclose(rollout(model, CLIPS[:, :6], 3), expected, atol=1e-5)


def test_forgotten_new_frames():
    clip = keras.Input((4, *SHAPE))
    last = clip[:, -1:] / 2
    model = keras.Model(clip, ops.concatenate([last, last, last], axis=1))
    with pytest.raises(ShapeError, match="got 3. Give new_frames=3"):
        rollout(model, CLIPS[:, :4], 3)


def test_rounding_is_no_fault():
    clips = np.full((1, 3, *SHAPE), 1.0000001, np.float32)
    assert rollout(GOOD, clips, 2).max() <= 1.00001


def test_only_the_probe_may_leave_the_range():
    model = of(lambda x: ops.concatenate([x[:, :1], 2 * x[:, 1:] - x[:, :-1]], axis=1))
    ramp = np.arange(1, 4).reshape(1, 3, 1, 1, 1) * np.full((1, 3, *SHAPE), 0.1)
    assert rollout(model, ramp, 2)[0, :, 0, 0, 0] == pytest.approx([0.4, 0.5], abs=1e-5)


def test_a_grey_clip_hides_no_peeking():
    with pytest.raises(ValueError, match="looks ahead"):
        rollout(peeking(), np.full((1, 6, *SHAPE), 0.5), 1)


def test_a_model_of_whole_numbers_is_refused():
    clip = keras.Input((None, *SHAPE), dtype="uint8")
    model = keras.Model(clip, ops.cast(clip, "float32") / 255)
    with pytest.raises(ShapeError, match="model of floats.*got one of uint8"):
        rollout(model, CLIPS, 2)
