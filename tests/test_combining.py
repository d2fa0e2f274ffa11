"""BatchApply against a loop over frames, cnn_lstm against models written by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import (
    BatchApply,
    ShapeError,
    cnn_lstm,
    measured_receptive_field,
    receptive_field,
    trace_shapes,
)

from .conftest import examples

random = np.random.default_rng(0)

# Layers for frames (height, width, channels), made anew for each example.
FRAME_LAYERS = {
    "conv": lambda: layers.Conv2D(3, 3, padding="same", bias_initializer="normal"),
    "stride": lambda: layers.Conv2D(2, 2, strides=2),
    "dense": lambda: layers.Dense(4, activation="tanh"),
    "flatten": layers.Flatten,
    "pooling": layers.GlobalAveragePooling2D,
    "rescaling": lambda: layers.Rescaling(0.5, offset=-1),
    "normalisation": lambda: keras.Sequential(
        [layers.Dense(3), layers.BatchNormalization(moving_mean_initializer="normal")]
    ),
    "dropout": lambda: layers.Dropout(0.5),
    "model": lambda: keras.Sequential(
        [layers.Conv2D(3, 2), layers.ReLU(), layers.Flatten(), layers.Dense(5)]
    ),
    "rows as series": lambda: keras.Sequential(
        [BatchApply(layers.LSTM(3)), layers.LSTM(2)]
    ),
    "nested": lambda: BatchApply(layers.Conv1D(3, 2)),
}


@examples(60)
@given(
    kind=st.sampled_from(sorted(FRAME_LAYERS)),
    batch=st.integers(1, 4),
    steps=st.integers(1, 5),
    frame=st.tuples(st.integers(2, 6), st.integers(2, 6), st.integers(1, 3)),
    known=st.booleans(),
    masked=st.booleans(),
)
def test_values_are_those_of_a_loop_over_frames(
    kind, batch, steps, frame, known, masked
):
    layer = FRAME_LAYERS[kind]()
    clips = keras.Input((steps if known else None, *frame))
    mask = keras.Input((steps if known else None,), dtype="bool")
    given_mask = {"mask": mask} if masked else {}
    model = keras.Model([clips, mask], BatchApply(layer)(clips, **given_mask))
    x = random.normal(size=(batch, steps, *frame)).astype("float32")
    real = random.random((batch, steps)) > 0.5
    expected = np.stack([layer(x[:, t]) for t in range(steps)], axis=1)
    for outputs in (model([x, real]), model.predict_on_batch([x, real])):
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert model.output_shape == (None, steps if known else None, *expected.shape[2:])


@pytest.mark.parametrize("kind", ["conv", "dense", "flatten", "model"])
def test_values_are_those_of_time_distributed_where_that_is_right(kind):
    layer = FRAME_LAYERS[kind]()
    x = random.normal(size=(3, 4, 6, 5, 2)).astype("float32")
    expected = layers.TimeDistributed(layer)(x)
    np.testing.assert_allclose(BatchApply(layer)(x), expected, atol=1e-5)


@pytest.mark.tensorflow_only("lengths")
def test_time_distributed_is_wrong_at_unknown_length():
    # Keras 3.15.1; when this fails, the chapter's section on it has to change.
    clips = keras.Input((None, 4))
    model = keras.Model(clips, layers.TimeDistributed(layers.Dense(2))(clips))
    # After a second length, Keras compiles for any; then two clips keep two frames.
    lengths = [
        model.predict(np.ones((2, steps, 4)), verbose=0).shape[1] for steps in (12, 16)
    ]
    assert lengths == [12, 2]
    right = keras.Model(clips, BatchApply(layers.Dense(2))(clips))
    for steps in (12, 16):
        assert right.predict(np.ones((2, steps, 4)), verbose=0).shape[1] == steps


def test_frames_may_have_any_size():
    layer = layers.Conv2D(2, 3)
    clips = keras.Input((None, None, None, 1))
    model = keras.Model(clips, BatchApply(layer)(clips))
    assert model.output_shape == (None, None, None, None, 2)
    for shape in [(2, 3, 8, 9, 1), (1, 4, 5, 5, 1)]:
        x = random.normal(size=shape).astype("float32")
        expected = layer(x.reshape(-1, *shape[2:]))
        np.testing.assert_allclose(
            keras.ops.reshape(model(x), expected.shape), expected, atol=1e-5
        )


@pytest.mark.parametrize("shape", [(0, 3, 4, 4, 1), (2, 0, 4, 4, 1)])
def test_empty_batches_stay_empty(shape):
    outputs = BatchApply(layers.Flatten())(np.zeros(shape, "float32"))
    assert tuple(outputs.shape) == (*shape[:2], 16)


def test_a_mask_is_passed_on_and_not_inside():
    x = random.normal(size=(2, 5, 4, 4, 1)).astype("float32")
    real = np.arange(5) < np.array([[3], [5]])
    clips, mask = keras.Input((None, 4, 4, 1)), keras.Input((None,), dtype="bool")
    lstm = layers.LSTM(3)
    features = BatchApply(layers.Flatten())(clips, mask=mask)
    model = keras.Model([clips, mask], lstm(features))
    expected = [
        lstm(x[i : i + 1, :n].reshape(1, n, -1))[0] for i, n in enumerate((3, 5))
    ]
    np.testing.assert_allclose(model([x, real]), expected, atol=1e-5)
    np.testing.assert_allclose(
        model([x, real]), lstm(x.reshape(2, 5, -1), mask=real), atol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (2, 4),
            r"expected a mask \(batch=2, time=5\), one value a frame, got \(2, 4\)",
        ),
        ((5, 2), r"got \(5, 2\)"),
        ((2,), r"got \(2,\)"),
        ((2, 5, 4, 4), r"got \(2, 5, 4, 4\). Make it from the lengths"),
    ],
)
def test_masks_of_another_shape_are_refused(shape, message):
    with pytest.raises(ShapeError, match=message):
        BatchApply(layers.Flatten())(
            np.zeros((2, 5, 4, 4, 1)), mask=np.ones(shape, bool)
        )


def test_masking_of_pixels_is_refused_when_the_model_is_built():
    clips = keras.Input((None, 4, 4, 1))
    with pytest.raises(ShapeError, match="What masks parts of a frame, as Masking"):
        BatchApply(layers.Flatten())(layers.Masking()(clips))


@pytest.mark.parametrize("shape", [(), (3,), (3, 4)])
def test_inputs_without_frames_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected one input \(batch, time, ...\)"):
        BatchApply(layers.Dense(2))(np.zeros(shape))


def test_two_inputs_are_refused():
    x = np.zeros((2, 3, 4))
    with pytest.raises(ShapeError, match=r"expected one input \(batch, time, ...\)"):
        BatchApply(layers.Add())([x, x])


def test_layers_with_several_outputs_are_refused():
    several = BatchApply(layers.LSTM(4, return_state=True))
    with pytest.raises(ShapeError, match="a layer with one output, got 3"):
        several(np.ones((1, 3, 6, 6)))
    with pytest.raises(ShapeError, match="a layer with one output, got 3"):
        several(keras.Input((3, 6, 6)))


def test_layers_that_need_a_time_axis_are_explained():
    with pytest.raises(ShapeError, match=r"'lstm' for one frame a row, \(batch, feat"):
        BatchApply(layers.LSTM(3, name="lstm"))(keras.Input((None, 100)))


def test_training_reaches_the_layer_inside():
    x = np.ones((2, 3, 50), "float32")
    apply = BatchApply(layers.Dropout(0.5))
    assert (np.asarray(apply(x, training=False)) == 1).all()
    assert set(np.unique(apply(x, training=True))) == {0.0, 2.0}


def test_batch_statistics_are_those_of_all_frames():
    x = random.normal(2, 3, size=(4, 5, 6, 6, 1)).astype("float32")
    x += np.arange(5).reshape(1, 5, 1, 1, 1)  # every step has another mean
    merged = BatchApply(layers.BatchNormalization())(x, training=True)
    stepwise = layers.TimeDistributed(layers.BatchNormalization())(x, training=True)
    normalised = (x - x.mean()) / np.sqrt(x.var() + 1e-3)
    np.testing.assert_allclose(merged, normalised, atol=1e-4)
    assert np.abs(stepwise - merged).max() > 0.3


@pytest.mark.parametrize("steps", [None, 5])
def test_a_model_is_saved_loaded_and_trained(tmp_path, steps):
    clips = keras.Input((steps, 8, 8, 1))
    cnn = keras.Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    features = layers.LSTM(3)(BatchApply(cnn, name="frames")(clips))
    model = keras.Model(clips, layers.Dense(2)(features))
    x = random.normal(size=(4, 5, 8, 8, 1)).astype("float32")
    model.compile("adam", "mse")
    before = model(x)
    model.fit(x, np.zeros((4, 2)), verbose=0)
    assert np.abs(model(x) - before).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    assert loaded.get_layer("frames").name == "frames"
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 7


def test_mixed_precision_computes_in_half_and_keeps_weights_in_full(tmp_path):
    layer = BatchApply(
        layers.Conv2D(2, 3, dtype="mixed_float16"), dtype="mixed_float16"
    )
    clips = keras.Input((None, 6, 6, 1))
    model = keras.Model(clips, layer(clips))
    x = random.normal(size=(2, 3, 6, 6, 1)).astype("float32")
    found = keras.backend.standardize_dtype(model(x).dtype)
    assert model.output.dtype == found == "float16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    full = keras.ops.conv(x.reshape(6, 6, 6, 1), layer.layer.kernel)
    np.testing.assert_allclose(keras.ops.reshape(model(x), full.shape), full, atol=5e-3)


def test_the_receptive_field_is_that_of_the_rest():
    model = keras.Sequential(
        [
            keras.Input((20, 6, 6, 1)),
            BatchApply(keras.Sequential([layers.Conv2D(2, 3), layers.Flatten()])),
            layers.Conv1D(4, 3, dilation_rate=2),
        ]
    )
    assert receptive_field(model).size == 5
    assert measured_receptive_field(model) == receptive_field(model)
    assert "BatchApply" in str(trace_shapes(model))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Lambda(lambda x: keras.ops.roll(x, 1, axis=0) + x),
        lambda: layers.Softmax(axis=0),
        lambda: layers.Softmax(axis=-3),
        lambda: keras.Sequential([layers.Dense(3), layers.Softmax(axis=0)]),
        lambda: BatchApply(layers.Softmax(axis=0)),
    ],
)
def test_frames_that_may_mix_inside_have_no_known_receptive_field(layer):
    series = keras.Input((9, 5, 4))
    model = keras.Model(series, BatchApply(layer())(series))
    with pytest.raises(ShapeError, match="may mix the frames"):
        receptive_field(model)


@pytest.mark.tensorflow_only("graphs")
def test_the_graph_does_not_grow_with_the_frames_as_that_of_time_distributed():
    def operations(wrapper, frames):
        cnn = keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten()]
        )
        model = keras.Sequential([keras.Input((frames, 8, 8, 1)), wrapper(cnn)])
        traced = tf.function(model).get_concrete_function(
            tf.TensorSpec((4, frames, 8, 8, 1))
        )
        return len(traced.graph.get_operations())

    assert operations(BatchApply, 40) == operations(BatchApply, 10)
    for frames in (10, 40):  # a convolution and more for each frame
        grown = operations(layers.TimeDistributed, frames)
        assert grown - operations(BatchApply, frames) > frames


# --- cnn_lstm -------------------------------------------------------------------------


def test_series_get_the_model_of_the_sensor_chapter():
    model = cnn_lstm((100, 6), 4)
    by_hand = keras.Sequential(
        [
            keras.Input((100, 6)),
            layers.Conv1D(32, 9, activation="relu"),
            layers.MaxPooling1D(4),
            layers.LSTM(32),
            layers.Dense(4),
        ]
    )
    by_hand.set_weights(model.get_weights())
    x = random.normal(size=(3, 100, 6)).astype("float32")
    np.testing.assert_allclose(model(x), by_hand(x), atol=1e-6)


@pytest.mark.parametrize("size", [(3, 5, 1), (16, 16, 1), (20, 33, 3), (100, 100, 3)])
def test_frames_are_halved_to_four_pixels_or_less(size):
    model = cnn_lstm((None, *size), 8)
    *_, (height, width) = (
        layer.output.shape[1:3]
        for layer in model.get_layer("each_frame").layer.layers
        if isinstance(layer, layers.Conv2D)
    )
    assert max(height, width) <= 4
    assert max(size[:2]) <= 8 or max(height, width) > 2
    assert model(np.zeros((2, 3, *size), "float32")).shape == (2, 8)


@pytest.mark.parametrize("shape", [(40, 3), (None, 3), (6, 16, 16, 1), (None, 9, 9, 2)])
def test_options_reach_the_layers_and_the_model_is_saved(tmp_path, shape):
    model = cnn_lstm(shape, 5, filters=(3, 4), kernel_size=2, units=6)
    x = random.normal(size=(2, *(size or 30 for size in shape))).astype("float32")
    assert model.output_shape == (None, 5)
    assert model.get_layer("lstm").units == 6
    kernels = [w.shape for w in model.trainable_variables if w.name == "kernel"]
    assert [kernel[0] for kernel in kernels[:2]] == [2, 2]
    assert [kernel[-1] for kernel in kernels[:2]] == [3, 4]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((20,), 2), "known but for time, got"),
        (((8, 20, 20), 2), "a grey frame has 1 channel"),
        (((20, None), 2), "known but for time"),
        (((None, None, 8, 1), 2), "known but for time"),
        (("40", 2), "got '40'"),
        ((None, 2), "got None"),
        ((5.5, 2), "got 5.5"),
        (((20, 0), 2), "a whole number of at least 1, got 0"),
        (((20, 3), 0), "num_outputs to be a whole number of at least 1, got 0"),
        (((11, 3), 2), "at least 12 steps, for filters=.32., kernel_size=9"),
    ],
)
def test_impossible_models_are_refused(arguments, message):
    with pytest.raises(ShapeError, match=message):
        cnn_lstm(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": ()}, "a sequence, one number for each convolution, got"),
        ({"filters": 32}, "For a single convolution: filters=.32,."),
        ({"filters": np.int64(8)}, "a sequence, one number for each convolution"),
        ({"filters": (8, 0)}, "each of filters"),
        ({"kernel_size": 2.5}, "kernel_size to be a whole number"),
        ({"units": 0}, "units to be a whole number"),
    ],
)
@pytest.mark.parametrize("shape", [(40, 3), (4, 16, 16, 1)])
def test_impossible_options_are_refused(shape, options, message):
    with pytest.raises(ShapeError, match=message):
        cnn_lstm(shape, 2, **options)
