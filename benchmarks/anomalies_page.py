"""The page of the benchmark of anomalies: tables of scores, alarms and one class."""

import numpy as np
from stored_tables import head, spread

# Steps of the source's training part, or ours, and of a window.
SERIES = {
    "InternalBleeding16": (1200, 60),
    "mitdb": (3000, 200),
    "yahoo": (400, 28),
}
SHOWN = {"InternalBleeding16": "pulse", "mitdb": "ECG", "yahoo": "traffic"}
RANDOM = "random numbers"
DIFFERENCE, DEVIATION = "absolute difference", "moving z-score"
PCA, FOREST = "PCA, 95 % of the variance", "isolation forest"
NEAREST = "nearest training window"
FORECASTS = ("forecast, CNN-LSTM", "forecast, 1D-CNN")
CODERS = ("autoencoder, CNN-LSTM", "autoencoder, 1D-CNN")
NETWORKS = (*FORECASTS, *CODERS)
SEEDED = (RANDOM, FOREST, *NETWORKS)
METHODS = (RANDOM, DIFFERENCE, DEVIATION, PCA, FOREST, NEAREST, *NETWORKS)
SEEDS = range(3)
RATES = (0.003, 0.01)
OTHERS = ("standing", "running", "badminton")
STRENGTH, UNUSUAL = "deviation", "deviation, unusual either way"
RAW_NEAREST = "nearest training window, not standardised"
ONE_CLASS = (RANDOM, STRENGTH, UNUSUAL, PCA, FOREST, NEAREST, RAW_NEAREST, *CODERS)


def runs(found, name, method):
    """Return what was measured for a method: one record a seed."""
    seeds = SEEDS if method in SEEDED else range(1)
    return [found[f"{name}/{method}/{seed}"] for seed in seeds]


def values(found, name, method, measure):
    """Return one measure of each seed."""
    return [run[measure] for run in runs(found, name, method)]


def best_table(found):
    """Return VUS-PR, and how many of the runs hit an anomaly."""
    lines = head([f"{SHOWN[n]}, {what}" for n in SERIES for what in ("VUS-PR", "hits")])
    for method in METHODS:
        cells = []
        for name in SERIES:
            hits = values(found, name, method, "hit")
            cells.append(spread(values(found, name, method, "vus_pr")))
            cells.append(f"{sum(hits)} of {len(hits)}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def measure_table(found, measures):
    """Return other measures: a column a series and measure."""
    lines = head([f"{SHOWN[n]}, {what}" for n in SERIES for what in measures])
    for method in METHODS:
        cells = [
            spread(values(found, name, method, measure))
            for name in SERIES
            for measure in measures.values()
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def alarm_table(found):
    """Return false alarms, anomalies that were found, and the delay."""
    heads = ("false alarms", "found", "delay")
    lines = head([f"{SHOWN[n]}, {what}" for n in SERIES for what in heads])
    for method in METHODS:
        cells = []
        for name in SERIES:
            records = [run["alarms"] for run in runs(found, name, method)]
            false = 100 * np.mean([record["false"] for record in records])
            delays = [delay for record in records for delay in record["delays"]]
            came = [delay for delay in delays if delay is not None]
            cells.append(f"{false:.1f} %")
            cells.append(f"{len(came)} of {len(delays)}")
            cells.append(f"{np.median(came):.0f}" if came else "")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def cost_table(found):
    """Return CPU seconds of a fit, the weights of a network and its chosen rate."""
    heads = [f"{SHOWN[n]}, {what}" for n in SERIES for what in ("CPU s", "rate")]
    lines = head(heads)
    for method in (PCA, FOREST, NEAREST, *NETWORKS):
        cells = []
        for name in SERIES:
            cells.append(f"{np.mean(values(found, name, method, 'seconds')):.1f}")
            rate = chosen_rate(found, name, method) if method in NETWORKS else ""
            cells.append(str(rate))
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def chosen_rate(found, name, method):
    """Return the learning rate of the smallest loss on held-out normal windows."""
    return min(RATES, key=lambda rate: found[f"rate/{name}/{method}/{rate}"]["loss"])


def class_table(found):
    """Return the ROC AUC of walking against each other activity."""
    lines = head([f"walking or {other}" for other in OTHERS])
    for method in ONE_CLASS:
        cells = [spread(values(found, "walking", method, each)) for each in OTHERS]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def tables(found):
    """Return the lines of every file."""
    return {
        "scores": best_table(found),
        "roc": measure_table(found, {"ROC AUC": "roc"}),
        "adjusted": measure_table(found, {"F1": "f1", "adjusted": "f1_adjusted"}),
        "alarms": alarm_table(found),
        "cost": cost_table(found),
        "class": class_table(found),
        "measured": [found["measured"] + "."],
    }
