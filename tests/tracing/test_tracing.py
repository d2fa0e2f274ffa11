"""Receptive fields and shape tables, held against experiment and against Keras."""

from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers, ops

from cnnseq_helpers import (
    ShapeError,
    measured_receptive_field,
    receptive_field,
    trace_shapes,
)
from cnnseq_helpers.tracing.reach import ReceptiveField

from ..conftest import examples

small = st.integers(1, 4)
# Keras says so of a Conv1D and of a Sequential; the walk must not trip over the mask.
drops_mask = pytest.mark.filterwarnings("ignore:.*destroy the mask")


paddings = st.sampled_from(["valid", "same"])
causal_too = st.sampled_from(["valid", "same", "causal"])
LAYERS = {
    "conv": partial(layers.Conv1D, 6),
    "relu": partial(layers.Conv1D, 6, activation="relu"),
    "separable": partial(layers.SeparableConv1D, 6),
    "depthwise": layers.DepthwiseConv1D,
    "max": layers.MaxPooling1D,
    "average": layers.AveragePooling1D,
    "pad": layers.ZeroPadding1D,
    "crop": layers.Cropping1D,
    "dense": lambda: layers.Dense(6, activation="tanh"),
    "batch_norm": layers.BatchNormalization,
    "layer_norm": layers.LayerNormalization,
    "dropout": lambda: layers.Dropout(0.5),
    "per_step": lambda: layers.TimeDistributed(layers.Dense(6)),
}


def configured(kinds, **settings):
    """Draw layers of (batch, time, channels) as a name and its arguments."""
    return st.tuples(st.sampled_from(kinds.split()), st.fixed_dictionaries(settings))


time_layers = st.one_of(
    configured("conv", kernel_size=small, strides=small, padding=causal_too),
    configured("conv relu", kernel_size=small, dilation_rate=small, padding=causal_too),
    configured(
        "separable depthwise", kernel_size=small, strides=small, padding=paddings
    ),
    configured("separable depthwise", kernel_size=small, dilation_rate=small),
    configured("max average", pool_size=small, strides=small, padding=paddings),
    configured("pad", padding=st.tuples(small, small)),
    configured("crop", cropping=st.tuples(small, small)),
    configured("dense batch_norm layer_norm dropout per_step"),
)


def measured_or_none(model):
    try:
        return measured_receptive_field(model)
    except ShapeError:
        return None


@examples(60)
@given(st.lists(time_layers, min_size=1, max_size=4), st.integers(20, 60))
def test_stacks_equal_the_experiment(stack, length):
    keras.utils.set_random_seed(0)
    built = [LAYERS[kind](**arguments) for kind, arguments in stack]
    try:
        model = keras.Sequential([keras.Input((length, 6)), *built])
    except ValueError:
        assume(False)  # the sequence became too short for a layer
    measured = measured_or_none(model)
    assume(measured is not None)
    assert receptive_field(model) == measured


@examples(15)
@given(small, small, small, small, st.sampled_from(["same", "causal"]))
def test_branches_equal_the_experiment(kernel_a, dilation, kernel_b, kernel_c, padding):
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 6))
    a = layers.Conv1D(6, kernel_a, dilation_rate=dilation, padding=padding)(x)
    b = layers.Conv1D(6, kernel_b, padding=padding)(layers.ReLU()(x))
    merged = layers.Concatenate()([layers.Add()([a, x]), b, a + b])
    inner = keras.Model(x, layers.Conv1D(6, kernel_c, padding=padding)(merged))
    nested = keras.Sequential([keras.Input((48, 6)), inner, layers.MaxPooling1D(2)])
    for model in (inner, nested):
        assert receptive_field(model) == measured_receptive_field(model)


def test_video_and_images_are_read_along_axis_1():
    x = keras.Input((9, 6, 6, 1))
    y = layers.TimeDistributed(layers.Conv2D(2, 3))(x)
    y = layers.Conv3D(2, (3, 1, 1), padding="same")(y)
    y = layers.AveragePooling3D((2, 1, 1))(
        layers.ZeroPadding3D(((1, 0), (0, 0), (0, 0)))(y)
    )
    model = keras.Model(x, y)
    assert receptive_field(model) == ReceptiveField(size=4, stride=2, left=2, right=1)
    assert receptive_field(model) == measured_receptive_field(model)


def test_causal_models_see_no_future():
    dilated = [
        layers.Conv1D(4, 2, padding="causal", dilation_rate=2**i) for i in range(5)
    ]
    model = keras.Sequential([keras.Input((None, 4)), *dilated])
    assert receptive_field(model) == ReceptiveField(size=32, stride=1, left=31, right=0)


