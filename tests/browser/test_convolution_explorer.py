"""The explorer of convolutions says and draws what Keras does."""

import re
from itertools import product
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from keras import layers

import cnnseq_helpers as helpers

from ..conftest import sampled

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "book/_static"
PLAIN, PADDED = "convolution", "convolution-padded"
CHAPTERS = {
    PLAIN: "notebooks/converting/receptive_field",
    PADDED: "notebooks/padding/padding_and_masks",
}
PARTS = ("convolution_arithmetic", "convolution_words", "convolution")
FIRST = {
    "kernelSize": 3,
    "strides": 1,
    "dilationRate": 1,
    "depth": 2,
    "padding": "same",
    "steps": 12,
    "realSteps": 8,
    "step": 7,
}
CHOICES = ("padding", "dilationRates")
LABELS = {
    "dilationRates": "dilation rates",
    "kernelSize": "kernel size",
    "strides": "strides",
    "dilationRate": "dilation rate",
    "depth": "layers",
    "padding": "padding",
    "steps": "padded length",
    "realSteps": "real steps",
    "step": "output step",
}


def open_explorer(page, tmp_path, name):
    """Open a page of nothing but the explorer, from a file; return the page."""
    scripts = [STATIC / f"explorers/{name}.js" for name in ("explorer", *PARTS)]
    tags = [f'<script src="{path.as_uri()}" defer></script>' for path in scripts]
    styles = [STATIC / "book.css", STATIC / "explorers/explorer.css"]
    links = [f'<link rel="stylesheet" href="{path.as_uri()}">' for path in styles]
    (tmp_path / "_images").mkdir()
    figure = STATIC / f"explorers/{name}.svg"
    (tmp_path / "_images" / figure.name).write_bytes(figure.read_bytes())
    picture = f'<p><img src="_images/{name}.svg" alt="A figure."></p>'
    (tmp_path / "page.html").write_text(
        f"<!doctype html><meta charset='utf-8'>{''.join(links + tags)}{picture}"
    )
    page.set_default_timeout(3000)
    page.goto((tmp_path / "page.html").as_uri())
    return page


@pytest.fixture
def explorer(page, tmp_path):
    return open_explorer(page, tmp_path, PADDED)


@pytest.fixture
def plain(page, tmp_path):
    return open_explorer(page, tmp_path, PLAIN)


def control(page, name):
    role = "combobox" if name in CHOICES else "slider"
    return page.get_by_role(role, name=LABELS[name], exact=name in CHOICES)


def change(page, **settings):
    for name, value in settings.items():
        if name in CHOICES:
            control(page, name).select_option(value)
        else:
            control(page, name).fill(str(value))


def said(page):
    sentences = page.locator(".explorer-result p").all_inner_texts()
    return [sentence.replace("\xa0", " ") for sentence in sentences]


# --- The arithmetic, against Keras ----------------------------------------------------


def random_settings(count):
    """Return settings within the ranges of the controls, some without an output."""
    random = np.random.default_rng(0)
    ranges = {"kernelSize": 5, "strides": 3, "dilationRate": 4, "depth": 4, "steps": 16}
    for _ in range(count):
        settings = {
            name: int(random.integers(1, high, endpoint=True))
            for name, high in ranges.items()
        }
        if random.random() < 0.8:  # most with strides or dilation, not both
            settings[str(random.choice(["strides", "dilationRate"]))] = 1
        settings["padding"] = str(random.choice(["valid", "same", "causal"]))
        settings["realSteps"] = int(random.integers(1, settings["steps"] + 1))
        settings["step"] = int(random.integers(16))
        yield settings


def keras_model(settings):
    """Return a model of Keras's own convolutions that adds up all that it reads."""
    arguments = {
        "kernel_size": settings["kernelSize"],
        "strides": settings["strides"],
        "dilation_rate": settings["dilationRate"],
        "padding": settings["padding"],
        "kernel_initializer": "ones",
        "use_bias": False,
    }
    model = keras.Sequential([keras.Input((settings["steps"], 1))])
    for _ in range(settings["depth"]):
        model.add(layers.Conv1D(1, **arguments))
    return model


