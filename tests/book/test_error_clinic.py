"""The error clinic and the silent faults: every entry has its parts, and is found."""

import copy
import re
from itertools import takewhile

import pytest

from .notebooks import errors, read, run_by_nbval, tags

PATH = "notebooks/reference/error_clinic.ipynb"
cells = read(PATH).cells
silent_cells = read("notebooks/reference/silent_faults.ipynb").cells
SETUP = [
    cell
    for cell in takewhile(lambda cell: not cell.source.startswith("## "), cells)
    if cell.cell_type == "code"
]
INTRODUCTIONS = [
    cell.source
    for cell in [*cells, *silent_cells]
    if cell.cell_type == "markdown" and cell.source.startswith("## ")
]


def entries(cells):
    """Return the entries by group: a heading and the cells that follow it."""
    groups, entry = {}, None
    for cell in cells[1:]:
        text = cell.source if cell.cell_type == "markdown" else ""
        if text.startswith("## "):
            entry = None
            group = groups.setdefault(text.splitlines()[0][3:], {})
        elif text.startswith("### "):
            entry = group.setdefault(text.splitlines()[0][4:], [cell])
        elif entry is not None:
            entry.append(cell)
    return groups


GROUPS = entries(cells)
SILENT_GROUPS = entries(silent_cells)
RAISING = {k: v for group in GROUPS.values() for k, v in group.items()}
SILENT = {k: v for group in SILENT_GROUPS.values() for k, v in group.items()}


def code(entry):
    return [cell for cell in entry if cell.cell_type == "code"]


def text(entry):
    return "\n".join(cell.source for cell in entry if cell.cell_type == "markdown")


def test_there_are_as_many_entries_as_the_welcome_page_says():
    assert len(RAISING) > 100
    assert round(len(SILENT), -1) == 50


@pytest.mark.parametrize("entry", RAISING.values(), ids=list(RAISING))
def test_entry_has_message_reason_and_cure(entry):
    raising, *cure = code(entry)
    assert "raises-exception" in tags(raising)
    assert cure
    assert not any(map(errors, cure))
    heading, *reason = entry[0].source.splitlines()
    (searched,) = re.findall(r"^### (`+) ?(.*?) ?\1(?!`)", heading)
    (error,) = errors(raising)
    assert searched[1] in f"{error.ename}: {error.evalue}"
    assert len(" ".join(reason).split()) >= 8


@pytest.mark.parametrize("entry", SILENT.values(), ids=list(SILENT))
def test_silent_fault_is_shown_seen_and_cured(entry):
    assert len(code(entry)) >= 2
    assert not any(map(errors, code(entry)))
    assert "To see it" in text(entry)


def test_index_lists_every_entry_in_order_with_its_usual_cause():
    rows = table_below("| message | usual cause |", cells[0].source)
    index = [re.fullmatch(r"\[(.*)\]\(#.*\)", message) for message, _ in rows]
    listed = [heading[1] for heading in index if heading]
    assert listed == [heading for group in GROUPS.values() for heading in group]
    groups = [message for message, cause in rows if not cause]
    assert groups == [f"**{group}**" for group in GROUPS]
    assert all(3 < len(cause) < 70 for _, cause in rows if cause)


def test_symptoms_lead_to_every_silent_fault():
    rows = table_below("| you see | look at", silent_cells[0].source)
    assert len(rows) > 15
    linked = re.findall(r"\[([^]]+)\]\(#", " ".join(faults for _, faults in rows))
    assert set(linked) == set(SILENT)


def table_below(head, text):
    """Return the cells of the rows of a table that begins so."""
    lines = text[text.index(head) :].splitlines()[2:]
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_group_leads_to_a_chapter():
    chapter = r"\]\(\.\./(combining|converting|padding|deploying)/"
    assert len(INTRODUCTIONS) == len(GROUPS) + len(SILENT_GROUPS)
    assert all(re.search(chapter, introduction) for introduction in INTRODUCTIONS)


def test_older_wordings_are_listed():
    with_older = [
        entry for entry in RAISING.values() if "*Older wording" in text(entry)
    ]
    assert len(with_older) >= 30


def test_old_and_new_messages_of_the_chapter_on_logits_are_in_the_clinic():
    chapter = read("notebooks/converting/logits_and_labels.ipynb").cells
    (table,) = [c.source for c in chapter if "| older message |" in c.source]
    rows = [line.split(" | ") for line in table.splitlines() if line[:2] == "| "]
    raised = "".join(
        e.evalue for cell in cells for e in cell.get("outputs", []) if "evalue" in e
    )
    older = "".join(text(entry) for entry in RAISING.values())
    assert len(rows) > 6
    for old, new, *_ in rows[1:]:
        (message,) = re.findall(r"(`+) ?(.*?) ?\1(?!`)", new)
        assert message[1] in raised
        for wording in re.findall(r"`(.*?)`", old):
            assert wording in older


def test_one_changed_character_of_a_message_fails(tmp_path):
    raising, *_ = code(RAISING["`expected min_ndim=3, found ndim=2`"])
    changed = copy.deepcopy(raising)
    changed.id, output = "changed", changed.outputs[0]
    output.evalue = output.evalue.replace("ndim=2", "ndim=1")
    *before, kept, other = run_by_nbval(tmp_path, [*SETUP, raising, changed])
    assert {*before, kept} == {"PASSED"}
    assert other == "FAILED"
