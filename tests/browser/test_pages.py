"""Every page in a real browser: sound, accessible, light, and within the screen."""

import gzip
import statistics

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import ROOT

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
    return Visit(
        errors=list(errors),  # without those of axe, which asks for what is not there
        outside=[url for url in urls if not url.startswith((address, "data:"))],
        weight=sum(map(len, bodies)),
        compressed=sum(min(len(body), len(gzip.compress(body))) for body in bodies),
        jump=page.evaluate("window.jump"),
        overflow=[width for width in WIDTHS if overflows(page, width)],
        violations=[found for mode in MODES for found in run_axe(page, mode)],
    )


def overflows(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    return page.evaluate(OVERFLOW)


def run_axe(page, mode):
    # Colours must not be caught on their way from one mode to the other.
    page.emulate_media(color_scheme=mode, reduced_motion="reduce")
    found = Axe().run(page).response["violations"]
    assert page.locator("html").get_attribute("data-theme") == mode
    return [
        f"{mode}: {rule['id']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", pages())
def test_page_is_sound(name, visit):
    found = visit(name)
    assert found.errors == []
    assert found.outside == []
    assert found.overflow == []
    assert found.weight <= HEAVIEST
    assert found.jump <= JUMP


@pytest.mark.parametrize("name", pages())
def test_page_is_accessible_in_both_modes(name, visit):
    assert visit(name).violations == []


def test_a_first_load_is_light(visit):
    assert statistics.median(visit(name).weight for name in pages()) <= MEDIAN
