"""The book's figures: one style, legible on a phone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .datasets import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision: jfly.uni-koeln.de/color
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            "cnnseq_helpers.plotting draws with matplotlib, which is not installed. "
            "Install the extra: pip install 'cnnseq-helpers[plot]'."
        ) from error
    return matplotlib.pyplot


def use_book_style() -> None:
    """Set matplotlib's defaults for this book: palette, type size, vector figures.

    Figures are 5.2 inches wide with type of 11 points, so that on a phone, shrunk to
    the width of the screen, labels are still read without zooming.
    """
    plt = _pyplot()
    plt.rcParams.update(
        {
            "axes.grid": True,
            "axes.prop_cycle": plt.cycler(color=PALETTE),
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
            "svg.hashsalt": "cnnseq_helpers",
        }
    )
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
        # In a notebook figures are vectors, the same at every run.
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


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
        If there is no such split, or it has no recording of a class.

    Examples
    --------
    >>> from cnnseq_helpers import load_basic_motions
    >>> figure = plot_recordings(load_basic_motions(), seconds_per_step=0.1)
    >>> len(figure.axes)
    8
    """
    x, y = data.split(split)
    sensors = list(dict.fromkeys(name.split()[0] for name in data.channel_names))
    figure: Figure
    figure, panels = _pyplot().subplots(
        len(data.class_names),
        len(sensors),
        figsize=(5.2, 1.5 * len(data.class_names)),
        sharex=True,
        sharey="col",
        squeeze=False,
        layout="constrained",
    )
    lines: dict[str, Any] = {}
    for label, row in enumerate(panels):
        if label not in y:
            raise ValueError(
                "plot_recordings expected a recording of each class, got none of "
                f"{data.class_names[label]!r} in {split!r}. Leave it out of data."
            )
        recording = x[np.flatnonzero(y == label)[0]]
        for sensor, panel in zip(sensors, row, strict=True):
            for channel, name in enumerate(data.channel_names):
                if name.split()[0] == sensor:
                    seconds = np.arange(len(recording)) * seconds_per_step
                    (line,) = panel.plot(seconds, recording[:, channel])
                    lines.setdefault(name.split()[-1], line)
            panel.set_title(data.class_names[label])
    for sensor, top, bottom in zip(sensors, panels[0], panels[-1], strict=True):
        top.set_title(f"{sensor} (no unit given)\n{data.class_names[0]}")
        bottom.set_xlabel("time (s)")
    figure.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines)
    )
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

    Raises
    ------
    ValueError
        If a model has no accuracy, or one outside [0, 1].

    Examples
    --------
    >>> scores = {"LSTM": [0.7, 0.8], "Conv1D, LSTM": [1.0, 0.9]}
    >>> figure = plot_scores(scores, baseline=0.25, baseline_name="majority")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['LSTM\nmean 0.75', 'Conv1D, LSTM\nmean 0.95']
    """
    for name, values in scores.items():
        if not len(values) or not all(0 <= value <= 1 for value in values):
            raise ValueError(
                "plot_scores expected accuracies in [0, 1], at least one a model, got "
                f"{values!r} for {name!r}. Divide percentages by 100."
            )
    height = 1.1 + 0.6 * len(scores)
    figure: Figure
    figure, panel = _pyplot().subplots(figsize=(5.2, height), layout="constrained")
    means = [np.mean(values) for values in scores.values()]
    rows = np.arange(len(scores))
    panel.barh(rows, means, height=0.55, color=PALETTE[5], alpha=0.5)
    for row, values in zip(rows, scores.values(), strict=True):
        # Spread equal accuracies over the bar's height, so that every seed is seen.
        offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else 0.0
        panel.plot(
            values,
            np.full(len(values), row) + offsets,
            "o",
            color=PALETTE[0],
            markersize=5,
        )
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