def keras_answer(settings):
    """Return what Keras and the helpers say, or the error that Keras raises."""
    try:
        model = keras_model(settings)
    except ValueError as error:
        return str(error)
    steps = settings["steps"]
    lengths = [steps]
    for layer in model.layers:
        arguments = [layer.kernel_size[0], layer.strides[0], layer.padding]
        arguments.append(layer.dilation_rate[0])
        lengths.append(helpers.conv_output_length(lengths[-1], *arguments))
    one_by_one = np.eye(steps, dtype="float32")[..., None]
    reads = np.asarray(model(one_by_one))[..., 0].T > 0
    ways = np.asarray(model(np.ones((1, steps, 1))))[0, :, 0]
    return {
        "lengths": lengths,
        "field": list(helpers.receptive_field(model)),
        "reads": [np.flatnonzero(row).tolist() for row in reads],
        "zeros": (ways < settings["kernelSize"] ** settings["depth"]).tolist(),
        "leaks": np.flatnonzero(reads[:, settings["realSteps"] :].any(axis=1)).tolist(),
    }


@pytest.fixture(scope="module", params=sampled(range(4), 4))
def cases(request):
    """Return settings, each with Keras's answer; look at a step that exists."""
    part = list(random_settings(320))[request.param :: 4]
    found = [(settings, keras_answer(settings)) for settings in part]
    for settings, answer in found:
        if isinstance(answer, dict):
            settings["step"] %= len(answer["reads"])
    refused = sum(isinstance(answer, str) for _, answer in found)
    assert 5 < refused < 35
    return found


def test_the_arithmetic_is_that_of_keras(explorer, cases):
    answers = explorer.evaluate(
        """(all) => all.map((settings) => {
          const { readBy, rowsOf } = explorers.convolution;
          const rows = rowsOf(settings);
          if (rows.length <= settings.depth) return null;
          const { length, stride, left, right, readsPadding } = rows.at(-1);
          const steps = [...Array(length).keys()];
          const inside = (level) => (place) => place >= 0 && place < rows[level].length;
          const reads = steps.map((step) => readBy(rows, step).map((row) => [...row]));
          return {
            lengths: rows.map((row) => row.length),
            field: [left + right + 1, stride, left, right],
            reads: reads.map(([row]) => row.filter(inside(0)).sort((a, b) => a - b)),
            zeros: reads.map((all) => !all.every((row, i) => row.every(inside(i)))),
            leaks: steps.filter((step) => readsPadding[step]),
          };
        })""",
        [settings for settings, _ in cases],
    )
    for (settings, expected), answer in zip(cases, answers, strict=True):
        assert answer == (expected if isinstance(expected, dict) else None), settings


# --- The sentences --------------------------------------------------------------------


def numbers(steps):
    """Read a list such as "1, 3 and 5 to 9"."""
    runs = [list(map(int, part.split(" to "))) for part in re.split(", | and ", steps)]
    return [number for run in runs for number in range(run[0], run[-1] + 1)]


def understood(sentence):
    """Return which step is looked at, what it reads, how much is padding, any zeros."""
    form = re.compile(
        r"Step (?P<step>\d+) of the output reads "
        r"(no step|steps? (?P<steps>[\d, ]+?((to|and|,) [\d ]+?)*)) of the input"
        r"(, (?P<padded>\d+|all) of them padding|(?P<one>, which is padding)"
        r"|, all of them real|, which is real)?(?P<zeros>, (and|only) added zeros)?\."
    )
    match = form.fullmatch(sentence)
    assert match, sentence
    steps = numbers(match["steps"]) if match["steps"] else []
    padded = {"all": len(steps), None: int(bool(match["one"]))}
    count = match["padded"]
    count = padded[count] if count in padded else int(count)
    return int(match["step"]), steps, count, bool(match["zeros"])


def leaking(sentence, count):
    """Return the output steps that are said to have read padding."""
    if sentence == "Every output step has read padding.":
        return list(range(count))
    if sentence in ("No output step has read padding.", "Nothing is padded."):
        return []
    match = re.fullmatch(
        r"(\d+) of (\d+) output steps .* padding: steps? (.*)\.", sentence
    )
    steps = numbers(match[3])
    assert [int(match[1]), int(match[2])] == [len(steps), count]
    return steps


