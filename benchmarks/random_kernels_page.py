"""The page of the benchmark of random kernels: tables and a figure."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from converting_page import (
    BASE,
    NAMES,
    NETWORKS,
    accuracy_table,
    broken,
    describe,
    gain,
    geometric,
    runs,
)
from stored_tables import write_tables

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
OURS, FEWER = "random_cnn1d", "random_cnn1d, 504 kernels"
KERNELS = {OURS: 1008, FEWER: 504}
ROCKET, STRETCHED = "MiniRocket, 1,008 kernels", "MiniRocket, interpolated"
TAUGHT = "to_cnn1d, taught by random_cnn1d"
SETTINGS = {
    "_POSITIONS": (32, 64, 128, 256, 512),
    "_DEVIATION": (0.001, 0.01, 0.03, 0.1, 0.3),
}
SHOWN = {
    OURS: "random kernels",
    FEWER: "half as many",
    ROCKET: "MiniRocket",
    "cnn1d": "`cnn1d`",
}
EPOCHS = 100
NOISE = 0.02  # on channels of deviation 1
NOISES = ("as they are", "with noise")
NUMBERS = (100, 300, 900)  # of training series


def with_trained(found):
    """Return the measurements, and those of the networks that converting.py trained."""
    trained = json.loads((HERE / "converting.json").read_text())
    return found | {
        key: trained[key]
        for key in trained
        if key.startswith("train/") and key.split("/")[2] in NETWORKS
    }


def unequal_table(found):
    """Return the accuracy on series of different length, by what was done about it."""
    names = [name for name in NAMES if f"train/{name}/{STRETCHED}/0" in found]
    columns = {
        OURS: "random kernels, mask",
        ROCKET: "MiniRocket, padded",
        STRETCHED: "MiniRocket, interpolated",
    }
    return accuracy_table(found, columns, names)


def noise_table(found):
    """Return the accuracy without noise on the test series, and with it."""
    methods = {OURS: "random kernels", ROCKET: "MiniRocket"}
    heads = [f"{label}, {what}" for label in methods.values() for what in NOISES]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name in NAMES:
        values = [
            values
            for method in methods
            for values in (runs(found, name, method), found[f"noise/{name}"][method])
        ]
        cells = " | ".join(f"{np.mean(v):.3f} ± {np.ptp(v) / 2:.3f}" for v in values)
        lines.append(f"| {broken(name)} | {cells} |")
    return lines


def from_more(found, method, number):
    """Return the accuracy of each seed, from so many training series."""
    keys = [key for key in found if key.startswith(f"more/{number}/")]
    return [found[key][method] for key in keys]


def more_table(found):
    """Return the accuracy by the number of training series."""
    methods = {OURS: "random kernels", "cnn1d": "`cnn1d`"}
    lines = [f"| training series | {' | '.join(methods.values())} |", "|---" * 3 + "|"]
    for number in NUMBERS:
        values = [from_more(found, method, number) for method in methods]
        cells = " | ".join(f"{np.mean(v):.3f} ± {np.ptp(v) / 2:.3f}" for v in values)
        lines.append(f"| {number} | {cells} |")
    return lines


def speed_table(found):
    """Return CPU seconds of a fit, and how many times as fast inference is."""
    sizes = describe(NAMES)
    lines = [
        "| | steps | fit, random kernels | MiniRocket | `cnn1d` | inference, "
        "random kernels | half as many | MiniRocket | `cnn1d` |",
        "|---" * 9 + "|",
    ]
    for name in NAMES:
        fits = [np.mean(runs(found, name, m, "seconds")) for m in (OURS, ROCKET)]
        epoch = np.mean(runs(found, name, "cnn1d", "seconds_an_epoch"))
        steps, masked = sizes[name]
        cells = [f"{steps:,}{', mask' if masked else ''}"]
        cells += [f"{each:.1f} s" for each in fits] + [f"{EPOCHS * epoch:.0f} s"]
        record = found[f"speed/{name}"]
        cells += [f"{gain(record, method):.2f}" for method in SHOWN]
        lines.append(f"| {broken(name)} | {' | '.join(cells)} |")
    return lines


def setting_table(found, setting, label):
    """Return the error on samples left out, by the value of a setting."""
    values = SETTINGS[setting]
    lines = [f"| {label} | {' | '.join(map(str, values))} |"]
    lines.append("|---" * (1 + len(values)) + "|")
    columns = []
    for name in NAMES:
        errors = [found[f"{setting}/{name}/{each}"]["error"] for each in values]
        columns.append(errors)
        cells = " | ".join(f"{error:.3f}" for error in errors)
        lines.append(f"| {broken(name)} | {cells} |")
    means = " | ".join(f"**{each:.3f}**" for each in np.mean(columns, axis=0))
    lines.append(f"| **mean** | {means} |")
    return lines


def draw_front(found):
    """Draw mean accuracy against time of inference; save as SVG."""
    figure, axis = plt.subplots(figsize=(5.2, 4), layout="constrained")
    for number, (method, label) in enumerate({**NETWORKS, **SHOWN}.items()):
        accuracy = np.mean([np.mean(runs(found, n, method)) for n in NAMES])
        time = geometric([1 / gain(found[f"speed/{n}"], method) for n in NAMES])
        axis.semilogx(time, accuracy, "os^Dv*P"[number % 7], label=label.strip("`"))
    accuracy = np.mean([np.mean(runs(found, n, TAUGHT)) for n in NAMES])
    time = geometric([1 / gain(found[f"speed/{n}"], "to_cnn1d") for n in NAMES])
    axis.semilogx(time, accuracy, "P", label="to_cnn1d, taught")
    axis.set(
        xlabel="time of inference, the CNN-LSTM's = 1",
        ylabel="accuracy, mean of eight data sets",
        xticks=[0.5, 1, 2, 4],
    )
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.legend()
    figure.savefig(HERE / "random_kernels_front.svg", metadata={"Date": None})
    plt.close(figure)


def tables(found):
    """Return the lines of every file."""
    found = with_trained(found)
    columns = {BASE: BASE, **SHOWN, TAUGHT: "`to_cnn1d`, taught"}
    return {
        "accuracy": accuracy_table(found, columns),
        "unequal": unequal_table(found),
        "noise": noise_table(found),
        "more": more_table(found),
        "speed": speed_table(found),
        "positions": setting_table(found, "_POSITIONS", "steps read"),
        "deviations": setting_table(found, "_DEVIATION", "deviation added"),
        "measured": [found["measured"] + "."],
    }


def write(found):
    """Write tables and figure."""
    helpers.use_book_style()
    write_tables("random_kernels", tables(found))
    draw_front(with_trained(found))
