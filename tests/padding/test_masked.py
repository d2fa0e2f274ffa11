"""Masked convolutions against a loop, an unpadded run and Keras's own layer."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import (
    MaskedAveragePooling1D,
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    MaskedGlobalMaxPooling1D,
    MaskedMaxPooling1D,
    ShapeError,
    assert_padding_invariant,
    cnn1d,
    cnn_lstm,
    measured_receptive_field,
    pad_batch,
    receptive_field,
)

from ..conftest import examples, sampled
from ..gradients import gradients

random = np.random.default_rng(0)
PADDINGS = ["valid", "same", "causal"]


def ragged(lengths, channels):
    """Return series of these lengths, padded by garbage, and the mask."""
    x, mask = pad_batch(
        [random.normal(size=(steps, channels)) for steps in lengths],
        length=max(lengths) + int(random.integers(0, 9)),
    )
    x[~mask] = random.choice([np.nan, np.inf, -np.inf, 1e30, -7.0], x[~mask].shape)
    return x, mask


def windows(steps, reach, strides, padding):
    """Return the first input step of each window of one unpadded sequence."""
    if padding == "valid":
        return range(0, steps - reach + 1, strides)
    left = reach - 1 if padding == "causal" else max(reach - strides, 0) // 2
    return range(-left, steps - left, strides)


def looped_convolution(x, kernel, bias, strides, dilation, groups, padding):
    """Return one sequence's convolution, number by number."""
    taps, width, filters = kernel.shape
    starts = windows(len(x), (taps - 1) * dilation + 1, strides, padding)
    outputs = np.tile(bias.astype(float), (len(starts), 1))
    for t, start in enumerate(starts):
        for tap in range(taps):
            step = start + tap * dilation
            if not 0 <= step < len(x):
                continue
            for number in range(filters):
                first = number // (filters // groups) * width
                part = x[step, first : first + width].astype(float)
                outputs[t, number] += part @ kernel[tap, :, number]
    return outputs


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    strides = draw(st.integers(1, 4))
    settings = {
        "filters": groups * draw(st.integers(1, 3)),
        "kernel_size": draw(st.integers(1, 6)),
        "strides": strides,
        "dilation_rate": draw(st.integers(1, 4)) if strides == 1 else 1,
        "padding": draw(st.sampled_from(PADDINGS)),
        "groups": groups,
    }
    return settings, groups * draw(st.integers(1, 2))


@examples(120)
@given(convolutions(), st.lists(st.integers(1, 18), min_size=1, max_size=4))
def test_convolution_of_each_sequence_is_that_of_a_loop(convolution, lengths):
    settings, channels = convolution
    layer = MaskedConv1D(**settings, bias_initializer="normal")
    x, mask = ragged(lengths, channels)
    reach = (settings["kernel_size"] - 1) * settings["dilation_rate"] + 1
    if settings["padding"] == "valid" and x.shape[1] < reach:
        return
    outputs = np.asarray(layer(x, mask=mask))
    real = np.asarray(layer.compute_mask(x, mask))
    assert real.shape == outputs.shape[:2]
    assert (outputs[~real] == 0).all()
    weights = [np.asarray(w) for w in (layer.kernel, layer.bias)]
    rest = [settings[n] for n in ("strides", "dilation_rate", "groups", "padding")]
    for row, steps in enumerate(lengths):
        expected = looped_convolution(x[row, :steps], *weights, *rest)
        assert real[row].tolist() == [t < len(expected) for t in range(real.shape[1])]
        np.testing.assert_allclose(outputs[row][real[row]], expected, atol=1e-5)
        if len(expected):
            alone = layer(x[row : row + 1, :steps])[0]
            np.testing.assert_allclose(outputs[row][real[row]], alone, atol=1e-5)


