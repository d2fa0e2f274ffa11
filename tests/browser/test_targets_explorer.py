"""The explorer of logits and labels says what Keras and check_targets say."""

import collections
import re
from functools import partial

import keras
import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from cnnseq_helpers.shapes import name_axes

from ..conftest import ROOT, sampled
from .targets_truth import (
    BATCH,
    CLASSES,
    HEADS,
    LABELS,
    LOSSES,
    STEPS,
    TABLE,
    make_table,
    outcome_of,
    step,
    x,
)

EXPLORERS = ROOT / "book/_static/explorers"
PARTS = ("table", "view")
STORED = EXPLORERS / "targets.svg"
SCRIPTS = ["explorer", *(f"targets_{part}" for part in PARTS), "targets"]
CHAPTER = "notebooks/converting/logits_and_labels"

SETTINGS = """() => {
  const { LOSSES, TASKS, draw, fitting, judge } = explorers.targets;
  const combinations = Object.entries(TASKS).flatMap(([task, { labels, heads }]) =>
    labels.flatMap((labels) => heads.flatMap((head) =>
      Object.keys(LOSSES).map((loss) => ({ task, labels, head, loss })))));
  const texts = (drawing) =>
    Array.from(drawing.querySelectorAll("text"), (node) => node.textContent);
  return {
    judged: combinations.map((chosen) => {
      const judged = judge(chosen);
      return { ...judged, texts: texts(draw(judged)) };
    }),
    fitting: Object.fromEntries(
      Object.keys(TASKS).map((task) => [task, judge(fitting(task))])),
  };
}"""


@pytest.fixture(scope="module")
def settings(browser):
    """Return what the explorer says of every combination."""
    page = browser.new_page()
    for name in SCRIPTS:
        page.add_script_tag(path=EXPLORERS / f"{name}.js")
    yield page.evaluate(SETTINGS)
    page.close()


def names(judged):
    return [judged["chosen"][key] for key in ("labels", "head", "loss")]


# --- (a) Against Keras and check_targets ----------------------------------------------


@pytest.mark.exhaustive  # judges all 413 choices again
def test_the_stored_table_is_what_keras_and_check_targets_say(settings):
    assert TABLE.read_text() == make_table(), "python -m tests.browser.targets_truth"
    assert len(settings["judged"]) == 413


FITTED = [
    ("one-hot: (batch, 4)", "Dense(4)", "sparse, from_logits=True"),
    ("indices 0 to 3: (batch,)", "Dense(4)", "mean squared error"),
    ("indices 1 to 4: (batch,)", "Dense(4)", "sparse, from_logits=True"),
    ("indices 0 to 3: (batch, 6)", "Dense(4) at every step", "mean squared error"),
    ("0 or 1: (batch,)", 'Dense(1, "softmax")', "mean squared error"),
    (
        "0 or 1: (batch,)",
        'Dense(1, "sigmoid")',
        "binary, from_logits=True",
    ),
    ("numbers 0.5 to 9.5: (batch,)", "Dense(1) at every step", "mean squared error"),
]


@pytest.mark.parametrize("chosen", FITTED, ids=str)
def test_fit_does_the_same_as_the_step(chosen):
    """The step above is a quicker `fit` of batches of which the last is smaller."""
    labels, head, loss = chosen
    model = HEADS[head]()
    model.compile("sgd", LOSSES[loss])
    more = [np.concatenate([array, array[:8]]) for array in (x, LABELS[labels])]
    fit = partial(model.fit, *more, batch_size=BATCH, verbose=0)
    stepped = partial(step, HEADS[head](), LABELS[labels], LOSSES[loss])
    assert outcome_of(fit) == outcome_of(stepped)


def test_the_shapes_that_are_drawn_are_those_of_model_and_labels(settings):
    shapes = {name: build().output_shape for name, build in HEADS.items()}
    for judged in settings["judged"]:
        labels, head, _ = names(judged)
        given, output = (None, *LABELS[labels].shape[1:]), shapes[head]
        steps = {"batch", "time"} if STEPS in given else {"batch"}
        of_labels = ["batch", *(["time"] if "time" in steps else []), "columns"]
        of_output = ["batch", *(["time"] if len(output) == 3 else []), "units"]
        assert name_axes(given, of_labels[: len(given)]) in judged["texts"]
        assert name_axes(output, of_output) in judged["texts"]


def test_probabilities_are_those_of_the_logits(settings):
    def row(head):
        found = next(j for j in settings["judged"] if j["chosen"]["head"] == head)
        values = [text.replace("\N{MINUS SIGN}", "-") for text in found["texts"]]
        return [float(v) for v in values if re.fullmatch(r"-?\d\.\d+", v)]

    logits = np.array(row("Dense(4)"))
    assert len(logits) == CLASSES
    sigmoids, softmax = row('Dense(4, "sigmoid")'), row('Dense(4, "softmax")')
    assert np.allclose(sigmoids, keras.ops.sigmoid(logits), atol=0.005)
    assert np.allclose(softmax, keras.ops.softmax(logits), atol=0.005)


