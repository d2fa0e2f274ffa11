"""frame_metrics, held against scikit-image and the definitions of OpenSTL."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cnnseq_helpers import ShapeError, frame_metrics

from ..conftest import examples

RANDOM = np.random.default_rng(0)
SHAPES = st.tuples(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(7, 12),
    st.integers(7, 12),
    st.sampled_from((1, 3)),
)


@st.composite
def pairs(draw):
    shape = draw(SHAPES)
    pixels = st.floats(0, 1, width=32)
    return [draw(arrays.arrays("float32", shape, elements=pixels)) for _ in range(2)]


@examples(40)
@given(pairs())
def test_equals_scikit_image_and_openstl(pair):
    predicted, true = (clips.astype("float64") for clips in pair)
    predicted[0, 0, 0, 0] = 1 - true[0, 0, 0, 0] / 2  # no two clips alike
    found = frame_metrics(predicted, true)
    # OpenSTL: the mean over batch and time, then the sum over all pixels.
    mse = np.mean((predicted - true) ** 2, axis=(0, 1)).sum()
    mae = np.mean(np.abs(predicted - true), axis=(0, 1)).sum()
    np.testing.assert_allclose(found["mse"].mean(), mse)
    np.testing.assert_allclose(found["mae"].mean(), mae)
    for name, measure, options in (
        ("psnr", peak_signal_noise_ratio, {}),
        ("ssim", structural_similarity, {"channel_axis": 2}),
    ):
        for horizon in range(true.shape[1]):
            with np.errstate(divide="ignore"):
                each = [
                    measure(t, p, data_range=1, **options)
                    for t, p in zip(
                        true[:, horizon], predicted[:, horizon], strict=True
                    )
                ]
            np.testing.assert_allclose(found[name][horizon], np.mean(each))


def test_a_perfect_prediction_without_a_warning():
    clips = RANDOM.random((2, 3, 8, 8, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = frame_metrics(clips, clips)
    assert {name: values.tolist() for name, values in found.items()} == {
        "mse": [0] * 3,
        "mae": [0] * 3,
        "psnr": [np.inf] * 3,
        "ssim": [1] * 3,
    }


def test_horizons_are_kept_apart():
    true = np.zeros((2, 3, 8, 8, 1), "float32")
    predicted = true.copy()
    predicted[0, 1] = 1
    found = frame_metrics(predicted, true)
    assert found["mse"].tolist() == [0, 32, 0]
    assert all(values.shape == (3,) for values in found.values())


def test_takes_lists_and_half_precision():
    clips = RANDOM.random((1, 1, 7, 7, 1)).astype("float16")
    assert frame_metrics(clips.tolist(), clips)["mse"] < 1e-5


GOOD = np.full((2, 3, 8, 8, 1), 0.5)


@pytest.mark.parametrize(
    ("predicted", "true", "error", "message"),
    [
        (GOOD[0], GOOD, ShapeError, "predicted to be .batch, time, height.*clip.None"),
        (GOOD, GOOD[..., 0], ShapeError, "true to be .batch, time, height"),
        (GOOD[:, :2], GOOD, ShapeError, "time=2.*time=3"),
        (GOOD, GOOD[:, :, :7], ShapeError, "height=8.*height=7"),
        (GOOD[:0], GOOD[:0], ShapeError, "at least one of each"),
        (GOOD[:, :, :6], GOOD[:, :, :6], ShapeError, "7 by 7"),
        (GOOD * 255, GOOD, ValueError, "in .0, 1.*127.5.*by 255"),
        (GOOD, GOOD - 1, ValueError, "true in .0, 1.*-0.5"),
        (GOOD * np.nan, GOOD, ValueError, "predicted, got NaN"),
        (GOOD, np.where(GOOD, np.inf, 0), ValueError, "to inf"),
        (GOOD, GOOD.astype("uint8"), ValueError, "uint8"),
    ],
)
def test_refuses(predicted, true, error, message):
    with pytest.raises(error, match=message):
        frame_metrics(predicted, true)