@examples(60)
@given(convolutions(), st.integers(1, 30))
def test_convolution_is_that_of_keras_but_for_odd_strides(convolution, steps):
    settings, channels = convolution
    steps *= settings["strides"]  # elsewhere Keras moves the windows of "same"
    reach = (settings["kernel_size"] - 1) * settings["dilation_rate"] + 1
    if settings["padding"] == "valid" and steps < reach:
        return
    theirs = layers.Conv1D(**settings, bias_initializer="normal", activation="tanh")
    ours = MaskedConv1D.from_config(theirs.get_config())
    x = random.normal(size=(2, steps, channels)).astype("float32")
    expected = theirs(x)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), expected, atol=1e-5)
    assert ours.compute_output_shape(x.shape) == expected.shape


def test_keras_moves_the_windows_of_a_strided_same_convolution():
    # The reason for padding of our own; when this fails, MaskedConv1D can do without.
    x = np.arange(10, dtype="float32").reshape(1, 10, 1)
    settings = {"strides": 2, "padding": "same", "kernel_initializer": "ones"}
    theirs, ours = (kind(1, 3, **settings) for kind in (layers.Conv1D, MaskedConv1D))
    assert np.asarray(theirs(x))[0, :4, 0].tolist() == [3, 9, 15, 21]
    assert np.asarray(theirs(x[:, :9]))[0, :4, 0].tolist() == [1, 6, 12, 18]
    assert np.asarray(ours(x[:, :9]))[0, :4, 0].tolist() == [3, 9, 15, 21]


@examples(100)
@given(
    kind=st.sampled_from([MaskedMaxPooling1D, MaskedAveragePooling1D]),
    pool_size=st.integers(1, 6),
    strides=st.one_of(st.none(), st.integers(1, 7)),
    padding=st.sampled_from(["valid", "same"]),
    lengths=st.lists(st.integers(1, 18), min_size=1, max_size=4),
)
def test_pooling_of_each_sequence_is_that_of_a_loop(
    kind, pool_size, strides, padding, lengths
):
    layer = kind(pool_size, strides=strides, padding=padding)
    x, mask = ragged(lengths, 3)
    if padding == "valid" and x.shape[1] < pool_size:
        return
    outputs = np.asarray(layer(x, mask=mask))
    real = np.asarray(layer.compute_mask(x, mask))
    assert (outputs[~real] == 0).all()
    pool = np.max if kind is MaskedMaxPooling1D else np.mean
    for row, steps in enumerate(lengths):
        starts = windows(steps, pool_size, strides or pool_size, padding)
        spans = [
            x[row, max(start, 0) : min(start + pool_size, steps)] for start in starts
        ]
        expected = [pool(span, axis=0) for span in spans]
        assert real[row].sum() == len(expected)
        if expected:
            np.testing.assert_allclose(outputs[row][real[row]], expected, atol=1e-5)
            alone = layer(x[row : row + 1, :steps])[0]
            np.testing.assert_allclose(outputs[row][real[row]], alone, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MaskedMaxPooling1D, layers.MaxPooling1D),
        (MaskedAveragePooling1D, layers.AveragePooling1D),
    ],
)
def test_pooling_is_that_of_keras_at_whole_multiples(ours, theirs, padding):
    x = random.normal(size=(2, 12, 3)).astype("float32")
    for pool_size, strides in [(2, None), (3, 1), (3, 2), (4, 3), (2, 4)]:
        expected = theirs(pool_size, strides, padding=padding)(x)
        np.testing.assert_allclose(
            ours(pool_size, strides, padding=padding)(x), expected, atol=1e-6
        )


@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_is_that_of_each_sequence_and_zero_for_none(keepdims):
    x, mask = ragged([5, 1, 9, 3], 2)
    mask[3] = False
    for kind, pool in [
        (MaskedGlobalAveragePooling1D, np.mean),
        (MaskedGlobalMaxPooling1D, np.max),
    ]:
        outputs = np.asarray(kind(keepdims=keepdims)(x, mask=mask))
        assert outputs.shape == ((4, 1, 2) if keepdims else (4, 2))
        for row, steps in enumerate([5, 1, 9]):
            expected = pool(x[row, :steps], axis=0, keepdims=keepdims)
            np.testing.assert_allclose(outputs[row], expected, atol=1e-6)
        assert (outputs[3] == 0).all()
        np.testing.assert_allclose(
            kind()(x[:1, :5]), pool(x[:1, :5], axis=1), atol=1e-6
        )
        assert (np.asarray(kind()(np.zeros((2, 0, 3), "float32"))) == 0).all()


