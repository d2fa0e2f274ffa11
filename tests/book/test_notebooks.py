"""The stored notebooks are whole, and a tampered one is found out."""

import sys

import pytest
import yaml
from nbclient import NotebookClient
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)

from tools.forked_kernels import use_forked_kernels

from . import notebooks
from .notebooks import CHECKS, PATHS, ROOT, code_cells, read, run_by_nbval


def test_there_are_notebooks():
    assert PATHS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_notebook_is_without(path, check):
    form = check in (notebooks.missing_form, notebooks.missing_short_answer)
    if form and path.parts[1] == "reference":
        return  # executed reference pages are no chapters
    assert check(read(path)) == []


def test_every_page_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [toc["root"]]
    listed += [page["file"] for part in toc["parts"] for page in part["chapters"]]
    pages = [p.relative_to(ROOT) for p in (ROOT / "book").glob("*.md")]
    assert sorted(listed) == sorted(str(p.with_suffix("")) for p in [*PATHS, *pages])


def with_picture(notebook):
    return next(cell for cell in code_cells(notebook) if notebooks.pictures(cell))


def with_error(notebook):
    return next(cell for cell in code_cells(notebook) if notebooks.errors(cell))


def clear_execution(notebook):
    code_cells(notebook)[3].execution_count = None


def swap_cells(notebook):
    cells = notebook.cells
    first, second = (cells.index(cell) for cell in code_cells(notebook)[1:3])
    cells[first], cells[second] = cells[second], cells[first]


def change_the_install_cell(notebook):
    code_cells(notebook)[0].source += "\n"


def skip_a_cell(notebook):
    code_cells(notebook)[0].metadata["tags"] = ["nbval-skip"]


def ignore_without_assertion(notebook):
    code_cells(notebook)[-1].metadata["tags"] = ["nbval-ignore-output"]


def change_a_traceback(notebook):
    with_error(notebook).outputs[0].traceback[0] += "!"


def animation(notebook):
    return next(
        output.data
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    )


def change_a_pixel(notebook):
    data = animation(notebook)
    picture = data["image/png"]
    middle = len(picture) // 2
    other = "A" if picture[middle] != "A" else "B"
    data["image/png"] = picture[:middle] + other + picture[middle + 1 :]


def cut_a_drawing(notebook):
    data = with_picture(notebook).outputs[-1].data
    data["image/svg+xml"] = data["image/svg+xml"][:-100]


def drop_alternative_text(notebook):
    del with_picture(notebook).metadata["mystnb"]


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        (change_the_install_cell, notebooks.missing_install_cell),
        (clear_execution, notebooks.unexecuted_cells),
        (swap_cells, notebooks.unexecuted_cells),
        (skip_a_cell, notebooks.uncompared_outputs),
        (ignore_without_assertion, notebooks.uncompared_outputs),
        (change_a_traceback, notebooks.unkept_errors),
        (change_a_pixel, notebooks.broken_pictures),
        (cut_a_drawing, notebooks.broken_pictures),
        (drop_alternative_text, notebooks.undescribed_pictures),
    ],
)
def test_tampering_is_found(tamper, check):
    notebook = read("notebooks/video/next_frame.ipynb")
    tamper(notebook)
    assert check(notebook)


GOOD_ANSWER = "import keras\n\nmodel = keras.Sequential()"


@pytest.mark.parametrize(
    ("text", "code", "tag", "faults"),
    [
        ("# Title\n\nSo it is done.", GOOD_ANSWER, "short-answer", 0),
        ("# Title", GOOD_ANSWER, "hide-input", 1),
        ("# Title", "import cnnseq_helpers as helpers", "short-answer", 1),
        ("# Title", "import keras, cnnseq_helpers", "short-answer", 1),
        ("# Title", "from cnnseq_helpers import cnn1d", "short-answer", 1),
        ("# Title", "1\n\n" * 16, "short-answer", 1),
        ("# Title" + " word" * 100, GOOD_ANSWER, "short-answer", 1),
    ],
)
def test_short_answers_stand_first_and_need_nothing_of_ours(text, code, tag, faults):
    answer = new_code_cell(code, metadata={"tags": [tag]})
    cells = [new_markdown_cell(text), new_code_cell("install"), answer]
    notebook = new_notebook(cells=cells)
    assert len(notebooks.missing_short_answer(notebook)) == faults


def stored_cell(text):
    result = [new_output("execute_result", {"text/plain": text}, execution_count=1)]
    return new_code_cell("21.0 * 2", execution_count=1, outputs=result if text else [])


def test_nbval_compares_every_digit(tmp_path):
    cells = [stored_cell(text) for text in ("42.0", "42.1", "")]
    outcomes = run_by_nbval(tmp_path, cells)
    assert outcomes == ["PASSED", "FAILED", "FAILED"]


FRESH = """
import sys
assert __name__ == "__main__"
assert not {"pytest", "conftest", "cnnseq_helpers"} & set(sys.modules)
assert not [path for path in sys.path if path.endswith("examples")]
"""
NOTHING_HAS_RUN = """
import tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)  # refused after the first step
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux alone")
def test_a_kernel_that_is_a_fork_is_as_new():
    use_forked_kernels()
    forked = "import sys; assert 'multiprocessing.forkserver' in sys.modules"
    cells = [new_code_cell(code) for code in (forked, FRESH, NOTHING_HAS_RUN)]
    NotebookClient(new_notebook(cells=cells), kernel_name="python3").execute()
