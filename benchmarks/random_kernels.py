"""Measure 1D-CNNs of random kernels beside trained ones; write the tables of it.

Usage: random_kernels.py [--resume]

The eight data sets of converting.py on their default splits, all on one thread. How
many steps the kernels stand at is judged on the training parts alone. For what more
data bring, the images of scikit-learn's digits are read pixel by pixel. ``--resume``
goes on where a run was stopped.
"""

import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import random_kernels_page as page
from converting import (
    BATCH_SIZE,
    MIXED,
    MIXED_EPOCHS,
    MIXED_RATE,
    NETWORKS,
    RATES,
    SEEDS,
    build,
    count_right,
    in_turns,
    load,
    measure_missing,
    ready,
    scores,
    with_kernels,
)
from converting_page import NAMES
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifierCV

import cnnseq_helpers as helpers
from cnnseq_helpers.converting import random_kernels

RESULTS = Path(__file__).with_suffix(".json")


def fitted(x, y, kernels, seed):
    """Return the helper's model for series and, where there is one, their mask."""
    return helpers.random_cnn1d(*x[:1], y, *x[1:], kernels=kernels, seed=seed)


def left_out_error(name, setting, value):
    """Return the squared error of training samples left out, one at a time."""
    x, y, *_ = load(name)
    errors = []
    for seed in SEEDS:
        with patch.object(random_kernels, setting, value):
            model = fitted(x, y, 1008, seed)
        head = keras.Model(model.inputs, model.get_layer("normalised").output)
        features = head.predict(x if len(x) > 1 else x[0], verbose=0)
        ridge = RidgeClassifierCV(np.logspace(-1, 4, 16)).fit(features, y)
        errors.append(-float(ridge.best_score_))
    return {"error": float(np.mean(errors))}


def train_ours(name, method, seed):
    """Fit the helper's model and return what was measured."""
    x, y, x_test, y_test = load(name)
    start = time.process_time()
    model = fitted(x, y, page.KERNELS[method], seed)
    seconds = time.process_time() - start
    return {"accuracy": count_right(model, x_test, y_test), "seconds": seconds}


def train_rocket(name, method, seed):
    """Fit aeon's MiniRocket, which takes no mask, and return what was measured."""
    x, y, x_test, y_test = load(name)
    stretch = stretched if method == page.STRETCHED else lambda inputs: inputs[0]
    x, x_test = stretch(x), stretch(x_test)
    start = time.process_time()
    classifier = with_kernels(1008, x, y, seed)
    seconds = time.process_time() - start
    right = scores(classifier, x_test).argmax(axis=1) == y_test
    return {"accuracy": float(right.mean()), "seconds": seconds}


def stretched(inputs):
    """Return series of which the real steps are interpolated to the whole length."""
    x, mask = inputs
    places = np.linspace(0, 1, x.shape[1])
    return np.array(
        [
            [
                np.interp(places, np.linspace(0, 1, len(channel)), channel)
                for channel in series[real].T
            ]
            for series, real in zip(x, mask, strict=True)
        ],
        dtype="float32",
    ).swapaxes(1, 2)


