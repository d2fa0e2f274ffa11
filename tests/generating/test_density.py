"""The mixture head, its loss and its draws against SciPy, differences and counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops
from scipy import special, stats

from cnnseq_helpers import (
    MixtureHead,
    MixtureLoss,
    ShapeError,
    assert_causal,
    sample_mixture,
    step_model,
)

from ..conftest import examples
from ..gradients import gradients


def random_mixture(random, shape, components, channels, spread=1.0):
    """Return the parts of mixtures, and the same in one array."""
    logits = random.normal(scale=spread, size=(*shape, components))
    means, logs = random.normal(scale=spread, size=(2, *shape, components, channels))
    flat = [each.reshape(*shape, components * channels) for each in (means, logs)]
    return logits, means, logs, np.concatenate([logits, *flat], axis=-1)


def losses(y, parameters, channels, **options):
    return MixtureLoss(channels, **options)(y, parameters)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
@examples(60)
def test_the_loss_is_the_density_of_scipy(seed, components, channels):
    random = np.random.default_rng(seed)
    logits, means, logs, packed = random_mixture(random, (2, 3), components, channels)
    y = random.normal(scale=2, size=(2, 3, channels))
    each = stats.norm.logpdf(y[..., None, :], means, np.exp(logs)).sum(axis=-1)
    weights = special.log_softmax(logits, axis=-1)
    expected = -special.logsumexp(weights + each, axis=-1)
    found = losses(y, packed, channels, reduction=None)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_it_is_a_density():
    *_, packed = random_mixture(np.random.default_rng(0), (), 4, 1)
    y = np.linspace(-40, 40, 20_001)[:, None]
    found = losses(y, np.broadcast_to(packed, (len(y), 12)), 1, reduction=None)
    assert np.trapezoid(np.exp(-found), y[:, 0]) == pytest.approx(1, abs=1e-4)


@pytest.mark.tensorflow_only("64 bits")
def test_gradients_are_those_of_differences():
    random = np.random.default_rng(1)
    *_, packed = random_mixture(random, (5,), 3, 2)
    y = random.normal(size=(5, 2))
    keras.config.set_floatx("float64")
    try:
        found = np.zeros_like(packed)
        for place in np.ndindex(packed.shape):
            step = np.zeros_like(packed)
            step[place] = 1e-5
            high, low = (float(losses(y, packed + s, 2)) for s in (step, -step))
            found[place] = (high - low) / 2e-5
    finally:
        keras.config.set_floatx("float32")
    (gradient,) = gradients(
        lambda packed: losses(y, packed, 2), [packed.astype("float32")]
    )
    np.testing.assert_allclose(gradient, found, atol=1e-5)


def test_extremes_give_numbers_and_finite_gradients():
    random = np.random.default_rng(2)

    def extremes(*shape):
        sizes = 10 ** random.uniform(-10, 20, size=shape)
        round_ones = random.choice([0, 1, -1, 1e20, -1e20], size=shape)
        return np.where(
            random.random(shape) < 0.3,
            round_ones,
            sizes * random.choice([-1, 1], shape),
        )

    raw = extremes(10_000, 25).astype("float32")
    y = extremes(10_000, 2).astype("float32")
    head = MixtureHead(5, 2)
    head.build((None, 25))
    head.set_weights([np.eye(25), np.zeros(25)])
    assert np.isfinite(np.asarray(losses(y, head(raw), 2)))
    (gradient,) = gradients(lambda x: losses(y, head(x), 2), [raw])
    assert np.isfinite(gradient).all()
    drawn = sample_mixture(head(raw), 2, seed=0)
    assert np.isfinite(drawn).all()


def test_the_floor_keeps_the_density_from_infinity():
    """Where a target is learnt by heart, it ends at that of the smallest deviation."""
    head = MixtureHead(1, 2, minimum_scale=0.01)
    head.build((None, 5))
    head.set_weights([np.diag([1, 1, 1, 1e9, 1e9]), np.zeros(5)])
    x, y = np.array([[0, 3, 4, -1, -1]], "float32"), np.array([[3.0, 4.0]])
    loss, expected = losses(y, head(x), 2), 2 * np.log(0.01) + np.log(2 * np.pi)
    assert np.asarray(loss) == pytest.approx(expected, rel=1e-5)
    (gradient,) = gradients(lambda x: losses(y, head(x), 2), [x])
    assert np.isfinite(gradient).all()


def test_padding_under_a_mask_does_not_count():
    random = np.random.default_rng(3)
    *_, packed = random_mixture(random, (3, 8), 4, 2)
    y = random.normal(size=(3, 8, 2))
    real = np.arange(8) < np.array([[8], [5], [1]])
    each = losses(y, packed, 2, reduction=None)
    other = np.where(real[..., None], y, 1e9)
    loss = MixtureLoss(2, reduction="mean_with_sample_weight")
    for targets in (y, other):
        found = float(loss(targets, packed, sample_weight=real))
        assert found == pytest.approx(np.mean(np.asarray(each)[real]), rel=1e-5)


def test_draws_have_the_moments_of_the_mixture():
    random = np.random.default_rng(4)
    logits, means, logs, packed = random_mixture(random, (), 3, 2)
    weights = special.softmax(logits)
    mean = weights @ means
    variance = weights @ (np.exp(2 * logs) + means**2) - mean**2
    drawn = sample_mixture(np.tile(packed, (200_000, 1)), 2, seed=0)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.05)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 2.0])
def test_the_temperature_changes_weights_and_variances(temperature):
    packed = np.array([1.0, 0.0, -100.0, 100.0, 0.0, 0.0])  # two, at -100 and 100
    drawn = sample_mixture(
        np.tile(packed, (100_000, 1)), 1, seed=0, temperature=temperature
    )
    left = drawn < 0
    share = special.expit(1 / temperature)
    assert left.mean() == pytest.approx(share, abs=0.01)
    assert drawn[left].std() == pytest.approx(np.sqrt(temperature), rel=0.02)


def test_without_heat_it_is_the_mean_of_the_likeliest():
    random = np.random.default_rng(5)
    logits, means, _, packed = random_mixture(random, (6, 7), 4, 3)
    found = sample_mixture(packed, 3, seed=0, temperature=0)
    rows = logits.argmax(axis=-1)[..., None, None]
    expected = np.take_along_axis(means, rows, axis=-2)[..., 0, :]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_seeds_and_generators():
    *_, packed = random_mixture(np.random.default_rng(6), (9,), 4, 2)
    first, again = (sample_mixture(packed, 2, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    random = np.random.default_rng(7)
    np.testing.assert_array_equal(sample_mixture(packed, 2, seed=random), first)
    assert not np.allclose(sample_mixture(packed, 2, seed=random), first)


def writer(**options):
    return keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.Conv1D(8, 3, padding="causal", activation="relu"),
            layers.LSTM(8, return_sequences=True),
            MixtureHead(3, 2, **options),
        ]
    )


def test_models_save_and_load(tmp_path):
    """In a fresh process too: tests/test_registering.py."""
    model = writer(minimum_scale=0.01)
    model.compile("sgd", MixtureLoss(2, reduction="mean_with_sample_weight"))
    x = np.random.default_rng(0).normal(size=(4, 9, 2)).astype("float32")
    model.save(tmp_path / "writer.keras")
    loaded = keras.saving.load_model(tmp_path / "writer.keras")
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    assert loaded.loss.get_config() == model.loss.get_config()
    np.testing.assert_array_equal(loaded(x), model(x))


def test_mixed_precision_computes_the_density_in_float32():
    x = np.random.default_rng(0).normal(size=(4, 9, 2)).astype("float32")
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = writer()
        assert keras.backend.standardize_dtype(model(x).dtype) == "float32"
        assert model.layers[1].compute_dtype == "float16"
        model.compile("adam", MixtureLoss(2))
        history = model.fit(x, 1000 * x, epochs=2, verbose=0).history["loss"]
        assert np.isfinite(history).all()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def test_it_works_step_by_step():
    model = writer()
    assert model.output_shape == (None, None, 15)
    x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    assert_causal(model, x)
    step = step_model(model)
    states = [np.zeros((2, *s.shape[1:]), "float32") for s in step.inputs[1:]]
    for t in range(5):
        answer, *states = map(np.asarray, step([x[:, t : t + 1], *states]))
    np.testing.assert_allclose(answer[:, 0], model(x)[:, -1], atol=1e-5)


def test_an_unknown_number_of_steps_fits():
    model = writer()
    model.compile("adam", MixtureLoss(2))
    batches = tf.data.Dataset.from_tensor_slices(np.zeros((4, 9, 2), "float32"))
    batches = batches.map(lambda x: (x[: tf.random.uniform((), 3, 9, "int32", 0)],) * 2)
    history = model.fit(batches.batch(1), shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"][0])


GOOD = np.zeros((4, 10), "float32")  # two Gaussians of two channels


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MixtureHead(0, 2), ShapeError, "components .* got 0"),
        (lambda: MixtureHead(2, 1.5), ShapeError, "channels .* got 1.5"),
        (lambda: MixtureHead(2, 2, minimum_scale=0), ValueError, "positive minimum"),
        (lambda: MixtureHead(2, 2, minimum_scale=-1), ValueError, "got -1"),
        (lambda: MixtureLoss(0), ShapeError, "channels .* got 0"),
        (
            lambda: MixtureLoss(3)(np.zeros((4, 3)), GOOD),
            ShapeError,
            r"of 7 numbers .* features=10\).* MixtureHead\(components, channels=3\)",
        ),
        (
            lambda: MixtureLoss(2)(np.zeros((4, 1)), GOOD),
            ShapeError,
            "targets .*=2.*, got .*=1",
        ),
        (lambda: MixtureLoss(2)(np.zeros(4), GOOD), ShapeError, "targets"),
        (lambda: sample_mixture(GOOD[:, :9], 2, seed=0), ShapeError, "5 numbers"),
        (lambda: sample_mixture(0.0, 2, seed=0), ShapeError, "5 numbers"),
        (lambda: sample_mixture(GOOD * np.nan, 2, seed=0), ValueError, "NaN"),
        (
            lambda: sample_mixture(GOOD, 2, seed=0, temperature=-0.1),
            ValueError,
            "from 0 up, got -0.1",
        ),
        (
            lambda: sample_mixture(GOOD, 2, seed=0, temperature="hot"),
            ValueError,
            "got 'hot'",
        ),
        (lambda: sample_mixture(GOOD, 2, seed=None), TypeError, "got None"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_head_answers_in_the_shape_that_it_promises():
    for shape in [(3,), (None, 3), (5, None, 3)]:
        head = MixtureHead(4, 2)
        symbol = keras.Input(shape)
        assert head(symbol).shape == head.compute_output_shape((None, *shape))
    assert head.compute_output_shape((None, 3)) == (None, 20)
    assert ops.shape(head(np.zeros((2, 5, 6, 3)))) == (2, 5, 6, 20)
