"""The experiments find what was built in, and say when they can't."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import (
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    ShapeError,
    assert_padding_invariant,
    cnn1d,
    measured_receptive_field,
    pad_batch,
)
from cnnseq_helpers.tracing.reach import ReceptiveField


class Delay(layers.Layer):
    """A layer that no arithmetic knows: each step sees the steps 5 and 2 before."""

    def call(self, x):
        padded = keras.ops.pad(x, [(0, 0), (5, 0), (0, 0)])
        return padded[:, :-5] + padded[:, 3:-2]


class WholeNumbers(layers.Layer):
    """A layer that fails on floats, as Embedding does but on JAX."""

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        raise TypeError("no floats")


def test_a_custom_layer_is_measured():
    model = keras.Sequential([keras.Input((30, 2)), Delay()])
    field = ReceptiveField(size=4, stride=1, left=5, right=-2)
    assert measured_receptive_field(model) == field


def test_deep_inactive_and_wide_models_are_seen_through():
    keras.utils.set_random_seed(1)
    stack = [layers.Conv1D(8, 3, padding="same", activation="relu") for _ in range(10)]
    model = keras.Sequential([keras.Input((None, 2)), *stack])
    field = ReceptiveField(size=21, stride=1, left=10, right=10)
    assert measured_receptive_field(model) == field


@pytest.mark.parametrize("gap", [40, 64, 100])
def test_a_gap_in_a_dilated_field_is_not_taken_for_its_end(gap):
    layer = layers.Conv1D(2, 2, padding="causal", dilation_rate=gap)
    model = keras.Sequential([keras.Input((None, 2)), layer])
    field = ReceptiveField(size=gap + 1, stride=1, left=gap, right=0)
    assert measured_receptive_field(model) == field


def test_a_field_that_depends_on_the_unknown_length_is_refused():
    layer = layers.Conv1D(2, 3, strides=2, padding="same")
    with pytest.raises(ShapeError, match="depends on the length"):
        measured_receptive_field(keras.Sequential([keras.Input((None, 2)), layer]))


def test_a_field_is_never_wider_than_the_input():
    x = keras.Input((40, 3))
    shifted = keras.Model(x, keras.ops.roll(x, -3, axis=1))
    even = keras.ops.reshape(keras.ops.arange(40) % 2 == 0, (1, 40, 1))
    mixed = keras.Model(x, keras.ops.where(even, x, keras.ops.roll(x, 2, axis=1)))
    for model in (shifted, mixed):
        with pytest.raises(ShapeError):
            measured_receptive_field(model)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_and_overflow_are_no_obstacle(policy):
    dtype = keras.DTypePolicy(policy)
    stack = [layers.Conv1D(4, 3, dtype=dtype), layers.Activation("exponential")]
    model = keras.Sequential([keras.Input((30, 2)), *stack])
    assert measured_receptive_field(model).size == 3


def test_the_model_is_left_as_it_was():
    model = keras.Sequential([keras.Input((30, 2)), layers.BatchNormalization()])
    before = [np.copy(weights) for weights in model.get_weights()]
    measured_receptive_field(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("shape", "stack", "message"),
    [
        ((8,), [layers.Dense(2)], "one input of"),
        ((8, 2), [layers.Flatten()], "one output of"),
        ((8, None), [layers.ReLU()], "one input of"),
        (
            (8, 2),
            [layers.Conv1D(2, 8, padding="causal")],
            "Build the model with a longer",
        ),
        ((8, 2), [layers.Conv1D(2, 8)], "Build the model with a longer"),
        ((8, 2), [layers.LSTM(2, return_sequences=True)], "recurrent layers, whose"),
        ((8, 2), [layers.UpSampling1D(2), layers.ReLU()], "same field at every"),
        ((8, 2), [layers.Rescaling(np.nan)], "finite outputs"),
        ((0, 2), [layers.ReLU()], "one input of"),
        ((8, 2), [WholeNumbers()], "(?s)got TypeError.*no floats.*that takes floats"),
    ],
)
def test_what_cannot_be_measured_is_said(shape, stack, message):
    model = keras.Sequential([keras.Input(shape), *stack])
    with pytest.raises(ShapeError, match=message):
        measured_receptive_field(model)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ShapeError, match="built model with one input"):
        measured_receptive_field(keras.Sequential([layers.Dense(2)]))


# --- Padding --------------------------------------------------------------------------


def batch(*lengths, channels=2):
    random = np.random.default_rng(0)
    return pad_batch([random.normal(size=(steps, channels)) for steps in lengths])


def sequential(*stack, steps=None):
    return keras.Sequential([keras.Input((steps, 2)), *stack], name="usual")


def with_mask(*stack):
    """Return a model of x and mask that gives the mask to every layer that takes it."""
    inputs, mask = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    x = inputs
    for layer in stack:
        takes = isinstance(layer, (layers.LSTM, layers.GlobalAveragePooling1D))
        x = layer(x, mask=mask) if takes else layer(x)
    return keras.Model([inputs, mask], x)


INVARIANT = {
    "masked": lambda: cnn1d((None, 2), 3, masked=True, units=4),
    "masked, steps": lambda: MaskedConv1D(3, 4, padding="same", strides=2),
    "valid": lambda: MaskedConv1D(3, 3),
    "LSTM": lambda: with_mask(layers.LSTM(3)),
    "LSTM, steps": lambda: with_mask(layers.LSTM(3, return_sequences=True)),
    "causal": lambda: sequential(layers.Conv1D(3, 3, padding="causal")),
    "one step": lambda: sequential(layers.Dense(3), layers.LayerNormalization()),
    "pooled": lambda: with_mask(layers.Dense(3), layers.GlobalAveragePooling1D()),
}
VARYING = {
    "same": lambda: sequential(layers.Conv1D(3, 3, padding="same")),
    "stride": lambda: sequential(layers.Conv1D(3, 3, strides=2, padding="same")),
    "LSTM": lambda: sequential(layers.LSTM(3)),
    "backwards": lambda: sequential(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    ),
    "mean": lambda: sequential(layers.GlobalAveragePooling1D()),
    "maximum": lambda: sequential(layers.GlobalMaxPooling1D()),
    "zeros masked": lambda: sequential(layers.Masking(), layers.LSTM(3)),
    "bias": lambda: with_mask(
        layers.Conv1D(3, 3, padding="same"),
        layers.Conv1D(3, 3, padding="same"),
        layers.GlobalAveragePooling1D(),
    ),
    "statistics": lambda: sequential(
        layers.BatchNormalization(), layers.GlobalAveragePooling1D()
    ),
}


@pytest.mark.parametrize("kind", INVARIANT)
def test_what_reads_the_mask_passes(kind):
    assert_padding_invariant(INVARIANT[kind](), *batch(5, 9, 3))


@pytest.mark.parametrize("kind", VARYING)
def test_what_reads_the_padding_is_found(kind):
    with pytest.raises(AssertionError, match="depends on padding: sequence"):
        assert_padding_invariant(VARYING[kind](), *batch(5, 9, 3))


def test_a_fault_that_zero_biases_hide_is_found_and_the_weights_are_put_back():
    # Two convolutions without biases map zeros to zeros, whatever the padding.
    x, mask = batch(5, 9)
    stack = [layers.Conv1D(3, 1), layers.ReLU(), MaskedGlobalAveragePooling1D()]
    model = sequential(*stack)
    before = [np.copy(weights) for weights in model.get_weights()]
    padded = np.pad(x, [(0, 0), (0, 6), (0, 0)])
    np.testing.assert_allclose(model(x) * 9, model(padded) * 15, atol=1e-5)
    with pytest.raises(AssertionError):
        assert_padding_invariant(model, x, mask)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_message_says_which_step_moved_and_how_far():
    x, mask = pad_batch([np.ones((3, 2)), np.ones((5, 2))])
    layer = layers.Conv1D(
        1, 3, padding="same", kernel_initializer="ones", name="smooth", use_bias=False
    )
    layer.build(x.shape)
    layer.kernel.assign([[[1.0], [1.0]], [[2.0], [2.0]], [[5.0], [5.0]]])
    garbage = "sequence 0, of 3 steps, was followed by 2 steps of garbage"
    message = f"smooth depends on padding: {garbage}, and 1 of its 3 output steps moved"
    with pytest.raises(AssertionError, match=f"{message}.* step 2 moved by .* from 6"):
        assert_padding_invariant(layer, x, mask)
    wider = layers.Conv1D(1, 5, padding="same", use_bias=False)
    with pytest.raises(AssertionError, match="2 of its 3 output steps.* the first 1"):
        assert_padding_invariant(wider, x, mask)


def test_several_outputs_tokens_and_models_of_ones_own_are_taken():
    x, mask = batch(5, 9)
    inputs, real = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    steps = MaskedConv1D(3, 3, padding="same")(inputs, mask=real)
    pooled = layers.GlobalAveragePooling1D()(steps, mask=real)
    model = keras.Model([real, inputs], {"steps": steps, "pooled": pooled})
    assert_padding_invariant(model, x, mask)
    wrong = layers.GlobalMaxPooling1D()(layers.Conv1D(3, 1)(inputs))
    with pytest.raises(AssertionError):
        assert_padding_invariant(keras.Model([real, inputs], [steps, wrong]), x, mask)

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.supports_masking = True
            self.lstm = layers.LSTM(3)

        def call(self, x, mask=None):
            return self.lstm(x, mask=mask)

    assert_padding_invariant(Own(), x, mask)
    tokens, mask = pad_batch([[3, 1, 2], [4, 2, 2, 1, 1]], dtype="int32")
    embedded = [layers.Embedding(6, 4, mask_zero=True), layers.LSTM(3)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *embedded])
    with pytest.raises(AssertionError, match="garbage"):
        assert_padding_invariant(model, tokens, mask)


def test_a_huge_output_does_not_hide_the_others():
    x, mask = batch(5, 9)
    inputs, real = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    wrong = layers.GlobalMaxPooling1D()(inputs)
    for huge in (-1e9, -np.inf):
        beside = layers.Concatenate()([wrong, keras.ops.full_like(wrong, huge)])
        with pytest.raises(AssertionError, match="its output moved by"):
            assert_padding_invariant(keras.Model([inputs, real], beside), x, mask)
    right = MaskedGlobalAveragePooling1D()(inputs, mask=real)
    beside = layers.Concatenate()([right, keras.ops.full_like(right, -np.inf)])
    assert_padding_invariant(keras.Model([inputs, real], beside), x, mask)


class Gated(layers.Layer):
    """Adds the mean over all steps, padding too, by a gate that starts at 0."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x[:, 0] + self.gate * keras.ops.mean(x, axis=1)


