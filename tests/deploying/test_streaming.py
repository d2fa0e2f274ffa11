"""to_streaming, held against the model on the whole sequence, however it is cut."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

import cnnseq_helpers as helpers
from cnnseq_helpers import ShapeError, to_streaming

from ..conftest import ROOT, examples, sampled
from .models import CHANNELS, cuts, masked, per_sequence, per_step, series_of, uneven


def close_to(found, expected, atol=1e-5):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    size = max(np.abs(expected).max(initial=0), 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol * size)


def joined(stream, x, places):
    chunks = np.split(x, places, axis=1)
    return np.concatenate([*map(stream, chunks), stream.close()], axis=1)


@examples(40)
@given(st.data())
def test_answers_at_each_step_are_those_of_the_whole(data):
    model, steps = per_step(data.draw)
    x = series_of(steps)
    stream = to_streaming(model)
    for _ in range(2):
        close_to(joined(stream, x, cuts(data.draw, steps)), model(x))
        stream.reset()


@examples(40)
@given(st.data())
def test_one_answer_is_that_for_all_steps_so_far(data):
    model, least, steps = per_sequence(data.draw)
    x, stream, seen = series_of(steps), to_streaming(model), 0
    for chunk in np.split(x, cuts(data.draw, steps), axis=1):
        answer, seen = stream(chunk), seen + chunk.shape[1]
        if seen >= least:
            close_to(answer, model(x[:, :seen]))
    close_to(stream.close(), model(x))


@examples(24)
@given(st.data())
def test_with_a_mask(data):
    model, least = masked(data.draw)
    steps = least + data.draw(st.integers(0, 12))
    x = series_of(steps)
    mask = np.random.default_rng(steps).random(x.shape[:2]) < 0.7
    per_step = len(model.output_shape) == 3
    stream, seen, found = to_streaming(model), 0, []
    places = cuts(data.draw, steps)
    for chunk in zip(*(np.split(a, places, axis=1) for a in (x, mask)), strict=True):
        found.append(stream(list(chunk)))
        seen += chunk[0].shape[1]
        if not per_step and seen >= least:
            close_to(found[-1], model([x[:, :seen], mask[:, :seen]]))
    found.append(stream.close())
    close_to(np.concatenate(found, axis=1) if per_step else found[-1], model([x, mask]))


# --- Models of this package, and kinds of their own -----------------------------------


def random_kernels(mask=None):
    x = series_of(30, batch=8).cumsum(axis=1)
    model = helpers.random_cnn1d(x, np.arange(8) % 2, mask, kernels=168)
    model.get_layer("features").strides = 2
    return model


def encoder_decoder():
    series = keras.Input((None, CHANNELS))
    last, *state = layers.LSTM(3, return_state=True)(series)
    decoder = layers.LSTM(3, return_sequences=True)
    return keras.Model(series, decoder(layers.RepeatVector(4)(last), state))


def two_answers():
    series = keras.Input((None, CHANNELS))
    x = layers.Conv1D(4, 5, padding="same")(series)
    summary = layers.GlobalMaxPooling1D()(x)
    return keras.Model(series, {"step": layers.Dense(2)(x), "all": summary})


def frames():
    clip = keras.Input((None, 4, 4, CHANNELS))
    x = layers.Conv3D(2, (3, 2, 2))(layers.ZeroPadding3D(1)(clip))
    x = layers.MaxPooling3D((2, 1, 1), (1, 1, 1))(x)
    x = layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True)(x)
    return keras.Model(clip, helpers.BatchApply(layers.Flatten())(x))


def tokens():
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(5, 3, mask_zero=True)(words)
    return keras.Model(words, layers.LSTM(3, return_sequences=True)(x))


def half():
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        return helpers.cnn1d((None, CHANNELS), 3, filters=(4, 4), units=4)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def stateful():
    series = keras.Input(batch_shape=(2, None, CHANNELS))
    x = layers.LSTM(3, stateful=True, return_sequences=True)(series)
    return keras.Model(series, x)


def twice():
    series, layer = (
        keras.Input((None, CHANNELS)),
        layers.Conv1D(CHANNELS, 3, padding="same"),
    )
    return keras.Model(series, layer(layer(series)))


def small(make, **options):
    return make((None, CHANNELS), 3, units=4, filters=(4, 4), **options)


KINDS = {
    "cnn_lstm": lambda: small(helpers.cnn_lstm, kernel_size=3),
    "cnn1d": lambda: small(helpers.cnn1d),
    "cnn_lstm, masked": lambda: small(helpers.cnn_lstm, masked=True),
    "cnn1d, masked": lambda: small(helpers.cnn1d, masked=True),
    "to_cnn1d, masked": lambda: helpers.to_cnn1d(
        small(helpers.cnn_lstm, masked=True), receptive_field=9
    ),
    "random kernels": random_kernels,
    "random kernels, masked": lambda: random_kernels(np.arange(30) < 20 + np.c_[:8]),
    "clips": lambda: helpers.cnn_lstm((None, 8, 8, CHANNELS), 3, units=4),
    "encoder and decoder": encoder_decoder,
    "half precision": half,
    "tokens": tokens,
    "frames": frames,
    "stateful": stateful,
    "one layer twice": twice,
    "two answers": two_answers,
}


def input_of(model, steps, batch=2):
    """Return data for a model, its mask included."""
    draw = np.random.default_rng(0)
    arrays = [
        draw.random((batch, steps)) < 0.8
        if x.dtype == "bool"
        else draw.integers(0, 5, (batch, steps))
        if x.dtype == "int32"
        else draw.normal(size=(batch, steps, *x.shape[2:])).astype("float32")
        for x in model.inputs
    ]
    return arrays if len(arrays) > 1 else arrays[0]


def part(x, start, stop):
    return keras.tree.map_structure(lambda each: each[:, start:stop], x)


@pytest.mark.parametrize("kind", sampled(KINDS, 2))
def test_models_of_each_kind(kind):
    keras.utils.set_random_seed(0)
    model = KINDS[kind]()
    before = [np.array(each) for each in model.get_weights()]
    x, stream, found = input_of(model, 27), to_streaming(model), []
    for start, stop in ((0, 16), (16, 17), (17, 17), (17, 27)):
        found.append(stream(part(x, start, stop)))
    found.append(stream.close())
    whole, atol = model(x), 2e-3 if kind == "half precision" else 1e-5
    if kind == "two answers":
        close_to(np.concatenate([each["step"] for each in found], 1), whole["step"])
        found, whole = [each["all"] for each in found], whole["all"]
    if len(whole.shape) == 3 and kind != "encoder and decoder":
        close_to(np.concatenate(found, axis=1), whole, atol)
    else:
        close_to(found[-1], whole, atol)
        seen = model(part(x, 0, 17))
        close_to(found[1], seen["all"] if kind == "two answers" else seen, atol)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# --- Windows of a length that is known ------------------------------------------------


@pytest.mark.parametrize("steps", sampled(range(9, 17), 4))
@pytest.mark.parametrize("layer", [layers.Conv1D, layers.MaxPooling1D])
def test_strides_and_same_at_a_known_length(layer, steps):
    options = {"strides": 3, "padding": "same"}
    made = layer(4, 5, **options) if layer is layers.Conv1D else layer(5, **options)
    model = keras.Sequential([keras.Input((steps, CHANNELS)), made])
    x = series_of(steps)
    close_to(joined(to_streaming(model), x, [1, 1, 7]), model(x))


def test_a_length_that_was_not_known_and_one_that_did_not_come():
    pool = layers.MaxPooling1D(4, padding="same", name="pool")
    model = keras.Sequential([keras.Input((None, CHANNELS)), pool])
    with pytest.raises(ValueError, match="'pool' .MaxPooling1D. pads the front by an"):
        to_streaming(model)
    model = keras.Sequential([keras.Input((8, CHANNELS)), pool])
    stream = to_streaming(model)
    close_to(stream(series_of(8)), model(series_of(8)))
    stream(series_of(1))
    with pytest.raises(ValueError, match="close.*8 steps at 'pool' .MaxPooling1D."):
        stream.close()
    pairs = layers.MaxPooling1D(2, padding="same")  # the front is never padded
    model = keras.Sequential([keras.Input((None, CHANNELS)), pairs])
    close_to(joined(to_streaming(model), series_of(7), [2]), model(series_of(7)))


# --- Delay, states, and what does not grow --------------------------------------------


WAITING = [
    ([layers.Conv1D(2, 5, padding="causal", dilation_rate=3)], 0),
    ([layers.Conv1D(2, 5, padding="same"), layers.Conv1D(2, 3, padding="same")], 3),
    ([layers.Conv1D(2, 5)], 4),
    ([layers.MaxPooling1D(4), layers.Conv1D(2, 3, padding="same")], 7),
    ([layers.ZeroPadding1D((2, 0)), layers.Conv1D(2, 3)], 0),
    ([layers.Cropping1D((0, 3))], 3),
]


@pytest.mark.parametrize(("made", "delay"), WAITING)
def test_the_delay_is_the_reach_ahead(made, delay):
    model = keras.Sequential([keras.Input((None, CHANNELS)), *made])
    stream, x = to_streaming(model), series_of(14)
    reach, count = helpers.receptive_field(model), 0
    ahead = 3 if isinstance(made[0], layers.Cropping1D) else reach.right
    assert stream.delay == delay == ahead
    for t in range(14):
        count += stream(x[:, t : t + 1]).shape[1]
        assert count == max((t - delay) // reach.stride + 1, 0)


def test_one_answer_for_all_steps_waits_for_none():
    model = small(helpers.cnn1d)
    assert to_streaming(model).delay == 0


def streamed():
    """Return a model with all that keeps something, and one without a mask."""
    series = keras.Input((None, CHANNELS))
    x = layers.Conv1D(4, 5, padding="same")(series)
    x = layers.Add()(
        [x, layers.Conv1D(4, 3, dilation_rate=2, padding="causal")(series)]
    )
    x = layers.AveragePooling1D(3, 1, padding="same")(x)[:, 1:-1:2]
    x = layers.Concatenate()([x, layers.GRU(2, return_sequences=True)(x)])
    return uneven(keras.Model(series, [x, layers.GlobalMaxPooling1D()(x), x[:, -1]]))


def test_states_go_to_a_file_and_into_another_stream(tmp_path):
    model, x = streamed(), series_of(30)
    first, second = to_streaming(model), to_streaming(model)
    assert first.states == {}
    first(x[:, :13])
    np.savez(tmp_path / "states.npz", **first.states)
    expected = [first(x[:, 13:20]), first(x[:, 20:]), first.close()]
    second.states = dict(np.load(tmp_path / "states.npz"))
    found = [second(x[:, 13:20]), second(x[:, 20:]), second.close()]
    for a, b in zip(
        keras.tree.flatten(found), keras.tree.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    second.states = first.states = dict(np.load(tmp_path / "states.npz"))  # opens it
    np.testing.assert_array_equal(second(x[:, 13:])[1], first(x[:, 13:])[1])
    second.states = {}
    assert second.states == {}
    np.testing.assert_array_equal(
        second(x[:1, :3])[0], to_streaming(model)(x[:1, :3])[0]
    )


def test_states_are_copies():
    stream, x = to_streaming(streamed()), series_of(20)
    stream(x[:, :9])
    before = stream.states
    for each in stream.states.values():
        each[...] = 0
    stream(x[:, 9:])
    stream.states = before
    for key, each in stream.states.items():
        np.testing.assert_array_equal(each, before[key])


def test_what_is_kept_does_not_grow_with_the_length():
    stream, x = to_streaming(streamed()), series_of(20)
    sizes = []
    for _ in range(8):
        stream(x)
        sizes.append(sum(each.nbytes for each in stream.states.values()))
    assert sizes[-1] == sizes[0] < 2000


def test_a_step_beyond_the_receptive_field_changes_nothing():
    model = keras.Sequential(
        [
            keras.Input((None, CHANNELS)),
            layers.Conv1D(4, 3, padding="same"),
            layers.Conv1D(4, 3, dilation_rate=3, padding="causal"),
        ]
    )
    reach = helpers.receptive_field(uneven(model))
    x, streams = series_of(40), [to_streaming(model) for _ in range(2)]
    changed = x.copy()
    changed[:, 10] += 1
    found = [s(each[:, :11]) for s, each in zip(streams, (x, changed), strict=True)]
    found = [
        [*[f], *[s(x[:, t : t + 1]) for t in range(11, 40)]]
        for s, f in zip(streams, found, strict=True)
    ]
    first, second = (np.concatenate(each, axis=1) for each in found)
    moved = np.flatnonzero(np.abs(first - second).max(axis=(0, 2)) > 0)
    assert moved.tolist() == list(range(10 - reach.right, 11 + reach.left))[::1]


def test_several_streams_in_a_batch_do_not_mix():
    model, x = streamed(), series_of(25, batch=4)
    together = joined_first(to_streaming(model), x)
    for row in range(4):
        alone = joined_first(to_streaming(model), x[row : row + 1])
        close_to(together[row : row + 1], alone)


def joined_first(stream, x):
    found = [stream(x[:, :7]), stream(x[:, 7:]), stream.close()]
    return np.concatenate([each[0] for each in found], axis=1)


def test_a_long_mean_stays_exact():
    model = keras.Sequential([keras.Input((None, 1)), layers.GlobalAveragePooling1D()])
    stream, x = to_streaming(model), np.full((1, 100_000, 1), 0.1, "float32")
    for _ in range(50):
        answer = stream(x)
    assert abs(answer.item() - 0.1) < 1e-7


def test_the_stream_keeps_the_weights_of_the_model_as_it_was():
    model, x = streamed(), series_of(9)
    stream, before = to_streaming(model), np.asarray(model(x)[1])
    model.set_weights([w + 1 for w in model.get_weights()])
    close_to(stream(x)[1], before)
    assert len(model.layers[1]._inbound_nodes) == 1


def test_before_the_first_step():
    none = np.zeros((2, 0, CHANNELS), "float32")
    for ending, first in (
        (layers.GlobalAveragePooling1D(), np.nan),
        (layers.GlobalMaxPooling1D(), -np.inf),
        (layers.LSTM(3), 0),
        (helpers.MaskedGlobalMaxPooling1D(), 0),
    ):
        model = keras.Sequential([keras.Input((None, CHANNELS)), ending])
        np.testing.assert_array_equal(to_streaming(model)(none), np.full((2, 3), first))


# --- What is refused ------------------------------------------------------------------


class Reversed(layers.Layer):
    """A layer in Python."""

    def call(self, x):
        return ops.flip(x, axis=1)


class Own(keras.Model):
    """A model with a call of its own."""

    def call(self, x):
        return x


def model_of(*made):
    return keras.Sequential([keras.Input((12, CHANNELS)), *made])


def of(outputs, *more):
    series = keras.Input((12, CHANNELS))
    others = [keras.Input(shape) for shape in more]
    return keras.Model([series, *others] if more else series, outputs(series, *others))


def named(kind, **options):
    return kind(**options, name="it")


def mismatched():
    series = keras.Input((None, CHANNELS))
    return keras.Model(series, series * series[..., 0])


REFUSED = {
    "Bidirectional": (
        lambda: model_of(named(layers.Bidirectional, layer=layers.LSTM(2))),
        "'it' .Bidirectional. also reads .* backwards.*Train the layer inside it",
    ),
    "go_backwards": (
        lambda: model_of(named(layers.GRU, units=2, go_backwards=True)),
        "'it' .GRU. reads from the last step.*go_backwards=False",
    ),
    "softmax over time": (
        lambda: model_of(named(layers.Softmax, axis=1)),
        "'it' .Softmax. works along time.*axis=-1",
    ),
    "normalised over time": (
        lambda: model_of(named(layers.LayerNormalization, axis=(1, 2))),
        "'it' .LayerNormalization. works along time",
    ),
    "normalised step by step": (
        lambda: model_of(named(layers.BatchNormalization, axis=1)),
        "'it' .BatchNormalization. works along time",
    ),
    "weights for each step": (
        lambda: model_of(named(layers.PReLU)),
        "'it' .PReLU. works along time",
    ),
    "joined in time": (
        lambda: of(lambda x: layers.Concatenate(axis=1, name="it")([x, x])),
        "'it' .Concatenate. works along time",
    ),
    "axes that do not match": (
        lambda: mismatched(),
        "Multiply. may join any steps",
    ),
    "groups": (
        lambda: model_of(named(layers.GroupNormalization, groups=1)),
        "'it' .GroupNormalization. normalises over all steps.*LayerNormalization",
    ),
    "attention": (
        lambda: of(lambda x: layers.Attention(name="it")([x, x])),
        "'it' .Attention. compares all steps.*causal convolutions",
    ),
    "Flatten": (
        lambda: model_of(named(layers.Flatten)),
        "'it' .Flatten. takes the time axis apart.*GlobalAveragePooling1D",
    ),
    "Reshape": (
        lambda: model_of(named(layers.Reshape, target_shape=(6, 6))),
        "'it' .Reshape. takes the time axis apart",
    ),
    "squeeze and excite": (
        lambda: of(lambda x: x * layers.GlobalAveragePooling1D(keepdims=True)(x)),
        "Multiply. joins each step with a summary of the whole",
    ),
    "strides that differ": (
        lambda: of(
            lambda x: layers.Add(name="it")(
                [layers.MaxPooling1D(2)(x), layers.Cropping1D((0, 6))(x)]
            )
        ),
        "'it' .Add. joins branches of different strides",
    ),
    "values by step": (
        lambda: of(lambda x: x + np.ones((12, 1), "float32")),
        "Add. is given an array with values for single steps",
    ),
    "state from elsewhere": (
        lambda: of(
            lambda x: layers.SimpleRNN(3, name="it", return_sequences=True)(
                x, initial_state=x[:, 0]
            )
        ),
        "GetItem. takes steps by their number",
    ),
    "constant state": (
        lambda: of(lambda x: layers.SimpleRNN(3, name="it")(x, ops.ones((2, 3)))),
        "'it' .SimpleRNN. (starts from a state|is given an array)",
    ),
    "first steps": (lambda: of(lambda x: x[:, :3]), "x.:, -1. for the last step"),
    "transposed": (
        lambda: model_of(named(layers.Conv1DTranspose, filters=2, kernel_size=3)),
        "'it' .Conv1DTranspose. may join any steps.*Conv1D",
    ),
    "padded frames": (
        lambda: keras.Sequential(
            [
                keras.Input((None, 4, 4, 1)),
                layers.Conv3D(2, 3, padding="same", name="it"),
            ]
        ),
        "'it' .Conv3D. pads or crops frames together with time.*ZeroPadding",
    ),
    "layer in Python": (
        lambda: of(lambda x: Reversed(name="it")(x)),
        "'it' .Reversed. is Python of its own.*Build it of Keras's layers",
    ),
    "Lambda": (
        lambda: of(lambda x: layers.Lambda(lambda y: y, name="it")(x)),
        "'it' .Lambda. is Python of its own",
    ),
    "activation of one's own": (
        lambda: model_of(named(layers.Dense, units=2, activation=lambda y: y)),
        "'it' .Dense. is Python of its own.*activation='relu'",
    ),
    "mask out of sight": (
        lambda: of(
            lambda x: keras.Sequential(
                [keras.Input((None, CHANNELS)), layers.LSTM(2)], name="it"
            )(layers.Masking()(x))
        ),
        "'it' .Sequential. is a model inside the model that is handed a mask",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore:.*destroy the mask")
def test_refuses_what_looks_ahead_without_end(kind):
    make, message = REFUSED[kind]
    with pytest.raises(ValueError, match=f"to_streaming expected layers .*{message}"):
        to_streaming(make())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Own(), "got Own.*Functional API"),
        (lambda: layers.Dense(2), "got Dense"),
        (
            lambda: of(lambda x, y: layers.Add()([x, y]), (12, CHANNELS)),
            "one series.*got 2 inputs.*Join series",
        ),
        (
            lambda: of(lambda x, y: layers.LSTM(3)(x) + y, (3,)),
            "got 2 inputs.*no time axis at every step",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), layers.Dense(2)]),
            "expected an input .batch, time, .*keras.Input..None, channels",
        ),
    ],
)
def test_refuses_models_of_anything_but_a_series(make, message):
    with pytest.raises(ShapeError, match=message):
        to_streaming(make())


X = series_of(6)
M = np.ones((2, 6), bool)


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        (X[..., :2], ShapeError, "channels=3.*got .2, 6, 2."),
        (X[:, 0], ShapeError, "got .2, 3.*x.:, t : t . 1."),
        (X[0], ShapeError, "a single sequence is a batch of one"),
        ([X, M], ShapeError, "got"),
        (X.astype(str), TypeError, "expected numbers of type float32.*got <U"),
        (np.full(X.shape, None), TypeError, "got object"),
        (np.ma.masked_less(X, 0), TypeError, r"got a masked array. Give x.filled"),
        (np.full(X.shape, -1e39), TypeError, "that fit float32 .*got -1e[+]39"),
        ({"x": X}, ShapeError, "got a dictionary of x. Give it under the input's name"),
        (
            X[:1],
            ShapeError,
            "batch=2, the sequences that this stream has begun, got batch=1.*reset",
        ),
        (X[:0], ShapeError, "one sequence at least, got batch=0"),
    ],
)
def test_refuses_chunks_that_do_not_fit(chunk, error, message):
    stream = to_streaming(model_of(layers.LSTM(2)))
    stream(X)
    with pytest.raises(error, match=message):
        stream(chunk)


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        (X, ShapeError, "arrays for 2 inputs.*got 1.*pad_batch"),
        ([X, M[:, :5]], ShapeError, "mask .batch, time. of the chunk's own steps"),
        ([X, M * 1.0], TypeError, "numbers of type bool.*got float64"),
        ({"series": X}, ShapeError, "2 inputs, series, mask, got a dictionary of ser"),
        ([X, M, M], ShapeError, "arrays for 2 inputs.*got 3"),
    ],
)
def test_refuses_masks_that_do_not_fit(chunk, error, message):
    stream = to_streaming(small(helpers.cnn1d, masked=True))
    with pytest.raises(error, match=message):
        stream(chunk)


def test_takes_chunks_in_a_list_or_a_dictionary():
    model = small(helpers.cnn1d, masked=True)
    stream, names = to_streaming(model), [x.name for x in model.inputs]
    close_to(stream(dict(zip(names, [X, M], strict=True))), model([X, M]))
    series = keras.Input((None, CHANNELS), name="series")
    stream = to_streaming(keras.Model([series], layers.LSTM(2)(series)))
    for chunk in ([X], X.tolist(), {"series": X}, ops.convert_to_tensor(X)):
        assert stream(chunk).shape == (2, 2)


@pytest.mark.parametrize("wrong", [1.5, 2**40, np.nan])
def test_whole_numbers_are_not_cut_out_of_others(wrong):
    stream, words = to_streaming(tokens()), np.array([[1.0, 2.0]])
    stream(words)
    words[0, 1] = wrong
    with pytest.raises(TypeError, match=r"whole numbers of type int32.*which is none"):
        stream(words)


@pytest.mark.parametrize("before", [0, 3])
def test_a_chunk_that_fails_leaves_the_stream_as_it_was(before, monkeypatch):
    model = tokens()
    words = np.random.default_rng(0).integers(0, 5, (2, 8))
    stream = to_streaming(model)
    found = [stream(words[:, :before])] if before else []
    with monkeypatch.context() as patched:
        patched.setattr(layers.Embedding, "call", lambda self, x: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stream(np.full((2 if before else 1, 2), 4))
    found += [stream(words[:, before:]), stream.close()]
    close_to(np.concatenate(found, axis=1), model(words))


def test_the_batch_that_a_model_is_built_for():
    stream = to_streaming(stateful())
    with pytest.raises(ShapeError, match="batch=2, for which the model is built"):
        stream(X[:1])


def test_refuses_states_of_other_streams():
    stream = to_streaming(model_of(layers.Conv1D(2, 3, padding="same"), layers.LSTM(2)))
    stream(X)
    kept, other = stream.states, to_streaming(model_of(layers.LSTM(2)))
    other(X)
    (steps, gap, *state), fresh = kept, to_streaming(streamed())
    assert gap.endswith(".gap")
    for states, message in (
        (other.states, "what a stream of the same model keeps, but 'conv1d.*missing"),
        ({**kept, "more": X}, "'more' is unknown"),
        (
            {**kept, steps: kept[steps][..., :1]},
            "of shape .None, None, 3., with at most 2 steps, got",
        ),
        ({**kept, steps: np.ones((2, 3, 3))}, "with at most 2 steps, got .2, 3, 3."),
        ({**kept, gap: np.ones(2)}, "of shape .., got .2,"),
        ({**kept, state[0]: kept[state[0]][:1]}, "of one batch, got those of 1 and 2"),
        (
            {name: each[:1] if each.ndim else each for name, each in kept.items()},
            "1 and 2 sequences.*reset",
        ),
    ):
        with pytest.raises(ShapeError, match=message):
            stream.states = states
    close_to(next(iter(stream.states.values())), kept[steps])
    with pytest.raises(ShapeError, match="same model"):
        fresh.states = kept


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("gap", 0.7), ("gap", -1), ("gap", "x"), ("steps", str), ("steps", complex)],
)
def test_refuses_states_that_are_no_such_numbers(part, wrong):
    stream = to_streaming(model_of(layers.Conv1D(2, 3, padding="same", name="conv")))
    stream(X)
    kept, name = stream.states, f"conv.{part}"
    kept[name] = wrong if part == "gap" else kept[name].astype(wrong)
    with pytest.raises(TypeError, match=f"stream.states expected '{name}' to be num"):
        stream.states = kept


def test_states_may_be_stored_as_text():
    model, x = streamed(), series_of(20)
    first, second = to_streaming(model), to_streaming(model)
    first(x[:, :9])
    lists = {name: each.tolist() for name, each in first.states.items()}
    second.states = json.loads(json.dumps(lists))
    for a, b in zip(first(x[:, 9:]), second(x[:, 9:]), strict=True):
        assert a.dtype == b.dtype
        close_to(a, b)


AFTER_A_RESTART = """
import sys
import keras, numpy as np
from cnnseq_helpers import to_streaming
stream = to_streaming(keras.saving.load_model(f"{sys.argv[1]}/model.keras"))
stream.states = dict(np.load(f"{sys.argv[1]}/states.npz"))
np.savez(f"{sys.argv[1]}/answers.npz", *stream(np.load(f"{sys.argv[1]}/x.npy")))
"""


def test_a_service_that_starts_again_goes_on(tmp_path):
    """A .keras file keeps the names of layers, those that Keras chose as well."""
    keras.Sequential([keras.Input((None, 3)), layers.Conv1D(2, 3), layers.GRU(2)])
    model, x = streamed(), series_of(20)
    stream = to_streaming(model)
    stream(x[:, :9])
    assert "conv1d.steps" not in stream.states  # what a new process would call it
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "states.npz", **stream.states)
    np.save(tmp_path / "x.npy", x[:, 9:])
    command = [sys.executable, "-c", AFTER_A_RESTART, str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    with np.load(tmp_path / "answers.npz") as found:
        for a, b in zip(found.values(), stream(x[:, 9:]), strict=True):
            close_to(a, b)
    other = to_streaming(streamed())  # built anew
    with pytest.raises(ShapeError, match="names of layers.*give them names"):
        other.states = stream.states


def test_closed_is_closed():
    stream = to_streaming(model_of(layers.Conv1D(2, 3, padding="same")))
    with pytest.raises(ValueError, match="close.. expected a chunk before it"):
        stream.close()
    stream(X)
    stream.close()
    for call in (stream.close, lambda: stream(X)):
        with pytest.raises(ValueError, match="it was closed.*stream.reset"):
            call()
    stream.reset()
    assert stream(X[:1]).shape == (1, 5, 2)
