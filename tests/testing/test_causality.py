"""What looks ahead is found, wherever it hides, and what does not may pass."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from cnnseq_helpers import (
    BatchApply,
    MaskedConv1D,
    ShapeError,
    assert_causal,
    pad_batch,
    receptive_field,
)

from ..conftest import examples

AHEAD = "looks ahead"


def series(steps=10, channels=2, samples=2):
    return np.random.default_rng(0).normal(size=(samples, steps, channels))


def sequential(*stack, steps=None, channels=2):
    return keras.Sequential([keras.Input((steps, channels)), *stack], name="usual")


def conv(**settings):
    return layers.Conv1D(3, 3, padding="causal", **settings)


def attention(**settings):
    inputs = keras.Input((None, 2))
    layer = layers.MultiHeadAttention(2, 3)
    return keras.Model(inputs, layer(inputs, inputs, **settings))


def repeated_mean():
    pooled = [layers.GlobalAveragePooling1D(), layers.RepeatVector(10)]
    return sequential(*pooled, steps=10)


def function(call):
    return layers.Lambda(call, name="usual")


def fourier(x):
    """Return the running mean, by a transform in which rounding touches each step."""
    real, imaginary = ops.rfft(ops.swapaxes(x, 1, 2), fft_length=20)
    kernel = ops.rfft(ops.full((1, 1, 10), 0.1, dtype="float32"), fft_length=20)
    product = real * kernel[0] - imaginary * kernel[1]
    crossed = real * kernel[1] + imaginary * kernel[0]
    return ops.swapaxes(ops.irfft((product, crossed), fft_length=20)[..., :10], 1, 2)


def stateful(layer, **settings):
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    cell = {"cell": cells} if layer is layers.RNN else {"units": 3}
    inner = layer(**cell, stateful=True, return_sequences=True, **settings)
    return keras.Sequential([keras.Input(batch_shape=(2, None, 2)), inner])


CAUSAL = {
    "dilated": lambda: sequential(*(conv(dilation_rate=2**i) for i in range(3))),
    "unbuilt": lambda: keras.Sequential([conv(activation="relu"), layers.Dense(2)]),
    "LSTM": lambda: sequential(layers.LSTM(3, return_sequences=True)),
    "GRU": lambda: layers.GRU(3, return_sequences=True, return_state=True),
    "attention": lambda: attention(use_causal_mask=True),
    "one step": lambda: sequential(layers.BatchNormalization(), layers.Dropout(0.5)),
    "per step": lambda: sequential(layers.LayerNormalization(), layers.Softmax()),
    "fixed length": lambda: sequential(conv(), steps=10),
    "fixed batch": lambda: function(lambda x: ops.reshape(x, (2, 10, 1, 2))),
    "delay": lambda: function(lambda x: ops.pad(x[:, :-1], [(0, 0), (1, 0), (0, 0)])),
    "triangle": lambda: function(
        lambda x: ops.matmul(ops.convert_to_tensor(np.tri(10, dtype="f")), x)
    ),
    "sum": lambda: function(lambda x: ops.cumsum(x, axis=1)),
    "half": lambda: sequential(conv(dtype="mixed_float16"), layers.ReLU()),
    "Fourier": lambda: function(fourier),
}
LOOKING = {
    "same": lambda: sequential(layers.Conv1D(3, 3, padding="same")),
    "even kernel": lambda: sequential(layers.Conv1D(3, 2, padding="same")),
    "one of many": lambda: sequential(conv(), MaskedConv1D(3, 3, padding="same")),
    "backwards": lambda: sequential(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    ),
    "turned round": lambda: layers.GRU(3, return_sequences=True, go_backwards=True),
    "stateful": lambda: stateful(layers.LSTM, go_backwards=True),
    "statistics": lambda: sequential(layers.LayerNormalization(axis=[1, 2]), steps=10),
    "softmax": lambda: sequential(layers.Softmax(axis=1)),
    "mean": repeated_mean,
    "attention": attention,
    "flip": lambda: function(lambda x: ops.flip(x, axis=1)),
    "roll": lambda: function(lambda x: ops.roll(x, -1, axis=1)),
    "pooling": lambda: sequential(layers.MaxPooling1D(2, 1, padding="same")),
    "stairs": lambda: sequential(layers.MaxPooling1D(2), layers.UpSampling1D(2)),
    "permuted": lambda: sequential(
        layers.Permute((2, 1)), layers.Dense(10), layers.Permute((2, 1)), steps=10
    ),
    "half": lambda: sequential(layers.Conv1D(3, 2, padding="same", dtype="float16")),
    "saturated": lambda: sequential(
        layers.Conv1D(3, 3, padding="same"), layers.Activation("hard_sigmoid")
    ),
    "shy": lambda: sequential(
        layers.Conv1D(1, 2, padding="same"), layers.ReLU(threshold=200.0)
    ),
    "fixed batch": lambda: function(lambda x: ops.flip(ops.reshape(x, (2, 10, 2)), 1)),
}


@pytest.mark.parametrize("kind", CAUSAL)
def test_what_looks_back_alone_passes(kind):
    assert_causal(CAUSAL[kind](), series())


@pytest.mark.parametrize("kind", LOOKING)
def test_what_looks_ahead_is_found(kind):
    keras.utils.set_random_seed(0)
    with pytest.raises(AssertionError, match=AHEAD):
        assert_causal(LOOKING[kind](), series())


# --- Several inputs, several outputs, tokens and video --------------------------------


def video(layer):
    return keras.Sequential([keras.Input((None, 8, 8, 1)), layer])


def per_frame():
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
    )


def test_video_is_taken():
    clips = np.random.default_rng(0).uniform(size=(2, 6, 8, 8, 1)).astype("float32")
    settings = {"padding": "same", "return_sequences": True}
    assert_causal(video(layers.ConvLSTM2D(2, 3, **settings)), clips)
    assert_causal(video(layers.TimeDistributed(per_frame())), clips)
    assert_causal(BatchApply(per_frame()), clips)
    past = [layers.ZeroPadding3D(((2, 0), (1, 1), (1, 1))), layers.Conv3D(2, 3)]
    assert_causal(video(keras.Sequential(past)), clips)
    with pytest.raises(AssertionError, match="1 of 3 earlier output steps"):
        assert_causal(video(layers.Conv3D(2, 3, padding="same")), clips)


def test_tokens_stay_tokens():
    tokens = np.array([[7, 0, 2, 2], [2, 7, 0, 0]], dtype="int32")

    def model(padding):
        stack = [layers.Embedding(8, 3), layers.Conv1D(3, 2, padding=padding)]
        return keras.Sequential([keras.Input((None,), dtype="int32"), *stack])

    seen = set()
    assert_causal(model("causal"), tokens)
    assert_causal(function(lambda x: seen.update(np.ravel(x).tolist()) or x), tokens)
    assert seen == {0, 2, 7}
    with pytest.raises(AssertionError, match="to other values"):
        assert_causal(model("same"), tokens)
    switched = np.array([[True, False, False], [False, False, True]])
    with pytest.raises(AssertionError):
        assert_causal(function(lambda x: ops.flip(x, axis=1)), switched)


def test_a_mask_is_left_as_it_is_and_reaches_models_and_layers():
    x, mask = pad_batch([*series(7), *series(4)])
    layer = MaskedConv1D(3, 3, padding="causal")
    assert_causal(layer, [x, mask])
    inputs, real = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, real], layer(inputs, mask=real))
    assert_causal(model, [x, mask])
    assert_causal(layers.LSTM(3, return_sequences=True), (x, mask))
    counted = inputs + ops.sum(ops.cast(real, "float32"), axis=1)[:, None, None]
    assert_causal(keras.Model([inputs, real], counted), [x, mask])
    ahead = MaskedConv1D(3, 3, padding="same")
    with pytest.raises(AssertionError, match=AHEAD):
        assert_causal(ahead, [x, mask])


def two_inputs(*, ahead):
    first, second = keras.Input((None, 2), name="a"), keras.Input((None, 1), name="b")
    padding = "same" if ahead else "causal"
    seen = layers.Conv1D(2, 3, padding=padding)(second)
    return keras.Model({"a": first, "b": second}, first + seen)


def test_inputs_of_the_same_length_are_changed_at_once():
    x = {"a": series(), "b": series(channels=1)}
    assert_causal(two_inputs(ahead=False), x)
    with pytest.raises(AssertionError, match=AHEAD):
        assert_causal(two_inputs(ahead=True), x)


def test_the_sequence_that_leaks_is_named():
    inputs, gate = keras.Input((None, 2)), keras.Input((1,))
    model = keras.Model(
        (inputs, gate), inputs + gate[:, None] * ops.flip(inputs, axis=1)
    )
    with pytest.raises(AssertionError, match="of sequence 2 moved"):
        assert_causal(model, (series(samples=4), np.array([[0], [0], [1], [0]])))


def test_an_input_of_another_length_is_left_as_it_is():
    source, target = keras.Input((None, 2)), keras.Input((None, 2))
    place = keras.Input((3,))
    seen = layers.MultiHeadAttention(1, 2)(target, source)
    decoder = keras.Model([source, target, place], seen + place[:, None, :2])
    assert_causal(decoder, [series(7), series(9), np.ones((2, 3))])


def test_each_output_with_the_time_axis_is_examined():
    inputs = keras.Input((None, 2))
    causal = layers.Conv1D(1, 3, padding="causal")(inputs)
    pooled = layers.GlobalAveragePooling1D()(inputs)
    assert_causal(keras.Model(inputs, [pooled, causal]), series())
    summed = ops.sum(ops.flip(inputs, axis=1), axis=-1)
    model = keras.Model(inputs, [pooled, causal, summed], name="usual")
    with pytest.raises(AssertionError, match=r"output 2 \(None, 10\) of usual looks"):
        assert_causal(model, series())


# --- Where a leak may hide ------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 3, 64, 65, 150, 1000])
def test_a_leak_of_the_very_last_step_is_found(steps):
    def leaky(x):
        last = ops.arange(steps)[None, :, None] == steps - 2
        return ops.where(last, ops.roll(x, -1, axis=1), x)

    with pytest.raises(AssertionError, match=f"from step {steps - 1} on"):
        assert_causal(function(leaky), series(steps, samples=1))


@pytest.mark.parametrize("dilation", [2, 31, 64, 90])
def test_a_step_ahead_beside_a_wide_gap_is_found(dilation):
    def gap(ahead):
        pad = layers.ZeroPadding1D((dilation - ahead, ahead))
        return sequential(pad, layers.Conv1D(2, 2, dilation_rate=dilation))

    assert_causal(gap(0), series(100))
    with pytest.raises(AssertionError, match="1 of 50 earlier output steps"):
        assert_causal(gap(1), series(100))


def test_every_second_step_of_a_long_sequence_is_tried():
    stairs = [layers.AveragePooling1D(2), layers.UpSampling1D(2)]
    with pytest.raises(AssertionError):
        assert_causal(sequential(*stairs), series(256))


def test_a_maximum_that_seldom_matters_is_seen_through():
    x = series(8, channels=1, samples=1)
    x[:, :4] += 5
    pool = layers.MaxPooling1D(2, 1, padding="same")
    with pytest.raises(AssertionError):
        assert_causal(sequential(pool, channels=1), x)


class Gated(layers.Layer):
    """Adds the mean over all steps, by a gate that starts at 0."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x + self.gate * ops.mean(x, axis=1, keepdims=True)


