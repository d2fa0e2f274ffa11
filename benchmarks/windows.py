"""Measure what it takes to feed windows of a series to `fit`, way by way.

Usage: windows.py [--resume]

One thread. Each way runs in a process of its own, for its peak of memory; the ways take
turns. ``--resume`` goes on where a run was stopped.
"""

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
import windows_page as page
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
LENGTH, CHANNELS, BATCH = 50, 8, 64
SPAN = LENGTH + 1  # the target is the step behind the input
STATUS = Path("/proc/self/status")


# --- Ways to make windows: each returns what `fit` takes ------------------------------


def numpy_windows(series):
    """Cut all windows as a view, and pass them as arrays."""
    pieces = np.lib.stride_tricks.sliding_window_view(series, SPAN, axis=0)
    pieces = pieces.swapaxes(1, 2)
    return pieces[:, :LENGTH], pieces[:, LENGTH]


def keras_utility(series):
    """Let Keras's own utility make them."""
    return keras.utils.timeseries_dataset_from_array(
        series[:-1], series[LENGTH:], LENGTH, batch_size=BATCH, shuffle=True, seed=0
    )


def tf_windows(series):
    """Use the windows of tf.data, as tutorials do; they are data sets themselves."""
    data = tf.data.Dataset.from_tensor_slices(series)
    data = data.window(SPAN, shift=1, drop_remainder=True)
    data = data.flat_map(lambda window: window.batch(SPAN)).shuffle(10_000)
    data = data.batch(BATCH).map(lambda both: (both[:, :LENGTH], both[:, LENGTH]))
    return data.prefetch(tf.data.AUTOTUNE)


def tf_gather(series):
    """Shuffle the starts, and gather a batch at a time in tf.data."""
    held, steps = tf.constant(series), tf.range(SPAN, dtype=tf.int64)
    number = len(series) - SPAN + 1
    data = tf.data.Dataset.range(1).flat_map(
        lambda _: tf.data.Dataset.from_tensor_slices(
            tf.random.shuffle(tf.range(number, dtype=tf.int64))
        )
    )

    def gather(starts):
        both = tf.gather(held, starts[:, None] + steps)
        return both[:, :LENGTH], both[:, LENGTH]

    data = data.batch(BATCH).map(gather, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.apply(tf.data.experimental.assert_cardinality(-(-number // BATCH)))
    return data.prefetch(tf.data.AUTOTUNE)


class Gathered(keras.utils.PyDataset):
    """Gather a batch at a time in NumPy."""

    def __init__(self, series):
        """Cut the view, and shuffle the places."""
        super().__init__()
        pieces = np.lib.stride_tricks.sliding_window_view(series, SPAN, axis=0)
        self.pieces = pieces.swapaxes(1, 2)
        self.order = np.random.default_rng(0).permutation(len(pieces))

    def __len__(self):
        return -(-len(self.order) // BATCH)

    def __getitem__(self, index):
        both = self.pieces[self.order[index * BATCH : (index + 1) * BATCH]]
        return both[:, :LENGTH], both[:, LENGTH]


def ours(series):
    """Let the helper do it."""
    return helpers.windows(series, LENGTH).batches(BATCH, seed=0)


def nothing(series):
    """Give the same batch again and again: what the training itself takes."""
    x, y = (each[:BATCH] for each in numpy_windows(series))
    data = tf.data.Dataset.from_tensors((x.copy(), y.copy()))
    return data.repeat(-(-(len(series) - SPAN + 1) // BATCH))


WAYS = {
    page.NOTHING: nothing,
    page.ARRAYS: numpy_windows,
    page.UTILITY: keras_utility,
    page.TF_WINDOWS: tf_windows,
    page.TF_GATHER: tf_gather,
    page.PY_DATASET: Gathered,
    page.OURS: ours,
}


# --- One way, in its process ----------------------------------------------------------


def memory(name):
    """Return a figure of the process's memory, in MB."""
    (line,) = (
        each for each in STATUS.read_text().splitlines() if each.startswith(name)
    )
    return int(line.split()[1]) / 1024


def read(data):
    """Go through an epoch of batches, without a model."""
    if isinstance(data, tuple):
        x, y = data
        order = np.random.default_rng(0).permutation(len(x))
        for rows in np.split(order, range(BATCH, len(order), BATCH)):
            x[rows], y[rows]
    elif isinstance(data, keras.utils.PyDataset):
        for index in range(len(data)):
            data[index]
    else:
        for _ in data:
            pass


def small_model():
    """Return a model that takes next to no time, but looks at all of its input."""
    pooled = [keras.Input((LENGTH, CHANNELS)), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*pooled, layers.Dense(CHANNELS)])
    model.compile("sgd", "mse")
    return model


def measure(way, steps):
    """Return seconds of epochs, read and trained on, and the peak of memory in MB."""
    series = np.random.default_rng(0).normal(size=(steps, CHANNELS)).astype("float32")
    model, large = small_model(), steps > 100_000
    model.fit(nothing(series[:1000]), verbose=0)  # TensorFlow takes its memory
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = memory("VmRSS")
    data = WAYS[way](series)

    def train():
        if isinstance(data, tuple):
            model.fit(*data, batch_size=BATCH, verbose=0)
        else:
            model.fit(data, verbose=0)

    found = {} if large else {"read": least(lambda: read(data), 4)}
    found["fit"] = least(train, 1 if large else 4)
    return found | {"peak": memory("VmHWM") - before}


def least(run, times):
    """Return the least of so many times, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def in_own_process(way, steps):
    """Return the measurement of a way by a fresh process."""
    command = [sys.executable, __file__, "--one", way, str(steps)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def jobs(found):
    """Yield each measurement's key and the function that makes it, by turns."""
    for number in range(page.ROUNDS):
        for steps in page.SIZES:
            for way in list(WAYS)[:: 1 if number % 2 else -1]:
                if number < page.rounds(way, steps):
                    key = f"{way}/{steps}/{number}"
                    yield key, lambda a=(way, steps): in_own_process(*a)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        from converting import measure_missing

        write_tables(
            "windows",
            page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
        )
