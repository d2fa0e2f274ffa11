"""The page of the video benchmark: tables and figure."""

import os
import platform
from pathlib import Path
from typing import NamedTuple

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import cnnseq_helpers as helpers
from cnnseq_helpers.plotting import draw_horizons

HERE = Path(__file__).parent
METHODS = ("recurrent", "ConvLSTM", "convolutional", "Keras example")
EXAMPLE = METHODS[-1]
LAST, MEAN = "copy the last frame", "mean image"
MEASURES = (("mse", 1), ("mae", 1), ("ssim", 3), ("psnr", 1))  # digits to print


class Setting(NamedTuple):
    """The clips of a comparison, and how long each model is trained."""

    name: str
    size: int
    digits: int
    seconds: int
    seeds: int
    trained: int  # clips to draw batches from
    tested: int  # clips


SETTINGS = (
    Setting("one digit, 32 by 32 pixels", 32, 1, 45, 3, 6000, 200),
    Setting("two digits, 32 by 32 pixels", 32, 2, 45, 3, 6000, 200),
    Setting("two digits, 64 by 64 pixels", 64, 2, 120, 1, 3000, 100),
)


def records(found, setting, method):
    """Return what was measured of a method, seed by seed."""
    seeds = [each for each in sorted(found) if each.startswith(f"{setting.name}/")]
    return [found[each][method] for each in seeds]


def curves(found, setting, method, measure="mse"):
    """Return a measure (seeds, horizons)."""
    return np.array([each[measure] for each in records(found, setting, method)])


def baseline(found, setting, name, measure="mse"):
    """Return a measure of a baseline, horizon by horizon."""
    return np.array(found[f"baselines/{setting.name}"][name][measure])


def ratio(found, setting, other):
    """Return the convolutional model's MSE over another's, the largest of the seeds."""
    ours = curves(found, setting, "convolutional").mean(axis=1)
    if other == MEAN:
        theirs = baseline(found, setting, MEAN).mean()
    else:
        theirs = curves(found, setting, other).mean(axis=1)
    return float((ours / theirs).max())


# --- Tables ---------------------------------------------------------------------------


def table(found, setting):
    """Return a table in Markdown: means over horizons, for MSE the range of seeds."""
    lines = [
        f"| {setting.name}, {setting.seconds} s | MSE | MAE | SSIM | PSNR (dB) | "
        "training steps | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (LAST, MEAN):
        values = [
            f"{baseline(found, setting, name, measure).mean():.{digits}f}"
            for measure, digits in MEASURES
        ]
        lines.append(f"| {name} | {' | '.join(values)} |  |  |")
    for method in METHODS:
        means = [
            (curves(found, setting, method, measure).mean(axis=1), digits)
            for measure, digits in MEASURES
        ]
        values = [spread(*means[0])]
        values += [f"{np.mean(seeds):.{digits}f}" for seeds, digits in means[1:]]
        each = records(found, setting, method)
        steps = np.median([one["steps"] for one in each])
        values += [f"{steps:,.0f}", f"{each[0]['parameters']:,}"]
        lines.append(f"| {method} | {' | '.join(values)} |")
    return lines


def spread(values, digits):
    """Return the mean, and the least and greatest value where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


# --- The figure -----------------------------------------------------------------------


def draw(found, path):
    """Draw the MSE of each method against the horizon, a panel a setting."""
    helpers.use_book_style()
    plt.rcParams["svg.hashsalt"] = "video"
    figure, panels = plt.subplots(len(SETTINGS), figsize=(5.2, 9), sharex=True)
    for setting, panel in zip(SETTINGS, panels, strict=True):
        # The example would press the others together.
        lines = draw_horizons(
            panel,
            {method: curves(found, setting, method) for method in METHODS[:-1]},
            {name: baseline(found, setting, name) for name in (LAST, MEAN)},
        )
        panel.set(ylabel="MSE (sum over a frame)", ylim=(0, None))
        panel.set_title(f"{setting.name}, {setting.seconds} s of training")
    panels[-1].set_xlabel("horizon (frames ahead)")
    names = (*METHODS[:-1], LAST, MEAN)
    figure.legend(lines, names, loc="outside lower center", ncols=2)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(found):
    """Write tables and figure for the book's page."""
    draw(found, HERE / "video_horizons.svg")
    lines = []
    for setting in SETTINGS:
        lines += [*table(found, setting), ""]
    lines += [
        f"Measured on {found['date']} in {found['minutes']:.0f} minutes: "
        f"{os.cpu_count()} cores ({platform.machine()}), no GPU, Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}, NumPy {np.__version__}.",
        "",
    ]
    (HERE / "video.md").write_text("\n".join(lines))