def test_a_gate_that_starts_at_zero_hides_nothing_and_is_put_back():
    layer = Gated()
    with pytest.raises(AssertionError):
        assert_causal(layer, series())
    assert layer.gate.numpy() == 0


class Triangle(layers.Layer):
    """Sums up the past by a matrix of zeros and ones, kept as a constant weight."""

    def build(self, shape):
        matrix = np.tri(shape[1], dtype="float32")
        self.matrix = self.add_weight(
            shape=matrix.shape, initializer=lambda *_, **__: matrix, trainable=False
        )

    def call(self, x):
        return ops.matmul(self.matrix, x)


def test_a_constant_matrix_of_zeros_and_ones_is_left_as_it_is():
    assert_causal(Triangle(), series())


@pytest.mark.parametrize("layer", [layers.LSTM, layers.RNN])
def test_stateful_layers_pass_and_their_states_are_put_back(layer):
    model = stateful(layer)
    model(series(4))
    states = keras.tree.flatten(model.layers[0].states)
    before = [np.copy(each) for each in [*model.get_weights(), *states]]
    assert any(np.any(each) for each in states)
    assert_causal(model, series(4))
    for old, new in zip(before, [*model.get_weights(), *states], strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_unbuilt_stateful_layer_is_left_without_a_memory():
    layer = layers.GRU(3, stateful=True, return_sequences=True)
    assert_causal(layer, series(4))
    assert not any(np.any(each) for each in layer.states)


def test_x_is_left_as_it_was_and_may_be_constant():
    x = np.ones((1, 6, 2), "float32")
    assert_causal(sequential(conv()), x)
    with pytest.raises(AssertionError, match="to other values"):
        assert_causal(LOOKING["same"](), x)
    assert (x == 1).all()


# --- What is not a number, and what overflows -----------------------------------------


def test_a_leak_that_turns_numbers_into_nan_is_found():
    def leaky(x):
        following = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        return ops.where(ops.abs(following - 1) < 0.5, 0.0, np.nan)

    x = np.ones((1, 6, 1))
    with pytest.raises(AssertionError, match="from 0 to nan"):
        assert_causal(function(leaky), x)


def test_noise_that_overflows_or_leaves_the_domain_is_no_leak():
    weights = ops.convert_to_tensor(np.tri(10, dtype="float32"))
    x = np.random.default_rng(0).uniform(1, 2, size=(2, 10, 2))
    for call in (ops.log, ops.exp):  # 0 times NaN or infinity is NaN
        assert_causal(function(lambda x, call=call: weights @ call(x)), x)
        flipped = function(lambda x, call=call: ops.flip(call(x), axis=1))
        with pytest.raises(AssertionError):
            assert_causal(flipped, x)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match="finite numbers from usual"):
        assert_causal(layers.Rescaling(value, name="usual"), series())
    x = series()
    x[1, 3] = value
    with pytest.raises(ValueError, match="in x and in the weights"):
        assert_causal(layers.ReLU(), x)


