"""The explorer of the fold: its arithmetic is that of Keras, and all can use it."""

import random
import re
from itertools import combinations, pairwise, product

import keras
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from keras import layers

import cnnseq_helpers as helpers
from cnnseq_helpers.shapes import name_axes

from ..book.notebooks import ROOT, read
from ..conftest import sampled

STATIC = ROOT / "book/_static"
STORED = STATIC / "explorers/folding.svg"
CHAPTER = "notebooks/combining/frames_and_masks"
SCRIPTS = ("explorer", "folding_marks", "folding_shapes", "folding_words", "folding")
FIRST = {
    "batch": 2,
    "time": 5,
    "length": "known",
    "side": 32,
    "channels": 1,
    "blocks": 2,
    "filters": 16,
    "head": "Flatten",
    "units": 32,
    "sequences": "False",
    "classes": 8,
    "handOver": 2,
}
# As the theme sets them. The letters are the widest that a reader may have.
FONT = "--pst-font-family-base: 'DejaVu Sans', Verdana, sans-serif;"
COLOURS = {
    "light": {"background": "#ffffff", "surface": "#f5f5f5", "text-base": "#323232"},
    "dark": {"background": "#14181e", "surface": "#222832", "text-base": "#ced6dd"},
}


# --- A small page with the explorer alone ---------------------------------------------


def small_page(mode):
    """Return a page that holds the figure, the styles and the scripts in itself."""
    colours = "".join(f"--pst-color-{k}: {v};" for k, v in COLOURS[mode].items())
    styles = ["book.css", "explorers/explorer.css"]
    css = "".join((STATIC / style).read_text() for style in styles)
    body = "background: var(--pst-color-background); color: var(--pst-color-text-base)"
    scripts = "".join(
        f"<script>{(STATIC / 'explorers' / f'{name}.js').read_text()}</script>"
        for name in SCRIPTS
    )
    return (
        f'<!doctype html><html lang="en" data-theme="{mode}"><meta charset="utf-8">'
        "<title>Folding</title>"
        f"<style>html {{{colours} {FONT}}} {css} body {{{body}}}</style>"
        f'<main><h1>Folding</h1><img src="_images/folding.svg" alt="">{scripts}</main>'
    )


@pytest.fixture
def small(page):
    # The figure is replaced at once, and need not exist.
    page.route("**/folding.svg", lambda route: route.fulfill(path=STORED))
    page.route("**/small", lambda route: route.fulfill(body=small_page("light")))
    page.goto("http://127.0.0.1/small")
    return page


def control(page, label):
    return page.locator(".explorer label", has_text=label).locator("input, select")


def table_row(page, name):
    return page.locator(".explorer-stage g[cursor]").filter(has_text=name)


def drawn(page):
    return page.locator(".explorer-stage svg").inner_html()


def said(page):
    return page.locator(".explorer-result[role=status]").inner_text()


# --- (a) The arithmetic is that of Keras ----------------------------------------------


def random_settings(number):
    draw = random.Random(0)
    return [
        {
            "batch": draw.randint(1, 3),
            "time": draw.randint(1, 6),
            "length": draw.choice(["known", "unknown"]),
            "side": draw.randint(4, 40),
            "channels": draw.randint(1, 4),
            "blocks": draw.randint(1, 4),
            "filters": draw.randint(1, 12),
            "head": draw.choice(["Flatten", "average pool"]),
            "units": draw.randint(1, 24),
            "sequences": draw.choice(["False", "True"]),
            "classes": draw.randint(2, 10),
            "handOver": draw.randint(1, 7),
        }
        for _ in range(number)
    ]


