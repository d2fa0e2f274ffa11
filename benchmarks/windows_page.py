"""The page of the benchmark of windows: a table a length of series."""

import numpy as np

SIZES = {20_050: "small", 1_000_000: "large"}
ROUNDS = 3
NOTHING = "the same batch again and again"
ARRAYS = "NumPy view, `fit(x, y)`"
UTILITY = "`timeseries_dataset_from_array`"
TF_WINDOWS = "`tf.data`: `window`, `flat_map`"
TF_GATHER = "`tf.data`: a gather a batch"
PY_DATASET = "`PyDataset`: a gather a batch"
OURS = "`windows(…).batches`"
WAYS = (ARRAYS, UTILITY, TF_WINDOWS, TF_GATHER, PY_DATASET, OURS, NOTHING)


def rounds(way, steps):
    """Return how many processes measure a way: one where each takes minutes."""
    return 1 if way in (UTILITY, TF_WINDOWS) and steps > 100_000 else ROUNDS


def median(found, way, steps, what):
    """Return seconds or MB: the median of the rounds."""
    runs = [
        found[f"{way}/{steps}/{number}"][what] for number in range(rounds(way, steps))
    ]
    return float(np.median(runs))


def table(found, steps):
    """Return seconds and memory: a row a way."""
    columns = {
        "read": "batches alone (s)",
        "fit": "an epoch of `fit` (s)",
        "peak": "extra memory (MB)",
    }
    digits = {"read": 2, "fit": 2, "peak": 0}
    if steps > 100_000:
        del columns["read"]
        digits["fit"] = 1
    lines = [
        f"| way | {' | '.join(columns.values())} |",
        "|---" + "|---:" * len(columns) + "|",
    ]
    for way in WAYS:
        cells = [
            f"{median(found, way, steps, what):,.{digits[what]}f}" for what in columns
        ]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    lines = {name: table(found, steps) for steps, name in SIZES.items()}
    return lines | {"measured": [found["measured"] + "."]}