def test_the_sentences_say_what_keras_does(explorer, cases):
    spoken = explorer.evaluate(
        """(all) => all.map((settings) => {
          const { readBy, rowsOf, sentences } = explorers.convolution;
          const rows = rowsOf(settings);
          return sentences(rows, readBy(rows, settings.step), settings);
        })""",
        [settings for settings, _ in cases],
    )
    for (settings, expected), sentences in zip(cases, spoken, strict=True):
        if isinstance(expected, str):
            assert re.search("“(.*?)[.]?”", sentences[0])[1] in expected
            continue
        step, length = settings["step"], expected["lengths"][-1]
        reads = expected["reads"][step]
        padded = sum(place >= settings["realSteps"] for place in reads)
        assert understood(sentences[0]) == (
            step,
            reads,
            padded,
            expected["zeros"][step],
        )
        assert leaking(sentences[1], length) == expected["leaks"]
        assert sentences[2].startswith(f"The output has {length} step")
        size, stride, left, right = expected["field"]
        parts = f"size {size}, stride {stride}, left {left}, right {right}."
        assert sentences[3].startswith(f"Receptive field: {parts}")


# What the chapters say, what to set for it, and what the explorer then says.
PLAIN_PROMISES = [
    (
        "down to all that it reads: steps 1 to 15",
        {},
        "Step 15 of the output reads steps 1 to 15 of the input.",
    ),
    (
        "$1 + 2 \\cdot 1 + 2 \\cdot 2 + 2 \\cdot 4 = 15$",
        {},
        "R = 1 + 2 · 1 + 2 · 2 + 2 · 4 = 15 steps",
    ),
    ("7 steps, then 15, then 31", {"depth": 2}, "size 7, stride 1, left 6, right 0"),
    ("7 steps, then 15, then 31", {"depth": 4}, "size 31, stride 1, left 30, right 0"),
    (
        "more than there are: it reads zeros in front",
        {"depth": 4},
        "Step 15 of the output reads steps 0 to 15 of the input, and added zeros.",
    ),
    (
        '"same" moves the field: 7 steps back and 7 ahead',
        {"padding": "same"},
        "size 15, stride 1, left 7, right 7",
    ),
    (
        '"valid" leaves 2 of the 16 steps',
        {"padding": "valid"},
        "The output has 2 steps: 16 become 14, then 10, then 2.",
    ),
    (
        "a field of 13 steps, of which it never sees 4, 6, 8, 10, 12 and 14",
        {"dilationRates": "2, 2, 2, 2"},
        "Inside its field it never sees steps 4, 6, 8, 10, 12 and 14",
    ),
    (
        "a field of 13 steps, of which it never sees 4, 6, 8, 10, 12 and 14",
        {"dilationRates": "2, 2, 2, 2"},
        "size 13, stride 1, left 12, right 0",
    ),
    (
        "strides of 2 reach as far, 15 steps, and leave 2 outputs of 16",
        {"dilationRates": "1, 1, 1, 1", "strides": 2},
        "R = 1 + 2 · 1 · 1 + 2 · 1 · 2 + 2 · 1 · 4 = 15 steps",
    ),
    (
        "strides of 2 reach as far, 15 steps, and leave 2 outputs of 16",
        {"dilationRates": "1, 1, 1, 1", "strides": 2},
        "The output has 2 steps: 16 become 8, then 4, then 2.",
    ),
]
PROMISES = [
    (
        "down to all that it reads: steps 5 to 9, of which 2 are padding",
        {},
        "Step 7 of the output reads steps 5 to 9 of the input, 2 of them padding.",
    ),
    (
        "The last 6 output steps are marked",
        {},
        "6 of 12 output steps have read padding: steps 6 to 11.",
    ),
    ("6, then 7, then 8 of the 12", {"depth": 3}, "7 of 12 output steps"),
    ("6, then 7, then 8 of the 12", {"depth": 4}, "8 of 12 output steps"),
    (
        "only steps 8 to 11 have read padding",
        {"padding": "causal"},
        "4 of 12 output steps have read padding: steps 8 to 11.",
    ),
    (
        "look at step 3: it reads steps 6 to 8, one of them padding",
        {"depth": 1, "strides": 2, "step": 3},
        "Step 3 of the output reads steps 6 to 8 of the input, 1 of them padding.",
    ),
    (
        "a padded length of 11: now it reads steps 5 to 7",
        {"depth": 1, "strides": 2, "step": 3, "steps": 11},
        "Step 3 of the output reads steps 5 to 7 of the input, all of them real.",
    ),
]


