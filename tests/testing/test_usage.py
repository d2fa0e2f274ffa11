"""assert_uses_input: what it finds, and that every model of this package passes it."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from cnnseq_helpers import (
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    ShapeError,
    assert_uses_input,
    cnn1d,
    cnn_lstm,
    conv_lstm_predictor,
    convolutional_predictor,
    distill,
    recurrent_predictor,
    to_cnn1d,
)
from cnnseq_helpers.converting.temporal import plan_at_least, plan_windows

from ..conftest import examples, sampled

CHANNELS = 3
random = np.random.default_rng(0)


def series(steps, batch=2, channels=CHANNELS):
    return random.normal(size=(batch, steps, channels)).astype("float32")


def sequential(*stack, shape=(None, CHANNELS)):
    return keras.Sequential([keras.Input(shape), *stack])


def with_mask(recurrent, time=None):
    x, mask = keras.Input((time, CHANNELS)), keras.Input((time,), dtype="bool")
    return keras.Model([x, mask], layers.Dense(2)(recurrent(x, mask=mask)))


# --- Models that this package builds --------------------------------------------------

SHORT_MIDDLE_LONG = (1, 2, 3, 5, 10, 20, 40, 41, 80, 150)

OPEN = {
    "to_cnn1d": lambda: to_cnn1d(sequential(layers.LSTM(8), layers.Dense(2))),
    "to_cnn1d, GRU both ways": lambda: to_cnn1d(
        sequential(layers.Bidirectional(layers.GRU(6)))
    ),
    "to_cnn1d, stacked": lambda: to_cnn1d(
        sequential(layers.LSTM(8, return_sequences=True), layers.LSTM(8))
    ),
    "to_cnn1d, every step": lambda: to_cnn1d(
        sequential(layers.LSTM(8, return_sequences=True), layers.Dense(2))
    ),
    "to_cnn1d, every step both ways": lambda: to_cnn1d(
        sequential(layers.Bidirectional(layers.LSTM(8, return_sequences=True)))
    ),
    "cnn1d": lambda: cnn1d((None, CHANNELS), 2),
}


@pytest.mark.parametrize("kind", sampled(OPEN, 2))
def test_models_of_open_length_use_all_of_short_and_of_long_series(kind):
    keras.utils.set_random_seed(0)
    model = OPEN[kind]()
    for steps in SHORT_MIDDLE_LONG:
        assert_uses_input(model, series(steps))


@pytest.mark.parametrize("steps", sampled(SHORT_MIDDLE_LONG, 3))
def test_models_of_known_length_use_all_of_it(steps):
    keras.utils.set_random_seed(0)
    lstm = sequential(layers.LSTM(8), layers.Dense(2), shape=(steps, CHANNELS))
    models = [to_cnn1d(lstm), cnn1d((steps, CHANNELS), 2)]
    if steps >= 12:
        models += [cnn_lstm((steps - steps % 4, CHANNELS), 2, kernel_size=1)]
    for model in models:
        assert_uses_input(model, series(model.input_shape[1]))


@examples(10)
@given(field=st.integers(1, 512), steps=st.integers(1, 60))
def test_an_explicit_field_at_open_length_serves_any_series(field, steps):
    model = sequential(layers.LSTM(4), layers.Dense(2))
    assert_uses_input(to_cnn1d(model, receptive_field=field), series(steps))


@examples(8)
@given(padded=st.integers(9, 512), data=st.data())
def test_short_series_in_a_long_padded_batch_are_used(padded, data):
    short = data.draw(st.integers(1, min(padded, 30)))
    model = to_cnn1d(with_mask(layers.LSTM(4), padded))
    mask = np.arange(padded) < np.array([[short], [max(1, short // 2)]])
    assert_uses_input(model, series(padded), mask)


@pytest.mark.parametrize("length", [40, None])
def test_series_behind_masking_and_behind_mask_zero_are_used(length):
    masking = sequential(layers.Masking(), layers.LSTM(4), shape=(length, CHANNELS))
    x, mask = series(40), np.arange(40) < np.array([[3], [7]])
    x[~mask] = 0
    assert_uses_input(to_cnn1d(masking), x, mask)
    tokens = sequential(
        layers.Embedding(9, 5, mask_zero=True), layers.GRU(4), shape=(length,)
    )
    whole = np.where(mask, random.integers(1, 9, size=mask.shape), 0)
    assert_uses_input(to_cnn1d(tokens), whole, mask)


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 80])
def test_masked_models_use_every_real_step(steps):
    keras.utils.set_random_seed(0)
    mask = np.arange(steps) < np.array([[steps], [max(1, steps // 3)]])
    converted = to_cnn1d(with_mask(layers.LSTM(8)))
    for model in (cnn1d((None, CHANNELS), 2, masked=True), converted):
        assert_uses_input(model, series(steps), mask)


@pytest.mark.parametrize("steps", sampled([5, 1, 2, 12], 4))
def test_models_of_clips_use_every_frame(steps):
    keras.utils.set_random_seed(0)
    clips = random.random((2, steps, 8, 8, 1)).astype("float32")
    model = cnn_lstm((None, 8, 8, 1), 2)
    for each in (model, to_cnn1d(model), cnn1d((None, 8, 8, 1), 2)):
        assert_uses_input(each, clips)
    for predictor in (
        recurrent_predictor,
        conv_lstm_predictor,
        convolutional_predictor,
    ):
        assert_uses_input(predictor((None, 8, 8, 1)), clips)
        assert_uses_input(predictor((steps, 8, 8, 1), 2), clips)


@given(st.integers(1, 5000))
def test_every_kernel_has_an_element_on_the_step_itself(field):
    for plan in (plan_windows(field), plan_at_least(field)):
        for size, rate in plan:
            assert (size - 1) * rate // 2 % rate == 0


# --- Learning -------------------------------------------------------------------------


def rising(steps, samples=192):
    """Return series of noise, and whether the first channel lies above or below 0."""
    y = np.arange(samples) % 2
    x = random.normal(size=(samples, steps, CHANNELS))
    x[..., 0] += np.where(y, 3.0, -3.0)[:, None]
    return x.astype("float32"), y


KINDS_AND_STEPS = [
    (kind, steps) for steps in (1, 5, 40) for kind in ("open", "masked", "clips")
]


@pytest.mark.parametrize(("kind", "steps"), sampled(KINDS_AND_STEPS, 9))
def test_short_series_are_learned_as_an_lstm_learns_them(kind, steps):
    keras.utils.set_random_seed(0)
    random.bit_generator.state = np.random.default_rng(0).bit_generator.state
    (x, y), (x_new, y_new) = rising(steps), rising(steps)
    model = sequential(layers.LSTM(8), layers.Dense(2))
    if kind == "masked":
        model = with_mask(layers.LSTM(8), 79)
        x, x_new = (pad_to(79, each) for each in (x, x_new))
    if kind == "clips":
        model = cnn_lstm((None, 4, 4, 3), 2)
        x, x_new = (spread(each) for each in (x, x_new))
    accuracies = []
    for each in (to_cnn1d(model), model):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        each.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
        each.fit(x, y, epochs=10, batch_size=16, verbose=0)
        accuracies.append(each.evaluate(x_new, y_new, verbose=0)[1])
    assert accuracies[0] >= accuracies[1] - 0.02
    assert accuracies[1] > 0.95


def pad_to(length, x):
    real = np.broadcast_to(np.arange(length) < x.shape[1], (len(x), length))
    return [np.pad(x, [(0, 0), (0, length - x.shape[1]), (0, 0)]), real]


def spread(x):
    return np.broadcast_to(x[:, :, None, None], (*x.shape[:2], 4, 4, 3))


# --- What it finds --------------------------------------------------------------------

BROKEN = {
    "even kernel, dilated": (
        sequential(layers.Conv1D(4, 2, dilation_rate=79, padding="same")),
        "outputs for 2 sequences are the same",
    ),
    "pool that drops the rest": (
        sequential(layers.MaxPooling1D(4)),
        "in sequence 0, of 10 steps, 2 steps were changed without any effect: 8, 9",
    ),
    "strides over steps": (
        sequential(layers.Conv1D(4, 1, strides=2)),
        "5 steps were changed without any effect: 1, 3, 5, 7, 9",
    ),
    "last step": (
        sequential(layers.Lambda(lambda x: x[:, -1], output_shape=(CHANNELS,))),
        "9 steps were changed without any effect: 0, 1, 2, 3, 4, ...",
    ),
    "one channel": (
        sequential(
            layers.Lambda(lambda x: x[..., :2], output_shape=(None, 2)), layers.LSTM(4)
        ),
        "1 channel was changed without any effect: 2",
    ),
    "softmax over one unit": (
        sequential(layers.LSTM(4), layers.Dense(1, activation="softmax")),
        "outputs for 2 sequences are the same",
    ),
}


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1:UserWarning")
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_not_used_is_named(kind):
    model, message = BROKEN[kind]
    with pytest.raises(AssertionError, match=message):
        assert_uses_input(model, series(10))


def test_a_short_series_among_long_ones_is_found():
    x, mask = keras.Input((None, CHANNELS)), keras.Input((None,), dtype="bool")
    dilated = MaskedConv1D(4, 2, dilation_rate=20, padding="same")(x, mask=mask)
    mean = MaskedGlobalAveragePooling1D()(dilated, mask=mask)
    model = keras.Model([x, mask], mean)
    long_and_short = np.arange(30) < np.array([[30], [4]])
    with pytest.raises(AssertionError, match="in sequence 1, of 4 steps, 4 steps"):
        assert_uses_input(model, series(30), long_and_short)


def test_weights_and_states_are_left_as_they_were():
    model = keras.Sequential([keras.Input((6, 3), batch_size=2)])
    model.add(layers.LSTM(4, stateful=True, return_sequences=True))
    model.add(layers.Dense(2))
    x = series(6)
    model(x)
    before = [np.array(each) for each in (*model.weights, *model.layers[0].states)]
    assert_uses_input(model, x)  # of one batch size only
    after = [np.array(each) for each in (*model.weights, *model.layers[0].states)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_models_of_ones_own_and_whole_numbers_are_taken():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.supports_masking = True
            self.lstm = layers.LSTM(4)

        def call(self, x, mask=None):
            return self.lstm(x, mask=mask)

    assert_uses_input(Own(), series(6), np.ones((2, 6), bool))
    assert_uses_input(layers.Embedding(5, 3), random.integers(5, size=(2, 8)))
    assert_uses_input(
        sequential(layers.Rescaling(1 / 255), layers.LSTM(3)),
        random.integers(256, size=(2, 6, CHANNELS)).astype("uint8"),
    )


@pytest.mark.parametrize(
    ("x", "mask", "error", "message"),
    [
        (np.zeros(4), None, ShapeError, "expected x .batch, time, ...."),
        (np.array([["a"]]), None, ShapeError, "of numbers, got <U1"),
        (series(4), np.ones((2, 5), bool), ShapeError, "boolean mask .2, 4."),
        (series(4), np.ones((2, 4)), ShapeError, "got float64"),
        (np.ones((2, 4, 3), int), None, ValueError, "at least two"),
        (np.full((2, 4, 3), np.nan), None, ValueError, "NaN or infinity"),
        (series(4, channels=5), None, ShapeError, "assert_uses_input called"),
    ],
)
def test_what_cannot_be_judged_is_refused(x, mask, error, message):
    with pytest.raises(error, match=message):
        assert_uses_input(sequential(layers.LSTM(3)), x, mask)


def test_padding_that_is_no_number_is_not_looked_at():
    x, mask = series(6, batch=1), np.arange(6) < np.array([[4]])
    x[~mask] = np.nan
    model = cnn1d((None, CHANNELS), 2, masked=True)
    assert_uses_input(model, x, mask)
    assert_uses_input(model, x.repeat(2, axis=0), mask.repeat(2, axis=0))


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_data_of_any_size_are_no_obstacle(scale):
    assert_uses_input(to_cnn1d(sequential(layers.LSTM(8))), scale * series(6))


def test_models_that_are_defined_for_some_values_only_are_changed_to_those():
    x = random.uniform(0.5, 3, size=(2, 6, CHANNELS))
    logarithm = layers.Lambda(ops.log, output_shape=(None, CHANNELS))
    assert_uses_input(sequential(logarithm, layers.LSTM(4)), x)
    tokens = sequential(layers.Embedding(5, 3), layers.LSTM(4), shape=(None,))
    assert_uses_input(tokens, random.integers(5, size=(2, 8)).astype("float32"))


def test_a_function_is_refused():
    with pytest.raises(TypeError, match="Keras layer or model"):
        assert_uses_input(np.sum, series(4))


# --- distill tells of it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "sequences"),
    sampled(
        [("linear", True), ("linear", False), ("softmax", True), ("sigmoid", False)], 4
    ),
)
def test_distill_tells_of_a_student_that_is_no_better_than_the_mean(
    activation, sequences
):
    keras.utils.set_random_seed(0)
    recurrent = layers.LSTM(8, return_sequences=sequences)
    head = layers.Dense(3, activation)
    teacher = sequential(recurrent, head)
    x = 3 * series(12, batch=32)
    blind = sequential(
        layers.Rescaling(0.0),
        layers.Conv1D(4, 1) if sequences else layers.GlobalAveragePooling1D(),
        layers.Dense(3, activation),
    )
    with pytest.warns(UserWarning, match="assert_uses_input"):
        distill(blind, teacher, x, epochs=2, verbose=0)
    # One that learns says nothing: warnings are errors here.
    distill(to_cnn1d(teacher), teacher, x, epochs=60, learning_rate=0.01, verbose=0)


@pytest.mark.parametrize("head", ["small", "small softmax", "constant"])
def test_distill_tells_of_teachers_that_say_almost_nothing(head):
    keras.utils.set_random_seed(0)
    softmax = layers.Dense(3, "softmax", kernel_initializer=small(1e-3))
    heads = {
        "small": [layers.Dense(3), layers.Rescaling(1e-4)],
        "small softmax": [softmax],
        "constant": [layers.Dense(3, kernel_initializer="zeros")],
    }
    teacher = sequential(layers.LSTM(8), *heads[head])
    student = sequential(
        layers.Rescaling(9.0),
        layers.LSTM(8),
        layers.Dense(3, softmax.activation if head == "small softmax" else None),
    )
    with pytest.warns(UserWarning, match="assert_uses_input"):
        distill(student, teacher, series(9), epochs=1, learning_rate=1e-12, verbose=0)


def small(size):
    return keras.initializers.RandomUniform(-size, size, seed=0)


def test_distill_tells_of_a_student_that_is_no_number():
    teacher = sequential(layers.LSTM(8), layers.Dense(3))
    with pytest.warns(UserWarning, match="assert_uses_input"):
        distill(
            to_cnn1d(teacher),
            teacher,
            series(9, batch=8),
            epochs=3,
            learning_rate=1e38,
            verbose=0,
        )
