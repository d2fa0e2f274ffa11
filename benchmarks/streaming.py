"""Measure what a new step costs, and what a stream's past does to the answers.

Usage: streaming.py [--resume]

One thread. ``--resume`` goes on where a run was stopped.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import onnxruntime
import streaming_page as page
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from converting import in_turns, measure_missing
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers
from cnnseq_helpers import step_model, to_streaming

RESULTS = Path(__file__).with_name("streaming.json")
CHANNELS = 6
ROUNDS = 31


def convolutional(window, batch=None):
    """Return dilated causal convolutions that see a window and no step more."""
    x = series = keras.Input(batch_shape=(batch, window, CHANNELS))
    field, rate = 1, 1
    while field < window:
        size = min(3, (window - field) // rate + 1)
        x = layers.Conv1D(32, size, dilation_rate=rate, padding="causal")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        field, rate = field + (size - 1) * rate, min(rate * 2, window - field)
    return keras.Model(series, layers.Dense(4)(x[:, -1]))


def recurrent(window, batch=None, stateful=False):
    """Return a causal convolution and an LSTM."""
    x = series = keras.Input(batch_shape=(batch, window, CHANNELS))
    if not stateful:
        x = layers.Conv1D(32, 9, padding="causal", activation="relu")(x)
    x = layers.LSTM(64, stateful=stateful)(x)
    return keras.Model(series, layers.Dense(4)(x))


KINDS = {"convolutions": convolutional, "LSTM": recurrent}


def compiled(model, shapes):
    """Return a call of a model, compiled for inputs of these shapes."""
    run = tf.function(model)
    given = [tf.random.normal(shape) for shape in shapes]
    return lambda: run(given if len(given) > 1 else given[0], training=False)


def in_onnx(model, shapes, folder):
    """Return a call of a model in onnxruntime."""
    path = f"{folder}/model.onnx"
    if len(shapes) == 1:  # Keras exports to ONNX only what was called before
        model(np.zeros(shapes[0], "float32"))
    model.export(path, format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    draw = np.random.default_rng(0)
    names = [each.name for each in session.get_inputs()]
    given = {
        name: draw.normal(size=shape).astype("float32")
        for name, shape in zip(names, shapes, strict=True)
    }
    return lambda: session.run(None, given)


def in_litert(model, shapes, folder):
    """Return a call of a model in LiteRT: inputs set, run, outputs taken."""
    path = f"{folder}/model.tflite"
    model.export(path, format="litert", verbose=False)
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    draw = np.random.default_rng(0)
    given = {
        each["index"]: draw.normal(size=each["shape"]).astype("float32")
        for each in inputs
    }

    def call():
        for index, value in given.items():
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in outputs]

    return call


def in_stream(model, window):
    """Return a call of a stream that is as long under way as a window."""
    stream, step = to_streaming(model), np.ones((1, 1, CHANNELS), "float32")
    stream(np.ones((1, window, CHANNELS), "float32"))
    for _ in range(30):  # until it is compiled
        stream(step)
    return lambda: stream(step)


def speed(kind, window):
    """Return seconds for one new step, each round in turn."""
    model, whole = KINDS[kind](window), (1, window, CHANNELS)
    step = step_model(model)
    shapes = [(1, *x.shape[1:]) for x in step.inputs]
    with tempfile.TemporaryDirectory() as folder:
        calls = {
            page.AGAIN: compiled(model, [whole]),
            page.STREAM: in_stream(model, window),
            page.STEP: compiled(step, shapes),
            page.ONNX: in_onnx(step, shapes, folder),
            page.LITERT: in_litert(step, shapes, folder),
        }
        calls[page.AGAIN_ONNX] = in_onnx(model, [whole], folder)
        if kind == "LSTM":
            stateful = recurrent(1, batch=1, stateful=True)
            calls[page.STATEFUL] = compiled(stateful, [(1, 1, CHANNELS)])
        return in_turns(calls, ROUNDS)


# --- After a change of activity -------------------------------------------------------


PARTS = ((0, 10), (10, 25), (25, 50), (50, 100))
SEEDS = range(5)


def live(kind):
    """Return a model with an answer at every step."""
    x = series = keras.Input((None, CHANNELS))
    if kind == "LSTM":
        x = layers.Conv1D(16, 9, padding="causal", activation="relu")(x)
        x = layers.LSTM(32, return_sequences=True)(x)
    else:
        for size, rate in ((9, 1), (5, 4), (5, 8)):
            options = {"dilation_rate": rate, "padding": "causal"}
            x = layers.Conv1D(32, size, activation="relu", **options)(x)
    return keras.Model(series, layers.Dense(4)(x))


def joined(x, y, length, draw):
    """Return recordings joined at random, so many to a stream, and labels by step."""
    rows = [draw.permutation(len(x)) for _ in range(length)]
    return np.concatenate(x[rows], axis=1), np.repeat(y[rows].T, x.shape[1], axis=1)


def after_change(kind, length, seed):
    """Return the share of right answers by the steps since the activity changed."""
    data = helpers.load_dataset("BasicMotions")
    mean, deviation = data.x_train.mean((0, 1)), data.x_train.std((0, 1))
    x, x_test = ((each - mean) / deviation for each in (data.x_train, data.x_test))
    y, y_test, draw = data.y_train, data.y_test, np.random.default_rng(seed)
    order = draw.permutation(len(x))
    fit, held_out = order[:30], order[30:]
    fitted, checked = (joined(x[r], y[r], length, draw) for r in (fit, held_out))
    keras.utils.set_random_seed(seed)
    model = live(kind)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss)
    stop = keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)
    options = {"epochs": 25, "batch_size": 6, "callbacks": [stop], "verbose": 0}
    model.fit(*fitted, validation_data=checked, **options)
    streams, labels = joined(x_test, y_test, 4, np.random.default_rng(0))
    run_on = model.predict(streams, verbose=0).argmax(axis=-1) == labels
    fresh = model.predict(x_test, verbose=0).argmax(axis=-1) == y_test[:, None]
    ways = {"run on": run_on[:, 100:].reshape(-1, 100), "reset": fresh}
    return {
        way: [float(right[:, first:last].mean()) for first, last in PARTS]
        for way, right in ways.items()
    }


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for kind in KINDS:
        for window in page.WINDOWS:
            yield f"{kind}/{window}", lambda a=(kind, window): speed(*a)
    for seed in SEEDS:
        for kind in KINDS:
            for length in (1, 2):
                key = f"change/{kind}/{length}/{seed}"
                yield key, lambda a=(kind, length, seed): after_change(*a)


if __name__ == "__main__":
    write_tables(
        "streaming",
        page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
    )
