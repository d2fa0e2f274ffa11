"""Models that to_cnn1d got wrong once."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from cnnseq_helpers import ShapeError, check_targets, to_cnn1d

random = np.random.default_rng(0)
TIME, CHANNELS = 12, 3

pytestmark = pytest.mark.filterwarnings("ignore:Layer 'inner' .of type Functional")


def series(n=2, steps=TIME):
    return random.normal(size=(n, steps, CHANNELS)).astype("float32")


def sequential(*stack, shape=(TIME, CHANNELS), dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack])


def own_loss(true, predicted):
    return ops.mean((true - predicted) ** 2, axis=-1)


class OwnLoss(keras.losses.Loss):
    def call(self, true, predicted):
        return own_loss(true, predicted)


def make_local_loss():
    def local(true, predicted):
        return own_loss(true, predicted)

    return local


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize(
    "loss", [make_local_loss(), OwnLoss(), lambda a, b: own_loss(a, b)]
)
def test_a_loss_or_metric_of_ones_own_does_not_stand_in_the_way(loss, functional):
    model = sequential(layers.LSTM(4))
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    model.compile("adam", loss, metrics=[make_local_loss()])
    converted = to_cnn1d(model)
    assert converted.compiled
    assert np.isfinite(converted.evaluate(series(), np.zeros((2, 4)), verbose=0)).all()


def test_losses_by_the_name_of_a_recurrent_output_fit():
    x = keras.Input((TIME, CHANNELS))
    steps = layers.LSTM(4, return_sequences=True, name="steps")(x)
    model = keras.Model(x, [steps, layers.GRU(2, name="summary")(x)])
    model.compile("adam", {"steps": "mse", "summary": "mae"})
    y = {"steps": np.zeros((2, TIME, 4)), "summary": np.zeros((2, 2))}
    assert np.isfinite(to_cnn1d(model).evaluate(series(), y, verbose=0)).all()


@pytest.mark.parametrize("sequences", [True, False])
def test_a_recurrent_output_may_be_negative_as_before(sequences):
    keras.utils.set_random_seed(0)
    model = sequential(layers.LSTM(6, return_sequences=sequences))
    converted, x = to_cnn1d(model), series(16)
    assert np.asarray(model(x)).min() < 0
    assert np.asarray(converted(x)).min() < 0


def test_a_recurrent_head_keeps_its_activation():
    """Of an LSTM's rows a softmax makes no probabilities, of convolutions it does."""
    x, model = series(16), sequential(layers.LSTM(3, activation="softmax"))
    loss = keras.losses.SparseCategoricalCrossentropy()
    converted, y = to_cnn1d(model), np.arange(16) % 3
    codes = [
        [each.code for each in check_targets(m, y, loss)] for m in (model, converted)
    ]
    assert codes == [["no-probabilities"], []]
    assert not np.allclose(np.asarray(model(x)).sum(axis=1), 1, atol=0.1)
    np.testing.assert_allclose(np.asarray(converted(x)).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("units", [(5, 3), (5, 4)])
@pytest.mark.parametrize("sequences", [True, False])
def test_two_directions_of_different_width_leave_apart(units, sequences):
    there, back = (
        kind(width, return_sequences=sequences, go_backwards=turned)
        for kind, width, turned in zip(
            (layers.LSTM, layers.GRU), units, (False, True), strict=True
        )
    )
    both = layers.Bidirectional(there, backward_layer=back, merge_mode=None)
    x = keras.Input((TIME, CHANNELS))
    model = keras.Model(x, both(x))
    # Keras is wrong about the second shape before the model runs.
    ours, theirs = (
        [each.shape for each in one(series(2))] for one in (to_cnn1d(model), model)
    )
    assert ours == theirs


def mask_of(model, x):
    return [
        None if mask is None else np.asarray(mask)
        for output in keras.tree.flatten(model(x))
        for mask in [getattr(output, "_keras_mask", None)]
    ]


def test_the_mask_leaves_with_both_directions():
    x = keras.Input((None, CHANNELS))
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode=None)
    model = keras.Model(x, both(layers.Masking()(x)))
    padded = np.pad(series(), [(0, 0), (0, 4), (0, 0)])
    ours, theirs = mask_of(to_cnn1d(model), padded), mask_of(model, padded)
    np.testing.assert_array_equal(ours, theirs)


def stir(model):
    """Give biases and statistics values that padding can't hide behind."""
    for weight in model.weights:
        if "moving_mean" in weight.path:
            weight.assign(random.normal(size=weight.shape) * 0.3)
        if "beta" in weight.path:
            weight.assign(0.4 + random.random(size=weight.shape) * 0.3)


def test_backwards_in_a_nested_model_with_a_mask_is_refused():
    inside = keras.Input((None, CHANNELS))
    steps = layers.GRU(4, go_backwards=True, return_sequences=True, name="gru")(inside)
    inner = keras.Model(inside, steps, name="inner")
    x = keras.Input((None, CHANNELS))
    model = keras.Model(x, inner(layers.Masking()(x)))
    with pytest.raises(ShapeError, match="'gru' round, and the mask"):
        to_cnn1d(model)


