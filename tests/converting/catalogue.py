"""Models with recurrent layers, built in many ways, for the tests of to_cnn1d."""

import keras
import numpy as np
from keras import layers

from cnnseq_helpers import BatchApply, cnn_lstm

random = np.random.default_rng(0)
TIME, CHANNELS = 20, 3


def sequential(*stack, shape=(TIME, CHANNELS)):
    """Return a Sequential model of these layers."""
    return keras.Sequential([keras.Input(shape, name="series"), *stack])


def logits(units=4):
    """Return a head."""
    return layers.Dense(units, name="logits")


def bidirectional(merge_mode, sequences):
    """Return a Functional model with both directions."""
    series = keras.Input((TIME, CHANNELS))
    inner = layers.LSTM(5, return_sequences=sequences)
    x = layers.Bidirectional(inner, merge_mode=merge_mode, name="both")(series)
    if merge_mode is None:
        x = layers.Concatenate()(x)
    return keras.Model(series, logits()(x))


def two_kinds():
    """Return a model whose directions are of different kinds."""
    there = layers.LSTM(5, return_sequences=True)
    back = layers.GRU(5, return_sequences=True, go_backwards=True)
    return sequential(layers.Bidirectional(there, backward_layer=back), logits())


def given_mask(recurrent, time=None):
    """Return a model of series and mask."""
    series, mask = (
        keras.Input((time, CHANNELS), name="series"),
        keras.Input((time,), dtype="bool", name="mask"),
    )
    return keras.Model([series, mask], logits()(recurrent(series, mask=mask)))


def two_branches():
    """Return a model of two series of different lengths and a number."""
    inputs = [
        keras.Input((TIME, 3), name="fast"),
        keras.Input((8, 2), name="slow"),
        keras.Input((1,), name="age"),
    ]
    x = [layers.LSTM(4)(inputs[0]), layers.GRU(3)(inputs[1]), inputs[2]]
    return keras.Model(inputs, logits()(layers.Concatenate()(x)))


def siamese():
    """Return a model that applies one LSTM to two series."""
    shared = layers.LSTM(4, name="shared")
    inputs = [keras.Input((TIME, 3), name="left"), keras.Input((9, 3), name="right")]
    apart = layers.Subtract()([shared(each) for each in inputs])
    return keras.Model(inputs, logits(1)(apart))


def nested(inner):
    """Return a model around a model."""
    series = keras.Input((TIME, CHANNELS))
    x = layers.Conv1D(6, 3, padding="same", name="front")(series)
    return keras.Model(series, logits()(inner(x)))


def inner_functional():
    """Return a model to be nested."""
    series = keras.Input((TIME, 6))
    x = layers.LSTM(5, return_sequences=True, name="inner_lstm")(series)
    return keras.Model(series, layers.Dense(3, name="inner_dense")(x), name="inner")


def nested_and_masked():
    """Return a model whose inner model is called with a mask."""
    series = keras.Input((None, CHANNELS))
    inside = keras.Input((None, CHANNELS))
    inner = keras.Model(inside, layers.GRU(5, name="inner_gru")(inside), name="inner")
    return keras.Model(series, logits()(inner(layers.Masking()(series))))


def two_heads():
    """Return a model with a dictionary of outputs, one of them per step."""
    series = keras.Input((TIME, CHANNELS))
    steps = layers.GRU(6, return_sequences=True)(series)
    last = layers.LSTM(4)(steps)
    outputs = {
        "each": layers.Dense(2, name="each")(steps),
        "all": layers.Dense(3, name="all")(last),
    }
    return keras.Model(series, outputs)


def adapted():
    """Return a model with statistics of its data, and numbers by keras.ops."""
    normalise = layers.Normalization(name="normalise")
    normalise.adapt(random.normal(3.0, 2.0, size=(40, TIME, CHANNELS)))
    series = keras.Input((TIME, CHANNELS))
    x = layers.LSTM(4)(normalise(series) * 2.0)
    return keras.Model(series, logits()(x + 1.0))


def frozen():
    """Return a model whose front is not trained."""
    front = layers.Conv1D(5, 3, name="front", trainable=False)
    return sequential(
        front, layers.BatchNormalization(), layers.LSTM(4, name="lstm"), logits()
    )