LAYERS = {
    "same": lambda: MaskedConv1D(4, 5, padding="same", dilation_rate=2),
    "causal": lambda: MaskedConv1D(4, 3, padding="causal", groups=2),
    "valid": lambda: MaskedConv1D(4, 3),
    "strided": lambda: MaskedConv1D(4, 4, strides=3, padding="same"),
    "maximum": lambda: MaskedMaxPooling1D(3, padding="same"),
    "maximum, valid": lambda: MaskedMaxPooling1D(3, strides=2),
    "average": lambda: MaskedAveragePooling1D(4, strides=3, padding="same"),
    "average, valid": lambda: MaskedAveragePooling1D(2),
    "global average": MaskedGlobalAveragePooling1D,
    "global maximum": MaskedGlobalMaxPooling1D,
}


@pytest.mark.parametrize("kind", sampled(LAYERS, 3))
def test_layer_saves_and_works_at_unknown_length_and_in_graphs(kind, tmp_path):
    inputs, mask = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    layer = LAYERS[kind]()
    features = layer(inputs, mask=mask)
    if len(features.shape) == 3:
        real = layer.compute_mask(inputs, mask)
        features = layers.LSTM(3)(features, mask=real)
    model = keras.Model([inputs, mask], features)
    x, real = pad_batch([random.normal(size=(steps, 2)) for steps in (5, 14, 9)])
    assert_padding_invariant(model, x, real)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model([x, real])
    np.testing.assert_allclose(loaded([x, real]), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict([x, real], verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        "mixed_bfloat16",
        pytest.param("float64", marks=pytest.mark.tensorflow_only("64 bits")),
    ],
)
def test_layer_works_in_other_precisions(kind, policy):
    layer = LAYERS[kind]()
    config = layer.get_config() | {"dtype": policy}
    x, mask = ragged([6, 3000], 2)
    x[np.abs(x) > 10] = np.nan
    outputs = type(layer).from_config(config)(x, mask=mask)
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert np.isfinite(np.asarray(outputs, float)).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_padding_gets_and_gives_no_gradient(kind):
    layer = LAYERS[kind]()
    x, mask = ragged([4, 12], 2)
    layer(x, mask=mask)
    fixed = [each.value for each in layer.non_trainable_variables]

    def loss(inputs, *weights):
        outputs, _ = layer.stateless_call(weights, fixed, inputs, mask=mask)
        return keras.ops.sum(outputs**2)

    weights = [each.numpy() for each in layer.trainable_variables]
    found = gradients(loss, [x, *weights])
    assert (found[0][~mask] == 0).all()
    assert all(np.isfinite(each).all() for each in found)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", ["log", "sqrt", "unit", "reciprocal"])
def test_an_activation_without_gradient_at_zero_does_no_harm(name, jit_compile):
    activation = {
        "log": lambda x: keras.ops.log(keras.ops.square(x)),
        "sqrt": lambda x: keras.ops.sqrt(keras.ops.abs(x)),
        "unit": lambda x: x / keras.ops.norm(x, axis=-1, keepdims=True),
        "reciprocal": lambda x: 1 / x,
    }[name]
    inputs, mask = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    layer = MaskedConv1D(3, 3, padding="same", activation=activation)
    pooled = MaskedGlobalAveragePooling1D()(layer(inputs, mask=mask), mask=mask)
    model = keras.Model([inputs, mask], pooled)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    x, real = pad_batch([random.normal(size=(n, 2)) for n in (3, 9)], length=15)
    model.train_on_batch([x, real], np.ones((2, 3)))
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize("kind", LAYERS)
def test_whole_numbers_are_taken_as_floats(kind):
    x = random.integers(0, 9, size=(2, 12, 2))
    mask = np.arange(12) < np.array([[12], [5]])
    layer = LAYERS[kind]()
    expected = layer(x.astype("float32"), mask=mask)
    np.testing.assert_array_equal(layer(x, mask=mask), expected)
    np.testing.assert_array_equal(layer(x), layer(x.astype("float32")))