def prose_of(name):
    notebook = nbformat.read(ROOT / f"{CHAPTERS[name]}.ipynb", as_version=4)
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize(("words", "settings", "sentence"), PROMISES)
def test_the_padded_explorer_shows_what_the_chapter_says(
    explorer, words, settings, sentence
):
    assert words in prose_of(PADDED)
    change(explorer, **settings)
    assert sentence in "\n".join(said(explorer))


@pytest.mark.parametrize(("words", "settings", "sentence"), PLAIN_PROMISES)
def test_the_plain_explorer_shows_what_the_chapter_says(
    plain, words, settings, sentence
):
    assert words in prose_of(PLAIN)
    change(plain, **settings)
    assert sentence in "\n".join(said(plain))


def test_the_plain_explorer_speaks_of_no_padded_steps(plain):
    legend = plain.locator(".explorer-stage text").all_text_contents()
    assert "step" in legend
    assert not any("padd" in word for word in [*legend, *said(plain)])


RATES = ["1, 1, 1, 1", "1, 2, 4, 8", "2, 2, 2, 2"]
STACKS = list(product(RATES, ["valid", "same", "causal"], [(2, 3), (3, 2), (3, 3)]))


@pytest.mark.parametrize("number", sampled(range(4), 4))
def test_the_formula_and_the_field_are_those_of_the_layers(plain, number):
    for rates, padding, (kernel_size, depth) in STACKS[number::4]:
        compare_with_layers(plain, rates, padding, kernel_size, depth)


def compare_with_layers(plain, rates, padding, kernel_size, depth):
    change(
        plain,
        kernelSize=kernel_size,
        dilationRates=rates,
        depth=depth,
        padding=padding,
        step=0,
    )
    model = keras.Sequential([keras.Input((16, 1))])
    for rate in list(map(int, rates.split(", ")))[:depth]:
        options = {"padding": padding, "dilation_rate": rate, "use_bias": False}
        model.add(layers.Conv1D(1, kernel_size, **options, kernel_initializer="ones"))
    formula, first, *others = said(plain)
    size, stride, left, right = helpers.receptive_field(model)
    terms, result = re.fullmatch(r"R = ([\d ·+]+) = (\d+) steps: .*", formula).groups()
    products = [part.split(" · ") for part in terms.split(" + ")]
    total = sum(np.prod(list(map(int, factors))) for factors in products)
    assert total == int(result) == size
    field = f"size {size}, stride {stride}, left {left}, right {right}."
    assert any(other.startswith(f"Receptive field: {field}") for other in others)
    one_by_one = np.eye(16, dtype="float32")[..., None]
    reads = set(np.flatnonzero(np.asarray(model(one_by_one))[:, 0, 0]))
    hidden = [step for step in range(min(15, right) + 1) if step not in reads]
    assert understood(first)[1] == sorted(reads)
    told = re.findall(r"never sees steps? (.*?):", " ".join(others))
    assert (numbers(told[0]) if told else []) == hidden


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"realSteps": 12}, "Nothing is padded."),
        ({"realSteps": 1}, "Every output step has read padding."),
        (
            {"realSteps": 12, "step": 0},
            "reads steps 0 to 2 of the input, and added zeros.",
        ),
        ({"step": 10}, "reads steps 8 to 11 of the input, all of them padding"),
        ({"kernelSize": 1, "step": 0}, "reads step 0 of the input, which is real."),
        ({"kernelSize": 1, "step": 8}, "reads step 8 of the input, which is padding."),
        (
            {"kernelSize": 2, "dilationRate": 4, "depth": 1, "steps": 2},
            "Step 1 of the output reads no step of the input, only added zeros.",
        ),
        (
            {"strides": 3, "depth": 3},
            "input steps 27t \N{MINUS SIGN} 3 to 27t + 23.",
        ),
        ({"kernelSize": 1}, "Output step t sees no further than input step t."),
        ({"strides": 2, "dilationRate": 3}, "strides are 2 and the dilation rate is 3"),
    ],
)
def test_the_sentences_read_well(explorer, settings, sentence):
    change(explorer, **settings)
    assert sentence in "\n".join(said(explorer))


# --- The drawing ----------------------------------------------------------------------


