"""More of the catalogue: TimeDistributed, CTC and the metrics of compiled models."""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from cnnseq_helpers import BatchApply

from .catalogue import (
    BATCH,
    CHANNELS,
    CLASSES,
    SAMPLES,
    STEPS,
    Right,
    Wrong,
    average,
    clips,
    dense,
    index,
    lstm,
    lstm_steps,
    same,
    sparse,
    stack,
    x,
)

logits = sparse(from_logits=True)


def of_unknown_length(inputs, y):
    """Return batches whose second axis has no promised length."""
    batches = tf.data.Dataset.from_tensor_slices((inputs, y)).batch(BATCH)
    shape = (None, None, *inputs.shape[2:])

    def forget(x, y):
        given = tf.numpy_function(lambda array: array, [x], x.dtype)
        return tf.ensure_shape(given, shape), y

    return batches.map(forget)


class TwoLengths(keras.utils.PyDataset):
    """Clips of four frames, then of three."""

    def __len__(self):
        return SAMPLES // BATCH

    def __getitem__(self, i):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        return clips[rows, : 4 - i % 2], index[rows]


class OneLength(TwoLengths):
    def __getitem__(self, i):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        return clips[rows], index[rows]


def flat_frames():
    return layers.TimeDistributed(layers.Flatten(), name="frames")


def video(length, frames=flat_frames):
    return stack(frames, lstm, dense(CLASSES), shape=(length, 6, 6, 1))


def nested_video():
    inner = keras.Sequential(
        [keras.Input((None, 6, 6, 1)), flat_frames(), layers.LSTM(6)]
    )
    inputs = keras.Input((None, 6, 6, 1))
    return keras.Model(inputs, layers.Dense(CLASSES)(inner(inputs)))


def late_video():
    inputs = keras.Input((None, 6, 6, 1))
    hidden = layers.Reshape((-1, 36))(inputs)
    steps = layers.TimeDistributed(layers.Dense(5), name="late")(hidden)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.LSTM(4)(steps)))


WRONG_TRAPS = {
    name: Wrong(model, y, logits, ["time-distributed"], "raises")
    for name, model, y in [
        (
            "frames of an unknown number",
            video(None),
            of_unknown_length(clips, index),
        ),
        (
            "frames of an unknown number, named in the model",
            video(4),
            of_unknown_length(clips, index),
        ),
        (
            "frames of an unknown number in a nested model",
            nested_video,
            of_unknown_length(clips, index),
        ),
        (
            "frames of an unknown number, behind a layer",
            late_video,
            of_unknown_length(clips, index),
        ),
        ("frames of two numbers", video(None), TwoLengths()),
    ]
}
# With more steps than samples in a batch, steps are dropped without an error.
WRONG_TRAPS["series of an unknown length"] = Wrong(
    stack(
        partial(layers.TimeDistributed, layers.Dense(5), name="steps"),
        lstm,
        dense(CLASSES),
        shape=(None, CHANNELS),
    ),
    of_unknown_length(x, index),
    logits,
    ["time-distributed"],
    "silent",
)
RIGHT_TRAPS = {
    "frames of a known number": Right(video(4), index, logits, clips),
    "frames of any number, as an array": Right(video(None), index, logits, clips),
    "frames of any number, one in the data": Right(
        video(None),
        tf.data.Dataset.from_tensor_slices((clips, index)).batch(BATCH),
        logits,
    ),
    "frames of any number, one in batches": Right(video(None), OneLength(), logits),
    "merged frames": Right(
        video(None, partial(BatchApply, layers.Flatten())),
        of_unknown_length(clips, index),
        logits,
    ),
    "no TimeDistributed": Right(
        stack(
            partial(layers.Reshape, (-1, 36)),
            average,
            dense(CLASSES),
            shape=(None, 6, 6, 1),
        ),
        of_unknown_length(clips, index),
        logits,
    ),
}

# --- CTC: letters are numbered from 1

letters = np.array([[1, 2, 3, 1, 2], [3, 1, 0, 0, 0], [2, 3, 1, 2, 0]] * 8)
twins = np.array([[1, 1, 1, 2, 2], [1, 2, 0, 0, 0], [3, 3, 3, 3, 3]] * 8)


def reader(strides, units=CLASSES, activation=None, length=STEPS):
    return stack(
        partial(layers.Conv1D, 8, 3, strides=strides, padding="same", name="conv"),
        lstm_steps,
        dense(units, activation),
        shape=(length, CHANNELS),
    )


WRONG_TRAPS |= {
    "fewer steps than letters": Wrong(
        reader(5), letters, "ctc", ["ctc-length"], "silent"
    ),
    "fewer steps than letters, by pooling": Wrong(
        stack(
            same,
            partial(layers.MaxPooling1D, 5, name="pool"),
            lstm_steps,
            dense(CLASSES),
        ),
        letters,
        keras.losses.CTC(),
        ["ctc-length"],
        "silent",
    ),
    "no step between two equal letters": Wrong(
        reader(3), twins, keras.losses.ctc, ["ctc-length"], "silent"
    ),
    "softmax in front of CTC": Wrong(
        reader(2, activation="softmax"),
        letters,
        "ctc",
        ["softmax-from-logits"],
        "silent",
    ),
    "more letters than units": Wrong(
        reader(2, units=3), letters, "ctc", ["units"], "silent"
    ),
}
RIGHT_TRAPS |= {
    "as many steps as letters": Right(reader(4), letters, "ctc"),
    "a step between equal letters": Right(reader(2), twins, keras.losses.CTC()),
    "letters of a reader of any length": Right(reader(2, length=None), letters, "ctc"),
}
