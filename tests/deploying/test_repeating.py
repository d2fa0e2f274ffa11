"""A stream that is compiled answers as one that is not, and compiles what repeats."""

from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import random_cnn1d, to_streaming
from cnnseq_helpers.deploying import repeating

from ..conftest import examples
from .models import CHANNELS, masked, per_sequence, per_step, series_of, uneven


def at_once():
    return mock.patch.object(repeating, "OFTEN", 0)


def answers(stream, x, size, mask=None):
    """Return the answers to chunks of one size, with the last one of `close`."""
    for start in range(0, x.shape[1], size):
        chunk = x[:, start : start + size]
        if mask is not None:
            chunk = [chunk, mask[:, start : start + size]]
        yield stream(chunk)
    yield stream.close()


def assert_same(model, x, size, mask=None):
    plain = list(answers(to_streaming(model), x, size, mask))
    with at_once():
        stream = to_streaming(model)
        for found, expected in zip(answers(stream, x, size, mask), plain, strict=True):
            assert found.shape == expected.shape
            finite = np.abs(expected[np.isfinite(expected)])
            atol = 1e-5 * max(finite.max(initial=0), 1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
    assert stream._advance._functions


@examples(16)
@given(st.data())
def test_models_of_steps_and_of_sequences(data):
    size = data.draw(st.integers(1, 4))
    model, steps = per_step(data.draw)
    assert_same(model, series_of(steps), size)
    model, _, steps = per_sequence(data.draw)
    assert_same(model, series_of(steps), size)


@examples(12)
@given(st.data())
def test_models_with_a_mask(data):
    model, least = masked(data.draw)
    x = series_of(least + 6)
    mask = np.random.default_rng(least).random(x.shape[:2]) < 0.7
    assert_same(model, x, data.draw(st.integers(1, 4)), mask)


def test_random_kernels():
    x = series_of(60, batch=8)
    assert_same(random_cnn1d(x, np.arange(8) % 2, kernels=168), x, 16)


def causal():
    series = keras.Input((None, CHANNELS))
    x = layers.Conv1D(4, 5, padding="causal")(series)
    return uneven(keras.Model(series, layers.GRU(3, return_sequences=True)(x)))


def test_only_what_repeats_is_compiled():
    stream, x = to_streaming(causal()), series_of(17)
    with mock.patch.object(repeating, "OFTEN", 2):
        for start in (0, 5):
            stream(x[:, start : start + 5])
            assert not stream._advance._functions
        stream(x[:, 10:15])
        assert len(stream._advance._functions) == 1
        for _ in range(4):
            stream(x)  # a loop of 17 steps would be written out
    assert len(stream._advance._functions) == 1


def test_how_many_functions_are_kept():
    with at_once(), mock.patch.object(repeating, "_MOST_FUNCTIONS", 2):
        stream = to_streaming(causal())
        for size in (1, 2, 3, 4):
            stream(series_of(size))
    assert len(stream._advance._functions) == 2


def test_states_go_from_a_compiled_stream_to_another_and_back():
    model, x = causal(), series_of(12)
    whole = np.asarray(model(x))
    plain = to_streaming(model)
    with at_once():
        stream = to_streaming(model)
        found = [stream(x[:, :4])]
        plain.states = stream.states
        found.append(plain(x[:, 4:8]))
        stream.states = plain.states
        found.append(stream(x[:, 8:]))
        stream.reset()
        np.testing.assert_allclose(stream(x[:, :4]), found[0], atol=1e-6)
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)


def test_what_is_counted_does_not_grow_without_end():
    stream = to_streaming(causal())
    for size in range(17, 60):  # too long to be compiled: not counted
        stream(np.zeros((1, size, CHANNELS), "float32"))
    assert not stream._advance._seen
    with mock.patch.object(repeating, "_MOST_COUNTS", 3):
        for size in (1, 2, 3, 4, 5, 6):
            stream(np.zeros((1, size, CHANNELS), "float32"))
    assert len(stream._advance._seen) == 3


def test_many_chunks_of_changing_sizes():
    model, x = causal(), series_of(600)
    with mock.patch.object(repeating, "OFTEN", 2):
        stream, found, start = to_streaming(model), [], 0
        sizes = np.random.default_rng(0).integers(0, 6, 400)
        for size in sizes:
            found.append(stream(x[:, start : start + size]))
            start += size
    assert 2 < len(stream._advance._functions) <= repeating._MOST_FUNCTIONS
    whole = np.asarray(model(x))[:, :start]
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)


def half(kind):
    keras.mixed_precision.set_dtype_policy(kind)
    try:
        return causal()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


@pytest.mark.parametrize("kind", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_other_precisions(kind, tmp_path):
    model, x = half(kind), series_of(12).astype("float64")
    whole = np.asarray(model(x)).astype("float64")
    atol = {"float64": 1e-12, "mixed_float16": 3e-3, "mixed_bfloat16": 2e-2}[kind]
    with at_once():
        stream = to_streaming(model)
        found = [stream(x[:, start : start + 3]) for start in (0, 3)]
        np.savez(tmp_path / "states.npz", **stream.states)
        stream = to_streaming(model)
        stream.states = dict(np.load(tmp_path / "states.npz"))
        found += [stream(x[:, start : start + 3]) for start in (6, 9)]
    found = np.concatenate(found, axis=1).astype("float64")
    np.testing.assert_allclose(found, whole, atol=atol)