def make_cnn(settings):
    """Return the CNN for one frame, as Keras builds it."""
    side, channels = settings["side"], settings["channels"]
    flatten = settings["head"] == "Flatten"
    block = (
        lambda: layers.Conv2D(settings["filters"], 3, padding="same"),
        lambda: layers.MaxPooling2D(2),
    )
    return keras.Sequential(
        [
            keras.Input((side, side, channels), name="frame"),
            *(make() for _ in range(settings["blocks"]) for make in block),
            layers.Flatten() if flatten else layers.GlobalAveragePooling2D(),
        ]
    )


def make_model(settings, cnn):
    side, channels = settings["side"], settings["channels"]
    time = settings["time"] if settings["length"] == "known" else None
    every = settings["sequences"] == "True"
    return keras.Sequential(
        [
            keras.Input((time, side, side, channels), name="clips"),
            helpers.BatchApply(cnn, name="each_frame"),
            layers.LSTM(settings["units"], return_sequences=every, name="lstm"),
            layers.Dense(settings["classes"], name="logits"),
        ]
    )


def keras_shapes(cnn, model):
    """Return the seven shapes as Keras writes them, None for what is not known."""
    return [
        model.input_shape,
        cnn.input_shape,
        cnn.layers[-2].output.shape,
        cnn.output_shape,
        *(layer.output.shape for layer in model.layers),
    ]


def sizes_of_one_batch(settings, cnn, model):
    """Return the seven shapes of a batch of clips that is sent through the layers."""
    batch, time, side = (settings[name] for name in ("batch", "time", "side"))
    clips = np.zeros((batch, time, side, side, settings["channels"]), "float32")
    folded = clips.reshape(-1, *clips.shape[2:])
    maps = folded
    for layer in cnn.layers[:-1]:
        maps = np.zeros(layer.compute_output_shape(maps.shape))
    features = cnn.layers[-1].compute_output_shape(maps.shape)
    shapes = [clips.shape, folded.shape, maps.shape, features]
    shapes.append(model.layers[0].compute_output_spec(clips).shape)
    for layer in model.layers[1:]:
        shapes.append(layer.compute_output_shape(shapes[-1]))
    return [list(shape) for shape in shapes]


def parameter_counts(cnn, model):
    after = [layer.count_params() for layer in model.layers[1:]]
    return [0, 0, cnn.count_params(), 0, 0, *after]


def can_be_built(settings):
    """Return whether every pooling meets a frame of two pixels at least."""
    return settings["side"] >> settings["blocks"] > 0


@pytest.mark.parametrize("part", sampled(range(4), 4))
def test_shapes_and_parameters_are_those_of_keras(small, part):
    settings = list(filter(can_be_built, random_settings(360)[part::4]))
    assert len(settings) >= 75
    answers = small.evaluate("(all) => all.map(explorers.folding.handOvers)", settings)
    for setting, found in zip(settings, answers, strict=True):
        cnn = make_cnn(setting)
        model = make_model(setting, cnn)
        sizes = [[size for _, size in each["axes"]] for each in found]
        assert sizes == sizes_of_one_batch(setting, cnn, model), setting
        shapes = [
            tuple(None if size == "None" else size for size in each["keras"])
            for each in found
        ]
        assert shapes == keras_shapes(cnn, model), setting
        counts = [each["parameters"] for each in found]
        assert counts == parameter_counts(cnn, model), setting


def test_what_the_explorer_refuses_keras_refuses(small):
    settings = [s for s in random_settings(360) if not can_be_built(s)]
    assert len(settings) >= 20
    answers = small.evaluate("(all) => all.map(explorers.folding.handOvers)", settings)
    for setting, found in zip(settings, answers, strict=True):
        assert [each["name"] for each in found] == ["clips", "fold"]
        with pytest.raises(ValueError, match="size would be zero or negative"):
            make_cnn(setting)


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_axes_and_parameters_are_those_of_trace_shapes(small, length):
    setting = {**FIRST, "length": length}
    cnn = make_cnn(setting)
    model = make_model(setting, cnn)
    found = small.evaluate("explorers.folding.handOvers", setting)
    shapes = []
    for each in found[:4]:
        # The helper calls the rows of a CNN its batch.
        names = [name.replace("batch · time", "batch") for name, _ in each["axes"]]
        sizes = [None if size == "None" else size for size in each["keras"]]
        shapes.append(name_axes(sizes, names))
    clips, each_frame, lstm, logits = helpers.trace_shapes(model).rows
    frame, *_, maps, head = helpers.trace_shapes(cnn).rows
    assert shapes == [row.output_shape for row in (clips, frame, maps, head)]
    counts = [each_frame.parameters, lstm.parameters, logits.parameters]
    assert counts == [found[index]["parameters"] for index in (2, 5, 6)]