def test_a_gate_that_starts_at_zero_does_not_hide_a_fault():
    layer = Gated()
    with pytest.raises(AssertionError):
        assert_padding_invariant(layer, *batch(5, 9))
    assert layer.gate.numpy() == 0


class LogOfMaximum(layers.Layer):
    def call(self, x):
        return keras.ops.log(keras.ops.maximum(keras.ops.max(x, axis=1), 0.0))


def test_an_output_that_is_infinite_alone_may_not_move_either():
    x, mask = pad_batch([-np.ones((5, 2)), -np.ones((3, 2))])
    with pytest.raises(AssertionError, match="from -inf"):
        assert_padding_invariant(LogOfMaximum(), x, mask)


def test_garbage_of_large_half_precision_stays_finite():
    x, mask = pad_batch([np.full((6, 3), 7000), np.full((3, 3), 7000)], dtype="float16")
    assert_padding_invariant(MaskedGlobalAveragePooling1D(), x, mask)


def test_a_fault_that_low_precision_biases_make_is_found():
    inputs, real = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    zeroed = keras.ops.where(real[..., None], inputs, 0.0)
    biased = layers.Dense(3, dtype="bfloat16")(zeroed)
    total = layers.Lambda(lambda x: keras.ops.sum(x, 1), dtype="bfloat16")(biased)
    with pytest.raises(AssertionError):
        assert_padding_invariant(keras.Model([inputs, real], total), *batch(5, 9))


