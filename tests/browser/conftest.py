"""A real browser for the tests, and the book served to it on this machine."""

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from tools.browser import NOT_FOUND, OPTIONS, find_browser


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


@pytest.fixture
def page(browser):
    """Return an empty page; the test fails if the browser's console shows an error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else 0,
    )
    yield page
    context.close()
    assert errors == []