def test_half_precision_data_stays_finite():
    x = np.random.default_rng(0).uniform(-6e4, 6e4, size=(2, 6, 2)).astype("float16")
    assert_causal(layers.ReLU(dtype="float16"), x)


# --- What is refused, and what is said ------------------------------------------------


def test_the_message_says_what_was_changed_what_moved_and_how_far():
    x = np.zeros((1, 10, 1))
    x[:, 5:] = 3.0
    smooth = sequential(
        layers.AveragePooling1D(5, 1, padding="same"), steps=10, channels=1
    )
    message = (
        "usual looks ahead: x was changed from step 5 on, to other values, and 2 of 5 "
        "earlier output steps moved, the first 3; step 4 of sequence 0 moved by 1.2, "
        'from 1.2 to 0. Use padding="causal"'
    )
    with pytest.raises(AssertionError, match=message):
        assert_causal(smooth, x)


def test_the_tolerance_is_a_share_of_the_output_or_of_one():
    def leaky(x):
        return x + 1e-3 * ops.roll(x, -1, axis=1)

    with pytest.raises(AssertionError):
        assert_causal(function(leaky), series())
    assert_causal(function(leaky), series(), tolerance=0.1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 1, 3)), r"at least 2 steps.*float64 \(2, 1, 3\)"),
        (np.ones(3), r"got float64 \(3,\)"),
        (np.ones((0, 3, 1)), "expected x"),
        ([np.ones((2, 3, 1)), np.ones((1, 3, 1))], r"\(2, 3, 1\), float64 \(1, 3, 1\)"),
        ([[1.0, 2.0], [3.0, 4.0]], r"float64 \(\).*np.asarray\(x\)"),
        (np.array([["a", "b"]]), "of numbers.*<U1"),
        ([], "got nothing"),
    ],
)
def test_an_x_without_batch_and_time_is_refused(x, message):
    with pytest.raises(ShapeError, match=message):
        assert_causal(layers.ReLU(), x)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (layers.LSTM(3), r"\(2, 3\)"),
        (layers.Conv1D(3, 3), r"\(2, 8, 3\)"),
        (layers.Conv1D(3, 3, strides=2, padding="causal"), r"\(2, 5, 3\)"),
        (layers.Lambda(lambda x: ops.sum(x)), r"\(\)"),
    ],
)
def test_outputs_that_do_not_belong_to_the_steps_are_refused(layer, found):
    message = f"usual with as many steps as the input, 10, got {found}. Give recurrent"
    with pytest.raises(ShapeError, match=message):
        assert_causal(sequential(layer, steps=10), series())


