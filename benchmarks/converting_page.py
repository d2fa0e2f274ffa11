"""The page of the converting benchmark: tables and a figure."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from stored_tables import write_tables

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
NAMES = (
    "ItalyPowerDemand",
    "JapaneseVowels",
    "BasicMotions",
    "GunPoint",
    "ArrowHead",
    "PickupGestureWiimoteZ",
    "OSULeaf",
    "ACSF1",
)
BASE, OURS = "CNN-LSTM", "to_cnn1d"
FRONTS = ("GunPoint", "PickupGestureWiimoteZ", "OSULeaf", "ACSF1")
STEPS = (32, 128, 512)
NETWORKS = {BASE: BASE, OURS: "`to_cnn1d`", "cnn1d": "`cnn1d`"}
TAUGHT = {
    "on labels of mixed series": "`to_cnn1d`, mixed labels",
    "taught by MiniRocket": "`to_cnn1d`, taught",
    "MiniRocket, 1,008 kernels": "MiniRocket, 1,008 features",
    "MiniRocket": "MiniRocket",
}


def runs(found, name, method, field="accuracy"):
    """Return a measured field of all seeds."""
    start = f"train/{name}/{method}/"
    return [found[key][field] for key in sorted(found) if key.startswith(start)]


def gain(record, method=OURS, over=BASE):
    """Return how many times as fast as another a method is: the median of rounds."""
    return float(np.median(np.array(record[over]) / np.array(record[method])))


def training_gain(found, name):
    """Return an epoch's CPU seconds of the CNN-LSTM over those of to_cnn1d."""
    before, after = (
        np.mean(runs(found, name, method, "seconds_an_epoch"))
        for method in (BASE, OURS)
    )
    return before / after


def geometric(numbers):
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(numbers))))


def describe(names):
    """Return the steps of each set, and whether its series are padded."""
    sizes = {}
    for name in names:
        data = helpers.load_dataset(name)
        lengths = {*map(len, [*data.x_train, *data.x_test])}
        sizes[name] = max(lengths), len(lengths) > 1
    return sizes


