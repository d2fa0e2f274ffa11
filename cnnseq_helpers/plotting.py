"""The book's figures: one style, legible on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .datasets import Dataset

try:
    import matplotlib.pyplot as plt
    from cycler import cycler
except ImportError as error:
    raise ImportError(
        "cnnseq_helpers.plotting draws with matplotlib, which is not installed. "
        "Install the extra: pip install 'cnnseq-helpers[plot]'."
    ) from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision: jfly.uni-koeln.de/color
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def use_book_style() -> None:
    """Set matplotlib's defaults for this book: palette, type size, resolution.

    Figures are 5.2 inches wide with type of 11 points, so that on a phone, shrunk to
    the width of the screen, labels are still read without zooming.
    """
    plt.rcParams.update(
        {
            "axes.grid": True,
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 150,
            "figure.figsize": (5.2, 3.2),
            "font.size": 11,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.2,
        }
    )


def plot_recordings(
    data: Dataset, split: str = "train", *, seconds_per_step: float
) -> Figure:
    """Draw the first recording of each class: a row a class, a column a sensor.

    Parameters
    ----------
    data : Dataset
        Channels named "sensor axis", as in ``"gyroscope x"``.
    split : {"train", "test"}
        Where the recordings are taken from.
    seconds_per_step : float
        Seconds from one step to the next.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The values carry no unit, as the sources state none.

    Raises
    ------
    ValueError
        If there is no such split.

    Examples
    --------
    >>> from cnnseq_helpers import load_basic_motions
    >>> figure = plot_recordings(load_basic_motions(), seconds_per_step=0.1)
    >>> len(figure.axes)
    8
    """
    x, y = data.split(split)
    seconds = np.arange(x.shape[1]) * seconds_per_step
    sensors = list(dict.fromkeys(name.split()[0] for name in data.channel_names))
    figure, panels = plt.subplots(
        len(data.class_names),
        len(sensors),
        figsize=(5.2, 1.5 * len(data.class_names)),
        sharex=True,
        sharey="col",
        squeeze=False,
        layout="constrained",
    )
    for label, row in enumerate(panels):
        recording = x[np.flatnonzero(y == label)[0]]
        for sensor, panel in zip(sensors, row, strict=True):
            for channel, name in enumerate(data.channel_names):
                if name.startswith(sensor):
                    panel.plot(seconds, recording[:, channel], label=name.split()[-1])
            panel.set_title(data.class_names[label])
    for sensor, top, bottom in zip(sensors, panels[0], panels[-1], strict=True):
        top.set_title(f"{sensor} (no unit given)\n{data.class_names[0]}")
        bottom.set_xlabel("time (s)")
    lines, axes = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, axes, loc="outside lower center", ncols=len(axes))
    return figure


def plot_scores(
    scores: Mapping[str, Sequence[float]], *, baseline: float, baseline_name: str
) -> Figure:
    r"""Draw a ladder of models: a dot for each seed's accuracy, a bar for their mean.

    Parameters
    ----------
    scores : mapping of str to sequence of float
        The test accuracies of each model, one for each seed, in [0, 1].
    baseline : float
        The accuracy to beat, drawn as a dashed line.
    baseline_name : str
        What reaches it.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, first model on top.

    Examples
    --------
    >>> scores = {"LSTM": [0.7, 0.8], "Conv1D, LSTM": [1.0, 0.9]}
    >>> figure = plot_scores(scores, baseline=0.25, baseline_name="majority")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['LSTM\nmean 0.75', 'Conv1D, LSTM\nmean 0.95']
    """
    height = 1.1 + 0.6 * len(scores)
    figure, panel = plt.subplots(figsize=(5.2, height), layout="constrained")
    means = [np.mean(values) for values in scores.values()]
    rows = np.arange(len(scores))
    panel.barh(rows, means, height=0.55, color=PALETTE[5], alpha=0.5)
    for row, values in zip(rows, scores.values(), strict=True):
        # Spread equal accuracies over the bar's height, so that every seed is seen.
        offsets = np.linspace(-0.16, 0.16, len(values))
        panel.plot(values, row + offsets, "o", color=PALETTE[0], markersize=5)
    panel.axvline(baseline, linestyle="--", color="0.35", label=baseline_name)
    figure.legend(loc="outside upper right")
    panel.set_yticks(
        rows,
        [f"{name}\nmean {m:.2f}" for name, m in zip(scores, means, strict=True)],
    )
    panel.invert_yaxis()
    panel.set(xlim=(0, 1.03), xlabel="test accuracy (a dot: one seed)")
    panel.grid(visible=False, axis="y")
    return figure
