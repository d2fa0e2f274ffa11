"""The figures of the book: its style, recordings, scores, clips and animations."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._extras import require
from .datasets import Dataset
from .shapes import ShapeError, check_shape, check_whole
from .video.clips import as_alike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision: jfly.uni-koeln.de/color
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _pyplot() -> Any:
    drawing = "cnnseq_helpers.plotting draws with"
    return require("matplotlib.pyplot", drawing, package="matplotlib", extra="plot")


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


def plot_recordings(data: Dataset, *, seconds_per_step: float) -> Figure:
    """Draw the first recording of each class: a row a class, a column a sensor.

    Parameters
    ----------
    data : Dataset
        Channels named "sensor axis", as in ``"gyroscope x"``; of its training set.
    seconds_per_step : float
        Seconds from one step to the next.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The values carry no unit, as the sources state none.

    Raises
    ------
    ValueError
        If a class has no recording.

    Examples
    --------
    >>> from cnnseq_helpers import load_dataset
    >>> figure = plot_recordings(load_dataset("BasicMotions"), seconds_per_step=0.1)
    >>> len(figure.axes)
    8
    """
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
        if label not in data.y_train:
            raise ValueError(
                "plot_recordings expected a recording of each class, got none of "
                f"{data.class_names[label]!r}. Leave it out of data."
            )
        recording = data.x_train[np.flatnonzero(data.y_train == label)[0]]
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
    r"""Draw accuracies of models: a dot for each seed, a bar for the mean of a model.

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


# --- Clips as strips of frames --------------------------------------------------------


_WIDTH = 5.2  # inches, as in use_book_style


def plot_clips(
    clips: Sequence[NDArray[Any]],
    names: Sequence[str],
    *,
    first: int = 0,
    every: int = 1,
) -> Figure:
    """Draw clips as strips of frames: a row a clip, from the first frame to the last.

    Parameters
    ----------
    clips : sequence of ndarray, each (time, height, width, channels)
        Pixels in [0, 1], grey or red, green and blue, all of one shape.
    names : sequence of str
        What to write beside each clip.
    first : int
        The number of the first frame, for the axis.
    every : int
        Draw every first, second, ... frame.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ShapeError
        If a clip has other axes or another shape than the first, or `every` is no
        positive whole number.
    ValueError
        If there is no clip, or not one name for each, or pixels are no floats in
        [0, 1].

    Examples
    --------
    >>> from cnnseq_helpers import drifting_digits
    >>> clips, _ = drifting_digits(2, frames=10, seed=0)
    >>> figure = plot_clips(clips, ["first", "second"], every=3)
    >>> [label.get_text() for label in figure.axes[1].get_xticklabels()]
    ['0', '3', '6', '9']
    """
    if not len(clips) or len(clips) != len(names):
        raise ValueError(
            "plot_clips expected clips and one name for each, got "
            f"{len(clips)} clips and {len(names)} names. Add what is missing."
        )
    clips = as_alike("plot_clips", dict(enumerate(clips)))
    shown = range(0, len(clips[0]), check_whole("plot_clips", "every", every))
    return _draw(clips, names, shown, "frame", first)


def plot_predictions(
    true: NDArray[Any],
    predictions: Mapping[str, NDArray[Any]],
    *,
    first: int = 0,
    every: int = 1,
) -> Figure:
    """Draw the truth, and below it each prediction with its difference from the truth.

    Parameters
    ----------
    true : ndarray, (time, height, width, 1)
        What happened, pixels in [0, 1].
    predictions : mapping of str to ndarray, (time, height, width, 1)
        What each model predicted, by its name.
    first : int
        The number of the first frame, for the axis.
    every : int
        Draw every first, second, ... frame.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Differences are white where there is none, red where the prediction
        is too bright, blue where it is too dark.

    Raises
    ------
    ShapeError
        If clips have other axes, more than one channel, or differ in shape.
    ValueError
        If there is no prediction, or pixels are no floats in [0, 1].

    Examples
    --------
    >>> from cnnseq_helpers import moving_digits
    >>> true, other = moving_digits(2, frames=5, seed=0)
    >>> figure = plot_predictions(true, {"another": other}, first=10)
    >>> [panel.get_yticklabels()[0].get_text() for panel in figure.axes]
    ['truth', 'another', 'difference']
    """
    if not predictions:
        raise ValueError(
            "plot_predictions expected at least one prediction, got none. Give a "
            "mapping from names to clips."
        )
    clips = as_alike("plot_predictions", {"the truth": true, **predictions})
    check_shape(clips[0], "time height width channels", channels=1)
    rows, names = [clips[0]], ["truth"]
    for name, predicted in zip(predictions, clips[1:], strict=True):
        rows += [predicted, predicted - clips[0]]
        names += [name, "difference"]
    label = "frame    (difference: red too bright, blue too dark)"
    every = check_whole("plot_predictions", "every", every)
    shown = range(0, len(clips[0]), every)
    return _draw(rows, names, shown, label, first, differences=range(2, len(rows), 2))