def test_sides_are_those_of_pool_output_length(small):
    settings = random_settings(300)
    answers = small.evaluate(
        "(all) => all.map(explorers.folding.featureMaps)", settings
    )
    for setting, maps in zip(settings, answers, strict=True):
        for before, after in pairwise(maps):
            side = helpers.conv_output_length(before["side"], 3, padding="same")
            if after["side"]:
                assert after["side"] == helpers.pool_output_length(side, 2), setting
            else:
                with pytest.raises(helpers.ShapeError):
                    helpers.pool_output_length(side, 2)


def test_a_frame_lies_in_the_row_that_numpy_gives_it(small):
    settings = random_settings(300)
    places, swapped = small.evaluate(
        """(all) => [
          all.map(({ batch, time }) =>
            Array.from({ length: batch }, (_, clip) =>
              Array.from({ length: time }, (_, frame) => {
                const row = explorers.folding.rowOf(clip, frame, time);
                const back = explorers.folding.frameOf(row, time);
                return [row, back.clip, back.frame];
              }))),
          all.map((each) => Array.from({ length: each.batch }, (_, clip) =>
            explorers.folding.swappedRows(clip, each))),
        ]""",
        settings,
    )
    for setting, place, mixed in zip(settings, places, swapped, strict=True):
        batch, time = setting["batch"], setting["time"]
        clips, frames = np.indices((batch, time))
        rows = np.arange(batch * time)
        expected = np.stack([rows.reshape(batch, time), clips, frames], axis=-1)
        np.testing.assert_array_equal(place, expected)
        np.testing.assert_array_equal(mixed, rows.reshape(time, batch).T)


# --- What the sentences claim ---------------------------------------------------------


def sentences(page, **changes):
    settings = {**FIRST, **changes}
    found = page.evaluate("explorers.foldingWords.sentences", settings)
    return " ".join(found)


def test_what_keras_refuses_is_quoted_as_keras_says_it(small):
    for blocks, filters, channels in ((3, 5, 1), (4, 16, 3)):
        setting = {**FIRST, "side": 2 ** (blocks - 1), "blocks": blocks}
        setting |= {"filters": filters, "channels": channels, "handOver": 3}
        with pytest.raises(ValueError, match="Computed output size") as refusal:
            make_cnn(setting)
        quoted = re.search("“(.+)”", sentences(small, **setting))[1]
        assert quoted in str(refusal.value)
        assert f"block {blocks} would" in sentences(small, **setting)
    same = layers.MaxPooling2D(2, padding="same")
    assert same.compute_output_shape((None, 1, 1, 5)) == (None, 1, 1, 5)


