"""to_cnn1d on models of many kinds, and what it must refuse; cnn1d beside cnn_lstm."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import (
    ShapeError,
    assert_causal,
    assert_padding_invariant,
    check_targets,
    cnn1d,
    cnn_lstm,
    measured_receptive_field,
    pad_batch,
    receptive_field,
    to_cnn1d,
)
from cnnseq_helpers.converting.temporal import plan_at_least, plan_pooling, plan_windows

from ..conftest import examples, sampled
from .catalogue import (
    CHANNELS,
    MODELS,
    TIME,
    inputs_of,
    logits,
    make_input,
    sequential,
)

random = np.random.default_rng(0)

# Keras says so of every model in a model that is given a mask.
pytestmark = pytest.mark.filterwarnings("ignore:Layer 'inner' .of type Functional")


def recurrent_layers(model):
    return [
        each
        for each in model._flatten_layers()
        if isinstance(each, (layers.RNN, layers.Bidirectional))
    ]


def outer_layers(model):
    """Return the layers of a model and of those nested in it, by name."""
    found = {}
    for layer in model.layers:
        inside = outer_layers(layer) if isinstance(layer, keras.Model) else {}
        found |= inside or {layer.name: layer}
    return found


def outputs_of(model, x):
    structure = model(x, training=False)
    return [np.asarray(each, "float64") for each in keras.tree.flatten(structure)]


# --- Models of many kinds -------------------------------------------------------------


@pytest.mark.parametrize("kind", sampled(MODELS, 6))
def test_signature_and_other_layers_stay(kind):
    keras.utils.set_random_seed(0)
    model = MODELS[kind]()
    x = make_input(model)
    before = outputs_of(model, x)
    converted = to_cnn1d(model)
    assert not recurrent_layers(converted)
    assert recurrent_layers(model)
    shapes = (
        keras.tree.map_structure(lambda each: (each.shape, each.dtype), inputs_of(each))
        for each in (model, converted)
    )
    assert next(shapes) == next(shapes)
    assert converted.output_shape == model.output_shape
    ours = outer_layers(converted)
    for name, layer in outer_layers(model).items():
        if recurrent_layers(layer):
            assert name not in ours or not recurrent_layers(ours[name])
            continue
        assert ours[name] is not layer or isinstance(layer, layers.InputLayer)
        configs = (
            json.dumps(each.get_config(), default=str) for each in (ours[name], layer)
        )
        assert next(configs) == next(configs)
        for mine, theirs in zip(
            ours[name].get_weights(), layer.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(outputs_of(model, x), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", sampled(MODELS, 8))
def test_converted_model_runs_saves_loads_and_trains(kind, tmp_path):
    keras.utils.set_random_seed(0)
    model = MODELS[kind]()
    x = make_input(model)
    converted = to_cnn1d(model)
    outputs = outputs_of(converted, x)
    for mine, theirs in zip(outputs, outputs_of(model, x), strict=True):
        assert mine.shape == theirs.shape
        assert np.isfinite(mine).all()
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for mine, theirs in zip(outputs_of(loaded, x), outputs, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    weights = converted.get_weights()
    y = keras.tree.map_structure(np.zeros_like, converted(x, training=False))
    converted.compile("sgd", "mse")
    loss = converted.train_on_batch(x, keras.tree.map_structure(np.asarray, y))
    assert np.isfinite(loss).all()
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(weights, converted.get_weights(), strict=True)
    ]
    assert any(moved)
    assert all(np.isfinite(each).all() for each in converted.get_weights())


def test_the_catalogue_is_of_the_size_that_is_promised():
    assert len(MODELS) >= 20


@pytest.mark.parametrize("kind", ["LSTM", "cnn_lstm", "every step", "softmax"])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mse"])
def test_the_same_labels_fit(kind, loss):
    model = MODELS[kind]()
    converted = to_cnn1d(model)
    for shape in ((3,), (3, TIME), (3, 4)):
        y = random.integers(3, size=shape)
        ours, theirs = check_targets(converted, y, loss), check_targets(model, y, loss)
        assert [each.code for each in ours] == [each.code for each in theirs]


def test_compiled_as_the_model_was():
    converted = to_cnn1d(MODELS["compiled"]())
    assert converted.compiled
    assert converted.loss.from_logits
    assert isinstance(converted.optimizer, keras.optimizers.Adam)
    assert not to_cnn1d(MODELS["LSTM"]()).compiled


def test_new_layers_of_a_frozen_model_learn():
    converted = to_cnn1d(MODELS["frozen"]())
    assert not converted.get_layer("front").trainable
    assert converted.get_layer("lstm_conv_1").trainable


def test_statistics_of_the_data_come_along():
    model = MODELS["adapted"]()
    x = make_input(model)
    ours, theirs = to_cnn1d(model).get_layer("normalise"), model.get_layer("normalise")
    np.testing.assert_array_equal(ours(x), theirs(x))
    assert abs(float(np.mean(theirs(x)))) > 1


def test_dropout_of_whole_channels_stays():
    converted = to_cnn1d(MODELS["dropout"]())
    drops = [each for each in converted.layers if "Dropout" in type(each).__name__]
    assert [(type(each).__name__, each.rate) for each in drops] == [
        ("SpatialDropout1D", 0.3)
    ]


def test_half_precision_stays():
    converted = to_cnn1d(MODELS["half precision"]())
    policies = {
        each.dtype_policy.name for each in converted.layers if "lstm_" in each.name
    }
    assert policies == {"mixed_bfloat16"}


def test_a_shared_layer_stays_shared():
    converted = to_cnn1d(MODELS["siamese"]())
    left = random.normal(size=(2, 9, 3)).astype("float32")
    padded = np.pad(left, [(0, 0), (0, TIME - 9), (0, 0)])
    names = [each.name for each in converted.layers if "conv" in each.name]
    assert len(names) == len(set(names)) > 0
    assert converted([padded, left]).shape == (2, 1)


# --- What the replacement sees --------------------------------------------------------


def field_of(windows):
    return 1 + sum((w.kernel_size - 1) * w.dilation_rate for w in windows)


@given(st.integers(1, 5000))
def test_windows_see_the_field_and_skip_no_step(field):
    for plan in (plan_windows(field), plan_at_least(field)):
        seen = {0}
        for window in plan:
            steps = range(0, window.kernel_size * window.dilation_rate)
            taps = list(steps)[:: window.dilation_rate]
            seen = {step + tap for step in seen for tap in taps}
        assert seen == set(range(len(seen)))
        assert len(plan) <= 6
    assert field_of(plan_windows(field)) == field
    assert 0 <= field_of(plan_at_least(field)) - field < 5


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_pooling_leaves_few_steps_and_divides_a_shorter_field(length, field):
    pool = plan_pooling(length, length)
    assert -(-length // pool) <= 56
    assert pool == 1 or length > 56 * pool // 2
    shorter = min(field, length)
    pool = plan_pooling(length, shorter)
    assert shorter == length or shorter % pool == 0
    assert plan_pooling(None, field) in (1, 2, 4)
    assert field % plan_pooling(None, field) == 0


RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)


@examples(15)
@given(
    kind=st.sampled_from(RECURRENT),
    field=st.integers(1, 14),
    depth=st.integers(1, 2),
    known=st.booleans(),
)
def test_causal_and_of_the_field_asked_for(kind, field, depth, known):
    steps = [kind(4, return_sequences=True) for _ in range(depth)]
    model = sequential(*steps, logits(), shape=(60 if known else None, 2))
    converted = to_cnn1d(model, receptive_field=field)
    assert_causal(converted, random.normal(size=(2, 30 if not known else 60, 2)))
    found = receptive_field(converted)
    assert (found.size, found.right) == (depth * (field - 1) + 1, 0)
    if field > 1:
        assert measured_receptive_field(converted) == found


@examples(10)
@given(
    kind=st.sampled_from(RECURRENT),
    field=st.integers(2, 9),
    merge_mode=st.sampled_from(["concat", "sum", "ave", "mul"]),
)
def test_both_ways_sees_as_far_ahead_as_back(kind, field, merge_mode):
    both = layers.Bidirectional(kind(4, return_sequences=True), merge_mode=merge_mode)
    converted = to_cnn1d(sequential(both, shape=(60, 2)), receptive_field=field)
    found = measured_receptive_field(converted)
    assert (found.left, found.right) == (field - 1, field - 1)
    with pytest.raises(AssertionError, match="looks ahead"):
        assert_causal(converted, random.normal(size=(2, 60, 2)))


@pytest.mark.parametrize("steps", [1, 2, 8, 9, 30, 100, 300])
def test_every_step_sees_the_whole_past(steps):
    model = sequential(layers.LSTM(4, return_sequences=True), shape=(steps, 2))
    found = receptive_field(to_cnn1d(model))
    assert found.left >= steps - 1
    assert found.right == 0


@pytest.mark.parametrize("steps", sampled([1, 30, 300, 2, 9, 16, 100], 2))
@pytest.mark.parametrize(
    "recurrent", [layers.LSTM(4), layers.Bidirectional(layers.GRU(4))]
)
def test_a_summary_sees_the_whole_sequence(steps, recurrent):
    converted = to_cnn1d(sequential(recurrent, shape=(steps, 2)))
    in_front = keras.Model(converted.inputs, converted.layers[-1].input)
    assert receptive_field(in_front).size >= steps
    x = np.repeat(random.normal(size=(1, steps, 2)), steps + 1, axis=0)
    x[range(steps), range(steps)] += 100  # one step in each row but the last
    outputs = np.asarray(converted(x.astype("float32")))
    assert (abs(outputs[:-1] - outputs[-1]).max(axis=1) > 1e-5).all()


def test_backwards_sees_from_the_end():
    model = sequential(layers.GRU(4, go_backwards=True, return_sequences=True))
    converted = to_cnn1d(model)
    x = random.normal(size=(2, TIME, CHANNELS)).astype("float32")
    changed = x.copy()
    changed[:, :5] += 10
    before, after = np.asarray(converted(x)), np.asarray(converted(changed))
    # As the recurrent layer's, its steps leave last one first.
    np.testing.assert_array_equal(before[:, : TIME - 5], after[:, : TIME - 5])
    assert not np.array_equal(before, after)


def test_a_shorter_field_of_a_summary():
    model = sequential(layers.LSTM(4), shape=(100, 2))
    for field in (1, 2, 12, 37, 64):
        converted = to_cnn1d(model, receptive_field=field)
        in_front = keras.Model(converted.inputs, converted.layers[-1].input)
        assert receptive_field(in_front).size == field


# --- Padding --------------------------------------------------------------------------


def padded(lengths=(13, 4, 9)):
    return pad_batch([random.normal(size=(n, CHANNELS)) + 0.1 for n in lengths])


@examples(10)
@given(
    kind=st.sampled_from(RECURRENT),
    both=st.booleans(),
    sequences=st.booleans(),
    stacked=st.booleans(),
)
def test_padding_changes_nothing_where_a_mask_is_given(kind, both, sequences, stacked):
    series = keras.Input((None, CHANNELS))
    mask = keras.Input((None,), dtype="bool")
    x = series
    for last in (False, True) if stacked else (True,):
        layer = kind(4, return_sequences=sequences or not last)
        x = (layers.Bidirectional(layer) if both else layer)(x, mask=mask)
    converted = to_cnn1d(keras.Model([series, mask], logits()(x)))
    assert_padding_invariant(converted, *padded())


@pytest.mark.parametrize("kind", ["masking", "nested and masked"])
def test_padding_changes_nothing_behind_masking(kind):
    converted = to_cnn1d(MODELS[kind]())
    x, mask = padded()
    together = np.asarray(converted(x))
    longer = np.asarray(converted(np.pad(x, [(0, 0), (0, 9), (0, 0)])))
    np.testing.assert_allclose(longer, together, atol=1e-5)
    for row, steps in enumerate(mask.sum(axis=1)):
        alone = np.asarray(converted(x[row : row + 1, :steps]))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_nothing_is_pooled_where_a_mask_is_given():
    converted = to_cnn1d(MODELS["masking, known length"]())
    assert not any("MaxPooling" in type(each).__name__ for each in converted.layers)


# --- What is refused ------------------------------------------------------------------


class OwnCell(layers.LSTMCell):
    pass


class OwnLSTM(layers.LSTM):
    pass


class OwnModel(keras.Model):
    def __init__(self):
        super().__init__()
        self.lstm = layers.LSTM(4)

    def call(self, inputs):
        return self.lstm(inputs)


def with_state():
    series = keras.Input((TIME, CHANNELS))
    outputs, *state = layers.LSTM(4, return_state=True, name="encoder")(series)
    return keras.Model(series, [outputs, *state])


def from_state():
    series, start = keras.Input((TIME, CHANNELS)), keras.Input((4,))
    outputs = layers.GRU(4, name="decoder")(series, initial_state=start)
    return keras.Model([series, start], outputs)


def attending():
    series = keras.Input((TIME, CHANNELS))
    states = layers.LSTM(4, return_sequences=True)(series)
    return keras.Model(series, layers.Attention(name="attend")([states, states]))


REFUSED = {
    "unbuilt": (lambda: keras.Sequential([layers.LSTM(4)]), "Sequential.*keras.Input"),
    "subclass": (OwnModel, "OwnModel.*Functional API"),
    "no model": (lambda: layers.LSTM(4), "LSTM"),
    "nothing recurrent": (
        lambda: sequential(logits()),
        "recurrent layers, got .* none",
    ),
    "state returned": (with_state, "'encoder' .LSTM with return_state=True"),
    "state given": (from_state, "'decoder' .* state of another layer"),
    "stateful": (
        lambda: keras.Sequential(
            [
                keras.Input(batch_shape=(2, TIME, CHANNELS)),
                layers.GRU(4, stateful=True, name="gru"),
            ]
        ),
        "'gru' .GRU with stateful=True.*batch to batch",
    ),
    "ConvLSTM": (
        lambda: sequential(layers.ConvLSTM2D(2, 3, name="film"), shape=(5, 8, 8, 1)),
        "'film' .ConvLSTM2D. convolves along height and width",
    ),
    "ConvLSTM both ways": (
        lambda: sequential(
            layers.Bidirectional(layers.ConvLSTM1D(2, 3), name="film"), shape=(5, 8, 1)
        ),
        "'film' .Bidirectional. convolves",
    ),
    "attention": (attending, "'attend' .Attention. compares states"),
    "own layer": (lambda: sequential(OwnLSTM(4, name="mine")), "'mine' .OwnLSTM."),
    "own cell": (
        lambda: sequential(layers.RNN(OwnCell(4), name="mine")),
        "'mine' .RNN. has a cell of its own, OwnCell",
    ),
    "inside a wrapper": (
        lambda: sequential(
            layers.TimeDistributed(layers.LSTM(4), name="each"), shape=(5, TIME, 3)
        ),
        "'each' .TimeDistributed. holds a recurrent layer",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_converted_is_refused(kind):
    build, message = REFUSED[kind]
    with pytest.raises(ShapeError, match=f"^to_cnn1d expected .*{message}"):
        to_cnn1d(build())


def test_attention_in_front_of_the_recurrent_layer_stays():
    series = keras.Input((TIME, CHANNELS))
    x = layers.MultiHeadAttention(2, 4, name="attend")(series, series)
    converted = to_cnn1d(keras.Model(series, layers.LSTM(4)(x)))
    assert converted.get_layer("attend")


@pytest.mark.parametrize("field", [0, -1, 2.5, True, "all", TIME + 1])
def test_a_field_that_makes_no_sense_is_refused(field):
    with pytest.raises(ShapeError, match="to_cnn1d .*receptive_field"):
        to_cnn1d(MODELS["LSTM"](), receptive_field=field)


def test_the_field_counts_steps_at_the_recurrent_layer():
    model = cnn_lstm((100, CHANNELS), 4)
    to_cnn1d(model, receptive_field=23)
    with pytest.raises(ShapeError, match="at most 23, .*'lstm' .LSTM. reads, got 24"):
        to_cnn1d(model, receptive_field=24)


# --- cnn1d ----------------------------------------------------------------------------


@examples(25)
@given(
    time=st.integers(1, 600) | st.none(),
    channels=st.integers(1, 4),
    units=st.integers(1, 5),
)
def test_cnn1d_takes_series_of_any_length(time, channels, units):
    model = cnn1d((time, channels), 3, units=units)
    assert model.output_shape == (None, 3)
    x = random.normal(size=(2, time or 37, channels)).astype("float32")
    assert np.isfinite(model(x)).all()


def test_cnn1d_sees_the_whole_series():
    for time in (5, 24, 150, 2000):
        model = cnn1d((time, 1), 3)
        in_front = keras.Model(model.inputs, model.get_layer("temporal_mean").input)
        assert receptive_field(in_front).size >= time


def test_cnn1d_takes_what_cnn_lstm_takes():
    for shape, options in (
        ((30, 2), {"filters": (4, 6), "kernel_size": 3, "units": 5}),
        ((6, 12, 12, 1), {"filters": (4,), "kernel_size": 5, "units": 5}),
        ((None, 16, 16, 3), {}),
    ):
        ours, theirs = cnn1d(shape, 4, **options), cnn_lstm(shape, 4, **options)
        assert ours.output_shape == theirs.output_shape
        assert ours.input_shape == theirs.input_shape
    with pytest.raises(ShapeError, match="cnn1d expected an input_shape"):
        cnn1d((5,), 3)
    with pytest.raises(ShapeError, match="cnn1d expected filters"):
        cnn1d((50, 1), 3, filters=8)


@pytest.mark.parametrize("build", [cnn1d, cnn_lstm])
@pytest.mark.parametrize("shape", [(None, CHANNELS), (None, 8, 8, 1)])
def test_padding_changes_nothing_with_a_mask(build, shape):
    clips = [random.normal(size=(n, *shape[1:])) for n in (30, 1, 12, 5)]
    model = build(shape, 3, masked=True)
    for each in (model, to_cnn1d(model)) if build is cnn_lstm else (model,):
        assert_padding_invariant(each, *pad_batch(clips))


def test_with_a_mask_cnn1d_is_the_same_network():
    for shape in ((128, CHANNELS), (600, 1), (20, 8, 8, 1)):
        plain, masked = cnn1d(shape, 3), cnn1d(shape, 3, masked=True)
        masked.set_weights(plain.get_weights())
        x = random.normal(size=(2, *shape)).astype("float32")
        mask = np.ones((2, shape[0]), bool)
        np.testing.assert_allclose(masked([x, mask]), plain(x), atol=1e-4)


def test_a_summary_pools_under_a_mask_as_without():
    for time in (100, 361, 1460):
        plain, masked = (
            to_cnn1d(cnn_lstm((time, 1), 3, masked=masked)) for masked in (False, True)
        )
        sizes = [
            model.get_layer("lstm_conv_1").output.shape[1] for model in (plain, masked)
        ]
        assert 0 <= sizes[1] - sizes[0] <= 3
