"""Clips on paper: strips of frames, predictions beside the truth, errors by horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._clips import as_alike
from .plotting import _pyplot
from .shapes import _check_whole, check_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    shown = range(0, len(clips[0]), _check_whole("plot_clips", "every", every))
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
    every = _check_whole("plot_predictions", "every", every)
    shown = range(0, len(clips[0]), every)
    return _draw(rows, names, shown, label, first, differences=range(2, len(rows), 2))


def plot_horizons(
    curves: Mapping[str, Any],
    measure: str,
    *,
    floors: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a measure of predicted frames against how far ahead they lie.

    Parameters
    ----------
    curves : mapping of str to array_like, (time,) or (seeds, time)
        For each model one value a horizon, as `frame_metrics` gives them. Of several
        seeds the mean is drawn as a line, and from the least to the greatest a band.
    measure : str
        What the values are, with their unit, for the axis.
    floors : mapping of str to array_like, (time,)
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
        If there is no curve, or one has the name of a floor.

    Examples
    --------
    >>> figure = plot_horizons({"a model": [1, 2, 4]}, "MSE", floors={"still": [5] * 3})
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['a model', 'still']
    """
    if not curves:
        raise ValueError(
            "plot_horizons expected at least one curve, got none. Give a mapping from "
            "names to values."
        )
    floors = floors or {}
    if clash := [name for name in curves if name in floors]:
        raise ValueError(
            f"plot_horizons expected other names for floors than for curves, got "
            f"{clash[0]!r} for both. Rename one."
        )
    figure: Figure
    figure, panel = _pyplot().subplots(figsize=(_WIDTH, 3.6), layout="constrained")
    lines = draw_horizons(panel, curves, floors)
    panel.set(xlabel="horizon (frames ahead)", ylabel=measure)
    names = [plain(name) for name in (*curves, *floors)]
    figure.legend(lines, names, loc="outside upper center", ncols=2)
    return figure


def draw_horizons(
    panel: Any, curves: Mapping[str, Any], floors: Mapping[str, Any]
) -> list[Any]:
    """Draw the curves and floors of `plot_horizons`, and return their lines."""
    horizons = None
    lines = []
    for values in curves.values():
        rows = check_shape(np.atleast_2d(values), "seeds horizons", horizons=horizons)
        horizons = rows.shape[1]
        along = np.arange(1, horizons + 1)
        lines += panel.plot(along, rows.mean(axis=0), "o-", ms=4)
        span = rows.min(axis=0), rows.max(axis=0)
        panel.fill_between(along, *span, color=lines[-1].get_color(), alpha=0.2, lw=0)
    for number, values in enumerate(floors.values()):
        floor = check_shape(np.asarray(values), "horizons", horizons=horizons)
        grey = str(min(0.3 + 0.3 * number, 0.7))
        dashes = ("--", ":")[number % 2]
        lines += panel.plot(along, floor, dashes, color=grey)
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
