"""Strips and curves hold the frames and values that they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnseq_helpers import (
    ShapeError,
    plot_clips,
    plot_horizons,
    plot_predictions,
    use_book_style,
)

RANDOM = np.random.default_rng(0)
TRUE, FIRST, SECOND = RANDOM.random((3, 6, 4, 5, 1))


@pytest.fixture(autouse=True)
def book_style():
    with plt.rc_context():
        use_book_style()
        yield
    plt.close("all")


def picture(panel):
    (image,) = panel.get_images()
    return np.asarray(image.get_array())


def test_a_strip_shows_the_frames_that_it_names():
    panel = plot_clips([TRUE], ["clip"], every=2).axes[0]
    strip = picture(panel)
    assert strip.shape == (4, 3 * 5 + 2)
    for place, number in enumerate((0, 2, 4)):
        left = place * 6
        np.testing.assert_array_equal(strip[:, left : left + 5], TRUE[number, ..., 0])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "2", "4"]


def test_frames_are_counted_from_any_number():
    panel = plot_clips([TRUE], ["clip"], first=6, every=2).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["6", "8", "10"]


def test_colours_are_shown():
    panel = plot_clips([RANDOM.random((3, 4, 5, 3))], ["colour"]).axes[0]
    assert picture(panel).shape == (4, 17, 3)


def test_predictions_stand_below_the_truth_with_their_differences():
    figure = plot_predictions(TRUE, {"one": FIRST, "two": SECOND}, first=10, every=5)
    names = [panel.get_yticklabels()[0].get_text() for panel in figure.axes]
    assert names == ["truth", "one", "difference", "two", "difference"]
    rows = [picture(panel) for panel in figure.axes]
    np.testing.assert_array_equal(rows[0][:, :5], TRUE[0, ..., 0])
    np.testing.assert_array_equal(rows[1][:, 6:], FIRST[5, ..., 0])
    np.testing.assert_allclose(rows[4][:, 6:], (SECOND - TRUE)[5, ..., 0])
    ticks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ticks == ["10", "15"]


def test_no_difference_is_white():
    figure = plot_predictions(TRUE, {"same": TRUE})
    (image,) = figure.axes[2].get_images()
    shown = image.cmap(image.norm(image.get_array()))[..., :3]
    assert shown.min() > 0.96


def test_horizons_count_from_one_and_seeds_make_a_band():
    figure = plot_horizons(
        {"a": [[1, 2, 3], [3, 4, 5]], "b": [0, 1, 2]},
        "MSE",
        baselines={"still": [9] * 3},
    )
    (panel,) = figure.axes
    a, b, still = panel.get_lines()
    assert list(a.get_xdata()) == [1, 2, 3]
    assert list(a.get_ydata()) == [2, 3, 4]
    assert list(b.get_ydata()) == [0, 1, 2]
    assert still.get_linestyle() == "--"
    band = panel.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1
    assert band[:, 1].max() == 5
    assert panel.get_ylabel() == "MSE"


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: plot_clips([], []), ValueError, "got 0 clips and 0 names"),
        (lambda: plot_clips([TRUE], []), ValueError, "got 1 clips and 0 names"),
        (lambda: plot_clips([TRUE[0]], ["a"]), ShapeError, "time, height"),
        (
            lambda: plot_clips([TRUE, TRUE[:, :2]], ["a", "b"]),
            ShapeError,
            "height=4.*height=2",
        ),
        (lambda: plot_clips([TRUE[..., [0, 0]]], ["a"]), ShapeError, "1 channel"),
        (lambda: plot_clips([TRUE[:0]], ["a"]), ShapeError, "at least"),
        (lambda: plot_predictions(TRUE, {}), ValueError, "at least one prediction"),
        (lambda: plot_predictions(TRUE, {"a": FIRST[:3]}), ShapeError, "time=6"),
        (
            lambda: plot_predictions(TRUE[..., [0] * 3], {"a": TRUE[..., [0] * 3]}),
            ShapeError,
            "channels=1",
        ),
        (lambda: plot_horizons({}, "MSE"), ValueError, "at least one curve"),
        (
            lambda: plot_horizons({"a": [1, 2], "b": [1, 2, 3]}, "MSE"),
            ShapeError,
            "horizons=2",
        ),
        (lambda: plot_horizons({"a": [[[1]]]}, "MSE"), ShapeError, "seeds, horizons"),
        (
            lambda: plot_horizons({"a": [1, 2]}, "MSE", baselines={"b": [1]}),
            ShapeError,
            "horizons=2",
        ),
    ],
)
def test_refuses(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


def test_a_name_may_be_any_text():
    figure = plot_clips([TRUE, FIRST], ["difference", "$_$"])
    figure.canvas.draw()
    assert picture(figure.axes[0])[0, 5] == 1  # grey, with white between the frames
    figure = plot_horizons({"_a $_$": [1, 2]}, "MSE", baselines={"b": [3, 4]})
    figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [r"_a \$_\$", "b"]


def test_baselines_have_names_and_one_row_of_their_own():
    with pytest.raises(ValueError, match="got 'still' for both"):
        plot_horizons({"still": [1, 2]}, "MSE", baselines={"still": [9, 9]})
    with pytest.raises(ShapeError, match="horizons"):
        plot_horizons({"a": [1, 2]}, "MSE", baselines={"still": [[9, 9], [8, 8]]})


@pytest.mark.parametrize("every", [0, -1, 2.5])
def test_every_is_a_whole_number(every):
    with pytest.raises(ShapeError, match="every to be a whole number"):
        plot_clips([TRUE], ["a"], every=every)


def test_pixels_from_0_to_255_are_refused():
    bytes_ = (TRUE * 255).astype("uint8")
    with pytest.raises(ValueError, match="clip 0 to hold floats"):
        plot_clips([bytes_], ["a"])
    with pytest.raises(ValueError, match="clip a to hold floats"):
        plot_predictions(TRUE, {"a": bytes_})
    with pytest.raises(ValueError, match="clip 0 in .0, 1"):
        plot_clips([TRUE * 255], ["a"])
