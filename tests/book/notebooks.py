"""What nbval does not check of a stored notebook: each returns the faults it found."""

import ast
import base64
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
from nbformat.v4 import new_notebook
from PIL import Image

from tools.install_cell import extras_of, install_cell, repository_address

ROOT = Path(__file__).parents[2]
PATHS = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "notebooks").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)


def read(path):
    return nbformat.read(ROOT / path, as_version=4)


def run_by_nbval(folder, cells):
    """Return what becomes of each code cell as a test: PASSED or FAILED."""
    nbformat.write(new_notebook(cells=cells), folder / "some.ipynb")
    shutil.copy(ROOT / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-rA"]
    # Not as a worker of this run: what workers share costs more than a small notebook.
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    lines = re.findall(r"^(\w+) some\.ipynb::Cell (\d+)", result.stdout, re.M)
    outcomes = {int(number): outcome for outcome, number in lines}
    assert sorted(outcomes) == list(range(len(cells))), result.stdout
    return [outcomes[number] for number in range(len(cells))]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def pictures(cell):
    """Return (type, content) of what is shown: drawings are SVG, animations PNG."""
    return [
        (kind, output.data[kind])
        for output in cell.outputs
        for kind in ("image/svg+xml", "image/png")
        if kind in output.get("data", {})
    ]


def errors(cell):
    return [output for output in cell.outputs if output.output_type == "error"]


def unexecuted_cells(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    expected = list(range(1, len(counts) + 1))
    return [] if counts == expected else [f"execution counts are {counts}"]


def uncompared_outputs(notebook):
    cells = code_cells(notebook)
    faults = []
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if "nbval-skip" in tags(cell) or "NBVAL_" in cell.source:
            faults.append(f"exempt by skip or comment: {cell.source}")
        if "nbval-ignore-output" in tags(cell):
            if not cell.outputs:
                faults.append(f"exempt, but without output: {cell.source}")
            if following is None or "assert" not in following.source:
                faults.append(f"exempt, and no assertion follows: {cell.source}")
    with_output = [cell for cell in cells if cell.outputs]
    compared = [c for c in with_output if "nbval-ignore-output" not in tags(c)]
    if len(compared) < 0.75 * len(with_output):
        faults.append(f"only {len(compared)} of {len(with_output)} are compared")
    return faults


def unkept_errors(notebook):
    """Errors that are not deliberate, and texts of errors that nbval does not see."""
    faults = []
    for cell in code_cells(notebook):
        if bool(errors(cell)) != ("raises-exception" in tags(cell)):
            faults.append(f"error and tag disagree: {cell.source}")
        for error in errors(cell):
            if error.traceback != [f"{error.ename}: {error.evalue}"]:
                faults.append(f"traceback is not just the message: {cell.source}")
    return faults


def broken_pictures(notebook):
    """Pictures that can't be read: each block of a PNG carries a checksum."""
    faults = []
    for cell in code_cells(notebook):
        for kind, picture in pictures(cell):
            try:
                if kind == "image/png":
                    Image.open(io.BytesIO(base64.b64decode(picture))).verify()
                else:
                    ElementTree.fromstring(picture)
            except (OSError, SyntaxError, ValueError) as error:
                faults.append(f"{error}: {cell.source}")
    return faults


def undescribed_pictures(notebook):
    def described(cell):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        return len(alt.split()) >= 8

    cells = [cell for cell in code_cells(notebook) if pictures(cell)]
    return [f"no alternative text: {c.source}" for c in cells if not described(c)]


def missing_install_cell(notebook):
    """The cell stands first, as `make notebooks` writes it for the address set now."""
    first = code_cells(notebook)[0]
    expected = install_cell(repository_address(), extras_of(notebook))
    same = all(first[key] == expected[key] for key in ("source", "metadata", "outputs"))
    return [] if same else [f"the first cell is not the install cell: {first.source}"]


def unclean_metadata(notebook):
    kept = {"kernelspec", "language_info", "measured"}
    faults = [f"metadata {key} of the file" for key in set(notebook.metadata) - kept]
    for cell in notebook.cells:
        if not set(cell.metadata) <= {"tags", "mystnb"}:
            faults.append(f"metadata {dict(cell.metadata)}")
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr" or output.get("metadata"):
                faults.append(f"stderr or metadata of an output: {cell.source}")
    return faults


def machine_paths(notebook):
    text = nbformat.writes(notebook)
    return [p for p in ("site-packages", "/home/", "/Users/", str(ROOT)) if p in text]


ALLOWED = {"aeon", "keras", "numpy", "onnxruntime", "os", "sklearn", "tensorflow"}


def missing_short_answer(notebook):
    """Right behind the title, in code that needs nothing of ours and can be pasted.

    Before it runs the install cell alone, so nbval runs it as in a fresh process.
    """
    answer = code_cells(notebook)[1]
    if "short-answer" not in tags(answer) or "hide-input" in tags(answer):
        return [f"the second code cell is no visible short answer: {answer.source}"]
    faults = []
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(answer.source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(n.name for n in node.names)]
        if name and (isinstance(node, ast.Import) or name == node.module)
    }
    if others := imported - ALLOWED:
        faults.append(f"the short answer imports {sorted(others)}")
    lines = [line for line in answer.source.splitlines() if line.strip()]
    if len(lines) > 15:
        faults.append(f"the short answer has {len(lines)} lines")
    before = notebook.cells[: notebook.cells.index(answer)]
    text = [cell.source for cell in before if cell.cell_type == "markdown"]
    if words := max(len(" ".join(text).split()) - 90, 0):
        faults.append(f"{words} words too many stand before the short answer")
    return faults


def missing_form(notebook):
    """What a chapter owes its reader."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    cells = code_cells(notebook)
    owed = ["**You will learn**", "**You need**", "**It takes**", "## Summary"]
    owed += ["## Exercises", "{solution-start}", "## References", "{footbibliography}"]
    faults = [f"missing: {part}" for part in owed if part not in text]
    if not notebook.cells[0].source.startswith("# "):
        faults.append("the first cell is not the title")
    longest = max(len(cell.source.splitlines()) for cell in cells)
    if longest > 30:
        faults.append(f"a cell has {longest} lines")
    return faults


CHECKS = (
    missing_install_cell,
    unexecuted_cells,
    uncompared_outputs,
    unkept_errors,
    broken_pictures,
    undescribed_pictures,
    unclean_metadata,
    machine_paths,
    missing_form,
    missing_short_answer,
)