def mixed():
    """Return a model that computes in half precision."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    return sequential(
        layers.Conv1D(6, 3, dtype=policy),
        layers.LSTM(4, dtype=policy, name="lstm"),
        logits(),
    )


def per_frame(wrapper):
    """Return a model with a CNN for each frame."""
    cnn = keras.Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    return sequential(wrapper(cnn), layers.LSTM(4), logits(), shape=(6, 8, 8, 1))


def compiled():
    """Return a model that is compiled."""
    model = sequential(layers.LSTM(4), logits())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


MODELS = {
    "LSTM": lambda: sequential(layers.LSTM(4), logits()),
    "GRU": lambda: sequential(layers.GRU(4), logits()),
    "SimpleRNN": lambda: sequential(layers.SimpleRNN(4), logits()),
    "unknown length": lambda: sequential(
        layers.LSTM(4), logits(), shape=(None, CHANNELS)
    ),
    "one step": lambda: sequential(layers.LSTM(4), logits(), shape=(1, CHANNELS)),
    "long": lambda: sequential(layers.LSTM(4), logits(), shape=(700, CHANNELS)),
    "stacked": lambda: sequential(
        layers.LSTM(6, return_sequences=True), layers.GRU(4), logits()
    ),
    "every step": lambda: sequential(
        layers.LSTM(6, return_sequences=True), layers.TimeDistributed(logits())
    ),
    "concat": lambda: bidirectional("concat", False),
    "sum": lambda: bidirectional("sum", False),
    "average": lambda: bidirectional("ave", True),
    "product": lambda: bidirectional("mul", True),
    "concat, every step": lambda: bidirectional("concat", True),
    "apart": lambda: bidirectional(None, False),
    "apart, every step": lambda: bidirectional(None, True),
    "two kinds": two_kinds,
    "cell": lambda: sequential(layers.RNN(layers.GRUCell(4)), logits()),
    "cells": lambda: sequential(
        layers.RNN([layers.LSTMCell(6), layers.SimpleRNNCell(4)]), logits()
    ),
    "backwards": lambda: sequential(layers.LSTM(4, go_backwards=True), logits()),
    "backwards, every step": lambda: sequential(
        layers.GRU(4, go_backwards=True, return_sequences=True), logits()
    ),
    "dropout": lambda: sequential(
        layers.LSTM(4, dropout=0.3, recurrent_dropout=0.2), logits()
    ),
    "masking": lambda: sequential(
        layers.Masking(), layers.LSTM(4), logits(), shape=(None, CHANNELS)
    ),
    "masking, known length": lambda: sequential(
        layers.Masking(), layers.LSTM(4), logits()
    ),
    "embedding": lambda: sequential(
        layers.Embedding(7, 5, mask_zero=True), layers.GRU(4), logits(), shape=(None,)
    ),
    "mask": lambda: given_mask(layers.LSTM(4)),
    "mask, every step": lambda: given_mask(layers.LSTM(4, return_sequences=True)),
    "mask, both ways": lambda: given_mask(
        layers.Bidirectional(layers.GRU(4, return_sequences=True))
    ),
    "mask, backwards": lambda: given_mask(
        layers.GRU(4, return_sequences=True, go_backwards=True), TIME
    ),
    "cnn_lstm": lambda: cnn_lstm((100, CHANNELS), 4),
    "cnn_lstm, clips": lambda: cnn_lstm((6, 8, 8, 1), 4),
    "TimeDistributed": lambda: per_frame(layers.TimeDistributed),
    "BatchApply": lambda: per_frame(BatchApply),
    "branches": two_branches,
    "siamese": siamese,
    "nested": lambda: nested(inner_functional()),
    "nested Sequential": lambda: nested(
        sequential(layers.LSTM(5), layers.Dense(3), shape=(TIME, 6))
    ),
    "nested and masked": nested_and_masked,
    "two heads": two_heads,
    "adapted": adapted,
    "frozen": frozen,
    "half precision": mixed,
    "compiled": compiled,
    "softmax": lambda: sequential(layers.LSTM(4), layers.Dense(3, "softmax")),
}


def inputs_of(model):
    """Return the input or inputs; a Sequential that was never called has no .input."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def make_input(model, batch=3, steps=TIME):
    """Return arrays that a model takes; of padded ones the last four steps are so."""

    def make(tensor):
        shape = [batch, *(size or steps for size in tensor.shape[1:])]
        if tensor.dtype == "bool":
            return np.arange(shape[1]) < np.array([shape[1] - 4, shape[1], 5])[:, None]
        if len(shape) == 2 and shape[1] > 1:  # tokens
            return random.integers(1, 7, size=shape)
        return random.normal(size=shape).astype("float32")

    return keras.tree.map_structure(make, inputs_of(model))