def test_axes_are_marked_as_unequal_where_an_error_is_raised_and_not_where_all_fits(
    settings,
):
    for judged in settings["judged"]:
        marked = any(text.startswith("≠") for text in judged["texts"])
        if judged["verdict"] == "raises":
            assert marked, names(judged)
        if judged["verdict"] in ("fits", "runs"):
            assert not marked, names(judged)


def test_what_fits_is_said_to_fit_and_is_a_row_of_the_chapters_table(settings):
    rows = [row.replace("` `", "") for row in chapter_cell().splitlines() if "|" in row]
    for judged in settings["fitting"].values():
        assert judged["verdict"] == "fits"
        wanted = [f"`{text}`" for text in (judged["loss"]["code"], judged["metric"])]
        assert any(all(text in row for text in wanted) for row in rows), wanted


def test_the_numbers_of_the_chapter_are_those_of_the_explorer(settings):
    verdicts = collections.Counter(judged["verdict"] for judged in settings["judged"])
    text = " ".join(chapter_cell().split())
    assert (
        f"Of the {len(settings['judged'])} combinations {verdicts['fits']} fit, "
        f"{verdicts['runs']} run although another loss suits better, "
        f"{verdicts['raises']} raise an error, {verdicts['warns']} warn, and "
        f"{verdicts['silent']} are wrong without a word." in text
    )


def chapter_cell():
    cells = nbformat.read(ROOT / f"{CHAPTER}.ipynb", as_version=4).cells
    (source,) = [cell.source for cell in cells if "targets.svg" in cell.source]
    return source


def test_links_lead_to_entries_of_the_error_clinic_with_that_message(settings, html):
    raising, silent = (
        headings_by_id(html / f"notebooks/reference/{name}.html")
        for name in ("error_clinic", "silent_faults")
    )
    for judged in settings["judged"]:
        assert bool(judged["entry"]) == bool(judged["codes"]), names(judged)
        if not judged["entry"]:
            continue
        headings = raising if judged["verdict"] == "raises" else silent
        heading = re.sub(r"\d+", "0", headings[judged["entry"]]).rstrip("#")
        message = re.sub(r"\d+", "0", judged["message"])
        # The entry on unequal dimensions tells of the other wording as well.
        if judged["verdict"] == "raises" and not message.startswith("Incompatible"):
            assert heading.split(": ")[0] in message, names(judged)


def headings_by_id(path):
    page = BeautifulSoup(path.read_text(), "html.parser")
    sections = page.select("section[id]:has(> h3)")
    return {section["id"]: section.h3.get_text() for section in sections}


# --- (b) Mouse, finger and keys -------------------------------------------------------


def small_page(mode="light"):
    """Return a page with nothing but the figure and the explorer's files."""
    styles = [ROOT / "book/_static/book.css", EXPLORERS / "explorer.css"]
    return (
        f'<!doctype html><html lang="en" data-theme="{mode}"><title>Small</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{''.join(style.read_text() for style in styles)}</style>"
        '<main><article><img src="_images/targets.svg" alt=""></article></main>'
        + "".join(
            f"<script>{(EXPLORERS / f'{name}.js').read_text()}</script>"
            for name in SCRIPTS
        )
    )


@pytest.fixture
def small(page):
    page.route("**/*.svg", lambda route: route.fulfill(path=STORED))
    page.route("**/small", html_answer)
    page.goto("http://127.0.0.1/small")
    return page


def html_answer(route):
    route.fulfill(body=small_page(), content_type="text/html; charset=utf-8")


def control(page, label):
    return page.locator("#explorer-targets").get_by_role("combobox", name=label)


def said(page):
    return page.locator("#explorer-targets [role=status]").inner_text()


def test_a_choice_changes_drawing_and_words(small):
    before = small.locator(".explorer-stage").inner_html()
    assert "This fits. Its metric is SparseCategoricalAccuracy()" in said(small)
    control(small, "Loss").select_option("sparse, from_logits=False")
    assert "This trains without a word, but wrong." in said(small)
    assert "check_targets finds logits-as-probabilities." in said(small)
    assert small.locator(".explorer-stage").inner_html() != before


def test_keys_choose_and_press_and_keep_the_focus(small):
    control(small, "Head").focus()
    for _ in range(3):
        small.keyboard.press("ArrowDown")
    assert control(small, "Head").input_value() == "Dense(4) at every step"
    assert "Received: target.shape=(None,), output.shape=(None, 6, 4)" in said(small)
    small.keyboard.press("Tab")
    small.keyboard.press("Tab")
    small.keyboard.press("Enter")
    assert control(small, "Head").input_value() == "Dense(4)"
    assert "This fits." in said(small)
    assert small.evaluate("document.activeElement.textContent") == "Show what fits"


