"""What Keras does with every choice of the explorer of logits and labels."""

import itertools
import re
import warnings
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses

BATCH, STEPS, CLASSES = 32, 6, 4

random = np.random.default_rng(0)
x = random.normal(size=(BATCH, STEPS, 3)).astype("float32")
of_two, of_four = np.arange(BATCH) % 2, np.arange(BATCH) % CLASSES
of_steps = (np.arange(BATCH * STEPS) % CLASSES).reshape(BATCH, STEPS)
several = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]] * 8)
numbers = np.linspace(0.5, 9.5, BATCH)

LABELS = {
    "0 or 1: (batch,)": of_two,
    "1 or 2: (batch,)": of_two + 1,
    "one-hot: (batch, 2)": np.eye(2)[of_two],
    "indices 0 to 3: (batch,)": of_four,
    "indices 1 to 4: (batch,)": of_four + 1,
    "one-hot: (batch, 4)": np.eye(CLASSES)[of_four],
    "0 or 1 for each: (batch, 4)": several,
    "-1 or 1 for each: (batch, 4)": 2 * several - 1,
    "indices 0 to 3: (batch, 6)": of_steps,
    "indices 1 to 4: (batch, 6)": of_steps + 1,
    "one-hot: (batch, 6, 4)": np.eye(CLASSES)[of_steps],
    "numbers 0.5 to 9.5: (batch,)": numbers,
    "numbers 0.5 to 9.5: (batch, 1)": numbers[:, None],
}


def model(units, activation=None, *, steps=False, padding="same"):
    body = [layers.Conv1D(8, 3, padding=padding, activation="relu")]
    pooling = [] if steps else [layers.GlobalAveragePooling1D()]
    head = layers.Dense(units, activation=activation)
    return keras.Sequential([keras.Input((STEPS, 3)), *body, *pooling, head])


HEADS = {
    "Dense(1)": partial(model, 1),
    'Dense(1, "sigmoid")': partial(model, 1, "sigmoid"),
    'Dense(1, "softmax")': partial(model, 1, "softmax"),
    "Dense(2)": partial(model, 2),
    'Dense(2, "softmax")': partial(model, 2, "softmax"),
    "Dense(4)": partial(model, CLASSES),
    'Dense(4, "sigmoid")': partial(model, CLASSES, "sigmoid"),
    'Dense(4, "softmax")': partial(model, CLASSES, "softmax"),
    "Dense(1) at every step": partial(model, 1, steps=True),
    "Dense(2) at every step": partial(model, 2, steps=True),
    "Dense(4) at every step": partial(model, CLASSES, steps=True),
    'Dense(4, "softmax") at every step': partial(model, CLASSES, "softmax", steps=True),
    "Dense(4), 2 of 6 steps lost": partial(model, CLASSES, steps=True, padding="valid"),
}

CROSSENTROPIES = {
    "binary": losses.BinaryCrossentropy,
    "categorical": losses.CategoricalCrossentropy,
    "sparse": losses.SparseCategoricalCrossentropy,
}
LOSSES = {
    f"{name}, from_logits={logits}": loss(from_logits=logits)
    for (name, loss), logits in itertools.product(CROSSENTROPIES.items(), (True, False))
} | {"mean squared error": losses.MeanSquaredError()}


def outcome_of(train):
    """Return what Keras does, and the first line that it says of the matter."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train()
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            return "raises", first_line(str(error))
    return ("warns", str(caught[0].message)) if caught else ("silent", "")


def first_line(message):
    if message.startswith("Graph execution error"):
        message = message.rsplit("\n\n", 1)[-1]
    message = re.sub(r"^\{\{function_node .*?\}\} ", "", message.splitlines()[0])
    message = re.sub(r"for '\{\{node .*' with", "for … with", message)
    return message.split("  Label values")[0]


def step(model, y, loss):
    """Trace and run what `fit` runs, of a batch whose size is not known beforehand."""
    run = tf.function(lambda x, y: loss(y, model(x)), autograph=False)
    like = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in (x, y)]
    run.get_concrete_function(*like)(tf.constant(x), tf.constant(y))
