"""The figures hold the data that they were given, and can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnseq_helpers import (
    load_dataset,
    plot_recordings,
    plot_scores,
    use_book_style,
)


@pytest.fixture(autouse=True)
def book_style():
    with plt.rc_context():
        use_book_style()
        yield
    plt.close("all")


def test_recordings_are_drawn_in_seconds():
    data = load_dataset("BasicMotions")
    figure = plot_recordings(data, seconds_per_step=0.1)
    first = data.x_train[data.y_train == 0][0]
    lines = figure.axes[0].get_lines()
    np.testing.assert_array_equal(lines[1].get_ydata(), first[:, 1])
    np.testing.assert_allclose(lines[1].get_xdata()[[0, -1]], [0, 9.9])
    assert [panel.get_xlabel() for panel in figure.axes[-2:]] == ["time (s)"] * 2


def test_scores_show_every_seed_and_the_mean():
    scores = {"a": [0.5, 0.5, 0.8], "b": [1.0]}
    panel = plot_scores(scores, baseline=0.25, baseline_name="chance").axes[0]
    assert [bar.get_width() for bar in panel.patches] == pytest.approx([0.6, 1.0])
    dots, _, bound = panel.get_lines()
    assert list(dots.get_xdata()) == scores["a"]
    assert len(set(dots.get_ydata())) == 3  # equal accuracies do not hide each other
    assert list(bound.get_xdata()) == [0.25, 0.25]


@pytest.mark.parametrize("values", [[75.0, 80.0], [], [float("nan")]])
def test_scores_that_are_no_accuracies_are_refused(values):
    with pytest.raises(ValueError, match="at least one a model"):
        plot_scores({"a": values}, baseline=0.25, baseline_name="chance")


def test_a_class_without_a_recording_is_named():
    data = load_dataset("BasicMotions")
    data = data._replace(y_train=np.zeros_like(data.y_train))
    with pytest.raises(ValueError, match="none of 'running'"):
        plot_recordings(data, seconds_per_step=0.1)


def test_type_is_legible_on_a_phone():
    figure, _ = plt.subplots()
    points_per_pixel = figure.get_figwidth() * 72 / 330  # 330 of 360 pixels are figure
    assert plt.rcParams["font.size"] / points_per_pixel >= 9
