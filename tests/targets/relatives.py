"""More of the catalogue: recurrent heads, masks and this package's own layers."""

from functools import partial

import keras
from keras import layers

from cnnseq_helpers import MaskedConv1D, MaskedGlobalAveragePooling1D

from .catalogue import (
    CLASSES,
    Right,
    Wrong,
    average,
    binary,
    both_ways,
    categorical,
    dense,
    index,
    lstm,
    lstm_steps,
    one_hot,
    several,
    sparse,
    stack,
    step_index,
    words,
    yes_no,
)

word_index = words % CLASSES


def recurrent(kind, units=CLASSES, activation="softmax", **options):
    return partial(kind, units, activation=activation, name="last", **options)


def cells(*chosen):
    return lambda: layers.RNN([cell() for cell in chosen], name="last")


def joined(kind, units, merge_mode, activation="softmax"):
    def build():
        layer = kind(units, activation=activation)
        return layers.Bidirectional(layer, merge_mode=merge_mode, name="last")

    return build


softmax_lstm = partial(layers.LSTMCell, CLASSES, activation="softmax")
softmax_gru = partial(layers.GRUCell, CLASSES, activation="softmax")
softmax_rnn = partial(layers.SimpleRNNCell, CLASSES, activation="softmax")
no_softmax = {
    "an LSTM": recurrent(layers.LSTM),
    "an LSTM with hard gates": recurrent(
        layers.LSTM, recurrent_activation="hard_sigmoid"
    ),
    "an unrolled LSTM": recurrent(layers.LSTM, unroll=True),
    "a GRU": recurrent(layers.GRU),
    "a GRU of the first kind": recurrent(layers.GRU, reset_after=False),
    "an LSTM cell": lambda: layers.RNN(softmax_lstm(), name="last"),
    "stacked cells": cells(partial(layers.SimpleRNNCell, 5), softmax_gru),
    "both ways of an LSTM": joined(layers.LSTM, CLASSES, "ave"),
    "the sum of two LSTMs": joined(layers.LSTM, CLASSES, "sum"),
    "two softmaxes side by side": joined(layers.SimpleRNN, CLASSES // 2, "concat"),
    "the sum of two softmaxes": joined(layers.SimpleRNN, CLASSES, "sum"),
    "the product of two softmaxes": joined(layers.SimpleRNN, CLASSES, "mul"),
}
a_softmax = {
    "a simple recurrent layer": recurrent(layers.SimpleRNN),
    "an unrolled one": recurrent(layers.SimpleRNN, unroll=True),
    "a simple cell on gated ones": cells(partial(layers.LSTMCell, 5), softmax_rnn),
    "the mean of two softmaxes": joined(layers.SimpleRNN, CLASSES, "ave"),
}

WRONG_HEADS = {
    f"softmax in {name}, from_logits={logits}": Wrong(
        stack(layer),
        index,
        sparse(from_logits=logits),
        ["no-probabilities"],
        "silent",
    )
    for name, layer in no_softmax.items()
    for logits in (False, True)
}
WRONG_HEADS |= {
    "softmax in an LSTM, one-hot": Wrong(
        stack(recurrent(layers.LSTM)),
        one_hot,
        "categorical_crossentropy",
        ["no-probabilities"],
        "silent",
    ),
    "softmax in a GRU, each step": Wrong(
        stack(recurrent(layers.GRU, return_sequences=True)),
        step_index,
        "sparse_categorical_crossentropy",
        ["no-probabilities"],
        "silent",
    ),
    "softmax in a GRU, a divergence": Wrong(
        stack(recurrent(layers.GRU)),
        one_hot,
        "kl_divergence",
        ["no-probabilities"],
        "silent",
    ),
    "softmax in an LSTM, several labels": Wrong(
        stack(recurrent(layers.LSTM)),
        several,
        "binary_crossentropy",
        ["several-hot"],
        "silent",
    ),
    "the sum of two sigmoids": Wrong(
        stack(joined(layers.LSTM, 1, "sum", "sigmoid")),
        yes_no,
        "binary_crossentropy",
        ["no-probabilities"],
        "silent",
    ),
    "sigmoid in an LSTM, from_logits=True": Wrong(
        stack(recurrent(layers.LSTM, 1, activation="sigmoid")),
        yes_no,
        binary(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
    "softmax in an unrolled simple recurrent layer": Wrong(
        stack(recurrent(layers.SimpleRNN, unroll=True)),
        index,
        sparse(from_logits=True),
        ["softmax-from-logits"],
        "warns",
    ),
    "softmax in a simple recurrent layer": Wrong(
        stack(recurrent(layers.SimpleRNN)),
        index,
        sparse(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
}

# --- Masks: what is proposed is what would be proposed without them

embedding = partial(layers.Embedding, 50, 8, mask_zero=True)
masking = partial(layers.Masking, name="masking")


def text(*body):
    return stack(embedding, *body, shape=(12,))


def functional_text():
    inputs = keras.Input((12,))
    steps = layers.LSTM(6, return_sequences=True)(embedding()(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES)(steps))


logits = sparse(from_logits=True)
UNDER_MASKS = {
    "words, too few units": (text(lstm, dense(3)), index, "units"),
    "words, a label a sequence": (
        text(lstm_steps, dense(CLASSES)),
        index,
        "per-step-output",
    ),
    "words in a Functional model": (functional_text, index, "per-step-output"),
    "words, a label a step": (
        text(lstm, dense(CLASSES)),
        word_index,
        "per-sequence-output",
    ),
    "words both ways, a label a step": (
        text(both_ways, dense(CLASSES)),
        word_index,
        "per-sequence-output",
    ),
    "words, pooled": (
        text(average, dense(CLASSES)),
        word_index,
        "per-sequence-output",
    ),
}
WRONG_HEADS |= {
    name: Wrong(model, y, logits, [code], "raises", words)
    for name, (model, y, code) in UNDER_MASKS.items()
}
WRONG_HEADS |= {
    "padding left out, a label a sequence": Wrong(
        stack(masking, lstm_steps, dense(CLASSES)),
        index,
        logits,
        ["per-step-output"],
        "raises",
    ),
    "padding left out, a label a step": Wrong(
        stack(masking, both_ways, dense(CLASSES)),
        step_index,
        logits,
        ["per-sequence-output"],
        "raises",
    ),
    "padding left out, too few units": Wrong(
        stack(masking, lstm, dense(3)), index, logits, ["units"], "raises"
    ),
}

# --- This package's own layers

masked_conv = partial(
    MaskedConv1D, CLASSES, 3, padding="same", activation="softmax", name="last"
)
own_logits = partial(MaskedConv1D, CLASSES, 3, padding="same", name="last")
WRONG_HEADS |= {
    "softmax in a masked convolution": Wrong(
        stack(masked_conv), step_index, logits, ["softmax-from-logits"], "warns"
    ),
    "softmax in a masked convolution, masked": Wrong(
        stack(masking, masked_conv),
        step_index,
        logits,
        ["softmax-from-logits"],
        "silent",
    ),
    "softmax in a masked convolution, pooled": Wrong(
        stack(masking, masked_conv, MaskedGlobalAveragePooling1D),
        one_hot,
        categorical(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
    "logits of a masked convolution": Wrong(
        stack(own_logits),
        step_index,
        "sparse_categorical_crossentropy",
        ["logits-as-probabilities"],
        "silent",
    ),
    "too few filters in a masked convolution": Wrong(
        stack(partial(MaskedConv1D, 3, 3, padding="same", name="last")),
        step_index,
        logits,
        ["units"],
        "raises",
    ),
}

RIGHT_HEADS = {
    f"softmax in {name}": Right(stack(layer), index, "sparse_categorical_crossentropy")
    for name, layer in a_softmax.items()
}
RIGHT_HEADS |= {
    "sigmoid in an LSTM": Right(
        stack(recurrent(layers.LSTM, 1, activation="sigmoid")),
        yes_no,
        "binary_crossentropy",
    ),
    "sigmoid in a GRU both ways": Right(
        stack(joined(layers.GRU, 2, "concat", "sigmoid")),
        several,
        "binary_crossentropy",
    ),
    "logits of an LSTM without activation": Right(
        stack(recurrent(layers.LSTM, activation=None)), index, logits
    ),
    "a masked convolution": Right(stack(masking, own_logits), step_index, logits),
    "softmax in a masked convolution": Right(
        stack(masking, masked_conv), step_index, "sparse_categorical_crossentropy"
    ),
    "words and a label each": Right(
        text(lstm_steps, dense(CLASSES)), word_index, logits, words
    ),
}
