"""What a new step costs, by how it is computed and how long the window is.

One thread. `--resume` keeps what benchmarks/streaming.json holds already.
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


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for kind in KINDS:
        for window in page.WINDOWS:
            yield f"{kind}/{window}", lambda a=(kind, window): speed(*a)


if __name__ == "__main__":
    page.write(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread"))