@pytest.mark.parametrize("time", [5, None])
def test_the_mistakes_go_wrong_as_the_sentences_say(small, time):
    clips = keras.Input((time, 32, 32, 1))
    reshaped = layers.Reshape((-1, 32, 32, 1))(clips)
    assert reshaped.shape == clips.shape
    assert "layers.Reshape((-1, 32, 32, 1)) does not fold" in sentences(small)

    rows = np.arange(10)
    clip = np.swapaxes(rows.reshape(5, 2), 0, 1)[0]
    text = sentences(small, handOver=5)
    assert f"clip 0 is made of rows {', '.join(map(str, clip))}:" in text
    assert set(clip // 5) == {0, 1}

    long_clip = keras.ops.reshape(np.zeros((10, 1024)), (-1, 5, 1024))
    assert long_clip.shape == (2, 5, 1024)
    text = sentences(small, handOver=5, length="unknown")
    assert "(-1, 5, 1024)). A clip of 10 frames comes out as two clips of 5" in text

    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        layers.LSTM(4)(layers.LSTM(4)(keras.Input((time, 8))))
    assert "needs three axes and would get two" in sentences(small, handOver=6)


@pytest.mark.parametrize(("every", "labels"), [("False", (2,)), ("True", (2, 5))])
def test_labels_of_the_shape_named_fit_the_logits(small, every, labels):
    model = make_model(FIRST | {"sequences": every}, make_cnn(FIRST))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert helpers.check_targets(model, np.zeros(labels, int)) == []
    text = sentences(small, handOver=7, sequences=every)
    assert f"labels have the shape {labels}." in text


def test_sentences_are_whole_at_every_setting(small):
    answers = small.evaluate(
        "(all) => all.map(explorers.foldingWords.sentences)",
        [
            setting | {"handOver": n}
            for setting in random_settings(50)
            for n in range(1, 8)
        ],
    )
    for found in answers:
        assert len(found) == 3
        for sentence in found:
            assert not re.search(r"undefined|NaN|null|\[object", sentence)
            assert not re.search(
                r"(?<![\d,])1 (frame|clip|picture|vector|filter)s", sentence
            )


def test_the_numbers_of_the_chapter(small):
    text = next(
        c.source for c in read(f"{CHAPTER}.ipynb").cells if "folding.svg" in c.source
    )
    assert "row 1 · 5 + 2 = 7. Which" in text
    assert "row 1 · 5 + 2 = 7." in sentences(small)
    assert "row 8." in text
    assert "row 1 · 6 + 2 = 8." in sentences(small, time=6)
    assert (
        "from 1,024 to 16, and the parameters of the LSTM from 135,296 to 6,272" in text
    )
    for head, features, parameters in (
        ("Flatten", "1,024", "135,296"),
        ("average pool", "16", "6,272"),
    ):
        assert f"features {features})" in sentences(small, head=head, handOver=5)
        assert f"= {parameters}." in sentences(small, head=head, handOver=6)
    assert "side to 4 and the blocks to 3" in text
    assert "4, 2, 1" in sentences(small, side=4, blocks=2, handOver=3)
    assert "block 3 would" in sentences(small, side=4, blocks=3, handOver=3)


# --- (b) Mouse, touch and keys --------------------------------------------------------


def test_keys_step_through_the_hand_overs(small):
    slider = control(small, "Hand-over")
    slider.focus()
    seen = set()
    slider.press("Home")
    for name in ("clips", "fold", "CNN", "head", "unfold", "LSTM", "logits"):
        assert f"of 7, {name}:" in said(small)
        assert small.locator(".explorer-stage text[style*=bold]").text_content() == name
        seen.add(drawn(small))
        slider.press("ArrowRight")
    assert len(seen) == 7
    assert slider.evaluate("(node) => node === document.activeElement")


def test_a_click_on_a_row_of_the_table_shows_its_hand_over(small):
    before = drawn(small)
    table_row(small, "logits").click()
    assert "Hand-over 7 of 7, logits: (batch 2, classes 8)" in said(small)
    assert drawn(small) != before
    assert control(small, "Hand-over").input_value() == "7"


def test_every_control_changes_the_drawing_or_the_sentences(small):
    changes = {
        "Clips": "3",
        "Frames": "4",
        "Time length": "unknown",
        "Frame side": "40",
        "Channels": "3",
        "CNN blocks": "3",
        "Filters": "8",
        "Head": "average pool",
        "LSTM units": "16",
        "return_sequences": "True",
        "Classes": "3",
        "Hand-over": "4",
    }
    for label, value in changes.items():
        before = drawn(small) + said(small)
        field = control(small, label)
        is_choice = field.evaluate("(node) => node.localName === 'select'")
        field.select_option(value) if is_choice else field.fill(value)
        assert drawn(small) + said(small) != before, label


def test_a_cnn_that_is_too_deep_ends_the_table(small):
    control(small, "Frame side").fill("4")
    control(small, "CNN blocks").fill("3")
    table_row(small, "LSTM").click()
    assert control(small, "Hand-over").input_value() == "3"
    assert "t be built" in small.locator(".explorer-stage").inner_text()
    assert "Keras says" in said(small)


def test_frames_of_a_clip_share_colour_and_number_after_the_fold(small):
    bars = small.locator(".explorer-stage path[stroke*=book-]").evaluate_all(
        "(all) => all.map((path) => [path.getAttribute('stroke'), "
        "path.parentNode.textContent])"
    )
    clips = [(colour, text) for colour, text in bars if re.fullmatch(r"clip \d", text)]
    assert [text for _, text in clips] == ["clip 0", "clip 1"]
    balls = small.locator(".explorer-stage circle").evaluate_all(
        "(all) => all.map((ball) => ball.getAttribute('fill'))"
    )
    assert balls[:10] == [colour for colour, _ in clips for _ in range(5)]


def test_a_finger_reaches_the_rows_on_the_built_page(browser, address):
    context = browser.new_context(
        viewport={"width": 360, "height": 800}, has_touch=True
    )
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}.html")
    row = table_row(page, "unfold")
    assert row.bounding_box()["height"] >= 24
    row.tap()
    assert "Hand-over 5 of 7, unfold" in page.locator("#explorer-folding").inner_text()
    context.close()