def test_both_directions_apart_in_a_nested_model_keep_the_mask():
    inside = keras.Input((None, CHANNELS))
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode=None)
    joined = layers.Concatenate()(both(inside))
    inner = keras.Model(inside, layers.LSTM(4)(joined), name="inner")
    x = keras.Input((None, CHANNELS))
    model = keras.Model(x, inner(layers.Masking()(x)))
    converted, alone = to_cnn1d(model), series(1)
    stir(converted)
    padded = np.pad(alone, [(0, 0), (0, 6), (0, 0)])
    for each in (model, converted):
        np.testing.assert_allclose(each(padded), each(alone), atol=1e-5)


def test_padding_in_front_changes_nothing_in_multiples_of_the_pool():
    x, mask = keras.Input((160, CHANNELS)), keras.Input((160,), dtype="bool")
    model = keras.Model([x, mask], layers.LSTM(4, name="lstm")(x, mask=mask))
    converted, real = to_cnn1d(model), series(1)
    assert converted.get_layer("lstm_pool").pool_size == (4,)
    stir(converted)

    def shifted(front):
        back = 160 - TIME - front
        steps = np.pad(real, [(0, 0), (front, back), (0, 0)])
        return [steps, np.pad(np.ones((1, TIME), bool), [(0, 0), (front, back)])]

    for each in (model, converted):
        first = each(shifted(0))
        for front in (4, 12, 148):
            np.testing.assert_allclose(each(shifted(front)), first, atol=1e-5)


def test_layers_shared_between_models_stay_shared():
    shared = layers.Dense(6, name="shared")
    inside = keras.Input((TIME, CHANNELS))
    inner = keras.Model(inside, layers.LSTM(4)(shared(inside)), name="inner")
    x = keras.Input((TIME, CHANNELS))
    beside = layers.GlobalAveragePooling1D()(shared(x))
    model = keras.Model(x, layers.Concatenate()([inner(x), beside]))
    converted = to_cnn1d(model)
    ours = converted.get_layer("inner").get_layer("shared")
    assert ours is converted.get_layer("shared")


def test_models_shared_between_models_stay_shared():
    inside = keras.Input((TIME, CHANNELS))
    code = layers.Dense(5)(layers.LSTM(4)(inside))
    encoder = keras.Model(inside, code, name="encoder")

    def arm(name):
        x = keras.Input((TIME, CHANNELS))
        return keras.Model(x, layers.Dense(2)(encoder(x)), name=name)

    x = keras.Input((TIME, CHANNELS))
    model = keras.Model(x, layers.Add()([arm("a")(x), arm("b")(x)]))
    converted = to_cnn1d(model)
    a, b = (converted.get_layer(name).get_layer("encoder") for name in "ab")
    assert a is b


def test_names_that_collide_are_no_obstacle_or_told():
    front = layers.Conv1D(4, 3, name="lstm_conv_1")
    model = sequential(front, layers.LSTM(4, name="lstm"))
    try:
        converted = to_cnn1d(model)
    except ShapeError as error:
        assert "lstm_conv_1" in str(error)  # noqa: PT017
    else:
        kept = converted.get_layer("lstm_conv_1").get_weights()
        np.testing.assert_array_equal(kept[0], front.get_weights()[0])


def test_attention_over_states_in_a_nested_model_is_refused():
    inside = keras.Input((TIME, 4))
    attend = layers.Attention(name="attend")([inside, inside])
    inner = keras.Model(inside, attend, name="inner")
    x = keras.Input((TIME, CHANNELS))
    states = layers.LSTM(4, return_sequences=True)(x)
    with pytest.raises(ShapeError, match="^to_cnn1d .*'attend'"):
        to_cnn1d(keras.Model(x, inner(states)))


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "int32",
        pytest.param("int64", marks=pytest.mark.tensorflow_only("64 bits")),
    ],
)
@pytest.mark.parametrize("sequences", [True, False])
def test_whole_numbers_are_read_as_the_recurrent_layer_reads_them(dtype, sequences):
    recurrent = layers.LSTM(4, return_sequences=sequences)
    model = sequential(recurrent, dtype=dtype)
    x = random.integers(0, 2, size=(2, TIME, CHANNELS)).astype(dtype)
    assert to_cnn1d(model)(x).shape == model(x).shape


def test_a_mask_by_position():
    x, mask = keras.Input((TIME, CHANNELS)), keras.Input((TIME,), dtype="bool")
    model = keras.Model([x, mask], layers.LSTM(4)(x, None, mask))
    converted, real = to_cnn1d(model), np.arange(TIME)[None] < 5
    stir(converted)
    data = series(1)
    garbage = np.where(real[..., None], data, 50).astype("float32")
    np.testing.assert_allclose(
        converted([data, real]), converted([garbage, real]), atol=1e-5
    )


def test_a_field_is_no_truth_value():
    with pytest.raises(ShapeError, match="to_cnn1d .*receptive_field"):
        to_cnn1d(sequential(layers.LSTM(4)), receptive_field=True)
