"""The page of the converting benchmark: promises, tables and figures."""

import os
import platform
import re
from pathlib import Path

import aeon
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
NAMES = (
    "JapaneseVowels",
    "BasicMotions",
    "GunPoint",
    "ItalyPowerDemand",
    "PickupGestureWiimoteZ",
)
LONG = ("BasicMotions", "GunPoint", "PickupGestureWiimoteZ")  # 100 steps or more
ONE_ERROR = {"JapaneseVowels": 370, "BasicMotions": 40, "GunPoint": 150}
ONE_ERROR |= {"ItalyPowerDemand": 1029, "PickupGestureWiimoteZ": 50}
BASE = "CNN-LSTM"
IN_FRONT = "CNN-LSTM, padded in front"


def runs(found, name, method, field):
    """Return a measured field of all seeds."""
    start = f"train/{name}/{method}/"
    return [found[key][field] for key in sorted(found) if key.startswith(start)]


def as_timed(method):
    """Return the method that has the same network, and so the same inference."""
    same = method.startswith(("CNN-LSTM,", "to_cnn1d,", "cnn1d,"))
    return method.split(",")[0] if same else method


def mean(found, method, field, names=NAMES):
    """Return the mean over data sets of the mean over seeds."""
    return float(np.mean([np.mean(runs(found, n, method, field)) for n in names]))


def gain(record, method, over=BASE):
    """Return how many times as fast as another a method is: the median of rounds."""
    return float(np.median(np.array(record[over]) / np.array(record[method])))


def geometric(numbers):
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(numbers))))


def training_gains(found, names):
    """Return CPU seconds of the CNN-LSTM over those of to_cnn1d, start-up left out."""
    return [
        np.mean(runs(found, n, BASE, "seconds"))
        / np.mean(runs(found, n, "to_cnn1d", "seconds"))
        for n in names
    ]


# --- What was promised ----------------------------------------------------------------


def promises(found):
    """Return a table in Markdown of what was promised and what was found."""
    below = [
        np.mean(runs(found, n, "to_cnn1d", "accuracy"))
        - np.mean(runs(found, n, BASE, "accuracy"))
        + 1 / ONE_ERROR[n]
        for n in NAMES
    ]
    rows = [
        (
            "data sets of the five on which `to_cnn1d` is at least as good as the "
            "CNN-LSTM, or one test error behind",
            "5",
            sum(each >= -1e-9 for each in below),
            5,
        ),
        (
            "points of accuracy by which `to_cnn1d` is ahead, mean of the five",
            "5",
            100 * (mean(found, "to_cnn1d", "accuracy") - mean(found, BASE, "accuracy")),
            5,
        ),
        (
            "times as fast in inference, batch 64, geometric mean of the three sets "
            "of 100 steps or more",
            "2",
            geometric([gain(found[f"speed/{n}"]["64"], "to_cnn1d") for n in LONG]),
            2,
        ),
        (
            "times as fast in training, the same three sets",
            "2",
            geometric(training_gains(found, LONG)),
            2,
        ),
    ]
    if "length/2048" in found:
        for what in ("inference", "training"):
            times = gain(found["length/2048"][what], "to_cnn1d")
            rows.append((f"times as fast at 2,048 steps, {what}", "5", times, 5))
    deep = "InceptionTime, 1 network"
    if all(runs(found, n, deep, "accuracy") for n in NAMES):
        ours = "cnn1d, 200 epochs"
        ahead = mean(found, ours, "accuracy") - mean(found, deep, "accuracy")
        rows.append(
            (
                "points of accuracy by which `cnn1d` (200 epochs) is ahead of one "
                "network of InceptionTime (1,500), mean of the five",
                "-1",
                100 * ahead,
                -1,
            )
        )
        share = total_seconds(found, ours, NAMES) / mean(found, deep, "seconds")
        text = "CPU seconds of training that `cnn1d` takes for one of InceptionTime's"
        rows.append((text, "at most 0.2", share, None))
    lines = ["| | promised | found | |", "|---|---|---|---|"]
    for text, wanted, value, least in rows:
        reached = value <= 0.2 if least is None else value >= least
        mark = "reached" if reached else "**missed**"
        number = f"{value}" if isinstance(value, int | np.integer) else f"{value:.2f}"
        lines.append(f"| {text} | {wanted} | {number} | {mark} |")
    if all(runs(found, n, IN_FRONT, "accuracy") for n in NAMES):
        lead = mean(found, "to_cnn1d", "accuracy") - mean(found, IN_FRONT, "accuracy")
        text = (
            "points ahead of the CNN-LSTM with the padding in front, mean of the five"
        )
        lines.append(f"| {text} | none | {100 * lead:.2f} | |")
    return lines