def test_another_task_offers_other_labels_and_heads(small):
    control(small, "Task").select_option("a number")
    offered = control(small, "Head").locator("option").all_inner_texts()
    assert offered == ["Dense(1)", 'Dense(1, "sigmoid")', "Dense(1) at every step"]
    assert control(small, "Labels").input_value() == "numbers 0.5 to 9.5: (batch,)"
    assert "What fits this task: numbers 0.5 to 9.5 as labels" in said(small)
    small.get_by_role("button").click()
    assert control(small, "Loss").input_value() == "mean squared error"
    assert "This fits. Its metric is MeanAbsoluteError()." in said(small)


TRIED = [
    (["", "", "", "sparse, from_logits=False"], "without a word"),
    (["", "one-hot: (batch, 4)"], "one-hot-for-sparse-loss"),
    (
        ["", "one-hot: (batch, 4)", "", "categorical, from_logits=True"],
        "This fits",
    ),
    (
        ["a class for every step", "", "Dense(4), 2 of 6 steps lost"],
        "up until the last",
    ),
    (
        ["a number", "", "Dense(1) at every step", "mean squared error"],
        "broadcasts one over the other",
    ),
    (
        [
            "several of four labels",
            "",
            'Dense(4, "softmax")',
            "categorical, from_logits=False",
        ],
        "Some rows hold more than one 1",
    ),
]


@pytest.mark.parametrize(("values", "answer"), TRIED, ids=str)
def test_the_chapters_questions_have_the_answers_that_they_hint_at(
    small, values, answer
):
    for label, value in zip(("Task", "Labels", "Head", "Loss"), values, strict=False):
        if value:
            control(small, label).select_option(value)
    assert answer in said(small)


def test_a_finger_presses_on_the_built_page(browser, address):
    context = browser.new_context(
        viewport={"width": 360, "height": 800}, has_touch=True
    )
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}.html")
    control(page, "Labels").select_option("one-hot: (batch, 4)")
    assert "Keras raises an error." in said(page)
    with page.expect_navigation():
        page.get_by_role("link", name="More in the error clinic.").tap()
    assert page.url.endswith("-one-hot-labels")
    page.go_back()
    control(page, "Labels").select_option("one-hot: (batch, 4)")
    page.get_by_role("button", name="Show what fits").tap()
    assert "This fits." in said(page)
    context.close()


# --- (c) to (f) For everybody ---------------------------------------------------------


@pytest.mark.parametrize("mode", sampled(["dark", "light"], 2))
def test_axe_finds_nothing_on_the_built_page(page, address, mode):
    page.goto(f"{address}/{CHAPTER}.html")
    page.evaluate("(mode) => localStorage.setItem('mode', mode)", mode)
    page.evaluate("(mode) => localStorage.setItem('theme', mode)", mode)
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == mode
    for head in ("Dense(4)", "Dense(4) at every step"):
        control(page, "Head").select_option(head)
        options = {"preload": False}  # of styles that no page has
        found = Axe().run(page, context="#explorer-targets", options=options)
        assert found.response["violations"] == [], found.generate_report()


OVERFLOWS = """() => {
  const { judge, draw, TASKS, LOSSES } = explorers.targets;
  const stage = document.querySelector("#explorer-targets .explorer-stage");
  const wrong = [];
  for (const { labels, heads } of Object.values(TASKS)) {
    for (const chosen of labels.flatMap((labels) => heads.flatMap((head) =>
        Object.keys(LOSSES).map((loss) => ({ labels, head, loss }))))) {
      stage.replaceChildren(draw(judge(chosen)));
      const frame = stage.firstChild.viewBox.baseVal;
      const boxes = Array.from(stage.querySelectorAll("text"), (node) => {
        const { x, y, width, height } = node.getBBox();
        return { text: node.textContent, x, y, right: x + width, bottom: y + height };
      });
      const outside = boxes.filter((box) =>
        box.x < 0 || box.y < 0 || box.right > frame.width || box.bottom > frame.height);
      const touching = boxes.filter((box, i) => boxes.slice(i + 1).some((other) =>
        box.x < other.right && other.x < box.right &&
        box.y + 4 < other.bottom && other.y + 4 < box.bottom));
      for (const { text } of [...outside, ...touching]) wrong.push([chosen, text]);
    }
  }
  return wrong;
}"""


def test_nothing_scrolls_sideways_and_no_text_leaves_the_drawing(page, address):
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{address}/{CHAPTER}.html")
    control(page, "Labels").select_option("one-hot: (batch, 4)")
    explorer = page.locator("#explorer-targets")
    assert explorer.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(OVERFLOWS) == []


def test_the_alternative_text_says_what_the_figure_shows():
    alternative = re.search(r"!\[([^]]+)\]", chapter_cell())[1]
    drawn = BeautifulSoup(STORED.read_text(), "html.parser").get_text(" ")
    for shown in ("SparseCategoricalCrossentropy", "SparseCategoricalAccuracy", "fits"):
        assert shown in alternative
        assert shown in drawn