# --- (c) to (f) For everybody ---------------------------------------------------------


STATES = list(product([3, 2, 6], ["dark", "light"]))


@pytest.mark.parametrize(("number", "mode"), sampled(STATES, 6))
def test_axe_finds_nothing(small, mode, number):
    small.route("**/small", lambda route: route.fulfill(body=small_page(mode)))
    small.reload()
    control(small, "Hand-over").fill(str(number))
    found = Axe().run(small, context=".explorer")
    assert found.response["violations"] == [], found.generate_report()


def overlap(one, other):
    return (
        one["left"] + 0.5 < other["right"]
        and other["left"] + 0.5 < one["right"]
        and one["top"] + 2 < other["bottom"]
        and other["top"] + 2 < one["bottom"]
    )


@pytest.mark.parametrize("number", sampled([6, *range(1, 6), 7], 7))
def test_nothing_leaves_the_drawing(small, number):
    """The widest settings, on a phone."""
    small.set_viewport_size({"width": 360, "height": 800})
    for label, value in {"Clips": 3, "Frames": 6, "side": 64, "blocks": 4}.items():
        control(small, label).fill(str(value))
    control(small, "Channels").fill("4")
    control(small, "Filters").fill("32")
    control(small, "Hand-over").fill(str(number))
    width = "document.documentElement.scrollWidth"
    assert small.evaluate(width) <= 360
    frame = small.locator(".explorer-stage svg").bounding_box()
    boxes = small.locator(".explorer-stage svg :is(text, rect, path)").evaluate_all(
        "(all) => all.map((node) => node.getBoundingClientRect().toJSON())"
    )
    assert min(box["left"] for box in boxes) >= frame["x"] - 1
    assert max(box["right"] for box in boxes) <= frame["x"] + frame["width"] + 1
    words = small.locator(".explorer-stage svg text").evaluate_all(
        "(all) => all.map((node) => node.getBoundingClientRect().toJSON())"
    )
    assert not [pair for pair in combinations(words, 2) if overlap(*pair)]
    bottom = frame["y"] + frame["height"]
    assert max(box["bottom"] for box in boxes) <= bottom + 1
