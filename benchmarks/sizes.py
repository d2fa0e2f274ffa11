"""Choose the sizes of to_cnn1d and cnn1d; write the table of it. Repeats every choice.

Usage: sizes.py [--resume]

Each of the eight data sets is split into three folds of its *training* part; the test
parts are never read. What is tried is to how many steps a series is pooled. Series of
unequal length are padded behind, and their mask is given to all models.
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

import cnnseq_helpers as helpers
from cnnseq_helpers.converting import temporal

HERE = Path(__file__).parent
FOLDS, EPOCHS, BATCH_SIZE, RATE = 3, 100, 16, 1e-3
TRIED = {
    "to_cnn1d": ("_STEPS_LEFT", (14, 28, 56, 112)),
    "cnn1d": ("_FRONT_STEPS_LEFT", (16, 32, 64)),
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
    for method in TRIED:
        path = HERE / f"sizes_{method}.json"
        found = {}
        if "--resume" in arguments and path.exists():
            found = json.loads(path.read_text())
        size, values = TRIED[method]
        for steps in values:
            for name in NAMES:
                if (key := f"{name}, {steps}") not in found:
                    with patch.object(temporal, size, steps):
                        found[key] = cross_validate(method, name)
                    path.write_text(json.dumps(found, indent=0))
                    print(key, np.mean(found[key][0]), found[key][1], flush=True)
        lines = table(method, found)
        (HERE / f"sizes_{method}.md").write_text("\n".join(lines) + "\n")


def table(method, found):
    """Return the accuracy on held-out thirds by data set, and CPU seconds in all."""
    names = [re.sub("(?<=[a-z])(?=[A-Z])", "<wbr>", name) for name in NAMES]
    lines = [
        f"| steps left | {' | '.join(names)} | mean | CPU s |",
        "|---" * (len(NAMES) + 3) + "|",
    ]
    for steps in TRIED[method][1]:
        records = [found[f"{name}, {steps}"] for name in NAMES]
        right = [np.mean(record[0]) for record in records]
        seconds = sum(record[1] for record in records)
        cells = " | ".join(f"{value:.3f}" for value in [*right, np.mean(right)])
        lines.append(f"| {steps} | {cells} | {seconds:.0f} |")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
