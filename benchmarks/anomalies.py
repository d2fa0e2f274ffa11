"""Measure ways to find anomalies on three series, and in recordings of one class.

Usage: anomalies.py [--resume]

One thread. Labels are read for the measures alone: learning rates and thresholds come
from held-out normal steps. ``--resume`` goes on where a run was stopped.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import anomalies_page as page
import keras
import numpy as np
from aeon.benchmarking.metrics.anomaly_detection import range_pr_vus_score
from converting import measure_missing
from keras import layers
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
UPDATES = 1000
BATCH_SIZE = 32
FITTED = 0.7  # of the training part; the rest is held out
WITHIN = 100  # steps from an anomaly that still count as a hit: the UCR archive's rule
PROMISED = 0.01  # false alarms


def load(name):
    """Return the series, its labels, where its parts end, and the width of windows."""
    series, (training, width) = helpers.load_series(name), page.SERIES[name]
    assert not series.anomalous[:training].any()
    x = series.values[:, 0].astype("float64")
    return x, series.anomalous, int(FITTED * training), training, width


def without_level(x, steps):
    """Return a series (time,) minus the mean of its last steps, or of all so far."""
    total = np.concatenate([[0], np.cumsum(x)])
    ends = np.arange(1, len(x) + 1)
    begins = np.maximum(ends - steps, 0)
    return x - (total[ends] - total[begins]) / (ends - begins)


def level(x, fitted, width):
    """Return a series without its level, with deviation 1 in the fitted part."""
    x = without_level(x, 3 * width)
    return x / x[:fitted].std()


def standardised(windows):
    """Return windows (batch, width, channels) with mean 0 and deviation 1 each."""
    middle, deviation = windows.mean(1, keepdims=True), windows.std(1, keepdims=True)
    return (windows - middle) / (deviation + 1e-6)


def cut(x, width, step=1):
    """Return windows (batch, width, channels) of a series (time,) or with channels."""
    x = x.reshape(len(x), -1)
    return sliding_window_view(x, width, axis=0)[::step].swapaxes(1, 2)


# --- Networks -------------------------------------------------------------------------


def autoencoder(kind, width, channels=1, code=16):
    """Return a CNN-LSTM or a 1D-CNN that writes a window as 16 numbers and back."""
    options = {"strides": 2, "padding": "same"}
    x = window = keras.Input((width, channels))
    for _ in range(2):
        x = layers.Conv1D(16, 5, activation="relu", **options)(x)
    if kind == "CNN-LSTM":
        x = layers.LSTM(code)(x)
        x = layers.RepeatVector(width // 4)(x)
        x = layers.LSTM(16, return_sequences=True)(x)
    else:
        x = layers.Dense(code)(layers.Flatten()(x))
        x = layers.Dense(width // 4 * 16, activation="relu")(x)
        x = layers.Reshape((width // 4, 16))(x)
    x = layers.Conv1DTranspose(16, 5, activation="relu", **options)(x)
    return keras.Model(window, layers.Conv1DTranspose(channels, 5, **options)(x))


def forecaster(kind, width):
    """Return a CNN-LSTM, or a causal 1D-CNN that sees no more than the window."""
    x = window = keras.Input((width, 1))
    if kind == "CNN-LSTM":
        x = layers.Conv1D(16, 5, padding="causal", activation="relu")(x)
        x = layers.LSTM(32)(layers.MaxPooling1D(4)(x))
    else:
        left, rate = (width - 1) // 4, 1
        while left:
            options = {"dilation_rate": rate, "padding": "causal"}
            x = layers.Conv1D(16, 5, activation="relu", **options)(x)
            left -= rate
            rate = min(2 * rate, left)
        x = x[:, -1]
    return keras.Model(window, layers.Dense(1)(x))


def pairs(method, x, fitted, width):
    """Return inputs and targets of a network for a series: a pair a window."""
    if method in page.CODERS:
        return (standardised(cut(x, width)),) * 2
    whole = cut(level(x, fitted, width), width + 1)
    return whole[:, :-1], whole[:, -1]


def trained(method, x, y, rate, seed, channels=1):
    """Return a network trained on every second window, and its CPU seconds."""
    keras.utils.set_random_seed(seed)
    build = autoencoder if method in page.CODERS else forecaster
    options = (channels,) if method in page.CODERS else ()
    model = build(method.split(", ")[1], x.shape[1], *options)
    model.compile(keras.optimizers.Adam(rate), "mse")
    start = time.process_time()
    epochs = round(UPDATES / -(-len(x[::2]) // BATCH_SIZE))
    model.fit(x[::2], y[::2], batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    return model, time.process_time() - start


def held_out_loss(name, method, rate):
    """Return the error on held-out normal windows: it chooses the learning rate."""
    x, _, fitted, training, width = load(name)
    inputs, targets = pairs(method, x[:training], fitted, width)
    first = fitted - width + (method in page.CODERS)  # one window fewer for a forecast
    model, _ = trained(method, inputs[:first], targets[:first], rate, seed=0)
    answers = model.predict(inputs[fitted:], batch_size=256, verbose=0)
    return {"loss": float(np.mean((answers - targets[fitted:]) ** 2))}


# --- Scores ---------------------------------------------------------------------------


def spread_out(errors, width):
    """Return scores by step: the mean over all windows (batch, width) around it."""
    total = np.zeros(len(errors) + width - 1)
    count = np.zeros_like(total)
    for place in range(width):
        total[place : place + len(errors)] += errors[:, place]
        count[place : place + len(errors)] += 1
    return total / count


def by_window(errors, width):
    """Return scores when all is known, and scores known at each step."""
    errors = np.broadcast_to(errors, (len(errors), width))
    live = np.concatenate([np.zeros(width - 1), errors.mean(axis=1)])
    return spread_out(errors, width), live


def nearest(train, windows):
    """Return the squared distance of each window to the nearest one of the training."""
    train, windows = (each.reshape(len(each), -1) for each in (train, windows))
    squares = (train**2).sum(axis=1)
    parts = np.array_split(windows, max(1, len(windows) // 500))
    least = [(squares - 2 * part @ train.T).min(axis=1) for part in parts]
    return np.maximum(np.concatenate(least) + (windows**2).sum(axis=1), 0)


def window_errors(method, train, windows, seed):
    """Return errors of windows (batch, width), or (batch, 1), by a simple method."""
    if method == page.NEAREST:
        return nearest(train, windows)[:, None]
    flat, shape = train.reshape(len(train), -1), windows.shape
    if method == page.FOREST:
        forest = IsolationForest(random_state=seed).fit(flat)
        return -forest.score_samples(windows.reshape(len(windows), -1))[:, None]
    pca = PCA(0.95).fit(flat)
    given = windows.reshape(len(windows), -1)
    back = pca.inverse_transform(pca.transform(given))
    return ((back - given) ** 2).reshape(shape).mean(axis=2)


def scores(found, name, method, seed):
    """Return two scores a step, when all is known and live, and CPU seconds to fit."""
    x, _, fitted, _, width = load(name)
    start = time.process_time()
    if method == page.RANDOM:
        each = np.random.default_rng(seed).random(len(x))
    elif method == page.DIFFERENCE:
        each = np.abs(np.diff(x, prepend=x[0]))
    elif method == page.DEVIATION:
        before = cut(x, width)[:-1, :, 0]
        each = np.zeros(len(x))
        each[width:] = np.abs(x[width:] - before.mean(1)) / (before.std(1) + 1e-6)
    elif method in page.NETWORKS:
        rate = page.chosen_rate(found, name, method)
        inputs, targets = pairs(method, x, fitted, width)
        first = fitted - width + (method in page.CODERS)
        model, seconds = trained(method, inputs[:first], targets[:first], rate, seed)
        errors = (model.predict(inputs, batch_size=256, verbose=0) - targets) ** 2
        if method in page.CODERS:
            return *by_window(errors[..., 0], width), seconds
        each = np.concatenate([np.zeros(width), errors[:, 0]])
        return each, each, seconds
    else:
        windows = standardised(cut(x, width))
        errors = window_errors(method, windows[: fitted - width + 1], windows, seed)
        return *by_window(errors, width), time.process_time() - start
    return each, each, time.process_time() - start


# --- Measures -------------------------------------------------------------------------


def pieces(labels):
    """Return the first step of each anomaly and the one behind its last."""
    edges = np.flatnonzero(np.diff(np.r_[0, labels, 0]))
    return edges.reshape(-1, 2)


def f1_scores(labels, score):
    """Return the best F1, as it is and point-adjusted, over 500 thresholds."""
    best = np.zeros(2)
    for limit in np.quantile(score, np.linspace(0, 1, 500)):
        alarm = score >= limit
        adjusted = alarm.copy()
        for begin, end in pieces(labels):
            adjusted[begin:end] |= alarm[begin:end].any()
        both = [
            2 * (a & labels).sum() / (a.sum() + labels.sum()) for a in (alarm, adjusted)
        ]
        best = np.maximum(best, both)
    return best.tolist()


def alarms(labels, live, limit, width):
    """Return the share of false alarms, and the delay of each anomaly found."""
    over, near, delays = live > limit, np.zeros(len(live), bool), []
    for begin, end in pieces(labels):
        near[begin : end + width] = True
        first = np.flatnonzero(over[begin : end + width])
        delays.append(int(first[0]) if len(first) else None)
    return {"false": float(over[~near].mean()), "delays": delays}


def measure(found, name, method, seed):
    """Return all measures of a method on a series behind its training part."""
    _, labels, fitted, training, width = load(name)
    score, live, seconds = scores(found, name, method, seed)
    limit = np.quantile(live[fitted + width : training], 1 - PROMISED)
    score, live, labels = score[training:], live[training:], labels[training:]
    peak = int(score.argmax())
    hit = any(b - WITHIN <= peak < e + WITHIN for b, e in pieces(labels))
    plain, adjusted = f1_scores(labels, score)
    return {
        "vus_pr": float(range_pr_vus_score(labels.astype(int), score, width)),
        "roc": float(roc_auc_score(labels, score)),
        "hit": bool(hit),
        "f1": plain,
        "f1_adjusted": adjusted,
        "alarms": alarms(labels, live, limit, width),
        "seconds": seconds,
    }


# --- One class ------------------------------------------------------------------------

WIDTH = 48


def walking():
    """Return windows of walking, fitted and held out, and those of test recordings."""
    data = helpers.load_dataset("BasicMotions")
    walks = data.x_train[data.y_train == data.class_names.index("walking")]
    mean, deviation = walks[:7].mean((0, 1)), walks[:7].std((0, 1))
    parts = [(each - mean) / deviation for each in (walks[:7], walks[7:], data.x_test)]
    parts = [np.stack([cut(each, WIDTH) for each in part]) for part in parts]
    names = np.array(data.class_names)[data.y_test]
    return *[part.reshape(-1, WIDTH, 6) for part in parts[:2]], parts[2], names


def class_loss(method, rate):
    """Return the error on held-out windows of walking."""
    fitted, held_out, *_ = walking()
    model, _ = trained(method, fitted, fitted, rate, 0, channels=6)
    answers = model.predict(held_out, batch_size=256, verbose=0)
    return {"loss": float(np.mean((answers - held_out) ** 2))}


def measure_class(found, method, seed):
    """Return the ROC AUC of each other activity, by the mean score of a recording."""
    fitted, _, test, names = walking()
    windows = test.reshape(-1, WIDTH, 6)
    if method == page.RANDOM:
        errors = np.random.default_rng(seed).random((len(windows), 1))
    elif method == page.STRENGTH:
        errors = windows.std(axis=1)
    elif method == page.UNUSUAL:
        usual = np.log(fitted.std(axis=1)).mean(axis=0)
        errors = np.abs(np.log(windows.std(axis=1)) - usual)
    elif method == page.NEAREST:
        errors = nearest(standardised(fitted), standardised(windows))
    elif method == page.RAW_NEAREST:
        errors = nearest(fitted, windows)
    elif method in page.CODERS:
        rate = page.chosen_rate(found, "walking", method)
        model, _ = trained(method, fitted, fitted, rate, seed, channels=6)
        errors = (model.predict(windows, batch_size=256, verbose=0) - windows) ** 2
    else:
        errors = window_errors(method, fitted, windows, seed)
    score = errors.reshape(len(test), -1).mean(axis=1)
    right = {}
    for other in page.OTHERS:
        chosen = np.isin(names, ["walking", other])
        right[other] = float(roc_auc_score(names[chosen] == other, score[chosen]))
    return right


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for name in page.SERIES:
        for method in page.NETWORKS:
            for rate in page.RATES:
                key = f"rate/{name}/{method}/{rate}"
                yield key, lambda a=(name, method, rate): held_out_loss(*a)
        for method in page.METHODS:
            for seed in page.SEEDS if method in page.SEEDED else range(1):
                key = f"{name}/{method}/{seed}"
                yield key, lambda a=(name, method, seed): measure(found, *a)
    for method in page.CODERS:
        for rate in page.RATES:
            key = f"rate/walking/{method}/{rate}"
            yield key, lambda a=(method, rate): class_loss(*a)
    for method in page.ONE_CLASS:
        for seed in page.SEEDS if method in page.SEEDED else range(1):
            key = f"walking/{method}/{seed}"
            yield key, lambda a=(method, seed): measure_class(found, *a)


if __name__ == "__main__":
    write_tables(
        "anomalies",
        page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
    )
