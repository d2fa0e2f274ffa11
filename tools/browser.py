"""The browser that prints the book and that its tests use."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOT_FOUND = (
    "This needs Chromium or Chrome, and none was found on the PATH as "
    + ", ".join(NAMES)
    + ". Install one of them, for example with the system's package manager."
)
# Nothing may leave this machine, the browser's own look for updates included.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
