"""Choose the sizes of to_cnn1d and cnn1d; write the table of it. Repeats every choice.

Usage: sizes.py [--resume]

Each of the eight data sets is split into three folds of its *training* part; the test
parts are never read. What is tried is to how many steps a series is pooled, how many
the first kernel reads, and the kernel and the filters in front of cnn1d; one at a time,
the others as they are in use. Series of unequal length are padded behind, and their
mask is given to all models.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from converting_page import NAMES
from sklearn.model_selection import StratifiedKFold
from stored_tables import write_tables

import cnnseq_helpers as helpers
from cnnseq_helpers.converting import temporal

HERE = Path(__file__).parent
FOLDS, EPOCHS, BATCH_SIZE, RATE = 3, 100, 16, 1e-3
# By file: the method, what is tried, where it is set, and the values.
TRIED = {
    "to_cnn1d": ("to_cnn1d", "steps left", "_STEPS_LEFT", (14, 28, 56, 112)),
    "to_cnn1d_kernel": ("to_cnn1d", "first kernel", "_ONE_KERNEL", (4, 8, 16)),
    "cnn1d": ("cnn1d", "steps left", "_FRONT_STEPS_LEFT", (16, 32, 64)),
    "cnn1d_kernel": ("cnn1d", "kernel", "_FRONT_KERNEL", (5, 9, 17)),
    "cnn1d_filters": ("cnn1d", "filters", "_FRONT_FILTERS", (16, 32, 64)),
}


def load_training_part(name):
    """Return series, normalised over real steps, their mask or None, and labels."""
    data = helpers.load_dataset(name)
    x, mask = helpers.pad_batch(data.x_train)
    x = (x - x[mask].mean(axis=0)) / x[mask].std(axis=0)
    x = np.where(mask[..., None], x, 0).astype("float32")
    return x, None if mask.all() else mask, data.y_train


def build(method, shape, classes, masked):
    """Return an untrained model, of the sizes that are set at the moment."""
    if method == "cnn1d":
        return helpers.cnn1d(shape, classes, masked=masked)
    return helpers.to_cnn1d(helpers.cnn_lstm(shape, classes, masked=masked))


def fit(model, x, y, rate=RATE, callbacks=()):
    """Train on shuffled full batches, the steps of an epoch in one call."""
    batches = -(-len(y) // BATCH_SIZE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=batches)
    data = tf.data.Dataset.from_tensor_slices((tuple(x) if len(x) > 1 else x[0], y))
    data = data.cache().shuffle(len(y)).repeat().batch(BATCH_SIZE).prefetch(2)
    options = {"shuffle": False, "callbacks": [*callbacks], "verbose": 0}
    model.fit(data, steps_per_epoch=batches * EPOCHS, **options)


def cross_validate(method, name):
    """Return the accuracy on each held-out third, and CPU seconds."""
    x, mask, y = load_training_part(name)
    inputs = [x] if mask is None else [x, mask]
    start, right = time.process_time(), []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y)
    for seed, (kept, held_out) in enumerate(folds):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = build(method, x.shape[1:], y.max() + 1, mask is not None)
        fit(model, [each[kept] for each in inputs], y[kept])
        parts = [each[held_out] for each in inputs]
        logits = model.predict(parts if mask is not None else parts[0], verbose=0)
        right.append(float(np.mean(logits.argmax(axis=-1) == y[held_out])))
    return right, time.process_time() - start


def main(arguments):
    """Measure what is missing, then write the tables."""
    for file, (method, _, size, values) in TRIED.items():
        path = HERE / f"sizes_{file}.json"
        found = {}
        if "--resume" in arguments and path.exists():
            found = json.loads(path.read_text())
        for value in values:
            for name in NAMES:
                if (key := f"{name}, {value}") not in found:
                    with patch.object(temporal, size, value):
                        found[key] = cross_validate(method, name)
                    path.write_text(json.dumps(found, indent=0))
                    print(key, np.mean(found[key][0]), found[key][1], flush=True)
        write_tables("sizes", {file: table(file, found)})


def table(file, found):
    """Return the accuracy on held-out thirds by data set, and CPU seconds in all."""
    names = [re.sub("(?<=[a-z])(?=[A-Z])", "<wbr>", name) for name in NAMES]
    _, tried, _, values = TRIED[file]
    columns = [tried, *names, "mean", "CPU s"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for value in values:
        records = [found[f"{name}, {value}"] for name in NAMES]
        right = [np.mean(record[0]) for record in records]
        cells = [f"{part:.3f}" for part in [*right, np.mean(right)]]
        cells.append(f"{sum(record[1] for record in records):.0f}")
        lines.append(f"| {value} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