def test_models_of_named_inputs_and_unbuilt_ones_are_taken():
    x, mask = batch(5, 9)
    inputs = keras.Input((None, 2), name="series")
    real = keras.Input((None,), dtype="bool", name="mask")
    pooled = MaskedGlobalAveragePooling1D()(inputs, mask=real)
    named = keras.Model({"series": inputs, "mask": real}, pooled)
    assert_padding_invariant(named, x, mask)
    unbuilt = keras.Sequential([MaskedConv1D(3, 3), MaskedGlobalAveragePooling1D()])
    with pytest.raises(AssertionError):  # nobody gives it the mask
        assert_padding_invariant(unbuilt, x, mask)


@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (np.ones((2, 3, 1)), np.ones((2, 4), bool), r"\(2, 3, 1\) and bool \(2, 4\)"),
        (np.ones((2, 3, 1)), np.ones((2, 3)), r"and float64 \(2, 3\)"),
        (np.ones(3), np.ones(3, bool), "expected x"),
        (np.ones((0, 3, 1)), np.ones((0, 3), bool), "expected x"),
        (np.ones((1, 2, 1)), np.array([[False, True]]), "padding at the end.*quence 0"),
        (np.ones((1, 2, 1)), np.array([[False, False]]), "start with a real step"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(x, mask, message):
    with pytest.raises(ShapeError, match=message):
        assert_padding_invariant(layers.ReLU(), x, mask)


def test_a_model_that_cannot_be_run_or_compared_is_refused():
    x, mask = batch(2, 9)
    with pytest.raises(ShapeError, match="leave out sequences that are too short"):
        assert_padding_invariant(sequential(layers.Conv1D(3, 5)), x, mask)
    with pytest.raises(
        ShapeError, match="any number of steps, got usual, which takes 9"
    ):
        assert_padding_invariant(sequential(layers.Dense(2), steps=9), x, mask)
    with pytest.raises(TypeError, match="Keras layer or model, got a function"):
        assert_padding_invariant(lambda x: x, x, mask)
    with pytest.raises(ValueError, match="NaN for sequence 0 even alone"):
        assert_padding_invariant(layers.Rescaling(np.nan), x, mask)
    whole = sequential(layers.Lambda(lambda x: keras.ops.swapaxes(x, 1, 2)))
    with pytest.raises(ShapeError, match="outputs of usual that do not depend"):
        assert_padding_invariant(whole, x, mask)
