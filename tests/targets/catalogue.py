"""Models, labels and losses that do not fit together, and some that do.

A wrong set-up says which codes `check_targets` finds and what `fit` does of its own: it
"raises" an error, "warns", or trains in "silence".
"""

from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses, ops

SAMPLES, STEPS, CHANNELS, CLASSES, BATCH = 24, 20, 3, 4, 8

random = np.random.default_rng(0)
x = random.normal(size=(SAMPLES, STEPS, CHANNELS)).astype("float32")
clips = random.normal(size=(SAMPLES, 4, 6, 6, 1)).astype("float32")
pictures = random.normal(size=(SAMPLES, 6, 6, 1)).astype("float32")

index = np.arange(SAMPLES) % CLASSES
one_hot = np.eye(CLASSES, dtype="float32")[index]
yes_no = (index % 2).astype("float32")
several = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 0]] * 6)
number = random.normal(size=SAMPLES)
numbers = random.normal(size=(SAMPLES, 3))
step_index = random.integers(0, CLASSES, size=(SAMPLES, STEPS))
step_yes_no = (step_index > 1).astype("float32")
step_number = random.normal(size=(SAMPLES, STEPS))
pixel = random.integers(0, 3, size=(SAMPLES, 6, 6))
words = random.integers(1, 50, (SAMPLES, 12))
words[:, 8:] = 0
with_missing = np.where(np.arange(SAMPLES) == 5, np.nan, number)


class Wrong(NamedTuple):
    model: Any
    y: Any
    loss: Any
    codes: list[str]
    fit: str
    x: Any = x


class Right(NamedTuple):
    model: Any
    y: Any
    loss: Any
    x: Any = x


def stack(*body, shape=(STEPS, CHANNELS)):
    """Return a function that builds a Sequential: a fresh one for each test."""
    return lambda: keras.Sequential([keras.Input(shape), *(layer() for layer in body)])


def dense(units, activation=None):
    return partial(layers.Dense, units, activation=activation, name="head")


conv = partial(layers.Conv1D, 8, 5, activation="relu", name="conv")
same = partial(layers.Conv1D, 8, 5, padding="same", activation="relu", name="conv")
max_pool = partial(layers.MaxPooling1D, 2, name="max_pool")
average = partial(layers.GlobalAveragePooling1D, name="average")
flatten = partial(layers.Flatten, name="flatten")
lstm = partial(layers.LSTM, 6, name="lstm")
lstm_steps = partial(layers.LSTM, 6, return_sequences=True, name="lstm")
both_ways = partial(layers.Bidirectional, layers.LSTM(4), name="both_ways")
per_step = partial(layers.TimeDistributed, layers.Dense(CLASSES), name="per_step")
per_pixel = partial(layers.Conv2D, 3, 1, name="head")

sparse = losses.SparseCategoricalCrossentropy
categorical = losses.CategoricalCrossentropy
binary = losses.BinaryCrossentropy


class OwnModel(keras.Model):
    """A model with a call of its own, already called once."""

    def __init__(self, units, activation=None):
        super().__init__()
        self.conv = layers.Conv1D(8, 5, activation="relu")
        self.pool = layers.GlobalAveragePooling1D()
        self.head = layers.Dense(units, activation=activation)
        self(x[:1])

    def call(self, inputs):
        return self.head(self.pool(self.conv(inputs)))


def two_outputs(kind=list, units=1):
    inputs = keras.Input((STEPS, CHANNELS))
    hidden = layers.GlobalAveragePooling1D()(layers.Conv1D(8, 5)(inputs))
    which = layers.Dense(CLASSES, name="which")(hidden)
    much = layers.Dense(units, name="much")(hidden)
    named = {"which": which, "much": much}
    return keras.Model(inputs, named if kind is dict else [which, much])


def steps_and_number():
    inputs = keras.Input((STEPS, CHANNELS))
    hidden = layers.Conv1D(8, 5)(inputs)
    which = layers.Dense(CLASSES, name="which")(hidden)
    much = layers.Dense(1, name="much")(layers.GlobalAveragePooling1D()(hidden))
    return keras.Model(inputs, [which, much])


