"""What all explorers owe their readers, on the pages that they belong to."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import ROOT, sampled

CHAPTERS = {
    "convolution": "notebooks/converting/receptive_field",
    "convolution-padded": "notebooks/padding/padding_and_masks",
    "folding": "notebooks/combining/frames_and_masks",
    "targets": "notebooks/converting/logits_and_labels",
}
FOLDER = ROOT / "book/_static/explorers"
SERIALIZED = "drawing => new XMLSerializer().serializeToString(drawing)"
RENDERED_SIZES = """all => all.map(
    (text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"""


@pytest.fixture(params=CHAPTERS)
def name(request):
    return request.param


def test_every_figure_to_move_is_tested_here():
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(CHAPTERS)


def test_the_static_figure_is_the_first_drawing(page, address, tmp_path, name):
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    drawing = page.locator(f"#explorer-{name} .explorer-stage svg")
    stored = FOLDER / f"{name}.svg"
    fresh = tmp_path / stored.name
    fresh.write_text(drawing.evaluate(SERIALIZED) + "\n")
    assert fresh.read_text() == stored.read_text(), (
        f"{stored.name} was expected to be what the explorer draws first, and differs. "
        f"Look at the new drawing, and if it is right: cp {fresh} {stored}"
    )


def test_without_scripts_the_page_shows_the_static_figure(browser, address, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    figure = page.locator(f"img[src$='_images/{name}.svg']")
    figure.scroll_into_view_if_needed()
    assert figure.bounding_box()["height"] > 150
    assert len(figure.get_attribute("alt").split()) >= 8
    assert page.locator(".explorer").count() == 0
    context.close()


def test_whoever_comes_back_finds_settings_and_drawing_in_agreement(
    page, address, name
):
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    inputs = page.locator(f"#explorer-{name} :is(input, select)")
    first = inputs.evaluate_all("all => all.map((each) => each.value)")
    slider, choice = (inputs.and_(page.locator(kind)) for kind in ("input", "select"))
    if slider.count():
        slider.first.press("ArrowRight")
    choice.first.select_option(index=1)
    page.goto(f"{address}/book/glossary.html")
    page.go_back()
    assert inputs.evaluate_all("all => all.map((each) => each.value)") == first


def test_words_in_the_drawing_can_be_read_on_a_phone(page, address, name):
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    words = page.locator(f"#explorer-{name} .explorer-stage svg text")
    sizes = words.evaluate_all(RENDERED_SIZES)
    assert len(sizes) > 5
    assert min(sizes) >= 11, "pixels of a letter's height, as CSS counts it"


def test_nothing_scrolls_sideways_on_a_phone(page, address, name):
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    explorer = page.locator(f"#explorer-{name}")
    assert explorer.evaluate("node => node.scrollWidth <= node.clientWidth")
    box = explorer.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize("mode", sampled(["dark", "light"], 2))
def test_axe_finds_nothing(page, address, name, mode):
    page.emulate_media(color_scheme=mode, reduced_motion="reduce")
    page.goto(f"{address}/{CHAPTERS[name]}.html")
    options = {"preload": False}  # axe asks for style sheets where there are none
    found = Axe().run(page, context=f"#explorer-{name}", options=options)
    assert page.locator("html").get_attribute("data-theme") == mode
    assert found.response["violations"] == [], found.generate_report()