@drops_mask
def test_masks_and_dictionaries_entering_a_nested_model_are_told_apart():
    x = keras.Input((20, 3))
    inner = keras.Sequential([layers.Conv1D(3, 3)])
    masked = keras.Model(x, inner(layers.Masking()(x)))
    assert receptive_field(masked) == measured_receptive_field(masked)
    z, a = keras.Input((20, 3), name="z"), keras.Input((20, 3), name="a")
    inner = keras.Model([z, a], [layers.ReLU()(z), layers.ReLU()(a)])
    wide = layers.Conv1D(3, 5, padding="same")(x)
    narrow, _ = inner({"z": x, "a": wide})
    assert receptive_field(keras.Model(x, narrow)).size == 1


@drops_mask
def test_tokens_have_a_time_axis_once_they_are_embedded():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Embedding(9, 4, mask_zero=True),
            layers.Conv1D(2, 3),
        ]
    )
    assert receptive_field(model).size == 3


def test_static_features_do_not_widen_a_field():
    x, static = keras.Input((20, 3)), keras.Input((4,))
    repeated = layers.RepeatVector(18)(layers.Dense(2)(static))
    joined = layers.Concatenate()([layers.Conv1D(2, 3)(x), repeated])
    rows = trace_shapes(keras.Model([x, static], joined)).rows
    fields = {row.layer.split()[0]: row.receptive_field for row in rows}
    assert fields[joined._keras_history.operation.name] == "3"
    assert fields[repeated._keras_history.operation.name] == "no time axis"


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


class Wide(layers.Conv1D):
    """A subclass may do anything in `call`, so its base class promises nothing."""


