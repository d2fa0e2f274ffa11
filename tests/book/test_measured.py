"""What pages say of the stored benchmark holds for the numbers that are stored."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load_page(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return load_page("converting_page")


@pytest.fixture(scope="module")
def found():
    return json.loads((BENCHMARKS / "converting.json").read_text())


def test_tables_show_what_is_stored(page, found):
    text = (BENCHMARKS / "converting.md").read_text()
    tables = [
        page.promises(found),
        page.speed_table(found, page.NAMES),
        page.length_table(found),
    ]
    for table in tables:
        assert "\n".join(table) in text


def test_what_the_pages_say_of_accuracy_holds(page, found):
    def ahead(method, other, name):
        ours, theirs = (
            np.mean(page.runs(found, name, each, "accuracy"))
            for each in (method, other)
        )
        return float(ours - theirs)

    gestures = "PickupGestureWiimoteZ"
    others = [name for name in page.NAMES if name != gestures]
    assert all(-0.01 < ahead("to_cnn1d", page.BASE, name) < 0.03 for name in others)
    assert abs(ahead("to_cnn1d", page.BASE, "JapaneseVowels")) < 0.01
    assert ahead("to_cnn1d", page.BASE, gestures) > 0.2
    assert ahead(page.IN_FRONT, "to_cnn1d", gestures) > -0.02
    assert ahead("to_cnn1d", "to_cnn1d, distilled", gestures) > 0.1


def test_the_lstm_grows_faster_with_the_length(page, found):
    for what in ("inference", "training"):
        gains = [
            page.gain(found[f"length/{steps}"][what], "to_cnn1d")
            for steps in (32, 512, 4096)
        ]
        assert gains == sorted(gains)


# --- Video ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video_page():
    return load_page("video_page")


@pytest.fixture(scope="module")
def video_found():
    return json.loads((BENCHMARKS / "video.json").read_text())


def test_video_tables_show_what_is_stored(video_page, video_found):
    text = (BENCHMARKS / "video.md").read_text()
    assert "\n".join(video_page.promises(video_found)) in text
    for setting in video_page.SETTINGS:
        assert "\n".join(video_page.table(video_found, setting)) in text


def test_all_video_models_were_trained_for_as_long(video_page, video_found):
    for setting in video_page.SETTINGS:
        for method in video_page.METHODS[:3]:
            runs = video_page.records(video_found, setting, method)
            assert len(runs) == setting.seeds
            for run in runs:
                assert setting.seconds <= run["seconds"] < 1.02 * setting.seconds


def test_what_the_page_says_of_the_video_models_holds(video_page, video_found):
    for setting in video_page.SETTINGS:
        ours = video_page.curves(video_found, setting, "convolutional").mean(axis=0)
        others = [
            video_page.curves(video_found, setting, method).mean(axis=0)
            for method in video_page.METHODS[:-1]
            if method != "convolutional"
        ]
        floors = [
            video_page.floor(video_found, setting, name)
            for name in (video_page.LAST, video_page.MEAN)
        ]
        assert all((ours < other).all() for other in [*others, *floors])
        last, mean = floors
        assert (last[3:] > mean[3:]).all()
        example = video_page.records(video_found, setting, video_page.EXAMPLE)
        assert all(run["steps"] < 50 for run in example)


def test_the_convolutional_model_keeps_its_promise(video_page, video_found):
    first = video_page.SETTINGS[0]
    for other in ("ConvLSTM", video_page.MEAN):
        assert video_page.ratio(video_found, first, other) <= 0.6