# --- Tables ---------------------------------------------------------------------------


def accuracy_table(found, names, methods):
    """Return a table of accuracy by data set: mean, lowest and highest."""
    # A long name may break before its capitals, a range goes below its mean.
    header = [re.sub("(?<=[a-z])(?=[A-Z])", "<wbr>", name) for name in names]
    lines = [f"| | {' | '.join(header)} |", "|---" * (len(names) + 1) + "|"]
    for method in methods:
        cells = []
        for name in names:
            values = runs(found, name, method, "accuracy")
            low, high = min(values), max(values)
            spread = f"{low:.3f} to {high:.3f}" if len(values) > 1 else "one seed"
            cells.append(f"{np.mean(values):.3f}<br>{spread}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def training_table(found, names, methods):
    """Return a table of what training costs, means over the data sets."""
    lines = [
        "| | mean accuracy | epochs | CPU s | start-up | of the CNN-LSTM's |",
        "|---" * 6 + "|",
    ]
    base = total_seconds(found, BASE, names)
    for method in methods:
        seconds = total_seconds(found, method, names)
        start = mean(found, method, "start_seconds", names)
        epochs = runs(found, names[0], method, "epochs")[0] or "-"
        lines.append(
            f"| {method} | {mean(found, method, 'accuracy', names):.3f} | {epochs} | "
            f"{seconds:.1f} | {f'{start:.1f}' if start else '-'} | "
            f"{seconds / base:.2f} |"
        )
    return lines


def inference_table(found, names, methods):
    """Return a table of what inference costs: geometric means, and parameters."""
    lines = [
        "| | batch 1, ms | batch 64, ms | times as fast | parameters |",
        "|---" * 5 + "|",
    ]
    for method in [each for each in methods if as_timed(each) == each]:
        records = [found[f"speed/{name}"] for name in names]
        one = geometric([np.median(r["1"][method]) * 1e3 for r in records])
        many = geometric([np.median(r["64"][method]) * 1e3 / 64 for r in records])
        faster = geometric([gain(r["64"], method) for r in records])
        parameters = mean(found, method, "parameters", names)
        lines.append(
            f"| {method} | {one:.2f} | {many:.4f} | {faster:.2f} | "
            f"{f'{parameters:,.0f}' if parameters else '-'} |"
        )
    return lines


def total_seconds(found, method, names):
    """Return CPU seconds of training with start-up, mean over data sets and seeds."""
    fields = ("seconds", "start_seconds")
    return sum(mean(found, method, field, names) for field in fields)


def speed_table(found, names):
    """Return by how much to_cnn1d is faster than the CNN-LSTM on each data set."""
    lines = [
        "| | steps | inference, batch 1 | inference, batch 64 | training |",
        "|---|---|---|---|---|",
    ]
    for name, trained in zip(names, training_gains(found, names), strict=True):
        data = helpers.load_dataset(name)
        steps = max(map(len, [*data.x_train, *data.x_test]))
        one, many = (gain(found[f"speed/{name}"][b], "to_cnn1d") for b in ("1", "64"))
        lines.append(f"| {name} | {steps} | {one:.2f} | {many:.2f} | {trained:.2f} |")
    return lines


# --- Figures --------------------------------------------------------------------------


def draw_pareto(found, names, methods):
    """Draw accuracy against what training and inference cost; save as SVG."""
    figure, axes = plt.subplots(2, 1, figsize=(5.2, 8), layout="constrained")
    for axis, label in zip(
        axes,
        ("training, CPU seconds", "inference at batch 64, ms a sequence"),
        strict=True,
    ):
        points = []
        for method in methods:
            cost = total_seconds(found, method, names)
            if label.startswith("inference"):
                each = [found[f"speed/{n}"]["64"][as_timed(method)] for n in names]
                cost = geometric([np.median(s) * 1e3 / 64 for s in each])
            points.append((cost, mean(found, method, "accuracy", names)))
        best, front = 0.0, []
        for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
            if accuracy > best:
                best = accuracy
                front.append((cost, accuracy))
        axis.plot(*zip(*front, strict=True), drawstyle="steps-post", color="0.7")
        for number, (method, point) in enumerate(zip(methods, points, strict=True)):
            style = {"color": f"C{number % 7}", "marker": "osD^vPX*<>"[number % 10]}
            axis.plot(*point, linestyle="none", label=method, **style)
        axis.set(xscale="log", xlabel=label, ylabel="mean accuracy")
        axis.margins(x=0.1, y=0.1)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2)
    save(figure, "pareto")


