"""Readers arrive with a message: pasted whole, it leads to its entry in the clinic."""

import json
import re
from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from ..conftest import sampled
from .messages import (
    ELSEWHERE,
    MESSAGES,
    OLDER_WORDINGS,
    ORDINARY,
    as_it_is,
    as_readers_own,
    in_a_traceback,
)

CLINIC = "notebooks/reference/error_clinic.html"


def paste(page, text):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+V")
    page.keyboard.press("Enter")


def found(page):
    """Return the titles of the messages that are shown, once the search has ended."""
    page.wait_for_function("document.querySelector('[role=status]')?.textContent")
    return page.locator("#found-messages li a").all_inner_texts()


def rank(page, texts):
    """Return the titles that are found for each text, without showing them."""
    titles = "texts => texts.map(text => rankMessages(text).map(entry => entry.title))"
    return page.evaluate(titles, texts)


SOME = MESSAGES[::6] + OLDER_WORDINGS[::6]


@pytest.mark.parametrize(("title", "message"), sampled(SOME, 4))
def test_a_pasted_traceback_leads_to_the_entry_of_its_message(
    page, address, title, message
):
    page.goto(f"{address}/search.html")
    page.locator("main input[name=q]").focus()
    with page.expect_navigation():
        paste(page, in_a_traceback(message))
    assert found(page)[0] == title


@pytest.mark.parametrize("changed", [as_it_is, as_readers_own, in_a_traceback])
def test_every_message_and_older_wording_finds_its_entry_first(page, address, changed):
    page.goto(f"{address}/search.html")
    cases = MESSAGES + OLDER_WORDINGS
    assert len(cases) > 145
    titles = rank(page, [changed(message) for _, message in cases])
    assert [found_titles[:1] for found_titles in titles] == [[t] for t, _ in cases]


def test_messages_as_they_are_met_elsewhere_find_their_entry_first(page, address):
    page.goto(f"{address}/search.html")
    titles = rank(page, [message for _, message in ELSEWHERE])
    for (title, message), found_titles in zip(ELSEWHERE, titles, strict=True):
        assert found_titles[0].startswith(title), message


def test_a_heading_of_the_clinic_finds_its_entry(page, address):
    page.goto(f"{address}/search.html")
    titles = rank(page, [title for title, _ in MESSAGES])
    for (title, _), found_titles in zip(MESSAGES, titles, strict=True):
        assert title in found_titles[:3]


def test_ordinary_words_and_other_messages_find_no_entry(page, address):
    page.goto(f"{address}/search.html")
    assert rank(page, ORDINARY) == [[]] * len(ORDINARY)


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("min_ndim", "expected min_ndim=3, found ndim=2"),
        ("expected min_ndim found ndim", "expected min_ndim=3, found ndim=2"),
        ("reset_states", "'Sequential' object has no attribute 'reset_states'"),
        ("fit_generator", "object has no attribute 'fit_generator'"),
    ],
)
def test_a_name_from_code_is_enough(page, address, words, title):
    page.goto(f"{address}/search.html?q={words}")
    assert found(page) == [title]


def test_a_message_of_the_helpers_leads_to_the_chapter(page, address):
    message = (
        "AssertionError: harbour depends on padding: sequence 3, of 12 steps, was "
        "followed by 4 steps of zeros, and its output moved by 0.5, from 0.1 to 0.6. "
        "Give the mask to every layer that looks beyond one step"
    )
    page.goto(f"{address}/search.html?q={message}")
    assert found(page) == ["A test that finds what reads the padding"]


def test_the_search_of_all_pages_takes_a_long_traceback(page, address):
    title, message = MESSAGES[2]
    page.goto(f"{address}/book/welcome.html")
    page.keyboard.press("Control+K")
    with page.expect_navigation():
        paste(page, "  File 'a.py', line 3\n    x = f(x)\n" * 1000 + message)
    assert len(page.url) < 8000  # more is refused by many servers
    assert found(page)[0] == title


def test_the_link_leads_to_the_entry_and_marks_no_words_there(page, address):
    title, message = MESSAGES[2]
    page.goto(f"{address}/search.html")
    page.locator("main input[name=q]").fill(message)
    page.keyboard.press("Enter")
    found(page)
    page.locator("#found-messages a").first.click()
    page.wait_for_url(f"**/{CLINIC}#*")
    assert page.locator(":target h3").inner_text().strip("#") == title
    assert page.locator(".highlighted").count() == 0


@pytest.fixture(params=["server", "files"])
def start(request, address, html):
    """Return where the book begins, served and in the file system."""
    return address if request.param == "server" else html.as_uri()