def train_student(name, seed):
    """Train the converted network on the logits of the helper's model."""
    x, y, x_test, y_test = load(name)
    teacher = fitted(x, y, 1008, seed)
    keras.utils.set_random_seed(seed)
    student = build("to_cnn1d", x, y)
    updates = -(-(MIXED + len(y)) // BATCH_SIZE) * MIXED_EPOCHS
    helpers.distill(
        student,
        teacher,
        x if len(x) > 1 else x[0],
        mixed=MIXED,
        epochs=MIXED_EPOCHS,
        learning_rate=keras.optimizers.schedules.CosineDecay(MIXED_RATE, updates),
        verbose=0,
    )
    return {"accuracy": count_right(student, x_test, y_test)}


def under_noise(name):
    """Return accuracies for test series that are noisier than the training series."""
    x, y, x_test, y_test = load(name)
    right = {page.OURS: [], page.ROCKET: []}
    for seed in SEEDS:
        noise = np.random.default_rng(seed).normal(0, page.NOISE, x_test[0].shape)
        for mask in x_test[1:]:
            noise *= mask[..., None]  # MiniRocket reads the padding
        noisy = [(x_test[0] + noise).astype("float32"), *x_test[1:]]
        right[page.OURS].append(count_right(fitted(x, y, 1008, seed), noisy, y_test))
        rocket = scores(with_kernels(1008, x[0], y, seed), noisy[0])
        right[page.ROCKET].append(float(np.mean(rocket.argmax(axis=1) == y_test)))
    return right


def learn_from(number, seed):
    """Return the accuracy of both from so many series: an image is 64 steps."""
    digits = load_digits()
    x, y = (digits.images.reshape(-1, 64, 1) / 8 - 1).astype("float32"), digits.target
    test, held_out, others = np.split(
        np.random.default_rng(0).permutation(len(y)), [500, 800]
    )
    kept = np.random.default_rng(seed).permutation(others)[:number]
    model = fitted([x[kept]], y[kept], 1008, seed)
    trained = train_long(x[kept], y[kept], x[held_out], y[held_out], seed)
    return {
        page.OURS: count_right(model, [x[test]], y[test]),
        "cnn1d": count_right(trained, [x[test]], y[test]),
    }


def train_long(x, y, x_held_out, y_held_out, seed):
    """Return `cnn1d`, stopped and its learning rate chosen on held-out series."""
    models, losses = [], []
    for rate in RATES:
        keras.utils.set_random_seed(seed)
        model = build("cnn1d", [x], y)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss)
        stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
        held_out = {"validation_data": (x_held_out, y_held_out), "callbacks": [stop]}
        history = model.fit(x, y, BATCH_SIZE, epochs=page.EPOCHS, verbose=0, **held_out)
        models.append(model)
        losses.append(min(history.history["val_loss"]))
    return models[int(np.argmin(losses))]


def speed(name):
    """Return CPU seconds of inference for 64 series, each round in turn."""
    x, y, *_ = load(name)
    inputs = [np.resize(each, (64, *each.shape[1:])) for each in x]
    calls = {method: ready(build(method, x, y), inputs) for method in NETWORKS}
    for method, number in page.KERNELS.items():
        calls[method] = ready(fitted(x, y, number, 0), inputs)
    rocket = with_kernels(1008, x[0], y, 0)
    calls[page.ROCKET] = lambda: scores(rocket, inputs[0])
    return in_turns(calls, clock=time.process_time)


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for name in ("ItalyPowerDemand", "BasicMotions"):
        (x, *_), y, *_ = load(name)
        with_kernels(84, x, y, 0)  # so that numba's compiling is not timed
    for name in NAMES:
        for setting, values in page.SETTINGS.items():
            for value in values:
                key = f"{setting}/{name}/{value}"
                yield key, lambda a=(name, setting, value): left_out_error(*a)
        masked = len(load(name)[0]) > 1
        for seed in SEEDS:
            for method in page.KERNELS:
                key = f"train/{name}/{method}/{seed}"
                yield key, lambda a=(name, method, seed): train_ours(*a)
            for method in (page.ROCKET, page.STRETCHED)[: 1 + masked]:
                key = f"train/{name}/{method}/{seed}"
                yield key, lambda a=(name, method, seed): train_rocket(*a)
        yield f"noise/{name}", lambda n=name: under_noise(n)
        yield f"speed/{name}", lambda n=name: speed(n)
    for name in NAMES:
        for seed in SEEDS:
            key = f"train/{name}/{page.TAUGHT}/{seed}"
            yield key, lambda a=(name, seed): train_student(*a)
    for number in page.NUMBERS:
        for seed in SEEDS:
            yield f"more/{number}/{seed}", lambda a=(number, seed): learn_from(*a)


if __name__ == "__main__":
    page.write(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread"))
