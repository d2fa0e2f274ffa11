"""The page of the benchmark of repeated runs: settings, and sixty seeds."""

import numpy as np

KINDS = ("LSTM", "GRU", "mean")
SEEDS, SETTING_SEEDS, RUNS, SERIES = 60, 3, 2, 150
PRICE_RUNS = 5
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
    """Return what one process under a setting printed."""
    return found[f"setting/{name}/{number}"]


def repeats(found, name):
    """Return whether all runs under a setting ended in the same weights."""
    digests = {run(found, name, number)["digest"] for number in range(RUNS)}
    return len(digests) == 1


def apart(found, name, when):
    """Return the largest difference of a logit from the first setting."""
    given, first = run(found, name)[when], run(found, FIRST)[when]
    return float(np.abs(np.subtract(given, first)).max())


def digits(difference):
    """Return a difference as the table shows it."""
    if difference == 0:
        return "0"
    return f"{difference:.0e}" if difference < 0.1 else f"{difference:.1f}"


def settings_table(found):
    """Return how far settings are apart, after one update and after training."""
    lines = [
        "| setting | at first | later | right of 150 |",
        "|---|---:|---:|---|",
    ]
    for name in SETTINGS:
        first, last = (digits(apart(found, name, when)) for when in ("first", "last"))
        counts = " ".join(map(str, run(found, name)["right"]))
        label = name.replace("deterministic operations", "fixed order")
        lines.append(f"| {label} | {first} | {last} | {counts} |")
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


def best_of(found, kind, number=10, draws=5_000):
    """Return accuracies of the best of some seeds, chosen by half of the test series.

    They are the mean of these seeds, that of the best on the half that chose it, and
    that of the same network on the other half; each the mean of many draws.
    """
    random, answers = np.random.default_rng(0), right(found, kind)
    came = []
    for _ in range(draws):
        drawn = answers[random.integers(0, SEEDS, number)]
        halves = np.split(random.permutation(SERIES), 2)
        chosen_on, other = (drawn[:, half] for half in halves)
        best = chosen_on.mean(axis=1).argmax()
        came.append([drawn.mean(), chosen_on[best].mean(), other[best].mean()])
    return np.mean(came, axis=0)


def best_table(found):
    """Return what is left of the best of ten seeds on series that did not choose it."""
    lines = [
        "| network | mean | best | elsewhere |",
        "|---|---:|---:|---:|",
    ]
    for kind in KINDS[:2]:
        cells = " | ".join(f"{share:.3f}" for share in best_of(found, kind))
        lines.append(f"| {kind} | {cells} |")
    return lines


def ratios(found, what):
    """Return how many times as long each run takes with operations of a fixed order."""
    seconds = [
        [found[f"price/{fixed}/{number}"][what] for number in range(PRICE_RUNS)]
        for fixed in (0, 1)
    ]
    return np.divide(seconds[1], seconds[0])


def price_table(found):
    """Return the price of operations of a fixed order."""
    lines = ["| | times as long |", "|---|---:|"]
    for what, name in (("fit", "`fit`"), ("map", "`map` with random operations")):
        each = ratios(found, what)
        spread = (each.max() - each.min()) / 2
        lines.append(f"| {name} | {np.median(each):.1f} ± {spread:.1f} |")
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    return {
        "settings": settings_table(found),
        "seeds": seeds_table(found),
        "best": best_table(found),
        "price": price_table(found),
        "measured": [found["measured"] + "."],
    }
