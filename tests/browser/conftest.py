"""A real browser for the tests, and the book served to it on this machine."""

import os
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import pytest
from playwright.sync_api import sync_playwright

from tools.browser import NOT_FOUND, OPTIONS, find_browser


@dataclass
class Visit:
    """What a browser found on a page; weights are the bytes of a first load."""

    weight: int
    compressed: int
    jump: float
    overflow: list[int]
    errors: list[str]
    outside: list[str]
    answer: int | None
    barriers: list[str] = field(default_factory=list)  # what axe finds


VISITS: dict[str, Visit] = {}


def pytest_terminal_summary(terminalreporter):
    if not VISITS:  # as where other processes made them
        return
    found = list(VISITS.values())
    weights = [visit.weight for visit in found]
    compressed = [visit.compressed for visit in found]
    rows = {
        "pages": len(found),
        "weight of a first load, median (kB)": round(median(weights) / 1000),
        "the heaviest page (kB)": round(max(weights) / 1000),
        "median as servers compress it (kB)": round(median(compressed) / 1000),
        "console errors": sum(len(visit.errors) for visit in found),
        "outside requests": sum(len(visit.outside) for visit in found),
        "overflow at 360, 768, 1440 pixels": sum(len(v.overflow) for v in found),
        "largest layout shift": round(max(visit.jump for visit in found), 3),
    }
    for name, value in rows.items():
        terminalreporter.write_line(f"{name:<36}{value:>6}")


# Not for the whole session: Playwright's event loop would meet those of the notebooks.
@pytest.fixture(scope="package")
def browser():
    path = find_browser()
    if path is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)(NOT_FOUND)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="package")
def address(html):
    """Serve the built book; return its address, without a slash at the end."""
    handler = partial(Quiet, directory=html)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def collect_errors(page):
    """Return a list that grows by each error of the page's scripts and loading."""
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: errors.append(said.text) if said.type == "error" else None,
    )
    return errors


VIEWPORT = {"width": 1440, "height": 900}


@pytest.fixture(scope="package")
def tab(browser):
    """Return the one page that most tests share, and the errors of its console."""
    page = browser.new_page(viewport=VIEWPORT)
    return page, collect_errors(page)


# A new page takes a second of CPU, and one that is emptied a tenth.
@pytest.fixture
def page(tab):
    """Return an empty page; the test fails if the browser's console shows an error."""
    page, errors = tab
    yield page
    found = errors.copy()
    if not page.url.startswith(("about:", "data:")):  # which have no storage
        page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    page.unroute_all()
    page.context.clear_permissions()
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(color_scheme="null", media="null", reduced_motion="null")
    page.set_default_timeout(30_000)
    errors.clear()
    assert found == []


@pytest.fixture
def own_page(browser):
    """Return a page of the test's own, as for scripts that cannot be taken back."""
    page = browser.new_page(viewport=VIEWPORT)
    errors = collect_errors(page)
    yield page
    page.close()
    assert errors == []
