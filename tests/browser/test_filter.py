"""The field of the clinic keeps the rows that fit, with a server and without."""

import pytest

from .messages import MESSAGES, in_a_traceback

FOLDER = "notebooks/reference"


@pytest.fixture(params=["server", "files"])
def start(request, address, html):
    return address if request.param == "server" else html.as_uri()


def shown(page):
    """Return what the first cell of each row says that is still to be seen."""
    table = page.locator("article table").first
    return table.locator("tbody tr:visible:has(a) td:first-child").all_inner_texts()


def ask(page, text):
    page.locator("#filter-table").fill(text)
    page.wait_for_function("document.querySelector('.filter-table p').textContent")


def test_a_pasted_message_leaves_its_row_first(page, start):
    page.goto(f"{start}/{FOLDER}/error_clinic.html")
    field = page.get_by_label("Your message")
    everything = shown(page)
    assert len(everything) == len(MESSAGES)
    for title, message in MESSAGES[::16]:
        ask(page, in_a_traceback(message))
        page.wait_for_function(
            "title => document.querySelector('tbody tr').textContent.includes(title)",
            arg=title,
        )
        assert 1 <= len(shown(page)) < 20
    field.fill("")
    page.wait_for_function("!document.querySelector('.filter-table p').textContent")
    assert shown(page) == everything


def test_enter_leads_to_the_first_row(page, address):
    page.goto(f"{address}/{FOLDER}/error_clinic.html")
    ask(page, "mask lost")
    page.keyboard.press("Enter")
    page.wait_for_url("**#was-passed-an-input-with-a-mask-attached-*")


SYMPTOMS = {
    "loss below 0": "the loss is below 0",
    "NaN": "the loss is NaN",
    "hangs": "the run hangs",
    "memory": "memory grows",
    "accuracy chance": "the loss falls, the accuracy stays at chance",
    "second call": "other answers at the second call",
}


def test_a_symptom_is_found_by_its_words(page, start):
    page.goto(f"{start}/{FOLDER}/silent_faults.html")
    for words, row in SYMPTOMS.items():
        page.get_by_label("What you see").fill("")
        page.wait_for_function("!document.querySelector('.filter-table p').textContent")
        ask(page, words)
        assert row in shown(page), words
        assert len(shown(page)) < 8, words


def test_what_fits_nothing_is_said(page, address):
    page.goto(f"{address}/{FOLDER}/silent_faults.html")
    ask(page, "pancakes")
    assert shown(page) == []
    assert "No row fits" in page.get_by_role("status").inner_text()