def drawn(page):
    """Return which input steps the lowest lines lead to, and which steps are marked.

    Both are found by the numbers that stand below and above them.
    """
    numbers, lines, marks = page.evaluate(
        """() => {
          const all = (names, ...attributes) =>
            [...document.querySelectorAll(`.explorer-stage ${names}`)].map((node) => [
              ...attributes.map((name) => node.getAttribute(name)),
              node.textContent,
            ]);
          return [
            all("text[text-anchor]", "y", "x"),
            all("line", "y2", "x2", "stroke-dasharray"),
            all("g:has(path)", "transform"),
          ];
        }"""
    )
    heights = [float(y) for y, *_ in numbers]
    above, below = (
        {x: int(text) for y, x, text in numbers if float(y) == height}
        for height in (min(heights), max(heights))
    )
    lowest = max(float(y) for y, *_ in lines)
    ends = {
        below[x]: dashes != "none"
        for y, x, dashes, _ in lines
        if float(y) == lowest and x in below
    }
    spots = [re.findall(r"[\d.]+", transform) for transform, _ in marks]
    top = min(float(y) for _, y in spots)
    return ends, [above[x] for x, y in spots if float(y) == top]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding": "causal", "kernelSize": 2, "dilationRate": 2},
        {"strides": 2, "step": 1},
        {"padding": "valid", "kernelSize": 4, "realSteps": 10, "step": 5},
    ],
)
def test_lines_lead_to_what_is_read_and_marks_show_where_padding_came(
    explorer, settings
):
    change(explorer, **settings)
    settings = {**FIRST, **settings}
    answer = keras_answer(settings)
    ends, marked = drawn(explorer)
    reads = answer["reads"][settings["step"]]
    assert ends == {step: step >= settings["realSteps"] for step in reads}
    assert marked == answer["leaks"]


def test_without_an_output_no_line_is_drawn(explorer):
    change(explorer, strides=2, dilationRate=2)
    assert explorer.locator(".explorer-stage line").count() == 0
    assert explorer.locator(".explorer-stage text", has_text="none").count() == 2


# --- The reader's hands ---------------------------------------------------------------


def output_step(page, step):
    return page.locator(".explorer-stage [cursor=pointer]").nth(step)


def test_a_click_on_an_output_step_looks_at_it(explorer):
    output_step(explorer, 2).click()
    assert control(explorer, "step").input_value() == "2"
    assert said(explorer)[0].startswith("Step 2 of the output reads steps 0 to 4 ")
    assert set(drawn(explorer)[0]) == {0, 1, 2, 3, 4}


def test_keys_reach_every_control(explorer):
    for name in FIRST:
        explorer.keyboard.press("Tab")
        assert control(explorer, name).evaluate(
            "(node) => node === document.activeElement"
        )
    explorer.keyboard.press("ArrowLeft")
    assert said(explorer)[0].startswith("Step 6 of the output reads steps 4 to 8 ")
    assert set(drawn(explorer)[0]) == {4, 5, 6, 7, 8}
    control(explorer, "padding").press("ArrowDown")
    assert said(explorer)[0].startswith("Step 6 of the output reads steps 2 to 6 ")


def test_settings_that_no_longer_exist_are_brought_back(explorer):
    change(explorer, steps=5)
    assert control(explorer, "realSteps").input_value() == "5"
    assert control(explorer, "step").input_value() == "4"


# --- On its page ----------------------------------------------------------------------


def test_a_tap_on_the_page_of_a_phone(browser, address):
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740}
    )
    page = context.new_page()
    page.goto(f"{address}/{CHAPTERS[PADDED]}.html")
    output_step(page, 0).tap()
    assert said(page)[0] == (
        "Step 0 of the output reads steps 0 to 2 of the input, all of them real, and "
        "added zeros."
    )
    change(page, steps=16, kernelSize=5, dilationRate=4, depth=4, padding="causal")
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    inner = page.locator(f"#explorer-{PADDED}").evaluate(
        "(n) => [n.scrollWidth, n.clientWidth]"
    )
    assert inner[0] <= inner[1]
    context.close()


STATES = list(product([{"strides": 2, "dilationRate": 2}, {}], ["dark", "light"]))


@pytest.mark.parametrize(("settings", "mode"), sampled(STATES, 4))
def test_the_explorer_is_accessible(browser, address, mode, settings):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(f"localStorage.mode = localStorage.theme = '{mode}'")
    page.goto(f"{address}/{CHAPTERS[PADDED]}.html")
    assert page.locator("html").get_attribute("data-theme") == mode
    change(page, **settings)
    report = Axe().run(page, context=f"#explorer-{PADDED}")
    assert report.violations_count == 0, report.generate_report()
    context.close()