def test_messages_that_no_page_holds_whole_look_like_no_failure(page, start):
    title, message = MESSAGES[2]
    page.goto(f"{start}/search.html?q={message} zxcv")
    assert found(page)[0] == title
    (status,) = page.get_by_role("status").all_inner_texts()
    assert re.fullmatch(
        r"Messages that fit: \d. No page holds all of these words.", status
    )
    assert "did not match" not in page.locator("main").inner_text()


@pytest.mark.parametrize("words", ["teacher forcing", "receptive field"])
def test_ordinary_search_works_as_before(page, start, words):
    page.goto(f"{start}/search.html?q={words}")
    assert found(page) == []
    assert "found" in page.get_by_role("status").inner_text()
    results = page.locator("#search-results li")
    links = [link.get_attribute("href") for link in results.locator("> a").all()]
    assert links[0] == f"book/glossary.html#term-{words.replace(' ', '-')}"
    assert any(link.startswith("notebooks/") for link in links)
    if start.startswith("http"):
        results.locator(".context").first.wait_for()


FIRST_CHAPTER = {
    "padding/masks_in_training": (
        "mask accuracy",
        "loss mask",
        "mask nan",
        "missing steps",
        "last real step",
        "autoencoder mask",
        "mask_zero",
        "ragged fit",
    ),
    "padding/bucketing": ("bucket by length",),
    "video/judging_frames": ("psnr", "ssim", "blur"),
    "video/rollouts": ("teacher forcing", "own predictions"),
    "video/next_frame": ("next frame", "predict frames"),
    "forecasting/forecast": ("forecast shifted", "forecast lag", "persistence"),
    "combining/anomalies": ("anomaly detection", "anomalies", "odd clips"),
    "combining/sensor_fronts": ("spectrogram",),
    "combining/video_classification": ("video folder",),
    "combining/frames_and_masks": ("TimeDistributed",),
    "converting/logits_and_labels": ("class for each step",),
    "converting/receptive_field": ("receptive field",),
    "converting/cnn_lstm_to_cnn1d": ("convert LSTM",),
    "forecasting/repeatable": ("repeat results", "random seed"),
    "forecasting/windows_and_splits": ("split windows",),
    "deploying/streaming": ("live stream", "stateful LSTM"),
    "deploying/export": ("export LSTM", "onnx", "litert"),
}


def test_ordinary_words_find_their_chapter_first(own_page, address):
    # The lines shown of each page that was found have no part in the order.
    own_page.add_init_script("fetch = async () => new Response('')")
    for chapter, questions in FIRST_CHAPTER.items():
        for words in questions:
            own_page.goto(f"{address}/search.html?q={words}")
            found(own_page)
            links = own_page.locator("#search-results li > a").evaluate_all(
                "links => links.map(link => link.getAttribute('href'))"
            )
            chapters = [to for to in links if not to.startswith("book/")]
            assert chapters[0].startswith(f"notebooks/{chapter}.html"), words


@pytest.mark.parametrize(
    ("width", "mode"), sampled(list(product([360, 1440], ["dark", "light"])), 4)
)
def test_the_results_are_accessible_and_fit_a_phone(own_page, address, mode, width):
    own_page.set_viewport_size({"width": width, "height": 800})
    own_page.add_init_script(f"localStorage.mode = localStorage.theme = '{mode}'")
    own_page.goto(f"{address}/search.html?q=list index out of range")
    assert len(found(own_page)) == 2
    own_page.locator("#search-results .context").nth(5).wait_for()  # with long lines
    headings = own_page.locator("main h2").all_inner_texts()
    assert headings == ["Error messages that fit", "In the whole book"]
    # Without looking for more style sheets, which it takes for missing.
    result = Axe().run(own_page, context="main", options={"preload": False})
    assert result.response["violations"] == []
    assert own_page.evaluate("document.documentElement.scrollWidth") == width


def test_no_icon_lies_over_the_search_field(page, address):
    page.goto(f"{address}/search.html")
    icon = page.locator("main .bd-search .fa-magnifying-glass").bounding_box()
    field = page.locator("main .bd-search input").bounding_box()
    assert icon["x"] + icon["width"] <= field["x"]


def test_the_index_holds_every_entry_and_its_links_lead_there(html):
    script = (html / "_static/message_index.js").read_text("utf-8")
    entries = json.loads(script.partition("=")[2].rstrip("\n;"))
    clinic = [entry for entry in entries if entry["clinic"]]
    assert [entry["title"] for entry in clinic] == [title for title, _ in MESSAGES]
    pages = {}
    for entry in entries:
        name, _, anchor = entry["link"].partition("#")
        if name not in pages:
            page = BeautifulSoup((html / name).read_text(), "html.parser")
            pages[name] = {tag["id"]: tag for tag in page.select("[id]")}
        section = pages[name][anchor]
        heading = section.find(["h2", "h3"]).get_text().strip("#")
        assert heading.endswith(entry["title"])
        assert len(entry["summary"].split()) >= 4