@pytest.mark.tensorflow_only("64 bits")
def test_mean_keeps_double_precision():
    x = np.array([1.0, 1.0, 1 + 3e-9]).reshape(1, 3, 1)
    mean = np.asarray(MaskedGlobalAveragePooling1D(dtype="float64")(x))[0, 0]
    assert mean - 1 == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize("kind", [MaskedMaxPooling1D, MaskedAveragePooling1D])
def test_pooling_knows_two_paddings(kind):
    assert kind(3, padding="VALID")(np.ones((1, 7, 1), "float32")).shape == (1, 2, 1)
    for padding in ("vaild", "causal"):
        with pytest.raises(ShapeError, match="'valid' or 'same', got"):
            kind(3, padding=padding)


@pytest.mark.parametrize("layer", [MaskedConv1D(2, 4), MaskedMaxPooling1D(4)])
def test_a_window_that_does_not_fit_is_refused(layer):
    with pytest.raises(ShapeError, match="at least 4 steps, .* got 3. Pad to that"):
        layer(np.ones((1, 3, 2), "float32"))


def test_mask_travels_along_when_it_is_not_given_again():
    x, mask = pad_batch([np.ones((steps, 2)) for steps in (4, 9)])
    masked = layers.Masking()(x)
    features = LAYERS["same"]()(masked)
    explicit = MaskedGlobalAveragePooling1D()(features, mask=mask)
    implicit = MaskedGlobalAveragePooling1D()(features)
    np.testing.assert_allclose(implicit, explicit)


@pytest.mark.parametrize("steps", [None, 64])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: MaskedConv1D(2, 4, strides=3, padding="same"),
        lambda: MaskedConv1D(2, 3, dilation_rate=4, padding="same"),
        lambda: MaskedConv1D(2, 3, padding="causal"),
        lambda: MaskedAveragePooling1D(5, strides=2, padding="same"),
        lambda: MaskedAveragePooling1D(2),
    ],
)
def test_receptive_field_is_the_measured_one(layer, steps):
    pool = MaskedMaxPooling1D(3, strides=2, padding="same")
    model = keras.Sequential([keras.Input((steps, 2)), layer(), pool])
    assert receptive_field(model) == measured_receptive_field(model)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("x", "mask", "error", "message"),
    [
        ((2, 9), (2, 9), ShapeError, r"expected \(batch, time, channels\), got"),
        ((2, 9, 4, 4, 1), (2, 9), ShapeError, r"expected \(batch, time, channels\)"),
        ((2, 9, 4), (2, 8), ShapeError, r"a mask \(batch=2, time=9\).* got \(2, 8\)"),
        ((2, 9, 4), (2, 9, 4), ShapeError, r"got \(2, 9, 4\)"),
        ((2, 9, 4), (9,), ShapeError, r"got \(9,\)"),
        ((2, 9, 4), [[True] * 9] * 2, TypeError, "that is an array, got a list"),
        ((2, 9, 4), "float", TypeError, "booleans, True where a step is real, got"),
        ((2, 9, 4), "int32", TypeError, "got int32. pad_batch returns such a mask"),
    ],
)
def test_what_does_not_fit_is_refused(kind, x, mask, error, message):
    if not isinstance(mask, list):
        mask = np.ones((2, 9), mask) if isinstance(mask, str) else np.ones(mask, bool)
    # Keras's own check of the number of axes may come first.
    with pytest.raises((error, ValueError), match=f"{message}|found ndim"):
        LAYERS[kind]()(np.zeros(x, "float32"), mask=mask)


def test_channels_first_is_refused():
    layer = MaskedGlobalMaxPooling1D(data_format="channels_first")
    with pytest.raises(ShapeError, match="data_format='channels_first'"):
        layer(np.zeros((2, 9, 4), "float32"))


# --- Whole models ---------------------------------------------------------------------


