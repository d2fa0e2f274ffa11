"""Measure CNN-LSTMs and the 1D-CNNs made of them; write the tables of it.

Usage: converting.py [--resume]

Eight data sets on the archive's default splits. Series of unequal length are padded
behind, and all networks are given the mask. The learning rate of each network on each
set is chosen on a third of the training part. ``--resume`` goes on where a run was
stopped.
"""

import json
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import converting_page as page
import keras
import numpy as np
import tensorflow as tf
from aeon.transformations.collection.convolution_based import MiniRocket
from converting_page import NAMES
from sizes import BATCH_SIZE, fit
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cnnseq_helpers as helpers
from cnnseq_helpers.converting.distilling import mix_series

RESULTS = Path(__file__).with_suffix(".json")
SEEDS, RATES = (0, 1, 2), (1e-3, 3e-3)
# Series that are mixed for the teacher, and passes through them. Set once, not tuned.
MIXED, MIXED_EPOCHS, MIXED_RATE = 1_500, 30, 3e-3
KERNELS = {"MiniRocket, 1,008 kernels": 1_008, "MiniRocket": 10_000}
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
ROUNDS = 40


def load(name):
    """Return inputs and labels of both parts, and the mask of the first or None."""
    data = helpers.load_dataset(name)
    longest = max(map(len, [*data.x_train, *data.x_test]))
    x, mask = helpers.pad_batch(data.x_train, length=longest)
    mean, deviation = x[mask].mean(axis=0), x[mask].std(axis=0)
    parts = []
    for series in (data.x_train, data.x_test):
        x, mask = helpers.pad_batch(series, length=longest)
        x = np.where(mask[..., None], (x - mean) / deviation, 0).astype("float32")
        parts.append([x, mask] if len({*map(len, data.x_train)}) > 1 else [x])
    return parts[0], data.y_train, parts[1], data.y_test


def converted(shape, classes, masked):
    """Return the 1D-CNN that to_cnn1d makes of an untrained CNN-LSTM."""
    return helpers.to_cnn1d(helpers.cnn_lstm(shape, classes, masked=masked))


NETWORKS = {
    "CNN-LSTM": helpers.cnn_lstm,
    "to_cnn1d": converted,
    "cnn1d": helpers.cnn1d,
}


def build(method, x, y):
    """Return an untrained network for such inputs and labels."""
    return NETWORKS[method](x[0].shape[1:], y.max() + 1, masked=len(x) > 1)


def count_right(model, x, y):
    """Return the accuracy of a network."""
    logits = model.predict(x if len(x) > 1 else x[0], verbose=0)
    return float(np.mean(logits.argmax(axis=-1) == y))


def choose_rate(name, method):
    """Return the learning rate that is better on a third of the training part."""
    x, y, *_ = load(name)
    kept, held_out = train_test_split(
        np.arange(len(y)), test_size=1 / 3, stratify=y, random_state=0
    )
    right = {}
    for rate in RATES:
        keras.utils.set_random_seed(0)
        model = build(method, x, y)
        fit(model, [each[kept] for each in x], y[kept], rate=rate)
        right[rate] = count_right(model, [each[held_out] for each in x], y[held_out])
    return {"rate": max(RATES, key=right.get), "right": list(right.values())}


def train(name, method, seed, rate):
    """Train a network on the labels and return what was measured."""
    x, y, x_test, y_test = load(name)
    keras.utils.set_random_seed(seed)
    model, ends = build(method, x, y), []
    # An epoch is one call of the graph. The first makes it, and is not timed.
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.process_time())
    )
    fit(model, x, y, rate=rate, callbacks=[clock])
    return {
        "accuracy": count_right(model, x_test, y_test),
        "seconds_an_epoch": (ends[-1] - ends[0]) / (len(ends) - 1),
        "parameters": model.count_params(),
    }


# --- Students and their teacher -------------------------------------------------------


def with_kernels(number, x, y, seed):
    """Return MiniRocket with so many kernels, fitted on series (batch, time, ...)."""
    classifier = make_pipeline(
        MiniRocket(n_kernels=number, random_state=seed),
        StandardScaler(with_mean=False),
        RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)),
    )
    return classifier.fit(turned(x), y)


def turned(x):
    """Return (batch, time, channels) as aeon has it: (batch, channels, time)."""
    return np.swapaxes(x, 1, 2).astype("float64")