def plot_horizons(
    curves: Mapping[str, Any],
    measure: str,
    *,
    baselines: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a measure of predicted frames against how far ahead they lie.

    Parameters
    ----------
    curves : mapping of str to array_like, (time,) or (seeds, time)
        For each model one value a horizon, as `frame_metrics` gives them. Of several
        seeds the mean is drawn as a line, and from the least to the greatest a band.
    measure : str
        What the values are, with their unit, for the axis.
    baselines : mapping of str to array_like, (time,)
        What any model should beat, drawn dashed and dotted in turn.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The first predicted frame is horizon 1.

    Raises
    ------
    ShapeError
        If a curve has other axes, or they differ in their number of horizons.
    ValueError
        If there is no curve, or one has the name of a baseline.

    Examples
    --------
    >>> still = {"still": [5, 5, 5]}
    >>> figure = plot_horizons({"a model": [1, 2, 4]}, "MSE", baselines=still)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['a model', 'still']
    """
    if not curves:
        raise ValueError(
            "plot_horizons expected at least one curve, got none. Give a mapping from "
            "names to values."
        )
    baselines = baselines or {}
    if clash := [name for name in curves if name in baselines]:
        raise ValueError(
            f"plot_horizons expected other names for baselines than for curves, got "
            f"{clash[0]!r} for both. Rename one."
        )
    figure: Figure
    figure, panel = _pyplot().subplots(figsize=(_WIDTH, 3.6), layout="constrained")
    lines = draw_horizons(panel, curves, baselines)
    panel.set(xlabel="horizon (frames ahead)", ylabel=measure)
    names = [plain(name) for name in (*curves, *baselines)]
    figure.legend(lines, names, loc="outside upper center", ncols=2)
    return figure


def draw_horizons(
    panel: Any, curves: Mapping[str, Any], baselines: Mapping[str, Any]
) -> list[Any]:
    """Draw the curves and baselines of `plot_horizons`, and return their lines."""
    horizons = None
    lines = []
    for values in curves.values():
        rows = check_shape(np.atleast_2d(values), "seeds horizons", horizons=horizons)
        horizons = rows.shape[1]
        along = np.arange(1, horizons + 1)
        lines += panel.plot(along, rows.mean(axis=0), "o-", ms=4)
        span = rows.min(axis=0), rows.max(axis=0)
        panel.fill_between(along, *span, color=lines[-1].get_color(), alpha=0.2, lw=0)
    for number, row in enumerate(baselines.values()):
        values = check_shape(np.asarray(row), "horizons", horizons=horizons)
        grey = str(min(0.3 + 0.3 * number, 0.7))
        dashes = ("--", ":")[number % 2]
        lines += panel.plot(along, values, dashes, color=grey)
    panel.xaxis.get_major_locator().set_params(integer=True)
    return lines


def plain(name: str) -> str:
    """Return a name that is drawn as it is, not read as mathematics."""
    return name.replace("$", r"\$")


def _draw(
    clips: Sequence[NDArray[Any]],
    names: Sequence[str],
    shown: range,
    label: str,
    first: int = 0,
    differences: range = range(0),
) -> Figure:
    """Draw a strip a clip; differences in two colours around white."""
    _, height, width, channels = clips[0].shape
    panel_height = _WIDTH * 0.8 / len(shown) * height / width
    figure: Figure
    figure, panels = _pyplot().subplots(
        len(clips),
        figsize=(_WIDTH, len(clips) * (panel_height + 0.08) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    for row, (clip, name) in enumerate(zip(clips, names, strict=True)):
        panel = panels[row, 0]
        difference = row in differences
        strip = np.full(
            (height, len(shown) * (width + 1) - 1, channels), 0.0 if difference else 1.0
        )
        for place, number in enumerate(shown):
            left = place * (width + 1)
            strip[:, left : left + width] = clip[number]
        colours = ("RdBu_r", -1) if difference else ("gray", 0)
        panel.imshow(strip, cmap=colours[0], vmin=colours[1], vmax=1)
        panel.set_yticks([(height - 1) / 2], [plain(name)])
        panel.set_xticks([])
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.grid(visible=False)
    centres = [place * (width + 1) + (width - 1) / 2 for place in range(len(shown))]
    panels[-1, 0].set_xticks(centres, [str(first + number) for number in shown])
    panels[-1, 0].set_xlabel(label)
    return figure


# --- Animations -----------------------------------------------------------------------


_LARGEST = 300_000  # bytes, so that a page stays light on a phone

_INCHES, _DOTS = 5.2, 100  # as wide as the book's figures

_COLOURS = 64

_PAUSE = 4  # how much longer the last picture stays than the others


class Animation:
    """A looping picture that a notebook and its page show: an animated PNG.

    Attributes
    ----------
    png : bytes
        The file: ``Path("clip.png").write_bytes(animation.png)`` saves it.
    """

    def __init__(self, png: bytes, description: str) -> None:
        self.png = png
        self._description = description

    def __repr__(self) -> str:
        return f"Animation({self._description})"

    def _repr_png_(self) -> bytes:
        return self.png


def animate(
    clips: Mapping[str, NDArray[Any]],
    *,
    given: int = 0,
    frames_per_second: float = 4,
) -> Animation:
    """Return clips side by side as a picture that moves, in a loop.

    Parameters
    ----------
    clips : mapping of str to ndarray, (time, height, width, channels)
        Up to 6 clips by their names, pixels in [0, 1], all of one shape, grey or red,
        green and blue.
    given : int
        How many frames at the start were given; the others are marked as predicted.
    frames_per_second : float
        How fast it is played. The last frame stays four times as long.

    Returns
    -------
    Animation
        An animated PNG of under 300 kB, shown by browsers and notebooks.

    Raises
    ------
    ShapeError
        If there is no clip or more than 6, clips differ in shape, or `given` is more
        than the frames that there are.
    ValueError
        If pixels are not floats in [0, 1], the speed is not positive, or the file would
        be larger.

    Examples
    --------
    >>> from cnnseq_helpers import moving_digits
    >>> one, two = moving_digits(2, frames=5, seed=0)
    >>> animate({"one": one, "two": two})
    Animation(5 frames of 2 clips)
    """
    doing = "animate"
    if not 0 < len(clips) <= 6:
        raise ShapeError(
            f"{doing} expected 1 to 6 clips by their names, got {len(clips)}. Choose "
            "those that matter."
        )
    shown = dict(zip(clips, as_alike(doing, clips), strict=True))
    frames = len(next(iter(shown.values())))
    if check_whole(doing, "given", given, at_least=0) > frames:
        raise ShapeError(
            f"{doing} expected at most {frames} given frames, as many as there are, "
            f"got {given}. Change given."
        )
    if not 0.1 <= frames_per_second <= 50:
        raise ValueError(
            f"{doing} expected frames_per_second from 0.1 to 50, got "
            f"{frames_per_second!r}. Change it."
        )
    png = _encode(_pictures(shown, given), 1000 / float(frames_per_second))
    if len(png) > _LARGEST:
        raise ValueError(
            f"{doing} keeps a file under {_LARGEST // 1000} kB, got "
            f"{len(png) // 1000} kB. Show fewer frames or fewer clips."
        )
    return Animation(png, f"{frames} frames of {len(clips)} clips")


def _pictures(clips: Mapping[str, NDArray[Any]], given: int) -> list[NDArray[np.uint8]]:
    """Return a picture (height, width, red green blue) for each frame."""
    plt = _pyplot()
    frames, height, width, _ = next(iter(clips.values())).shape
    panel_height = _INCHES / max(len(clips), 2) * height / width
    figure, panels = plt.subplots(
        1,
        len(clips),
        figsize=(_INCHES, panel_height + 0.8),
        dpi=_DOTS,
        squeeze=False,
        layout="constrained",
    )
    images = []
    for panel, (name, clip) in zip(panels[0], clips.items(), strict=True):
        images.append(panel.imshow(clip[0], cmap="gray", vmin=0, vmax=1))
        panel.set_title(plain(name), loc="center")
        panel.set_axis_off()
    pictures = []
    for number in range(frames):
        kind = "" if not given else "given" if number < given else "predicted"
        figure.suptitle(f"frame {number}  {kind}", y=0.02, va="bottom", fontsize=11)
        for image, clip in zip(images, clips.values(), strict=True):
            image.set_data(clip[number])
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    return pictures


def _encode(pictures: list[NDArray[np.uint8]], milliseconds: float) -> bytes:
    """Return an animated PNG of few colours that starts again at its end."""
    from PIL import Image  # comes with matplotlib

    # One palette for all pictures, taken from all of them.
    palette = Image.fromarray(np.concatenate(pictures)).quantize(
        _COLOURS, Image.Quantize.MAXCOVERAGE
    )
    first, *rest = (
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    )
    durations = [milliseconds] * len(rest) + [_PAUSE * milliseconds]
    file = io.BytesIO()
    first.save(
        file,
        format="PNG",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
        optimize=True,
    )
    return file.getvalue()