def end_to_end(recurrent):
    """Convolution, normalisation, ReLU, pooling; an LSTM or pooling; and logits."""
    inputs, mask = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    x, real = inputs, mask
    for options in ({"padding": "same"}, {"padding": "causal", "strides": 2}):
        layer = MaskedConv1D(4, 3, **options)
        x, real = layer(x, mask=real), layer.compute_mask(x, real)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x, mask=real))
        layer = MaskedMaxPooling1D(2, padding="same")
        x, real = layer(x, mask=real), layer.compute_mask(x, real)
    last = layers.LSTM(4) if recurrent else MaskedGlobalAveragePooling1D()
    return keras.Model([inputs, mask], layers.Dense(3)(last(x, mask=real)))


MODELS = {
    "pooling": lambda: end_to_end(recurrent=False),
    "LSTM": lambda: end_to_end(recurrent=True),
    "cnn1d": lambda: cnn1d((None, 2), 3, masked=True, units=5),
    "cnn_lstm": lambda: cnn_lstm((None, 2), 3, masked=True, units=5),
}


@pytest.mark.parametrize("kind", MODELS)
@examples(8)
@given(lengths=st.lists(st.integers(1, 25), min_size=1, max_size=4))
def test_model_answers_each_series_as_if_alone(kind, lengths):
    x, mask = pad_batch([random.normal(size=(steps, 2)) for steps in lengths])
    assert_padding_invariant(MODELS[kind](), x, mask)


@pytest.mark.parametrize("kind", sampled(MODELS, 2))
def test_model_learns_the_same_whatever_the_padding(kind):
    x, mask = pad_batch([random.normal(size=(n, 2)) for n in (4, 9, 17, 12)])
    y = np.array([0, 1, 2, 0])
    keras.utils.set_random_seed(1)
    model, learned = MODELS[kind](), []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Plain SGD remembers nothing, so one model starts anew from its first weights, and
    # its graph is made twice and not once for each length.
    model.compile(keras.optimizers.SGD(0.1), loss)
    first = model.get_weights()
    for extra, value in [(0, 0.0), (1, 5.0), (13, np.nan), (40, -1e6)]:
        model.set_weights(first)
        longer = np.pad(x, [(0, 0), (0, extra), (0, 0)])
        real = np.pad(mask, [(0, 0), (0, extra)])
        longer[~real] = value
        for _ in range(3):
            model.train_on_batch([longer, real], y)
        learned.append(model.get_weights())
    changed = [np.abs(a - b).max() for a, b in zip(learned[0], first, strict=True)]
    assert max(changed) > 0.01
    for weights in zip(*learned, strict=True):
        for others in weights[1:]:
            np.testing.assert_allclose(others, weights[0], atol=1e-5)


@pytest.mark.parametrize("reduction", ["mean_with_sample_weight", "sum"])
def test_loss_a_step_does_not_depend_on_padding(reduction):
    # The recipe of the chapter: weights of 0 for padded steps, and a mean over weights.
    x, mask = pad_batch([random.normal(size=(n, 2)) for n in (4, 9, 17)])
    y = random.integers(0, 3, mask.shape)
    keras.utils.set_random_seed(1)
    inputs, real = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    steps = MaskedConv1D(4, 3, padding="same", activation="tanh")(inputs, mask=real)
    model = keras.Model([inputs, real], layers.Dense(3)(steps))
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction
    )
    # As above, plain SGD lets one model start anew from its first weights.
    model.compile(keras.optimizers.SGD(0.01), loss, weighted_metrics=["accuracy"])
    begin, results = model.get_weights(), []
    for extra in (0, 1, 30):
        model.set_weights(begin)
        model.reset_metrics()
        ends = [(0, 0), (0, extra)]
        data = [np.pad(x, [*ends, (0, 0)]), np.pad(mask, ends)], np.pad(y, ends)
        weights = np.pad(mask, ends).astype("float32")
        results.append(model.train_on_batch(*data, sample_weight=weights))
        results[-1] += [weights.ravel() for weights in model.get_weights()]
    for others in results[1:]:
        for other, first in zip(others, results[0], strict=True):
            np.testing.assert_allclose(other, first, rtol=1e-5, atol=1e-5)