def scores(classifier, x):
    """Return one score a class."""
    found = classifier.decision_function(turned(x))
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found


def train_rocket(name, method, seed):
    """Fit MiniRocket and return what was measured."""
    x, y, x_test, y_test = load(name)
    start = time.process_time()
    classifier = with_kernels(KERNELS[method], x[0], y, seed)
    seconds = time.process_time() - start
    right = scores(classifier, x_test[0]).argmax(axis=1) == y_test
    return {"accuracy": float(right.mean()), "seconds": seconds}


def train_student(name, method, seed):
    """Train the converted network on mixed series, by a teacher or by labels."""
    x, y, x_test, y_test = load(name)
    keras.utils.set_random_seed(seed)
    student = build("to_cnn1d", x, y)
    updates = -(-(MIXED + len(y)) // BATCH_SIZE) * MIXED_EPOCHS
    rate = keras.optimizers.schedules.CosineDecay(MIXED_RATE, updates)
    if method == "taught by MiniRocket":
        teacher = with_kernels(10_000, x[0], y, seed)
        helpers.distill(
            student,
            lambda x: scores(teacher, x[0] if isinstance(x, list) else x),
            x if len(x) > 1 else x[0],
            mixed=MIXED,
            epochs=MIXED_EPOCHS,
            learning_rate=rate,
            verbose=0,
        )
    else:
        mixed, pairs, shares = mix_series(x[0], x[1] if len(x) > 1 else None, MIXED)
        one_hot = np.eye(y.max() + 1)
        labels = shares[:, None] * one_hot[y[pairs[:, 0]]]
        labels += (1 - shares[:, None]) * one_hot[y[pairs[:, 1]]]
        added = [mixed, *(each[pairs[:, 0]] for each in x[1:])]
        x = [np.concatenate(both) for both in zip(x, added, strict=True)]
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        student.compile(keras.optimizers.Adam(rate), loss)
        student.fit(
            x if len(x) > 1 else x[0],
            np.concatenate([one_hot[y], labels]),
            batch_size=BATCH_SIZE,
            epochs=MIXED_EPOCHS,
            verbose=0,
        )
    return {"accuracy": count_right(student, x_test, y_test)}


STUDENTS = ("on labels of mixed series", "taught by MiniRocket")


# --- Time, taking turns ---------------------------------------------------------------


def in_turns(functions, rounds=ROUNDS, clock=time.perf_counter):
    """Return the seconds of each function, round by round.

    A first call in each turn brings back to the processor's caches what the function
    before has displaced; the second one counts.
    """
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 1):
        order = list(functions) if turn % 2 else list(functions)[::-1]
        for name in order:
            functions[name]()
            start = clock()
            functions[name]()
            seconds[name].append(clock() - start)
    # The first round makes the graphs.
    return {name: values[1:] for name, values in seconds.items()}


def ready(model, inputs):
    """Return a compiled call of a model on such inputs."""
    run = tf.function(model)
    tensors = [tf.constant(each) for each in inputs]
    return lambda: run(tensors if len(tensors) > 1 else tensors[0], training=False)


def speed(name):
    """Return seconds of inference for 64 series, each round in turn."""
    x, y, *_ = load(name)
    inputs = [np.resize(each, (64, *each.shape[1:])) for each in x]
    calls = {method: ready(build(method, x, y), inputs) for method in NETWORKS}
    for method, number in KERNELS.items():
        rocket = with_kernels(number, x[0], y, 0)
        calls[method] = lambda rocket=rocket: scores(rocket, inputs[0])
    return in_turns(calls)


def front_only(model):
    """Return what a network does before its LSTM."""
    return keras.Model(model.inputs, model.get_layer("lstm").input)


def cost_of_front(name):
    """Return CPU seconds of inference, and of the front that both networks have."""
    x, y, *_ = load(name)
    inputs = [np.resize(each, (64, *each.shape[1:])) for each in x]
    models = {method: build(method, x, y) for method in ("CNN-LSTM", "to_cnn1d")}
    models["front"] = front_only(models["CNN-LSTM"])
    calls = {method: ready(model, inputs) for method, model in models.items()}
    return in_turns(calls, 15, time.process_time)