def test_what_cannot_be_run_or_told_is_refused():
    with pytest.raises(TypeError, match="assert_causal expected a Keras layer or"):
        assert_causal(lambda x: x, series())
    with pytest.raises(ShapeError, match=r"called usual on \(2, 10, 3\) and expected"):
        assert_causal(sequential(conv()), series(channels=3))
    with pytest.raises(ValueError, match="at least two different steps"):
        assert_causal(layers.Embedding(3, 2), np.ones((2, 5), int))
    noisy = function(lambda x: x + np.random.default_rng().normal(size=x.shape))
    with pytest.raises(ValueError, match="random in inference"):
        assert_causal(noisy, series())


# --- Stacks ---------------------------------------------------------------------------

small = st.integers(1, 3)


def convolution(kernel_size, padding, **settings):
    past = (kernel_size - 1) * settings["dilation_rate"]
    pads = [layers.ZeroPadding1D((past, 0))] if padding == "valid" else []
    return [*pads, layers.Conv1D(6, kernel_size, padding=padding, **settings)]


def delay(steps):
    return [layers.ZeroPadding1D((steps, 0)), layers.Cropping1D((0, steps))]


def pooling(pool_size, padding):
    pads = [layers.ZeroPadding1D((pool_size - 1, 0))] if padding == "valid" else []
    return [*pads, layers.AveragePooling1D(pool_size, 1, padding)]


def configured(kind, **settings):
    return st.tuples(st.just(kind), st.fixed_dictionaries(settings))


parts = st.one_of(
    configured(
        convolution,
        kernel_size=small,
        dilation_rate=small,
        padding=st.sampled_from(["causal", "valid", "same"]),
        activation=st.sampled_from([None, "relu"]),
    ),
    configured(pooling, pool_size=small, padding=st.sampled_from(["valid", "same"])),
    configured(delay, steps=small),
)


@examples(40)
@given(st.lists(parts, min_size=1, max_size=4), st.sampled_from([20, None]))
def test_the_verdict_on_stacks_equals_the_arithmetic(stack, length):
    keras.utils.set_random_seed(0)
    built = [layer for kind, settings in stack for layer in kind(**settings)]
    model = sequential(*built, steps=length)
    if receptive_field(model).right > 0:
        with pytest.raises(AssertionError, match=AHEAD):
            assert_causal(model, series(20))
    else:
        assert_causal(model, series(20))
