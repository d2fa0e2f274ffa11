"""More of the catalogue: data sets, and labels in long vectors and odd axes."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .catalogue import (
    BATCH,
    CLASSES,
    SAMPLES,
    STEPS,
    Right,
    Wrong,
    average,
    binary,
    categorical,
    data,
    dense,
    head,
    index,
    lstm,
    lstm_steps,
    number,
    numbers,
    one_hot,
    one_logit,
    several,
    sparse,
    stack,
    step_index,
    steps_out,
    two_outputs,
    x,
)

logits = sparse(from_logits=True)


def forget(*parts, unknown=()):
    """Return a data set whose named parts promise no number of axes."""
    batches = tf.data.Dataset.from_tensor_slices(parts).batch(BATCH)

    def without_rank(tensor):
        return tf.numpy_function(lambda array: array, [tensor], tensor.dtype)

    def map_parts(*element):
        return tuple(
            keras.tree.map_structure(without_rank, part) if i in unknown else part
            for i, part in enumerate(element)
        )

    return batches.map(map_parts)


def of_any_length():
    """Return clips of 20 and 13 steps, in batches that promise nothing."""
    lengths = [20, 13, 20]
    parts = [
        (x[i * BATCH : (i + 1) * BATCH, :length], index[i * BATCH : (i + 1) * BATCH])
        for i, length in enumerate(lengths)
    ]
    specification = (tf.TensorSpec(None, x.dtype), tf.TensorSpec(None, index.dtype))
    given = tf.data.Dataset.from_generator(
        lambda: iter(parts), output_signature=specification
    )
    return given.apply(tf.data.experimental.assert_cardinality(len(parts)))


def named_inputs():
    one, other = keras.Input((20, 3), name="one"), keras.Input((), name="other")
    hidden = layers.Concatenate()([layers.LSTM(4)(one), other[:, None]])
    return keras.Model({"one": one, "other": other}, layers.Dense(CLASSES)(hidden))


weights = tf.ones(SAMPLES)
named = {"one": x, "other": number.astype("float32")}
both = {"which": index, "much": number.astype("float32")}
WRONG_DATA = {
    f"unknown rank of {name}": Wrong(
        head,
        forget(x, index, weights, unknown=unknown),
        logits,
        ["unknown-rank"],
        "raises",
    )
    for name, unknown in {
        "x": (0,),
        "y": (1,),
        "weights": (2,),
        "x and y": (0, 1),
        "all": (0, 1, 2),
    }.items()
}
WRONG_DATA |= {
    "unknown rank without weights": Wrong(
        head, forget(x, index, unknown=(0, 1)), logits, ["unknown-rank"], "raises"
    ),
    "unknown rank of a column": Wrong(
        one_logit,
        forget(x, number[:, None], unknown=(1,)),
        "mse",
        ["unknown-rank"],
        "raises",
    ),
    "unknown rank of named inputs": Wrong(
        named_inputs,
        forget(named, index, unknown=(0,)),
        logits,
        ["unknown-rank"],
        "raises",
    ),
    "unknown rank of named outputs": Wrong(
        lambda: two_outputs(dict),
        forget(x, both, unknown=(1,)),
        {"which": logits, "much": "mse"},
        ["unknown-rank"],
        "raises",
    ),
    "unknown rank and one-hot rows": Wrong(
        head,
        forget(x, one_hot, unknown=(1,)),
        logits,
        ["unknown-rank", "one-hot-for-sparse-loss"],
        "raises",
    ),
    "unknown rank of clips of any length": Wrong(
        stack(lstm, dense(CLASSES), shape=(None, 3)),
        of_any_length(),
        logits,
        ["unknown-rank"],
        "raises",
    ),
}
RIGHT_DATA = {
    "a data set with weights": Right(head, forget(x, index, weights), logits),
}

# --- Long vectors, other axes, axes of size 1

step_rows = np.eye(CLASSES, dtype="float32")[step_index]
eleven = stack(average, dense(11))
of_eleven = np.arange(SAMPLES) % 11
three = stack(lstm, dense(3))
steps_of_three = stack(lstm_steps, dense(3))
step_numbers = np.repeat(numbers[:, None], STEPS, axis=1)
VECTORS = {
    "one-hot rows in a vector": (head, one_hot.reshape(-1), logits),
    "one-hot rows in a vector, whole numbers": (
        head,
        one_hot.reshape(-1).astype(int),
        logits,
    ),
    "one-hot rows in a column": (head, one_hot.reshape(-1, 1), logits),
    "one-hot rows in one row": (head, one_hot.reshape(1, -1), logits),
    "one-hot rows in a vector, one-hot loss": (
        head,
        one_hot.reshape(-1),
        categorical(from_logits=True),
    ),
    "several labels in a vector": (
        head,
        several.reshape(-1),
        binary(from_logits=True),
    ),
    "three numbers each in a vector": (three, numbers.reshape(-1), "mse"),
    "one-hot rows of steps in a vector": (steps_out, step_rows.reshape(-1), logits),
    "one-hot rows of steps and samples": (
        steps_out,
        step_rows.reshape(-1, CLASSES),
        logits,
    ),
    "numbers of steps in a vector": (
        steps_of_three,
        step_numbers.reshape(-1),
        "mse",
    ),
}
AXES = {
    "one row of indices": (head, index[None], logits),
    "one row of one-hot rows": (head, one_hot[None], categorical(from_logits=True)),
    "one row of columns": (one_logit, number[None, :, None], "mse"),
    "one-hot columns": (head, one_hot.T, categorical(from_logits=True)),
    "one-hot columns, sparse loss": (head, one_hot.T, logits),
    "columns of numbers": (three, numbers.T, "mse"),
    "steps first": (steps_out, step_index.T, logits),
    "steps first, one-hot": (
        steps_out,
        step_rows.swapaxes(0, 1),
        categorical(from_logits=True),
    ),
    "samples last": (
        steps_out,
        np.moveaxis(step_rows, 0, -1),
        categorical(from_logits=True),
    ),
}
WRONG_DATA |= {
    name: Wrong(model, y, loss, ["batch-size"], "raises")
    for name, (model, y, loss) in VECTORS.items()
}
WRONG_DATA |= {
    name: Wrong(model, y, loss, ["label-axes"], "raises")
    for name, (model, y, loss) in AXES.items()
}
WRONG_DATA |= {
    "indices with two axes too many, one-hot loss": Wrong(
        eleven,
        of_eleven[:, None, None],
        categorical(from_logits=True),
        ["indices-for-one-hot-loss"],
        "raises",
    ),
    "a number with two axes too many": Wrong(
        eleven, number[:, None, None], "mse", ["units"], "silent"
    ),
    "one-hot rows with an axis too many": Wrong(
        head,
        one_hot[:, None],
        categorical(from_logits=True),
        ["label-axes"],
        "raises",
    ),
    "one-hot rows with an axis too many, sparse loss": Wrong(
        head, one_hot[:, None], logits, ["one-hot-for-sparse-loss"], "raises"
    ),
    "indices of steps with an axis in front": Wrong(
        steps_out, step_index[:, None], logits, ["label-axes"], "raises"
    ),
    "one label with two axes too many, each step": Wrong(
        stack(lstm_steps, dense(CLASSES)),
        index[:, None, None],
        logits,
        ["per-step-output"],
        "raises",
    ),
}
RIGHT_DATA |= {
    "indices with two axes too many": Right(eleven, of_eleven[:, None, None], logits),
    "yes and no in turns of four": Right(
        head, (np.arange(SAMPLES) % CLASSES == 0).astype(int), logits
    ),
    "a vector of few classes": Right(head, index % 2, logits),
    "one sequence of any length": Right(
        stack(lstm_steps, dense(CLASSES), shape=(None, 3)),
        data(step_rows[:, :7], x[:, :7]),
        categorical(from_logits=True),
    ),
}