def cost_at_every_step(steps):
    """Return CPU seconds where each step is answered: nothing is pooled."""
    x = np.random.default_rng(0).normal(size=(64, steps, 1)).astype("float32")
    y = np.zeros((BATCH_SIZE, steps), int)
    series = keras.Input((steps, 1))
    every = keras.layers.LSTM(32, return_sequences=True, name="lstm")(series)
    lstm = keras.Model(series, keras.layers.Dense(4)(every))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    infer, step = {}, {}
    for method, model in {
        "CNN-LSTM": lstm,
        "to_cnn1d": helpers.to_cnn1d(lstm),
        "64 steps": helpers.to_cnn1d(lstm, receptive_field=min(64, steps)),
    }.items():
        infer[method] = ready(model, [x])
        model.compile("adam", loss)
        step[method] = lambda m=model: m.train_on_batch(x[:BATCH_SIZE], y)
    rounds = max(5, min(15, 5_000 // steps))
    return {
        "inference": in_turns(infer, rounds, time.process_time),
        "training": in_turns(step, rounds, time.process_time),
    }


def cost_of_length(steps, masked):
    """Return seconds of inference and of a training step, for both models, in turn."""
    random = np.random.default_rng(0)
    x = [random.normal(size=(64, steps, 1)).astype("float32")]
    if masked:
        lengths = random.integers(steps // 2, steps + 1, size=64)
        x.append(np.arange(steps) < lengths[:, None])
    y = random.integers(4, size=64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    infer, step = {}, {}
    for method in ("CNN-LSTM", "to_cnn1d"):
        model = build(method, x, np.array([3]))
        infer[method] = ready(model, x)
        model.compile("adam", loss)
        few = [each[:BATCH_SIZE] for each in x]
        few = few if masked else few[0]
        step[method] = lambda m=model, few=few: m.train_on_batch(few, y[:BATCH_SIZE])
    rounds = max(6, min(ROUNDS, 20_000 // steps))
    return {"inference": in_turns(infer, rounds), "training": in_turns(step, rounds)}


# --- The run --------------------------------------------------------------------------


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for name in NAMES:
        for method in NETWORKS:
            yield f"rate/{name}/{method}", lambda a=(name, method): choose_rate(*a)
            for seed in SEEDS:
                key = f"train/{name}/{method}/{seed}"
                yield (
                    key,
                    lambda a=(name, method, seed): train(
                        *a, found[f"rate/{a[0]}/{a[1]}"]["rate"]
                    ),
                )
        for methods, measure in ((KERNELS, train_rocket), (STUDENTS, train_student)):
            for method in methods:
                for seed in SEEDS:
                    key = f"train/{name}/{method}/{seed}"
                    yield key, lambda m=measure, a=(name, method, seed): m(*a)
    for name in NAMES:
        yield f"speed/{name}", lambda n=name: speed(n)
    for steps in LENGTHS:
        for masked in (False, True):
            key = f"length/{steps}/{'masked' if masked else 'whole'}"
            yield key, lambda a=(steps, masked): cost_of_length(*a)
    for name in page.FRONTS:
        yield f"front/{name}", lambda n=name: cost_of_front(n)
    for steps in page.STEPS:
        yield f"every/{steps}", lambda n=steps: cost_at_every_step(n)


def measure_missing(jobs, results, arguments, machine):
    """Measure what is missing, keep each result at once, and return all."""
    found = {}
    if "--resume" in arguments and results.exists():
        found = json.loads(results.read_text())
    start = time.perf_counter() - found.get("minutes", 0.0) * 60
    for key, measure in jobs(found):
        if key in found:
            continue
        found[key] = measure()
        found["minutes"] = (time.perf_counter() - start) / 60
        found["measured"] = (
            f"{date.today()}: {machine} ({platform.machine()}), no GPU, "
            f"Python {platform.python_version()}, Keras {keras.__version__}, "
            f"TensorFlow {tf.__version__}, NumPy {np.__version__}"
        )
        results.write_text(json.dumps(found))
        result = found[key].get("accuracy", "")
        print(f"{found['minutes']:.1f} min  {key}  {result}", flush=True)
        keras.backend.clear_session()
    return found


if __name__ == "__main__":
    page.write(measure_missing(jobs, RESULTS, sys.argv[1:], f"{os.cpu_count()} cores"))
