"""The experiments find what was built in, and say when they can't."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import ReceptiveField, ShapeError, measured_receptive_field


class Delay(layers.Layer):
    """A layer that no arithmetic knows: each step sees the steps 5 and 2 before."""

    def call(self, x):
        padded = keras.ops.pad(x, [(0, 0), (5, 0), (0, 0)])
        return padded[:, :-5] + padded[:, 3:-2]


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
        ((8, 2), [layers.Embedding(5, 2), layers.Reshape((8, 4))], "that takes floats"),
    ],
)
def test_what_cannot_be_measured_is_said(shape, stack, message):
    model = keras.Sequential([keras.Input(shape), *stack])
    with pytest.raises(ShapeError, match=message):
        measured_receptive_field(model)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ShapeError, match="built model with one input"):
        measured_receptive_field(keras.Sequential([layers.Dense(2)]))