def broken(name):
    """Let a long name break before its capitals."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "<wbr>", name)


def accuracy_table(found, methods, names=NAMES):
    """Return a table of test accuracy: mean of the seeds, and half their range."""
    lines = [f"| | {' | '.join(methods.values())} |", "|---" * (len(methods) + 1) + "|"]
    for name in names:
        values = [runs(found, name, method) for method in methods]
        cells = [f"{np.mean(v):.3f} ± {np.ptp(v) / 2:.3f}" for v in values]
        lines.append(f"| {broken(name)} | {' | '.join(cells)} |")
    means = [
        np.mean([np.mean(runs(found, name, method)) for name in names])
        for method in methods
    ]
    lines.append(f"| **mean** | {' | '.join(f'**{each:.3f}**' for each in means)} |")
    return lines


def speed_table(found, names=NAMES):
    """Return how many times as fast as the CNN-LSTM the others are, by data set."""
    sizes = describe(names)
    columns = (OURS, "cnn1d", "MiniRocket, 1,008 kernels", "MiniRocket")
    heads = (
        "inference, `to_cnn1d`",
        "`cnn1d`",
        "MiniRocket, 1,008 features",
        "MiniRocket",
    )
    lines = [
        f"| | steps | training, `to_cnn1d` | {' | '.join(heads)} |",
        "|---" * 7 + "|",
    ]
    rows = {}
    for name in names:
        record = found[f"speed/{name}"]
        rows[name] = [training_gain(found, name), *(gain(record, m) for m in columns)]
        steps, masked = sizes[name]
        mark = ", mask" if masked else ""
        cells = " | ".join(f"{value:.2f}" for value in rows[name])
        lines.append(f"| {broken(name)} | {steps:,}{mark} | {cells} |")
    long = [rows[name] for name in names if sizes[name][0] >= 100]
    cells = " | ".join(f"**{geometric(c):.2f}**" for c in zip(*long, strict=True))
    lines.append(f"| **100 steps or more** | geometric mean | {cells} |")
    return lines


def choice_table(found, names=NAMES):
    """Return the learning rate that a third of the training part has chosen."""
    lines = [f"| | {' | '.join(NETWORKS.values())} |", "|---" * 4 + "|"]
    for name in names:
        cells = [f"{found[f'rate/{name}/{method}']['rate']:g}" for method in NETWORKS]
        lines.append(f"| {broken(name)} | {' | '.join(cells)} |")
    return lines


def lengths_of(found):
    """Return the lengths that were measured."""
    return sorted({int(k.split("/")[1]) for k in found if k.startswith("length/")})


def length_table(found):
    """Return by how much to_cnn1d is faster at each length, with a mask and without."""
    steps = lengths_of(found)
    header = " | ".join(f"{n:,}" for n in steps)
    lines = [f"| steps | {header} |", "|---" * (len(steps) + 1) + "|"]
    for what in ("inference", "training"):
        for kind, text in (("whole", ""), ("masked", ", with a mask")):
            gains = [gain(found[f"length/{n}/{kind}"][what]) for n in steps]
            cells = " | ".join(f"{each:.2f}" for each in gains)
            lines.append(f"| {what}{text} | {cells} |")
    return lines


def front_table(found):
    """Return how much is won at most: if nothing stood behind the front."""
    lines = [
        "| | `to_cnn1d`, times as fast | the front alone | its share of `to_cnn1d` |",
        "|---" * 4 + "|",
    ]
    for name in FRONTS:
        record = found[f"front/{name}"]
        cells = [gain(record), gain(record, "front"), gain(record, OURS, "front")]
        cells = " | ".join(f"{each:.2f}" for each in cells)
        lines.append(f"| {broken(name)} | {cells} |")
    return lines


def every_table(found):
    """Return the gain by length where each step is answered."""
    lines = [f"| steps | {' | '.join(f'{n:,}' for n in STEPS)} |"]
    lines.append("|---" * (len(STEPS) + 1) + "|")
    fields = {OURS: "the whole series", "64 steps": "64 steps"}
    for what in ("inference", "training"):
        for method, text in fields.items():
            gains = [gain(found[f"every/{n}"][what], method) for n in STEPS]
            cells = " | ".join(f"{each:.2f}" for each in gains)
            lines.append(f"| {what}, field of {text} | {cells} |")
    return lines


def draw_lengths(found):
    """Draw how many times as fast the converted model is, by length; save as SVG."""
    steps = lengths_of(found)
    figure, axis = plt.subplots(figsize=(5.2, 4), layout="constrained")
    for color, what in enumerate(("inference", "training")):
        for kind, style in (("whole", "o-"), ("masked", "s--")):
            gains = [gain(found[f"length/{n}/{kind}"][what]) for n in steps]
            label = f"{what}{', with a mask' if kind == 'masked' else ''}"
            axis.plot(steps, gains, style, color=f"C{color}", label=label)
    axis.axhline(1, color="0.35", linestyle=":")
    axis.set(xscale="log", yscale="log", xlabel="time steps")
    axis.set_ylabel("times as fast as the CNN-LSTM")
    axis.set_xticks(steps, [f"{n:,}" for n in steps])
    axis.set_yticks(ticks := [1, 2, 5, 10, 20], [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend()
    plt.rcParams["svg.hashsalt"] = "converting"
    figure.savefig(HERE / "converting_lengths.svg", metadata={"Date": None})
    plt.close(figure)


def tables(found):
    """Return the lines of each table, by the end of its file's name."""
    return {
        "accuracy": accuracy_table(found, NETWORKS),
        "taught": accuracy_table(found, TAUGHT),
        "speed": speed_table(found),
        "lengths": length_table(found),
        "rates": choice_table(found),
        "front": front_table(found),
        "every": every_table(found),
    }


def write(found):
    """Write the tables and the figure that the book includes."""
    helpers.use_book_style()
    draw_lengths(found)
    write_tables("converting", tables(found))
    text = f"Measured on {found['measured']}; {found['minutes']:.0f} minutes in all."
    (HERE / "converting_measured.md").write_text(text + "\n")