def draw_lengths(found):
    """Draw what both models cost against the length of the series; save as SVG."""
    steps = sorted(int(k.split("/")[1]) for k in found if k.startswith("length/"))
    figure, axes = plt.subplots(
        2, 1, figsize=(5.2, 6.5), layout="constrained", sharex=True
    )
    for axis, (what, title) in zip(
        axes,
        (
            ("inference", "inference, batch of 64, ms"),
            ("training", "training step, batch of 16, ms"),
        ),
        strict=True,
    ):
        for method in (BASE, "to_cnn1d"):
            seconds = [np.array(found[f"length/{n}"][what][method]) for n in steps]
            low, middle, high = (
                [np.quantile(s, q) * 1e3 for s in seconds] for q in (0.25, 0.5, 0.75)
            )
            axis.plot(steps, middle, "o-", label=method)
            axis.fill_between(steps, low, high, alpha=0.2)
        axis.set(xscale="log", yscale="log", ylabel=title)
        axis.set_xticks(steps, [f"{n:,}" for n in steps])
        axis.minorticks_off()
        axis.legend()
    axes[-1].set_xlabel("time steps")
    save(figure, "lengths")


def save(figure, name):
    """Save a figure as SVG, the same bytes for the same numbers."""
    plt.rcParams["svg.hashsalt"] = "converting"
    path = HERE / f"converting_{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def length_table(found):
    """Return by how much to_cnn1d is faster at each length."""
    steps = sorted(int(k.split("/")[1]) for k in found if k.startswith("length/"))
    header = [f"{n:,}" for n in steps]
    lines = [f"| steps | {' | '.join(header)} |", "|---" * (len(steps) + 1) + "|"]
    for what in ("inference", "training"):
        gains = [gain(found[f"length/{n}"][what], "to_cnn1d") for n in steps]
        lines.append(f"| {what} | {' | '.join(f'{g:.2f}' for g in gains)} |")
    return lines


# --- The page -------------------------------------------------------------------------


def finished(found, name, method):
    """Tell whether a network of aeon was trained for all epochs that it asks for."""
    return runs(found, name, method, "epochs")[0] >= 1500


def write(found, names, ours, deep):
    """Write the tables, promises and figures that the book includes."""
    helpers.use_book_style()
    methods = [
        method
        for method in (*ours, "MiniRocket", *deep)
        if all(runs(found, name, method, "accuracy") for name in names)
    ]
    # What was stopped after a few epochs would stand in the figure for less than it is.
    whole = [m for m in methods if m not in deep or finished(found, names[0], m)]
    draw_pareto(found, names, whole)
    draw_lengths(found)
    parts = [
        ["**What was promised, and what was found**", "", *promises(found)],
        ["**Accuracy**", "", *accuracy_table(found, names, methods)],
        [
            "**Training, means of the data sets**",
            "",
            *training_table(found, names, methods),
        ],
        [
            "**Inference, for one sequence**",
            "",
            *inference_table(found, names, methods),
        ],
        [
            "**How many times as fast `to_cnn1d` is as the CNN-LSTM**",
            "",
            *speed_table(found, names),
        ],
        ["**The same by length, one channel**", "", *length_table(found)],
        [
            f"Measured on {found['date']} in {found['minutes']:.0f} minutes: "
            f"{os.cpu_count()} cores ({platform.machine()}), no GPU; Python "
            f"{platform.python_version()}, Keras {keras.__version__}, TensorFlow "
            f"{tf.__version__}, aeon {aeon.__version__}, NumPy {np.__version__}, "
            "keras-tcn 3.5.7."
        ],
    ]
    text = "\n\n".join("\n".join(part) for part in parts)
    (HERE / "converting.md").write_text(text + "\n")
    print("Wrote converting.md")
