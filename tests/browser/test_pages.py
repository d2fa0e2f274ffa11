"""Every page in a real browser: sound, accessible, light, and within the screen."""

import statistics
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import ROOT

WIDTHS = (360, 768, 1440)
MODES = ("light", "dark")
MEDIAN, HEAVIEST = 600_000, 1_500_000  # bytes of a first load, nothing compressed
JUMP = 0.1  # what counts as a good cumulative layout shift: web.dev/articles/cls


def pages():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [page for part in contents["parts"] for page in part["chapters"]]
    names = [contents["root"], *(page["file"] for page in chapters), "search"]
    return [f"{name}.html" for name in names]


@dataclass
class Visit:
    """What a browser finds on a page."""

    weight: int
    errors: list[str]
    outside: list[str]
    overflow: list[int]
    violations: list[str]
    jump: float


WATCH_JUMPS = """
window.jump = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.jump += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="package")
def visit(browser, address):
    """Return a function that visits a page, once, and says what was found."""

    @cache
    def visit(name):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(WATCH_JUMPS)
        page = context.new_page()
        errors, responses, requests = [], [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda said: errors.append(said.text) if said.type == "error" else None,
        )
        page.on("response", lambda response: responses.append(response))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{address}/{name}", wait_until="networkidle")
        weight = sum(len(response.body()) for response in responses)
        jump = page.evaluate("window.jump")
        overflow = [width for width in WIDTHS if overflows(page, width)]
        violations = [text for mode in MODES for text in axe(page, mode)]
        context.close()
        own = urlsplit(address).netloc
        outside = [url for url in requests if urlsplit(url).netloc not in (own, "")]
        return Visit(weight, errors, outside, overflow, violations, jump)

    return visit


def overflows(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    return page.evaluate(OVERFLOW)


def axe(page, mode):
    page.evaluate(
        "mode => { document.documentElement.dataset.mode = mode;"
        "document.documentElement.dataset.theme = mode; }",
        mode,
    )
    found = Axe().run(page).response["violations"]
    return [
        f"{mode}: {each['id']}: {node['html'][:200]}"
        for each in found
        for node in each["nodes"]
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
