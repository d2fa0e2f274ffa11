"""Clips on paper: strips of frames, predictions beside the truth, errors by horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._clips import FRAME
from .plotting import _pyplot
from .shapes import ShapeError, check_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 5.2  # inches, as in use_book_style


def plot_clips(
    clips: Sequence[NDArray[Any]], names: Sequence[str], *, every: int = 1
) -> Figure:
    """Draw clips as strips of frames: a row a clip, from the first frame to the last.

    Parameters
    ----------
    clips : sequence of ndarray, each (time, height, width, channels)
        Pixels in [0, 1], grey or red, green and blue, all of one shape.
    names : sequence of str
        What to write beside each clip.
    every : int
        Draw every first, second, ... frame.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ShapeError
        If a clip has other axes or another shape than the first.
    ValueError
        If there is no clip, or not one name for each.

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
    _check_alike(clips)
    return _draw(clips, names, range(0, len(clips[0]), every), "frame")


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
        If there is no prediction.

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
    rows, names = [true], ["truth"]
    check_shape(true, "time height width channels", channels=1)
    for name, predicted in predictions.items():
        _check_alike([true, predicted])
        rows += [predicted, predicted - true]
        names += [name, "difference"]
    label = "frame    (difference: red too bright, blue too dark)"
    return _draw(rows, names, range(0, len(true), every), label, first)


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
        What any model should beat, drawn dashed.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. The first predicted frame is horizon 1.

    Raises
    ------
    ShapeError
        If a curve has other axes, or they differ in their number of horizons.
    ValueError
        If there is no curve.

    Examples
    --------
    >>> figure = plot_horizons({"a model": [1, 2, 4]}, "MSE", floors={"still": [5] * 3})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['a model', 'still']
    """
    if not curves:
        raise ValueError(
            "plot_horizons expected at least one curve, got none. Give a mapping from "
            "names to values."
        )
    figure: Figure
    figure, panel = _pyplot().subplots(figsize=(_WIDTH, 3.6), layout="constrained")
    horizons = None
    for name, values in {**curves, **(floors or {})}.items():
        rows = check_shape(np.atleast_2d(values), "seeds horizons", horizons=horizons)
        horizons = rows.shape[1]
        along = np.arange(1, horizons + 1)
        if name in curves:
            (line,) = panel.plot(along, rows.mean(axis=0), "o-", ms=4, label=name)
            span = rows.min(axis=0), rows.max(axis=0)
            panel.fill_between(along, *span, color=line.get_color(), alpha=0.2, lw=0)
        else:
            grey = 0.3 + 0.3 * (len(panel.lines) - len(curves))
            panel.plot(along, rows[0], "--", color=str(min(grey, 0.7)), label=name)
    panel.set(xlabel="horizon (frames ahead)", ylabel=measure)
    panel.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _check_alike(clips: Sequence[NDArray[Any]]) -> None:
    axes = ["time", *FRAME]
    shape = check_shape(clips[0], " ".join(axes)).shape
    for clip in clips:
        check_shape(clip, " ".join(axes), **dict(zip(axes, shape, strict=True)))
    if shape[3] not in (1, 3) or 0 in shape:
        raise ShapeError(
            "A strip shows frames with 1 channel (grey) or 3 (red, green, blue), at "
            f"least one of them, got {shape}. Choose the channels to be drawn."
        )


def _draw(
    clips: Sequence[NDArray[Any]],
    names: Sequence[str],
    shown: range,
    label: str,
    first: int = 0,
) -> Figure:
    """Draw a strip a clip; those named "difference" in two colours around white."""
    _, height, width, channels = clips[0].shape
    panel_height = _WIDTH * 0.8 / len(shown) * height / width
    figure: Figure
    figure, panels = _pyplot().subplots(
        len(clips),
        figsize=(_WIDTH, len(clips) * (panel_height + 0.08) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    for clip, name, panel in zip(clips, names, panels[:, 0], strict=True):
        difference = name == "difference"
        strip = np.full(
            (height, len(shown) * (width + 1) - 1, channels), 0.0 if difference else 1.0
        )
        for place, number in enumerate(shown):
            left = place * (width + 1)
            strip[:, left : left + width] = clip[number]
        colours = ("RdBu_r", -1) if difference else ("gray", 0)
        panel.imshow(strip, cmap=colours[0], vmin=colours[1], vmax=1)
        panel.set_yticks([(height - 1) / 2], [name])
        panel.set_xticks([])
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.grid(visible=False)
    centres = [place * (width + 1) + (width - 1) / 2 for place in range(len(shown))]
    panels[-1, 0].set_xticks(centres, [str(first + number) for number in shown])
    panels[-1, 0].set_xlabel(label)
    return figure