class Experts(keras.Model):
    """Probabilities from a product of probabilities, which is no layer's output."""

    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.gate = layers.Dense(2, activation="softmax")
        self.experts = layers.Dense(2 * CLASSES)
        self(x[:1])

    def call(self, inputs):
        hidden = self.flatten(inputs)
        experts = ops.softmax(ops.reshape(self.experts(hidden), (-1, 2, CLASSES)))
        return ops.squeeze(ops.matmul(self.gate(hidden)[:, None], experts), 1)


class OwnSteps(keras.Model):
    """A model with a call of its own and an output for each step, of any length."""

    def __init__(self):
        super().__init__()
        self.lstm = layers.LSTM(6, return_sequences=True)
        self.head = layers.Dense(CLASSES)
        self(x[:1, :10])

    def call(self, inputs):
        return self.head(self.lstm(inputs))


def second_of_two():
    inputs = keras.Input((STEPS, CHANNELS))
    hidden = layers.GlobalAveragePooling1D()(layers.Conv1D(8, 5)(inputs))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(hidden)[:, 1:])


def both_lengths():
    inputs = keras.Input((STEPS, CHANNELS))
    hidden = layers.LSTM(4, return_sequences=True)(inputs)
    which = layers.Dense(CLASSES, name="which")(hidden)
    return keras.Model(inputs, [which, layers.Dense(1, name="much")(hidden)])


def masked_classes():
    embedding = layers.Embedding(50, 8, mask_zero=True)
    steps = layers.LSTM(6, return_sequences=True)
    return keras.Sequential([keras.Input((12,)), embedding, steps, dense(CLASSES)()])


def masked_text():
    embedding = layers.Embedding(50, 8, mask_zero=True)
    lstm_layer = layers.LSTM(6, return_sequences=True)
    return keras.Sequential([keras.Input((None,)), embedding, lstm_layer, dense(1)()])


def data(y, inputs=x):
    return tf.data.Dataset.from_tensor_slices((inputs, y)).batch(BATCH)


class Batches(keras.utils.PyDataset):
    """Labels from a PyDataset."""

    def __init__(self, y):
        super().__init__()
        self.y = y

    def __len__(self):
        return SAMPLES // BATCH

    def __getitem__(self, i):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        return x[rows], self.y[rows]


head = stack(conv, average, dense(CLASSES))
softmax_head = stack(conv, average, dense(CLASSES, "softmax"))
one_logit = stack(conv, average, dense(1))
one_sigmoid = stack(conv, average, dense(1, "sigmoid"))
steps_out = stack(same, dense(CLASSES))