def time_model(*stack, length=20):
    return keras.Sequential([keras.Input((length, 6)), *stack])


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(3, name="culprit"),
        layers.GRU(3, return_sequences=True, name="culprit"),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="culprit"),
        layers.GlobalAveragePooling1D(name="culprit"),
        layers.GlobalMaxPooling1D(name="culprit"),
        layers.Flatten(name="culprit"),
        layers.Softmax(axis=1, name="culprit"),
        layers.LayerNormalization(axis=[1, 2], name="culprit"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_join_the_sequence_are_refused_by_name(layer):
    model = time_model(layers.Conv1D(6, 3), layer)
    with pytest.raises(ShapeError, match="'culprit'.*joins the whole sequence"):
        receptive_field(model)
    front = keras.Model(model.inputs, model.get_layer("culprit").input)
    assert receptive_field(front).size == 3  # the cure that the message gives


@pytest.mark.parametrize(
    "layer",
    [
        Doubled(name="culprit"),
        Wide(4, 3, name="culprit"),
        layers.Reshape((40, 3), name="culprit"),
        layers.Permute((2, 1), name="culprit"),
        layers.UpSampling1D(2, name="culprit"),
        layers.Conv1DTranspose(4, 3, name="culprit"),
        layers.MaxPooling1D(2, data_format="channels_first", name="culprit"),
        layers.Activation(lambda x: ops.softmax(x, axis=1), name="culprit"),
        layers.Conv1D(3, 3, activation=lambda x: ops.cumsum(x, 1), name="culprit"),
        layers.Dense(3, activation=layers.Softmax(axis=1), name="culprit"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_unknown_layers_are_refused_by_name(layer):
    with pytest.raises(ShapeError, match=r"'culprit'.*measured_receptive_field"):
        receptive_field(time_model(layer))


@pytest.mark.parametrize(
    "join",
    [
        lambda x: x - ops.average(x),
        lambda x: x - ops.average(x, axis=0),
        lambda x: ops.softmax(x, axis=None),
        lambda x: layers.Add()([x, ops.average(x, axis=-1)]),
        lambda x: layers.Softmax(axis=None)(x),
        lambda x: layers.Concatenate(axis=1)([x, x]),
        lambda x: ops.cumsum(x, axis=1),
    ],
)
def test_operations_along_other_axes_are_refused(join):
    x = keras.Input((6, 6))
    with pytest.raises(ShapeError):
        receptive_field(keras.Model(x, join(x)))


def test_stretching_along_time_is_refused():
    x = keras.Input((1, 3))
    with pytest.raises(ShapeError, match="stretches its input"):
        receptive_field(keras.Model(x, x + np.ones((1, 20, 1), "float32")))


def test_a_model_with_a_call_of_its_own_is_refused():
    class Summed(keras.Model):
        def call(self, x, training=None):
            return ops.cumsum(super().call(x), axis=1)

    x = keras.Input((20, 3))
    with pytest.raises(ShapeError, match="call"):
        receptive_field(Summed(x, layers.Conv1D(3, 3)(x)))


@drops_mask
def test_the_cure_is_code_only_where_it_works():
    x = keras.Input((20, 6))
    nested = keras.Sequential([layers.LSTM(3, name="inside")])
    model = keras.Model(x, nested(layers.Masking()(x)))
    with pytest.raises(ShapeError, match=r"'inside'.*part in front of it\.$"):
        receptive_field(model)


def test_a_layer_that_is_used_twice_is_refused_too():
    x, twice = keras.Input((20, 6)), layers.LSTM(6, return_sequences=True, name="twice")
    with pytest.raises(ShapeError, match="'twice'.*part in front of it"):
        receptive_field(keras.Model(x, twice(twice(x))))


def test_padding_that_depends_on_an_unknown_length_is_refused():
    model = time_model(layers.Conv1D(4, 3, strides=2, padding="same"), length=None)
    with pytest.raises(ShapeError, match="depends on the length, which is unknown"):
        receptive_field(model)


def test_branches_that_do_not_line_up_are_refused():
    x = keras.Input((9, 6))
    a = layers.Conv1D(6, 1, strides=2)(x)
    b = layers.Cropping1D((4, 0))(x)
    model = keras.Model(x, layers.Add()([a, b]))
    with pytest.raises(ShapeError, match="different length or stride"):
        receptive_field(model)


@pytest.mark.parametrize("function", [receptive_field, trace_shapes])
@pytest.mark.parametrize(
    "model", [keras.Sequential([layers.Dense(2)]), layers.Dense(2), None]
)
def test_models_without_shapes_are_refused(function, model):
    with pytest.raises(ShapeError, match=r"built Sequential one, got .*keras.Input"):
        function(model)


def test_several_inputs_are_refused():
    x, y = keras.Input((9, 6)), keras.Input((9, 6))
    model = keras.Model([x, y], layers.Add()([x, y]))
    with pytest.raises(ShapeError, match="got 2 and 1"):
        receptive_field(model)
    front = keras.Model(model.inputs[0], model.inputs[0])
    assert receptive_field(front).size == 1


def test_traced_shapes_and_parameters_are_those_of_keras():
    model = time_model(
        layers.Conv1D(32, 9, name="conv"),
        layers.MaxPooling1D(4, name="pool"),
        layers.LSTM(32, name="lstm"),
        layers.Dense(4, name="logits"),
    )
    trace = trace_shapes(model)
    assert trace.parameters == model.count_params()
    assert [row.output_shape for row in trace.rows] == [
        "(batch, time=20, channels=6)",
        "(batch, time=12, channels=32)",
        "(batch, time=3, channels=32)",
        "(batch, features=32)",
        "(batch, features=4)",
    ]
    fields = [row.receptive_field for row in trace.rows]
    assert fields == ["1", "9", "12, stride 4", "no limit", "no limit"]


@pytest.mark.parametrize("shape", [(7, 3), (5, 8, 8, 3), (None, 3), (3,)])
def test_trace_lists_every_layer_once(shape):
    x = keras.Input(shape)
    shared = layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input(shape), layers.Dense(2, name="in")])
    model = keras.Model(x, [inner(shared(x)), shared(shared(x))])
    trace = trace_shapes(model)
    assert trace.parameters == model.count_params()
    text = [row.layer for row in trace.rows]
    assert sum("shared" in line for line in text) == 3
    assert "  in (Dense)" in text


def test_weights_that_two_layers_share_count_once():
    x, dense = keras.Input((20, 3)), layers.Dense(4)
    model = keras.Model(x, [dense(x), layers.TimeDistributed(dense)(x)])
    assert trace_shapes(model).parameters == model.count_params()


def test_the_two_forms_of_the_table_hold_the_same_cells():
    trace = trace_shapes(time_model(layers.Conv1D(4, 3, name="<conv>")))
    text, html = str(trace), trace._repr_html_()
    assert "&lt;conv&gt; (Conv1D)" in html
    assert "<conv> (Conv1D)" in text
    for row in trace.rows:
        assert row.output_shape in text
        assert row.output_shape in html
    assert text.splitlines()[-1].split() == ["total", "76"]
    assert "  " not in html


def test_fields_do_not_depend_on_the_weights():
    model = time_model(layers.Conv1D(6, 5, padding="same"), layers.ReLU())
    before = receptive_field(model)
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    assert receptive_field(model) == before
