"""More of the catalogue: data sets, and labels in long vectors and odd axes."""

import keras
import tensorflow as tf
from keras import layers

from .targets_catalogue import (
    BATCH,
    CLASSES,
    SAMPLES,
    Right,
    Wrong,
    dense,
    head,
    index,
    lstm,
    number,
    one_hot,
    one_logit,
    sparse,
    stack,
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
