"""A small book that is published at an address, for several files of tests."""

import pytest

from .small_book import build

GITHUB = "https://github.com/someone/sequences"
SITE = "https://someone.github.io/sequences/"


@pytest.fixture(scope="session")
def published(once):
    """Return the pages of a book with both addresses, that of its site without a /."""
    folder = once("published", lambda folder: build(folder, GITHUB, SITE.rstrip("/")))
    return folder / "_build/html"
