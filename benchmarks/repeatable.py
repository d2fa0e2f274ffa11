"""Train small models from sixty seeds, and one of them under several settings.

Usage: repeatable.py [--resume]

GunPoint on the archive's default split, every third step. One thread, but for the
settings, each of which is a process of its own. ``--resume`` goes on where a run was
stopped.
"""

import hashlib
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
import repeatable_page as page
import tensorflow as tf
from converting import measure_missing
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
RATE, EPOCHS, BATCH_SIZE = 0.01, 40, 10  # set beforehand, not tuned
DATA = helpers.load_dataset("GunPoint")
x, x_test = DATA.x_train[:, ::3], DATA.x_test[:, ::3]  # (batch, 50, 1)
y, y_test = DATA.y_train, DATA.y_test
BEHIND = {
    "LSTM": lambda: layers.LSTM(16, unroll=True),  # the same function, faster
    "GRU": lambda: layers.GRU(16, unroll=True),
    "mean": layers.GlobalAveragePooling1D,
}


def build(kind):
    """Return a convolution with pooling, what reads the steps behind it, and a head."""
    return keras.Sequential(
        [
            keras.Input((50, 1)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.MaxPooling1D(2),
            BEHIND[kind](),
            layers.Dense(1),
        ]
    )


def compiled(kind):
    """Return a model that is ready to be trained, with the optimiser's variables."""
    model = build(kind)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, steps_per_execution=5)
    model.optimizer.build(model.trainable_variables)
    return model


def draw(model, kind, seed):
    """Give a compiled model the weights of a new one built with this seed."""
    keras.utils.set_random_seed(seed)
    model.set_weights(build(kind).get_weights())
    for variable in model.optimizer.variables:
        if variable is not model.optimizer._learning_rate:
            variable.assign(keras.ops.zeros_like(variable))


def logits(model):
    """Return the logits of the test series, (batch,)."""
    return np.asarray(model(x_test))[:, 0]


def from_seeds(kind):
    """Return for each seed the numbers of the test series that are answered wrong."""
    model, wrong = compiled(kind), []
    for seed in range(page.SEEDS):
        draw(model, kind, seed)
        model.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
        found = (logits(model) > 0) == y_test
        wrong.append(np.flatnonzero(~found).tolist())
        print(f"{kind} {seed} {found.sum()}", flush=True)
    return {"wrong": wrong}


def under_a_setting(deterministic):
    """Train the LSTM from a few seeds in this process; print what came of it."""
    keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    came, digest = {"first": [], "last": [], "right": []}, hashlib.sha256()
    model = compiled("LSTM")
    for seed in range(page.SETTING_SEEDS):
        draw(model, "LSTM", seed)
        model.train_on_batch(x[:BATCH_SIZE], y[:BATCH_SIZE])
        came["first"].append(logits(model).tolist())
        model.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
        last = logits(model)
        came["last"].append(last.tolist())
        came["right"].append(int(((last > 0) == y_test).sum()))
        for weights in model.get_weights():
            digest.update(weights.tobytes())
    print(json.dumps(came | {"digest": digest.hexdigest()}))


def took(action):
    """Return the seconds that a call takes, once it is warm."""
    action()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def price(deterministic):
    """Print the seconds of a training, and of a map with random operations."""
    keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    model = compiled("LSTM")
    options = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "verbose": 0}
    noisy = tf.data.Dataset.range(2_000).map(
        lambda _: tf.reduce_sum(tf.random.normal((20_000,))),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    seconds = {
        "fit": took(lambda: model.fit(x, y, **options)),
        "map": took(lambda: sum(1 for _ in noisy)),
    }
    print(json.dumps(seconds))


def setting(onednn, threads, deterministic, what="--once"):
    """Return what a new process under a setting prints."""
    environment = os.environ | {
        "TF_ENABLE_ONEDNN_OPTS": str(onednn),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
    }
    command = [sys.executable, __file__, what, str(deterministic)]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


def jobs(found):
    """Yield what is to be measured: a key, and a function that does it."""
    for kind in page.KINDS:
        yield f"seeds/{kind}", lambda kind=kind: from_seeds(kind)
    for run in range(page.RUNS):
        for name, given in page.SETTINGS.items():
            yield f"setting/{name}/{run}", lambda given=given: setting(*given)
    for number in range(page.PRICE_RUNS):
        for fixed in (0, 1):
            key = f"price/{fixed}/{number}"
            yield key, lambda fixed=fixed: setting(1, 2, fixed, "--price")


if __name__ == "__main__":
    if "--once" in sys.argv:
        under_a_setting(int(sys.argv[2]))
    elif "--price" in sys.argv:
        price(int(sys.argv[2]))
    else:
        write_tables(
            "repeatable",
            page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
        )
