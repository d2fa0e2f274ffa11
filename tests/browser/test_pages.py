"""Every page in a real browser: sound, accessible, light, and within the screen."""

import gzip
import statistics

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.conftest import ROOT, sampled

from .conftest import VISITS, Visit, collect_errors

WIDTHS = (360, 768, 1440)
MODES = ("light", "dark")
MEDIAN, HEAVIEST = 600_000, 1_500_000  # bytes of a first load, nothing compressed
JUMP = 0.1  # what counts as a good cumulative layout shift: web.dev/articles/cls


def pages():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [page for part in contents["parts"] for page in part["chapters"]]
    made = ["search", "genindex"]
    names = [contents["root"], *(page["file"] for page in chapters), *made]
    return [f"{name}.html" for name in names]


WATCH_JUMPS = """
window.jump = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.jump += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
# Contrast is asked of one element of each kind, since axe looks through the whole page
# for what lies behind each word, and code has thousands in the same few colours.
MARK_FIRST = """() => {
  const seen = new Set();
  const behind = (element) => {
    const { backgroundColor, backgroundImage } = getComputedStyle(element);
    const shown = backgroundColor !== "rgba(0, 0, 0, 0)" || backgroundImage !== "none";
    return shown || !element.parentElement
      ? backgroundColor + backgroundImage : behind(element.parentElement);
  };
  for (const element of document.querySelectorAll("body *")) {
    const { color, fontSize, fontWeight, opacity } = getComputedStyle(element);
    const { tagName, className } = element;
    const visibly = { opacityProperty: true, visibilityProperty: true };
    const parts = [tagName, className, color, fontSize, fontWeight, opacity,
      behind(element), element.checkVisibility(visibly)];
    const words = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const kind = parts.join();
    element.toggleAttribute("data-first", words && !seen.has(kind));
    if (words) seen.add(kind);
  }
}"""
ALL, OF_FIRST = Axe(), Axe()
OF_FIRST.axe_script += """;
axe.configure({ rules: [{ id: "color-contrast", selector: "[data-first]" }] });"""
BRIEF = {"resultTypes": ["violations"], "preload": False}
COLOURS = ["color-contrast", "link-in-text-block"]
STRUCTURE = {**BRIEF, "rules": {rule: {"enabled": False} for rule in COLOURS}}
CONTRAST = {**BRIEF, "runOnly": {"type": "rule", "values": COLOURS}}
# Where the code of a chapter's short answer begins, in pixels from the top.
ANSWER = """() => {
  const code = document.querySelector(".tag_short-answer .cell_input");
  return code && code.getBoundingClientRect().top + scrollY;
}"""
OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def visit(browser, address):
    """Return a function that says what a browser finds on a page, visited once."""

    def visit(name):
        if name not in VISITS:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            VISITS[name] = look(context, address, name)
            context.close()
        return VISITS[name]

    return visit


def look(context, address, name):
    context.add_init_script(WATCH_JUMPS)
    page = context.new_page()
    responses, urls = [], []
    errors = collect_errors(page)
    page.on("response", lambda response: responses.append(response))
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{address}/{name}", wait_until="networkidle")
    bodies = [response.body() for response in responses]
    found = Visit(
        errors=errors.copy(),
        outside=[url for url in urls if not url.startswith((address, "data:"))],
        weight=sum(map(len, bodies)),
        compressed=sum(min(len(body), len(gzip.compress(body))) for body in bodies),
        jump=page.evaluate("window.jump"),
        answer=page.evaluate(ANSWER),
        overflow=[width for width in WIDTHS if overflows(page, width)],
    )
    # At the width that is left; axe asks for what is not there, which is no error.
    found.barriers += run_axe(page, STRUCTURE)  # the same in both modes
    for mode in MODES:
        found.barriers += check_contrast(page, mode)
    return found


def overflows(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    return page.evaluate(OVERFLOW)


def check_contrast(page, mode):
    # Colours must not be caught on their way from one mode to the other.
    page.emulate_media(color_scheme=mode, reduced_motion="reduce")
    expect(page.locator("html")).to_have_attribute("data-theme", mode)
    page.evaluate(MARK_FIRST)
    return [f"{mode}: {found}" for found in run_axe(page, CONTRAST, OF_FIRST)]


def run_axe(page, options, axe=ALL):
    found = axe.run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", sampled(pages(), 4))
def test_page_is_sound(name, visit):
    found = visit(name)
    assert found.errors == []
    assert found.outside == []
    assert found.overflow == []
    assert found.weight <= HEAVIEST
    assert found.jump <= JUMP


@pytest.mark.parametrize("name", sampled(pages(), 4))
def test_a_short_answer_begins_on_the_first_screen(name, visit):
    # Other pages than chapters have none; that each chapter has one: test_notebooks.py.
    answer = visit(name).answer
    assert answer is None or answer < 450  # half of the screen


@pytest.mark.parametrize("name", sampled(pages(), 4))
def test_page_is_accessible_in_both_modes(name, visit):
    assert visit(name).barriers == []


@pytest.mark.exhaustive  # visits every page
def test_a_first_load_is_light(visit):
    assert statistics.median(visit(name).weight for name in pages()) <= MEDIAN


def test_code_has_a_button_and_no_element_without_a_colour(page, address):
    page.goto(f"{address}/notebooks/reference/error_clinic.html")
    code = page.locator(".cell_input pre").count()
    assert page.locator(".cell_input .copybtn").count() == code > 100
    assert page.locator(".output .copybtn").count() == 0
    assert (
        page.locator("span.n, span.p, span.w, span.pre, pre > span:empty").count() == 0
    )


FAINT = """
const token = [...document.querySelectorAll(".cell_input .highlight .kn")].find(
  (each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
token.style.color = "#999";
token.className = "faint";
"""


def test_faint_words_and_pictures_without_words_are_found(page, address):
    page.goto(f"{address}/notebooks/padding/bucketing.html")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.evaluate("document.querySelector('article img').removeAttribute('alt')")
    page.evaluate(FAINT)
    assert [found.split(":")[0] for found in run_axe(page, STRUCTURE)] == ["image-alt"]
    for _ in range(2):  # also when asked again
        (found,) = check_contrast(page, "light")
        assert "faint" in found
