"""The page of the benchmark of repeated runs: settings, and sixty seeds."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
KINDS = ("LSTM", "GRU", "mean")
SEEDS, SETTING_SEEDS, RUNS, SERIES = 60, 3, 2, 150
# oneDNN on or off, threads, deterministic operations on or off
SETTINGS = {
    "oneDNN, 1 thread": (1, 1, 0),
    "oneDNN, 2 threads": (1, 2, 0),
    "no oneDNN, 1 thread": (0, 1, 0),
    "no oneDNN, 2 threads": (0, 2, 0),
    "oneDNN, 2 threads, deterministic operations": (1, 2, 1),
}
FIRST = next(iter(SETTINGS))


def right(found, kind):
    """Return for each seed which test series are answered right: (seeds, series)."""
    wrong = found[f"seeds/{kind}"]["wrong"]
    return np.array([~np.isin(np.arange(SERIES), each) for each in wrong])


def run(found, name, number=0):
    return found[f"setting/{name}/{number}"]


def repeats(found, name):
    """Return whether all runs under a setting ended in the same weights."""
    digests = {run(found, name, number)["digest"] for number in range(RUNS)}
    return len(digests) == 1


def apart(found, name, when):
    """Return the largest difference of a logit from the first setting."""
    given, first = run(found, name)[when], run(found, FIRST)[when]
    return float(np.abs(np.subtract(given, first)).max())


def settings_table(found):
    """Return how far settings are apart, after one update and after training."""
    lines = [
        "| setting | again the same | logits apart after 1 update | after training "
        "| right of 150, three seeds |",
        "|---|---|---:|---:|---|",
    ]
    for name in SETTINGS:
        same = "yes, all bits" if repeats(found, name) else "no"
        first, last = (apart(found, name, when) for when in ("first", "last"))
        first, last = (f"{x:.0e}" if x else "0" for x in (first, last))
        counts = ", ".join(map(str, run(found, name)["right"]))
        lines.append(f"| {name} | {same} | {first} | {last} | {counts} |")
    return lines


def seeds_table(found):
    """Return the accuracies of sixty seeds for each model."""
    lines = [
        "| behind the convolution | mean | standard deviation | range |",
        "|---|---:|---:|---|",
    ]
    for kind in KINDS:
        each = right(found, kind).mean(axis=1)
        lines.append(
            f"| {kind} | {each.mean():.3f} | {each.std(ddof=1):.3f} "
            f"| {each.min():.2f} to {each.max():.2f} |"
        )
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    return {
        "settings": settings_table(found),
        "seeds": seeds_table(found),
        "measured": [found["measured"] + "."],
    }


def write(found):
    """Write the tables."""
    for name, lines in tables(found).items():
        (HERE / f"repeatable_{name}.md").write_text("\n".join(lines) + "\n")
