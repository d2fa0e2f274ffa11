"""random_cnn1d: exact features, a head as scikit-learn's, and bad input refused."""

import itertools

import keras
import numpy as np
import onnxruntime
import pytest
from aeon.transformations.collection.convolution_based import MiniRocket
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifierCV

from cnnseq_helpers import (
    ShapeError,
    assert_padding_invariant,
    check_targets,
    cnn1d,
    compare_models,
    distill,
    export_model,
    load_dataset,
    pad_batch,
    random_cnn1d,
)
from cnnseq_helpers.converting.random_kernels import RandomConvolutions, fit_ridge

from ..conftest import examples

CHANNELS = 3


def made(n=24, steps=50, channels=CHANNELS, classes=2, seed=0):
    """Return series that differ by their frequency, of lengths from half to whole."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    time = np.arange(steps)[:, None] + random.uniform(0, 9, size=(n, 1, channels))
    x = np.sin(time * (0.4 + 0.5 * y[:, None, None]))
    x += random.normal(0, 0.1, size=x.shape)
    lengths = random.integers(-(-steps // 2), steps + 1, size=(n, 1))
    mask = np.arange(steps) < lengths
    return x.astype("float32"), y, mask


@pytest.fixture(scope="module")
def fitted():
    x, y, mask = made()
    return random_cnn1d(x, y, mask, kernels=168)


def compiled(fitted):
    """Return a copy with the loss that labels here are for."""
    model = keras.models.clone_model(fitted)
    model.set_weights(fitted.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    return model


# --- Features -------------------------------------------------------------------------


def shares_by_hand(layer, series):
    """Return the features of one series (time, channels), one step after the other."""
    mean, scale, weighting, thresholds = map(np.asarray, layer.get_weights())
    numbers = np.round((series - mean) * scale).astype("float64")
    found = []
    for rate, rows, bars in zip(
        layer.dilation_rates, weighting, thresholds, strict=True
    ):
        for row, bar in zip(rows.reshape(84, 9, -1), bars[:, 0], strict=True):
            positive = []
            for step in range(0, len(numbers), layer.strides):
                read = [step + (tap - 4) * rate for tap in range(9)]
                total = sum(
                    weights @ numbers[at]
                    for weights, at in zip(row, read, strict=True)
                    if 0 <= at < len(numbers)
                )
                assert total != bar
                positive.append(total > bar)
            found.append(np.mean(positive))
    return np.array(found)


@pytest.mark.parametrize("steps", [4, 50, 300])
def test_features_are_shares_of_steps_at_which_kernels_are_positive(steps):
    x, y, mask = made(6, steps)
    features = random_cnn1d(x, y, mask, kernels=168).get_layer("features")
    assert features.strides == -(-int(mask.sum(axis=1).max()) // 128)
    ours = np.asarray(features(x, mask=mask))
    for row in (0, 3):
        theirs = shares_by_hand(features, x[row][mask[row]])
        np.testing.assert_allclose(ours[row], theirs, atol=1e-6)


@pytest.mark.exhaustive
def test_with_the_same_thresholds_features_are_those_of_aeon():
    """Of the half of its kernels that it pads; rounding may turn a step or two."""
    data = load_dataset("GunPoint")
    series = data.x_train.swapaxes(1, 2)
    rocket = MiniRocket(n_kernels=1008, random_state=0).fit(series)
    *_, rates, counts, thresholds = rocket.parameters
    layer = RandomConvolutions(np.repeat(rates, counts).tolist())
    layer.build(data.x_train.shape)
    patterns = random_cnn1d(data.x_train, data.y_train, kernels=84)
    patterns = np.asarray(patterns.get_layer("features").weighting)
    places, padded, start = [], [], 0
    for number, count in enumerate(counts):
        block = np.arange(84 * count).reshape(84, count) + start
        places += list(block.T)
        padded += count * [(np.arange(84) + number) % 2 == 0]
        start += block.size
    fine = 2.0**10
    rows = np.floor(thresholds[np.array(places)] * fine) + 0.5
    weighting = patterns.repeat(len(places), axis=0)
    layer.set_weights([np.zeros(1), np.array([fine]), weighting, rows[..., None]])
    ours = np.asarray(layer(data.x_train)).reshape(len(series), -1, 84)
    theirs = np.asarray(rocket.transform(series))[:, np.array(places)]
    differences = np.abs(ours - theirs)[:, np.array(padded)]
    assert differences.max() < 0.05
    assert differences.mean() < 1e-3


def test_a_kernel_reads_few_channels_and_answers_nothing_to_a_constant():
    x, y, _ = made(channels=20)
    features = random_cnn1d(x, y, kernels=168).get_layer("features")
    weighting = np.asarray(features.weighting).reshape(168, 9, 20)
    read = (weighting != 0).any(axis=1).sum(axis=1)
    assert read.min() == 1
    assert 5 <= read.max() <= 9
    np.testing.assert_array_equal(weighting.sum(axis=1), 0)
    assert len(np.unique(weighting.any(axis=1).argmax(axis=1))) > 10


def test_thresholds_are_spread_over_what_the_training_series_give():
    x, y, _ = made(60, 100)
    shares = np.asarray(random_cnn1d(x, y).get_layer("features")(x)).mean(axis=0)
    for quarter in range(4):
        within = (quarter / 4 <= shares) & (shares <= (quarter + 1) / 4)
        assert 0.15 < within.mean() < 0.35


@given(
    channels=st.integers(1, 5),
    steps=st.integers(1, 200),
    more=st.integers(0, 60),
    size=st.sampled_from([1e-6, 1.0, 1e5]),
    seed=st.integers(0, 99),
)
@examples(24)
def test_features_are_the_same_to_the_last_bit(channels, steps, more, size, seed):
    """Whatever the padding holds, however much it is, and whatever the batch."""
    x, y, mask = made(5, steps, channels, seed=seed)
    x = size * (x + 3)
    features = random_cnn1d(x, y, mask, kernels=84).get_layer("features")
    together = np.asarray(features(x, mask=mask))
    garbage = np.where(mask[..., None], x, np.nan)
    garbage = np.pad(garbage, [(0, 0), (0, more), (0, 0)], constant_values=np.inf)
    wider = np.pad(mask, [(0, 0), (0, more)])
    np.testing.assert_array_equal(features(garbage, mask=wider), together)
    for row in range(len(x)):
        alone = features(x[row : row + 1, mask[row]])
        np.testing.assert_array_equal(alone[0], together[row])


def test_logits_do_not_depend_on_padding(fitted):
    x, _, mask = made(9, 70, seed=1)
    assert_padding_invariant(fitted, x, mask)


def test_the_scale_and_the_offset_of_a_channel_do_not_matter():
    x, y, _ = made()
    turned = x * np.array([1e-3, 1.0, 1e4], "float32") + [0.0, -5.0, 1e4]
    logits = [random_cnn1d(each, y)(each.astype("float32")) for each in (x, turned)]
    np.testing.assert_allclose(*logits, rtol=0.02, atol=0.02)


# --- The head -------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [30, 60])
def test_the_strength_is_the_one_that_leaving_out_each_sample_would_choose(samples):
    random = np.random.default_rng(0)
    features = random.normal(size=(samples, 40))
    features -= features.mean(axis=0)
    labels = np.arange(samples) % 3
    features[:, :3] += np.eye(3)[labels]
    features -= features.mean(axis=0)
    strengths = np.logspace(-1, 4, 16)
    theirs = RidgeClassifierCV(strengths).fit(features, labels)
    weights, bias = fit_ridge(features, labels)
    scale = weights[0, 0] / theirs.coef_[0, 0]
    assert scale > 0.4
    np.testing.assert_allclose(weights, scale * theirs.coef_.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(bias, scale * theirs.intercept_, rtol=1e-6, atol=1e-9)


def test_scores_are_scaled_to_logits():
    """Of labels that are mostly noise they are small, of sure ones large."""
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 5))
    features -= features.mean(axis=0)
    sure = (features[:, 0] > 0).astype(int)
    noisy = np.where(random.uniform(size=200) < 0.4, 1 - sure, sure)
    sizes = [np.abs(fit_ridge(features, labels)[0]).max() for labels in (noisy, sure)]
    assert 3 * sizes[0] < sizes[1]


# --- The model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least"), [("GunPoint", 0.97), ("PickupGestureWiimoteZ", 0.75)]
)
def test_real_series_are_told_apart(name, least):
    data = load_dataset(name)
    open_length = isinstance(data.x_train, list)
    (x, mask), (x_test, mask_test) = map(pad_batch, (data.x_train, data.x_test))
    model = random_cnn1d(x, data.y_train, mask if open_length else None)
    logits = model.predict([x_test, mask_test] if open_length else x_test, verbose=0)
    assert np.mean(logits.argmax(axis=1) == data.y_test) > least


def test_series_of_any_length_are_taken(fitted):
    for steps in (1, 8, 500):
        x, _, mask = made(2, steps)
        assert np.isfinite(fitted([x, mask])).all()


def test_the_seed_decides(fitted):
    x, y, mask = made()
    logits = [
        np.asarray(random_cnn1d(x, y, mask, kernels=168, seed=seed)([x, mask]))
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(logits[0], fitted([x, mask]))
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_it_saves_and_loads(fitted, tmp_path):
    x, _, mask = made(seed=1)
    fitted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded([x, mask]), fitted([x, mask]))


def test_half_precision_elsewhere_changes_nothing(fitted):
    x, y, mask = made()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = random_cnn1d(x, y, mask, kernels=168)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(model([x, mask]), fitted([x, mask]))


@pytest.fixture(scope="module", params=["", ".onnx", ".tflite"])
def exported(request, fitted, tmp_path_factory):
    """Return the model as another runtime runs it."""
    x, _, mask = made()
    path = tmp_path_factory.mktemp("exported") / f"model{request.param}"
    return export_model(fitted, path, [x, mask])


@given(
    rows=st.integers(1, 4),
    steps=st.sampled_from([1, 2, 9, 49, 50, 133]),
    garbage=st.sampled_from([0.0, 7.0, -1e6]),
    seed=st.integers(0, 99),
)
@examples(24)
def test_other_runtimes_answer_as_keras_does(
    fitted, exported, rows, steps, garbage, seed
):
    """Whatever the length, the mask, and what stands in the padding."""
    x, _, mask = made(rows, steps, seed=seed)
    x = np.where(mask[..., None], x, np.float32(garbage))
    wanted = fitted([x, mask])
    np.testing.assert_allclose(exported([x, mask]), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.tensorflow_only("export")
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_keras_itself_exports_features_in_front_of_another_head(fitted, tmp_path):
    features = fitted.get_layer("normalised").output
    model = keras.Model(fitted.inputs, keras.layers.Dense(3)(features))
    x, _, mask = made(seed=1)
    wanted = model([x, mask])  # Keras 3.15 exports nothing that was never called
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {"series": x, "mask": mask})
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_loss_of_all_models_here_fits_and_trains_the_head_alone(fitted):
    x, y, mask = made(seed=1)
    model = compiled(fitted)
    assert check_targets(model, y) == []
    paths = [weight.path for weight in model.trainable_weights]
    assert paths == ["logits/kernel", "logits/bias"]
    before, accuracy = model.evaluate([x, mask], y, verbose=0)
    assert accuracy > 0.9
    model.fit([x, mask], y, epochs=3, verbose=0)
    assert model.evaluate([x, mask], y, verbose=0)[0] < before


def test_it_teaches_masked_series(fitted):
    x, _, mask = made(48)
    keras.utils.set_random_seed(0)
    student = cnn1d((None, CHANNELS), 2, masked=True, filters=(8,), units=8)
    history = distill(
        student, fitted, [x, mask], mixed=48, epochs=8, learning_rate=1e-2, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_its_work_is_not_counted_wrongly(fitted):
    assert "unknown" in str(compare_models(fitted, fitted))


# --- What comes in --------------------------------------------------------------------


def test_channels_that_never_change_say_nothing():
    x, y, _ = made()
    constant = np.full_like(x, 7.0)
    logits = np.asarray(random_cnn1d(constant, y)(constant))
    np.testing.assert_allclose(logits, logits[:1].repeat(len(x), axis=0))
    both = np.concatenate([x, constant], axis=-1)
    logits = np.asarray(random_cnn1d(both, y)(both))
    assert np.mean(logits.argmax(axis=1) == y) == 1


def test_one_series_of_each_class_is_enough():
    x, y, _ = made(3, classes=3)
    assert np.isfinite(random_cnn1d(x, y, kernels=84)(x)).all()


X, Y, MASK = made(4)
REFUSED = {
    "one class": ((X, 0 * Y), ValueError, "two or more"),
    "a class without series": ((X, 2 * Y), ValueError, r"got \[0, 2\]"),
    "labels below 0": ((X, Y - 1), ValueError, r"got \[-1, 0\]"),
    "no label": ((X[:0], Y[:0]), ValueError, r"got \[\]"),
    "class names": ((X, np.array(["a", "b"] * 2)), TypeError, "np.unique"),
    "labels of floats": ((X, Y * 1.0), TypeError, "float64"),
    "one-hot labels": ((X, np.eye(2, dtype=int)[Y]), ShapeError, "argmax"),
    "labels of others": ((X, Y[:2]), ShapeError, "2 labels"),
    "no channel axis": ((X[..., 0], Y), ShapeError, "last one"),
    "no step": ((X[:, :0], Y), ShapeError, "of a step"),
    "clips": ((X[..., None, None], Y), ShapeError, "batch, time, channels"),
    "unequal lists": (([[[1.0]], [[1.0], [2.0]]], [0, 1]), TypeError, "pad_batch"),
    "words": ((X.astype(str), Y), TypeError, "numbers"),
    "NaN": ((np.where(X > 1, np.nan, X), Y), ValueError, "finite"),
    "a mask of numbers": ((X, Y, MASK * 1), TypeError, "booleans"),
    "a mask of lengths": ((X, Y, MASK[:, :9]), ShapeError, r"\(4, 9\)"),
    "no real step": ((X, Y, MASK & (Y > 0)[:, None]), ShapeError, "series 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    arguments, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        random_cnn1d(*arguments)


@pytest.mark.parametrize(
    "options", [{"kernels": 1000}, {"kernels": 0}, {"kernels": 84.0}, {"seed": -1}]
)
def test_bad_settings_are_refused(options):
    with pytest.raises(ShapeError, match="random_cnn1d expected"):
        random_cnn1d(X, Y, **options)


def test_the_layer_refuses_what_is_no_series():
    with pytest.raises(ShapeError, match="batch, time, channels"):
        RandomConvolutions([1])(np.zeros((2, 5), "float32"))
    for rates in ([0], [1.5]):
        with pytest.raises(ShapeError, match="dilation_rates"):
            RandomConvolutions(rates)


def test_all_patterns_are_there_once():
    x, y, _ = made(channels=1)
    weighting = random_cnn1d(x, y, kernels=84).get_layer("features").weighting
    rows = {tuple(row) for row in np.asarray(weighting)[0]}
    chosen = itertools.combinations(range(9), 3)
    assert rows == {tuple(2.0 if i in c else -1.0 for i in range(9)) for c in chosen}