WRONG = {
    # --- the number of units
    "too few columns": Wrong(
        head, one_hot[:, :3], categorical(from_logits=True), ["units"], "raises"
    ),
    "too few units": Wrong(
        stack(lstm, dense(3)), index, sparse(from_logits=True), ["units"], "raises"
    ),
    "three numbers, one unit": Wrong(one_logit, numbers, "mse", ["units"], "silent"),
    "one number, four units": Wrong(head, number[:, None], "mse", ["units"], "silent"),
    "a number, four units": Wrong(head, number, "mae", ["units"], "raises"),
    "three classes, one sigmoid": Wrong(
        one_sigmoid, index % 3, "binary_crossentropy", ["units"], "silent"
    ),
    # --- one-hot or index
    "indices, one-hot loss": Wrong(
        softmax_head,
        index,
        "categorical_crossentropy",
        ["indices-for-one-hot-loss"],
        "raises",
    ),
    "a column of indices, one-hot loss": Wrong(
        head,
        index[:, None],
        categorical(from_logits=True, label_smoothing=0.1),
        ["indices-for-one-hot-loss"],
        "raises",
    ),
    "indices, binary loss": Wrong(
        head, index, binary(from_logits=True), ["indices-for-one-hot-loss"], "raises"
    ),
    "one-hot, sparse loss": Wrong(
        head, one_hot, sparse(from_logits=True), ["one-hot-for-sparse-loss"], "raises"
    ),
    "one-hot per step, sparse loss": Wrong(
        steps_out,
        np.eye(CLASSES)[step_index],
        sparse(from_logits=True),
        ["one-hot-for-sparse-loss"],
        "raises",
    ),
    "several-hot, softmax": Wrong(
        softmax_head, several, "categorical_crossentropy", ["several-hot"], "silent"
    ),
    "several-hot, softmax, binary loss": Wrong(
        softmax_head, several, "binary_crossentropy", ["several-hot"], "silent"
    ),
    "several-hot, sparse loss": Wrong(
        head, several, sparse(from_logits=True), ["several-hot"], "raises"
    ),
    # --- one unit or two columns
    "two columns, one sigmoid": Wrong(
        one_sigmoid,
        np.eye(2)[index % 2],
        "binary_crossentropy",
        ["one-unit-two-columns"],
        "raises",
    ),
    "two columns, one unit, squared error": Wrong(
        one_logit, np.eye(2)[index % 2], "mse", ["one-unit-two-columns"], "silent"
    ),
    "one column, two sigmoids": Wrong(
        stack(conv, average, dense(2, "sigmoid")),
        yes_no,
        "binary_crossentropy",
        ["two-units-one-column"],
        "raises",
    ),
    "softmax over one unit, binary loss": Wrong(
        stack(conv, average, dense(1, "softmax")),
        yes_no,
        "binary_crossentropy",
        ["one-unit"],
        "warns",
    ),
    "softmax over one unit, one-hot loss": Wrong(
        stack(conv, average, dense(1, "softmax")),
        yes_no,
        "categorical_crossentropy",
        ["one-unit"],
        "warns",
    ),
    "softmax over one unit, squared error": Wrong(
        stack(conv, average, dense(1, "softmax")), number, "mse", ["one-unit"], "warns"
    ),
    "one unit, sparse loss": Wrong(
        one_logit, index, sparse(from_logits=True), ["one-unit"], "raises"
    ),
    # --- one label for a sequence, or one for each step
    "no pooling": Wrong(
        steps_out, index, sparse(from_logits=True), ["per-step-output"], "raises"
    ),
    "no pooling, one-hot": Wrong(
        steps_out, one_hot, categorical(from_logits=True), ["per-step-output"], "raises"
    ),
    "return_sequences left on": Wrong(
        stack(lstm_steps, dense(CLASSES)),
        index,
        sparse(from_logits=True),
        ["per-step-output"],
        "raises",
    ),
    "return_sequences left on, a number each": Wrong(
        stack(lstm_steps, dense(1)), number, "mse", ["per-step-output"], "silent"
    ),
    "return_sequences left on, a column": Wrong(
        stack(lstm_steps, dense(1)),
        number[:, None],
        "mse",
        ["per-step-output"],
        "silent",
    ),
    "return_sequences left on, both ways": Wrong(
        stack(
            partial(
                layers.Bidirectional, layers.GRU(4, return_sequences=True), name="both"
            ),
            dense(CLASSES),
        ),
        index,
        sparse(from_logits=True),
        ["per-step-output"],
        "raises",
    ),
    "a clip with one label": Wrong(
        stack(
            partial(layers.TimeDistributed, layers.Conv2D(4, 3)),
            dense(CLASSES),
            shape=(4, 6, 6, 1),
        ),
        index,
        sparse(from_logits=True),
        ["per-step-output"],
        "raises",
        clips,
    ),
    "one-hot labels, unknown length": Wrong(
        stack(lstm_steps, dense(CLASSES, "softmax"), shape=(None, CHANNELS)),
        one_hot,
        "categorical_crossentropy",
        ["per-step-output"],
        "raises",
    ),
    "a column of numbers, unknown length": Wrong(
        stack(lstm_steps, dense(1), shape=(None, CHANNELS)),
        number[:, None],
        "mse",
        ["per-step-output"],
        "silent",
    ),
    "one event in each sequence": Wrong(
        stack(lstm, dense(2)),
        np.eye(STEPS, dtype=int)[np.arange(SAMPLES) % STEPS],
        sparse(from_logits=True),
        ["per-sequence-output"],
        "raises",
    ),
    "labels per step, one output": Wrong(
        stack(lstm, dense(CLASSES)),
        step_index,
        sparse(from_logits=True),
        ["per-sequence-output"],
        "raises",
    ),
    "labels per step, both ways": Wrong(
        stack(both_ways, dense(CLASSES)),
        step_index,
        sparse(from_logits=True),
        ["per-sequence-output"],
        "raises",
    ),
    "labels per step, pooled": Wrong(
        stack(same, average, dense(1)),
        step_yes_no,
        binary(from_logits=True),
        ["per-sequence-output"],
        "raises",
    ),
    "numbers per step, one output": Wrong(
        stack(lstm, dense(1)),
        step_number,
        "mse",
        ["per-sequence-output"],
        "silent",
    ),
    "a column of numbers per step, one output": Wrong(
        stack(same, flatten, dense(1)),
        step_number[..., None],
        "mse",
        ["per-sequence-output"],
        "silent",
    ),
    # --- the time axis
    "a valid convolution": Wrong(
        stack(conv, dense(CLASSES)),
        step_index,
        sparse(from_logits=True),
        ["time-length"],
        "raises",
    ),
    "a pooling layer": Wrong(
        stack(same, max_pool, lstm_steps, per_step),
        step_index,
        sparse(from_logits=True),
        ["time-length"],
        "raises",
    ),
    "one step left, squared error": Wrong(
        stack(same, partial(layers.MaxPooling1D, STEPS, name="max_pool"), dense(1)),
        step_number[..., None],
        "mse",
        ["time-length"],
        "silent",
    ),
    "too few units in an LSTM as head": Wrong(
        stack(partial(layers.LSTM, 2, name="lstm")), numbers, "mse", ["units"], "raises"
    ),
    "a shrunken picture": Wrong(
        stack(partial(layers.Conv2D, 4, 3, name="conv"), per_pixel, shape=(6, 6, 1)),
        pixel,
        sparse(from_logits=True),
        ["time-length"],
        "raises",
        pictures,
    ),
    # --- axes
    "time and channels swapped": Wrong(
        stack(same, dense(CLASSES)),
        np.swapaxes(np.eye(CLASSES)[step_index], 1, 2),
        categorical(from_logits=True),
        ["label-axes"],
        "raises",
    ),
    "frames flattened": Wrong(
        stack(
            partial(layers.Reshape, (4, 36)), dense(36, "sigmoid"), shape=(4, 6, 6, 1)
        ),
        random.uniform(size=clips.shape),
        "binary_crossentropy",
        ["label-axes"],
        "raises",
        clips,
    ),
    "an axis too many": Wrong(
        stack(same, dense(1)),
        step_number.reshape(SAMPLES, 1, STEPS, 1),
        "mse",
        ["label-axes"],
        "silent",
    ),
    # --- the number of samples
    "steps and samples in one axis": Wrong(
        steps_out,
        step_index.reshape(-1),
        sparse(from_logits=True),
        ["batch-size"],
        "raises",
    ),
    "no batch axis": Wrong(
        head,
        tf.data.Dataset.from_tensor_slices((x, index)),
        sparse(from_logits=True),
        ["not-batched"],
        "raises",
    ),
    # --- the values
    "one-hot with an empty row, sparse loss": Wrong(
        head,
        np.where(np.arange(SAMPLES)[:, None] == 3, 0, one_hot),
        sparse(from_logits=True),
        ["one-hot-for-sparse-loss"],
        "raises",
    ),
    "masks of 0 and 255": Wrong(
        stack(partial(layers.Conv2D, 2, 1, name="head"), shape=(6, 6, 1)),
        random.choice([0, 255], size=(SAMPLES, 6, 6)).astype("uint8"),
        sparse(from_logits=True),
        ["label-range"],
        "raises",
        pictures,
    ),
    "255 for no label": Wrong(
        stack(per_pixel, shape=(6, 6, 1)),
        np.where(pixel == 0, 255, pixel),
        sparse(from_logits=True),
        ["label-range"],
        "raises",
        pictures,
    ),
    "classes with gaps": Wrong(
        head, 1000 * index, sparse(from_logits=True), ["units"], "raises"
    ),
    "classes from 1": Wrong(
        head, index + 1, sparse(from_logits=True), ["labels-from-one"], "raises"
    ),
    "classes from 1, yes or no": Wrong(
        one_logit, yes_no + 1, binary(from_logits=True), ["labels-from-one"], "silent"
    ),
    "-1 and 1": Wrong(
        one_logit, yes_no * 2 - 1, binary(from_logits=True), ["labels-signed"], "silent"
    ),
    "-1 and 1, two units": Wrong(
        stack(conv, average, dense(2)),
        yes_no * 2 - 1,
        sparse(from_logits=True),
        ["labels-signed"],
        "raises",
    ),
    "one-hot of -1 and 1": Wrong(
        softmax_head,
        one_hot * 2 - 1,
        "categorical_crossentropy",
        ["labels-signed"],
        "silent",
    ),
    "-1 for no label": Wrong(
        head, index - 1, sparse(from_logits=True), ["label-range"], "raises"
    ),
    "pixels up to 255": Wrong(
        stack(
            partial(layers.Conv2D, 1, 1, activation="sigmoid", name="head"),
            shape=(6, 6, 1),
        ),
        random.choice([0, 60, 255], size=pictures.shape),
        "binary_crossentropy",
        ["label-range"],
        "silent",
        pictures,
    ),
    "numbers as class indices": Wrong(
        softmax_head,
        np.abs(number).clip(0, 2.9),
        "sparse_categorical_crossentropy",
        ["labels-not-whole"],
        "silent",
    ),
    "one-hot rows of 255": Wrong(
        softmax_head,
        255 * one_hot,
        "categorical_crossentropy",
        ["labels-not-probabilities"],
        "silent",
    ),
    "NaN": Wrong(one_logit, with_missing, "mse", ["label-missing"], "silent"),
    "text": Wrong(
        head,
        np.array(["walk", "run", "sit", "lie"] * 6),
        sparse(from_logits=True),
        ["label-strings"],
        "raises",
    ),
    "text as objects": Wrong(
        head,
        np.array(["walk", "run", "sit", "lie"] * 6, dtype=object),
        sparse(from_logits=True),
        ["label-strings"],
        "raises",
    ),
    "text in a data set": Wrong(
        head,
        data(["walk", "run", "sit", "lie"] * 6),
        sparse(from_logits=True),
        ["label-strings"],
        "raises",
    ),
    "numbers as objects": Wrong(
        one_logit, number.astype(object), "mse", ["label-dtype"], "raises"
    ),
    "a list of numbers": Wrong(
        head, index.tolist(), sparse(from_logits=True), ["label-list"], "raises"
    ),
    "targets below a ReLU": Wrong(
        stack(conv, average, dense(1, "relu")),
        number,
        "mse",
        ["labels-beyond-activation"],
        "silent",
    ),
    "targets above a sigmoid": Wrong(
        one_sigmoid, 10 * yes_no, "mse", ["labels-beyond-activation"], "silent"
    ),
    # --- activation and from_logits
    "softmax, from_logits=True": Wrong(
        softmax_head, index, sparse(from_logits=True), ["softmax-from-logits"], "warns"
    ),
    "softmax, reshaped, from_logits=True": Wrong(
        stack(
            conv,
            average,
            dense(CLASSES, "softmax"),
            partial(layers.Reshape, (CLASSES,)),
        ),
        index,
        sparse(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
    "sigmoid, from_logits=True": Wrong(
        one_sigmoid, yes_no, binary(from_logits=True), ["softmax-from-logits"], "warns"
    ),
    "one-hot rows, a model of its own": Wrong(
        partial(OwnModel, CLASSES),
        one_hot,
        sparse(from_logits=True),
        ["one-hot-for-sparse-loss"],
        "raises",
    ),
    "logits as probabilities": Wrong(
        head,
        index,
        "sparse_categorical_crossentropy",
        ["logits-as-probabilities"],
        "silent",
    ),
    "one logit as a probability": Wrong(
        one_logit,
        yes_no,
        losses.binary_crossentropy,
        ["logits-as-probabilities"],
        "silent",
    ),
    "logits in a Kullback-Leibler divergence": Wrong(
        head, one_hot, "kl_divergence", ["logits-as-probabilities"], "silent"
    ),
    "an LSTM as head": Wrong(
        stack(partial(layers.LSTM, CLASSES, name="lstm")),
        index,
        sparse(from_logits=True),
        ["head-activation"],
        "silent",
    ),
    "several-hot, softmax in a layer": Wrong(
        stack(conv, average, dense(CLASSES), partial(layers.Softmax, name="softmax")),
        several,
        "categorical_crossentropy",
        ["several-hot"],
        "silent",
    ),
    "softmax of each frame, from_logits=True": Wrong(
        stack(
            same,
            partial(
                layers.TimeDistributed, layers.Dense(CLASSES, activation="softmax")
            ),
        ),
        step_index,
        sparse(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
    "a hinge loss of probabilities": Wrong(
        one_sigmoid, yes_no, "hinge", ["head-activation"], "silent"
    ),
    "a ReLU logit": Wrong(
        stack(conv, flatten, dense(1, "relu")),
        yes_no,
        binary(from_logits=True),
        ["head-activation"],
        "silent",
    ),
    "log-softmax as probabilities": Wrong(
        stack(conv, average, dense(CLASSES, "log_softmax")),
        index,
        "sparse_categorical_crossentropy",
        ["logits-as-probabilities"],
        "silent",
    ),
    "a hard sigmoid, from_logits=True": Wrong(
        stack(conv, average, dense(1, "hard_sigmoid")),
        yes_no,
        binary(from_logits=True),
        ["softmax-from-logits"],
        "silent",
    ),
    "ReLU as probabilities": Wrong(
        stack(conv, flatten, dense(CLASSES, "relu")),
        one_hot,
        "kl_divergence",
        ["logits-as-probabilities"],
        "silent",
    ),
    "two faults at once": Wrong(
        head,
        index,
        "categorical_crossentropy",
        ["indices-for-one-hot-loss", "logits-as-probabilities"],
        "raises",
    ),
    # --- several outputs and other models
    "the second of two outputs": Wrong(
        two_outputs,
        [index, numbers],
        [sparse(from_logits=True), "mse"],
        ["units"],
        "silent",
    ),
    "the first of two named outputs": Wrong(
        partial(two_outputs, dict),
        {"which": one_hot, "much": number},
        {"which": sparse(from_logits=True), "much": "mse"},
        ["one-hot-for-sparse-loss"],
        "raises",
    ),
    "one loss for two outputs": Wrong(
        partial(two_outputs, list, CLASSES),
        [one_hot, index],
        categorical(from_logits=True),
        ["indices-for-one-hot-loss"],
        "raises",
    ),
    "a tuple of labels": Wrong(
        two_outputs,
        (index + 1, number),
        (sparse(from_logits=True), "mse"),
        ["labels-from-one"],
        "raises",
    ),
    "no pooling in front of the second output": Wrong(
        steps_and_number,
        {"which": index, "much": number},
        {"which": sparse(from_logits=True), "much": "mse"},
        ["per-step-output"],
        "raises",
    ),
    "one LSTM, a label a sequence and one a step": Wrong(
        both_lengths,
        [index, step_number],
        [sparse(from_logits=True), "mse"],
        ["per-step-output"],
        "raises",
    ),
    "numbers for classes, one unit": Wrong(
        one_logit, 50 * np.abs(number), sparse(from_logits=True), ["one-unit"], "raises"
    ),
    "one-hot rows, one unit": Wrong(
        one_logit, one_hot, categorical(from_logits=True), ["one-unit"], "raises"
    ),
    "classes from 1 under a mask": Wrong(
        masked_classes,
        words % CLASSES + 1,
        sparse(from_logits=True),
        ["labels-from-one"],
        "raises",
        words,
    ),
    "frames as long rows": Wrong(
        stack(flatten, partial(layers.Dense, 8), dense(36, "sigmoid"), shape=(6, 6, 1)),
        random.uniform(size=pictures.shape),
        "binary_crossentropy",
        ["label-axes"],
        "raises",
        pictures,
    ),
    "labels for a third output": Wrong(
        partial(two_outputs, dict),
        {"which": index, "much": number, "when": number},
        {"which": sparse(from_logits=True), "much": "mse"},
        ["outputs"],
        "raises",
    ),
    "labels in a data set": Wrong(
        head,
        data(one_hot),
        sparse(from_logits=True),
        ["one-hot-for-sparse-loss"],
        "raises",
    ),
    "labels in a data set, from 1": Wrong(
        head, data(index + 1), sparse(from_logits=True), ["labels-from-one"], "raises"
    ),
}

every_second = (np.arange(SAMPLES) % 2).astype("float32")

RIGHT = {
    "an input without its last axis": Right(
        stack(dense(1), shape=(1,)), data(number, number), "mse"
    ),
    "one channel without its axis": Right(
        stack(lstm, dense(1), shape=(STEPS, 1)), data(number, x[..., 0]), "mse"
    ),
    "unlabelled samples of weight 0": Right(
        one_logit,
        tf.data.Dataset.from_tensor_slices(
            (x, np.where(every_second, yes_no, -1.0), every_second)
        ).batch(BATCH),
        binary(from_logits=True),
    ),
    "unlabelled samples, weights in a column": Right(
        one_logit,
        tf.data.Dataset.from_tensor_slices(
            (x, np.where(every_second, yes_no, -1.0), every_second[:, None])
        ).batch(BATCH),
        binary(from_logits=True),
    ),
    "one of two softmax units": Right(
        second_of_two, yes_no[:, None], "binary_crossentropy"
    ),
    "exponentials": Right(
        stack(conv, average, dense(CLASSES, "exponential")),
        one_hot,
        "categorical_crossentropy",
    ),
    "counts": Right(stack(conv, flatten, dense(1, "softplus")), index, "poisson"),
    "unlabelled steps under a mask": Right(
        masked_text,
        np.where(words > 0, words % 2, -1)[..., None].astype("float32"),
        binary(from_logits=True),
        words,
    ),
    "soft labels of two decimals": Right(
        stack(conv, average, dense(3)),
        np.array([[0.33, 0.33, 0.33], [0.5, 0.25, 0.25]] * 12),
        categorical(from_logits=True),
    ),
    "a column of one-hot rows": Right(
        head, one_hot[..., None], categorical(from_logits=True)
    ),
    "a mixture of experts": Right(Experts, index, "sparse_categorical_crossentropy"),
    "a model of its own, of any length": Right(
        OwnSteps, step_index, sparse(from_logits=True)
    ),
    "the sum of two LSTMs": Right(
        stack(partial(layers.Bidirectional, layers.LSTM(2), merge_mode="sum")),
        random.uniform(-1.8, 1.8, (SAMPLES, 2)),
        "mse",
    ),
    "a leaky ReLU": Right(
        stack(conv, average, dense(CLASSES, layers.ReLU(negative_slope=0.2))),
        index,
        sparse(from_logits=True),
    ),
    "ReLU logits under a softmax": Right(
        stack(conv, flatten, dense(CLASSES, "relu")), index, sparse(from_logits=True)
    ),
    "labels in bfloat16": Right(one_logit, tf.cast(number, tf.bfloat16), "mse"),
    "a focal loss with weights": Right(
        softmax_head,
        one_hot,
        losses.CategoricalFocalCrossentropy(alpha=np.array([0.1, 0.2, 0.3, 0.4])),
    ),
    "empty rows under a sigmoid": Right(
        head, several * (index > 0)[:, None], binary(from_logits=True)
    ),
    "indices": Right(head, index, sparse(from_logits=True)),
    "a column of indices": Right(head, index[:, None], sparse(from_logits=True)),
    "float indices": Right(head, index.astype("float32"), sparse(from_logits=True)),
    "softmax": Right(softmax_head, index, "sparse_categorical_crossentropy"),
    "softmax in a layer": Right(
        stack(conv, average, dense(CLASSES), layers.Softmax),
        one_hot,
        "categorical_crossentropy",
    ),
    "softmax averaged over time": Right(
        stack(conv, dense(CLASSES, "softmax"), average),
        index,
        "sparse_categorical_crossentropy",
    ),
    "one-hot": Right(head, one_hot, categorical(from_logits=True)),
    "soft labels": Right(
        head, 0.9 * one_hot + 0.025, categorical(from_logits=True, label_smoothing=0.1)
    ),
    "several labels": Right(head, several, binary(from_logits=True)),
    "yes or no": Right(one_sigmoid, yes_no, "binary_crossentropy"),
    "yes or no as bool": Right(
        one_logit, yes_no.astype(bool)[:, None], binary(from_logits=True)
    ),
    "yes or no, two units": Right(
        stack(conv, average, dense(2)), yes_no, sparse(from_logits=True)
    ),
    "hinge": Right(one_logit, yes_no * 2 - 1, "hinge"),
    "a number": Right(one_logit, number, "mse"),
    "a column of numbers": Right(one_logit, number[:, None], losses.Huber),
    "three numbers": Right(stack(lstm, dense(3)), numbers, losses.mean_squared_error),
    "positive numbers": Right(
        stack(conv, flatten, dense(1, "relu")), np.abs(number), "mae"
    ),
    "labels per step": Right(
        stack(lstm_steps, dense(CLASSES)), step_index, sparse(from_logits=True)
    ),
    "a column of labels per step": Right(
        stack(lstm_steps, per_step), step_index[..., None], sparse(from_logits=True)
    ),
    "yes or no per step": Right(
        stack(same, dense(1)), step_yes_no, binary(from_logits=True)
    ),
    "numbers per step": Right(stack(lstm_steps, dense(1)), step_number, "mse"),
    "labels per pixel": Right(
        stack(per_pixel, shape=(6, 6, 1)), pixel, sparse(from_logits=True), pictures
    ),
    "pixels in [0, 1]": Right(
        stack(partial(layers.Conv2D, 1, 1, activation="sigmoid"), shape=(6, 6, 1)),
        random.uniform(size=pictures.shape),
        "mse",
        pictures,
    ),
    "a number without an axis": Right(
        stack(same, flatten, dense(1), partial(layers.Reshape, ())), number, "mse"
    ),
    "unlabelled steps": Right(
        stack(lstm_steps, dense(CLASSES)),
        np.where(step_index == 0, -1, step_index),
        sparse(from_logits=True, ignore_class=-1),
    ),
    "an unknown length": Right(
        stack(lstm_steps, dense(CLASSES), shape=(None, CHANNELS)),
        step_index,
        sparse(from_logits=True),
    ),
    "two outputs": Right(
        two_outputs, [index, number], [sparse(from_logits=True), "mse"]
    ),
    "two named outputs": Right(
        partial(two_outputs, dict),
        {"which": index, "much": number},
        {"which": sparse(from_logits=True), "much": "mse"},
    ),
    "a model of its own": Right(
        partial(OwnModel, CLASSES), index, sparse(from_logits=True)
    ),
    "a tensor": Right(head, tf.constant(index), sparse(from_logits=True)),
    "a list of one array": Right(head, [index], sparse(from_logits=True)),
    "a data set": Right(head, data(index), sparse(from_logits=True)),
    "a PyDataset": Right(head, Batches(index), sparse(from_logits=True)),
    "a loss chosen by Keras": Right(softmax_head, index, "crossentropy"),
    "a loss with its settings": Right(
        head, index, partial(losses.sparse_categorical_crossentropy, from_logits=True)
    ),
}
