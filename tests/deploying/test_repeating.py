"""A stream that is compiled answers as one that is not, and compiles what repeats."""

import copy
import gc
import pickle
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from cnnseq_helpers import ShapeError, cnn1d, random_cnn1d, to_streaming
from cnnseq_helpers.deploying import running

from ..conftest import examples
from .models import CHANNELS, masked, per_sequence, per_step, series_of, uneven

pytestmark = pytest.mark.tensorflow_only("compiled")


def at_once():
    return mock.patch.object(running, "OFTEN", 0)


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
    with mock.patch.object(running, "OFTEN", 2):
        for start in (0, 5):
            stream(x[:, start : start + 5])
            assert not stream._advance._functions
        stream(x[:, 10:15])
        assert len(stream._advance._functions) == 1
        for _ in range(4):
            stream(x)  # a loop of 17 steps would be written out
    assert len(stream._advance._functions) == 1


def test_how_many_functions_are_kept():
    with at_once(), mock.patch.object(running, "_MOST_FUNCTIONS", 2):
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
    with mock.patch.object(running, "_MOST_COUNTS", 3):
        for size in (1, 2, 3, 4, 5, 6):
            stream(np.zeros((1, size, CHANNELS), "float32"))
    assert len(stream._advance._seen) == 3


def test_many_chunks_of_changing_sizes():
    model, x = causal(), series_of(600)
    with mock.patch.object(running, "OFTEN", 2):
        stream, found, start = to_streaming(model), [], 0
        sizes = np.random.default_rng(0).integers(0, 6, 400)
        for size in sizes:
            found.append(stream(x[:, start : start + size]))
            start += size
    assert 2 < len(stream._advance._functions) <= running._MOST_FUNCTIONS
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


@pytest.mark.parametrize("name", ["my conv", "Ähre", "_conv"])
def test_names_that_tensorflow_does_not_take(name):
    conv = layers.Conv1D(3, 3, padding="causal", name=name)
    model = keras.Sequential([keras.Input((None, CHANNELS)), conv], name=name)
    assert_same(model, series_of(5), 1)
    assert conv.name == name


# --- Streams of one model -------------------------------------------------------------


def test_streams_of_a_model_share_what_is_compiled():
    model, x = causal(), series_of(5)
    whole = np.asarray(model(x))
    streams = [to_streaming(model) for _ in range(4)]
    with mock.patch.object(running, "OFTEN", 2):
        found = [
            [stream(x[:, t : t + 1]) for stream in streams] for t in range(x.shape[1])
        ]
    assert len({id(stream._advance) for stream in streams}) == 1
    assert len(streams[0]._advance._functions) == 1
    for answers in zip(*found, strict=True):
        np.testing.assert_allclose(np.concatenate(answers, axis=1), whole, atol=1e-5)


def more_weight(model):
    model.layers[-1].set_weights([w + 1 for w in model.layers[-1].get_weights()])


def another_activation(model):
    model.layers[1].activation = keras.activations.tanh


@pytest.mark.parametrize("change", [more_weight, another_activation])
def test_a_model_that_was_changed_is_read_anew(change):
    model, x = causal(), series_of(5)
    before, first = np.asarray(model(x)), to_streaming(model)
    change(model)
    second = to_streaming(model)
    np.testing.assert_allclose(first(x), before, atol=1e-5)
    np.testing.assert_allclose(second(x), model(x), atol=1e-5)
    assert np.abs(np.asarray(model(x)) - before).max() > 1e-3
    assert to_streaming(model)._advance is second._advance


def test_nothing_is_kept_of_streams_that_are_gone():
    model = causal()
    stream = to_streaming(model)
    shared = weakref.ref(stream._advance)
    del stream
    gc.collect()
    assert shared() is None


def through_pickle(stream):
    return pickle.loads(pickle.dumps(stream))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle])
@pytest.mark.parametrize("often", [0, 20])
def test_a_copy_of_a_stream_goes_on_by_itself(copied, often):
    model, x = causal(), series_of(12)
    whole = np.asarray(model(x))
    with mock.patch.object(running, "OFTEN", often):
        stream = to_streaming(model)
        assert copied(stream).states == {}
        stream(x[:, :4])
        other = copied(stream)
        np.testing.assert_allclose(other(x[:, 4:9]), whole[:, 4:9], atol=1e-5)
        np.testing.assert_allclose(stream(x[:, 4:7]), whole[:, 4:7], atol=1e-5)
        np.testing.assert_allclose(other(x[:, 9:]), whole[:, 9:], atol=1e-5)
    shares = copied is not through_pickle
    assert (other._advance is stream._advance) == shares
    with pytest.raises(ShapeError, match="batch=2"):
        copied(stream)(x[:1])
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        copied(stream)(x)


@pytest.mark.exhaustive
def test_a_pickled_stream_goes_on_in_another_process(tmp_path):
    """With layers of this package, which that process has not imported."""
    model, x = cnn1d((None, CHANNELS), 2, masked=True), series_of(20)
    mask = np.arange(20) < [[20], [14]]
    stream = to_streaming(model)
    stream([x[:, :9], mask[:, :9]])
    (tmp_path / "stream.pickle").write_bytes(pickle.dumps(stream))
    np.savez(tmp_path / "rest.npz", x=x[:, 9:], mask=mask[:, 9:])
    code = (
        "import pickle, numpy as np; rest = np.load('rest.npz'); "
        "stream = pickle.load(open('stream.pickle', 'rb')); "
        "np.save('answer.npy', stream([rest['x'], rest['mask']]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    np.testing.assert_allclose(
        np.load(tmp_path / "answer.npy"), model([x, mask]), atol=1e-5
    )


def test_streams_in_threads():
    model, x = causal(), series_of(40)
    whole = np.asarray(model(x))

    def read(_):
        stream = to_streaming(model)
        return np.concatenate(list(answers(stream, x, 2)), axis=1)

    with mock.patch.object(running, "OFTEN", 10), ThreadPoolExecutor(4) as pool:
        for found in pool.map(read, range(8)):
            np.testing.assert_allclose(found, whole, atol=1e-5)
