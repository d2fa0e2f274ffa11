"""Axis names and convolution arithmetic, held against Keras and plain counting."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnseq_helpers import (
    ShapeError,
    check_shape,
    conv_output_length,
    pool_output_length,
)

lengths = st.integers(1, 60)
small = st.integers(1, 9)
paddings = st.sampled_from(["valid", "same", "causal"])


def keras_length(layer, length):
    """Return what Keras computes, or None where it refuses."""
    try:
        return layer.compute_output_shape((2, length, 3))[1]
    except ValueError:
        return None


def ours(function, *args):
    try:
        return function(*args)
    except ShapeError:
        return None


@given(lengths, small, small, paddings)
def test_strided_convolution_equals_keras(length, kernel, strides, padding):
    layer = keras.layers.Conv1D(4, kernel, strides=strides, padding=padding)
    expected = keras_length(layer, length)
    assert ours(conv_output_length, length, kernel, strides, padding) == expected


@given(lengths, small, paddings, small)
def test_dilated_convolution_equals_keras(length, kernel, padding, dilation):
    layer = keras.layers.Conv1D(4, kernel, padding=padding, dilation_rate=dilation)
    expected = keras_length(layer, length)
    assert ours(conv_output_length, length, kernel, 1, padding, dilation) == expected


@given(lengths, small, small, st.sampled_from(["valid", "same"]), small)
def test_strided_and_dilated_equals_keras(length, kernel, strides, padding, dilation):
    # Conv1D refuses both together, a depthwise convolution computes the length.
    layer = keras.layers.DepthwiseConv1D(
        kernel, strides=strides, padding=padding, dilation_rate=dilation
    )
    got = ours(conv_output_length, length, kernel, strides, padding, dilation)
    assert got == keras_length(layer, length)


@given(
    lengths, small, st.none() | small, st.sampled_from(["valid", "same"]), st.booleans()
)
def test_pooling_equals_keras(length, size, strides, padding, average):
    kind = keras.layers.AveragePooling1D if average else keras.layers.MaxPooling1D
    layer = kind(size, strides=strides, padding=padding)
    got = ours(pool_output_length, length, size, strides, padding)
    assert got == keras_length(layer, length)


@given(st.integers(1, 40), small, small, small)
def test_valid_length_counts_the_windows_that_fit(length, kernel, strides, dilation):
    reach = (kernel - 1) * dilation
    windows = [t for t in range(0, length, strides) if t + reach < length]
    got = ours(conv_output_length, length, kernel, strides, "valid", dilation)
    assert got == (len(windows) or None)


def test_arithmetic_equals_the_steps_of_a_real_output():
    x = np.zeros((1, 37, 2), "float32")
    for kernel, strides, padding in [(5, 3, "valid"), (4, 2, "same"), (7, 4, "causal")]:
        y = keras.layers.Conv1D(3, kernel, strides=strides, padding=padding)(x)
        assert y.shape[1] == conv_output_length(37, kernel, strides, padding)


def test_unknown_and_empty_lengths():
    assert conv_output_length(None, 3) is None
    assert pool_output_length(None, 3) is None
    assert conv_output_length(0, 3, padding="same") == 0
    assert check_shape(np.zeros((8, 20)), "batch time", time=None) is not None


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64])
def test_small_integers_of_numpy_do_not_overflow(kind):
    assert conv_output_length(kind(100), kind(3), kind(3), "same") == 34
    assert conv_output_length(1000, kind(100), dilation_rate=kind(2)) == 802
    assert pool_output_length(kind(10), kind(3), None, "same") == 4
    assert type(conv_output_length(kind(100), kind(3))) is int


@pytest.mark.parametrize("name", ["kernel_size", "strides", "dilation_rate"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None])
def test_bad_numbers_are_named_and_quoted(name, value):
    arguments = {"kernel_size": 3, name: value}
    with pytest.raises(ShapeError, match=rf"{name} to be a whole .*{value!r}"):
        conv_output_length(10, **arguments)


def test_bad_lengths_and_paddings():
    with pytest.raises(ShapeError, match="length to be a whole number .* got -1"):
        conv_output_length(-1, 3)
    with pytest.raises(ShapeError, match="got 'full'"):
        conv_output_length(10, 3, padding="full")
    with pytest.raises(
        ShapeError, match="conv_output_length .* at least 9 steps.* got 8"
    ):
        conv_output_length(8, 3, dilation_rate=4)


def test_bad_pooling():
    with pytest.raises(ShapeError, match="got 'causal'.*ZeroPadding1D"):
        pool_output_length(10, 3, padding="causal")
    with pytest.raises(ShapeError, match="pool_size to be a whole .* got 0"):
        pool_output_length(10, 0)
    with pytest.raises(ShapeError, match="pool_output_length expected at least 3"):
        pool_output_length(2, 3)
    with pytest.raises(ShapeError, match="strides to be a whole .* got -2"):
        pool_output_length(10, 3, strides=-2)


def test_check_shape_returns_the_very_array():
    x = np.zeros((8, 20, 3))
    assert check_shape(x, "batch time channels", time=20, channels=3) is x
    symbolic = keras.Input((None, 3))
    assert check_shape(symbolic, "batch time channels", time=20) is symbolic


@pytest.mark.parametrize(
    ("x", "axes", "sizes", "message"),
    [
        (np.zeros((8, 20)), "batch time channels", {}, r"got the 2 axes \(8, 20\)"),
        (np.zeros((8, 20, 3)), "batch time", {}, r"got the 3 axes .* not named"),
        (np.zeros((8, 19, 3)), "batch time channels", {"time": 20}, "got time=19 in"),
        (np.zeros((8, 20)), "batch time", {"tme": 20}, "got the size tme=20"),
        (np.zeros((8, 20)), "time time", {}, "Name each axis once"),
        (np.zeros(()), "", {}, "different axis names"),
        ([[1.0]], "batch time", {}, "got a list without a known shape"),
        (np.zeros((8, 20)), "batch, time", {}, "with blanks between"),
        (np.zeros((8, 20)), ("batch", "time"), {}, "in one string"),
        (np.zeros((8, 20)), "batch time", {"time": "20"}, "whole number .* got '20'"),
    ],
)
def test_check_shape_names_the_fault(x, axes, sizes, message):
    with pytest.raises(ShapeError, match=message):
        check_shape(x, axes, **sizes)
