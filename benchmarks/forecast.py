"""Measure forecasts of electricity demand and of temperature against baselines.

Usage: forecast.py [--resume]

One thread. Learning rates and epochs come from the validation part, August; the test
part, from October on, is read by the measures alone. ``--resume`` goes on where a run
was stopped.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import forecast_page as page
import keras
import numpy as np
from converting import measure_missing
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
LOOK_BACK, AHEAD = 48, 24  # hours
BATCH_SIZE, MOST_EPOCHS, PATIENCE = 128, 50, 6
# The end of each part, in days of 2014. September, the calibration part of the
# chapter's intervals, is not used here.
ENDS = {"training": 212, "validation": 243, "calibration": 273, "test": 365}
BEGINS = dict(zip(ENDS, [0, *ENDS.values()], strict=False))


def load():
    """Return the series to forecast by name, and the inputs (hour, channels)."""
    halves = helpers.load_series("elecdemand").values
    demand, working, temperature = halves.reshape(-1, 2, 3).mean(axis=1).T
    clock = 2 * np.pi * np.arange(len(demand)) / 24
    tomorrow = np.append(working[24:], working[-24:])  # known in advance
    columns = [demand, temperature, tomorrow, np.sin(clock), np.cos(clock)]
    inputs = np.stack(columns, axis=1)
    known = inputs[: ENDS["training"] * 24]
    inputs = (inputs - known.mean(axis=0)) / known.std(axis=0)
    return {"demand": demand, "temperature": temperature}, inputs


def cut(series, part):
    """Return origins (batch,), hours (batch, 48) and the truth (batch, 24)."""
    now = np.arange(BEGINS[part] * 24 + LOOK_BACK - 1, ENDS[part] * 24 - AHEAD)
    past = now[:, None] + np.arange(1 - LOOK_BACK, 1)
    return now, past, series[now[:, None] + np.arange(1, AHEAD + 1)]


def parts(target, method):
    """Return for each part the inputs, the targets and what these are relative to."""
    series, inputs = load()
    series = series[target]
    known = series[: ENDS["training"] * 24]
    found = {}
    for part in ("training", "validation", "test"):
        now, past, truth = cut(series, part)
        base = series[now][:, None] if method.endswith("changes") else known.mean()
        found[part] = inputs[past], (truth - base) / known.std(), base
    return found, known.std()


# --- Models ---------------------------------------------------------------------------


def network(kind, channels):
    """Return the chapter's CNN-LSTM, or its 1D-CNN: 24 hours at once."""
    stack = [
        keras.Input((LOOK_BACK, channels)),
        layers.Conv1D(16, 5, activation="relu"),
        layers.MaxPooling1D(4),
    ]
    if kind == "CNN-LSTM":
        stack += [layers.LSTM(24)]
    else:
        stack += [layers.Conv1D(32, 3, activation="relu"), layers.Flatten()]
    return keras.Sequential([*stack, layers.Dense(AHEAD)])


def train(target, method, rate, seed):
    """Return what a network reaches on the validation and on the test part."""
    data, scale = parts(target, method)
    x, y, _ = data["training"]
    keras.utils.set_random_seed(seed)
    model = network(method.split(",")[0], x.shape[-1])
    model.compile(keras.optimizers.Adam(rate), "mae", steps_per_execution=10)
    stop = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    start = time.process_time()
    history = model.fit(
        x,
        y,
        validation_data=data["validation"][:2],
        epochs=MOST_EPOCHS,
        batch_size=BATCH_SIZE,
        callbacks=[stop],
        verbose=0,
    ).history
    seconds = time.process_time() - start
    x, _, base = data["test"]
    return {
        "validation": min(history["val_loss"]),
        "epochs": len(history["loss"]),
        "seconds": seconds,
        **measure(target, base + scale * model.predict(x, verbose=0)),
    }


def solve(target, method):
    """Return what a linear model of the same windows reaches, by least squares."""
    data, scale = parts(target, method)

    def rows(part):
        x = data[part][0].reshape(len(data[part][0]), -1)
        return np.hstack([x, np.ones((len(x), 1))]).astype(float)

    a = rows("training")
    ridge = np.eye(a.shape[1])  # so that it can be solved
    weights = np.linalg.solve(a.T @ a + ridge, a.T @ data["training"][1])
    return measure(target, data["test"][2] + scale * rows("test") @ weights)


def repeat(target, baseline):
    """Return what a forecast without any training reaches."""
    series = load()[0][target]
    now, *_ = cut(series, "test")
    ahead = now[:, None] + np.arange(1, AHEAD + 1)
    hours = {page.LAST: now[:, None] + 0 * ahead, page.YESTERDAY: ahead - 24}
    return measure(target, series[hours.get(baseline, ahead - 168)])


def measure(target, forecast):
    """Return errors by horizon; R² and lags of the first hour."""
    *_, truth = cut(load()[0][target], "test")
    first, true = forecast[:, 0], truth[:, 0]
    drawn, steps = np.diff(first), np.diff(true)
    lags = [
        np.corrcoef(drawn[lag:], steps[: len(steps) - lag])[0, 1] for lag in range(4)
    ]
    return {
        "errors": np.abs(forecast - truth).mean(axis=0).tolist(),
        "r2": float(1 - np.mean((first - true) ** 2) / true.var()),
        "lags": [float(each) for each in lags],
    }


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for target, methods in page.NETWORKS.items():
        for name in page.BASELINES:
            yield f"{target}/{name}", lambda a=(target, name): repeat(*a)
        for name in page.LINES:
            yield f"{target}/{name}", lambda a=(target, name): solve(*a)
        for method in methods:
            for rate in page.RATES[target]:
                for seed in page.SEEDS:
                    key = f"{target}/{method}/{rate}/{seed}"
                    yield key, lambda a=(target, method, rate, seed): train(*a)


if __name__ == "__main__":
    write_tables(
        "forecast",
        page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
    )
