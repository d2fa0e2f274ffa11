"""Execute notebooks in place and leave clean files.

Usage: python tools/execute_notebooks.py notebooks

Kept are the cells, their tags and figure texts, and the outputs, the same on every
machine. Dropped are times, stderr, colours, the machine's paths in tracebacks, and all
other metadata. Added are the cell that installs the helpers, and how long the notebook
took, when and with which versions, which the page *About this book* shows.
"""

import datetime
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from install_cell import put_install_cell, repository_address
from nbclient import NotebookClient


def main(roots: list[str]) -> None:
    address = repository_address()
    for path in sorted(p for root in roots for p in _notebooks(Path(root))):
        notebook = _read(path)
        put_install_cell(notebook, address)
        seconds = _execute(notebook, path)
        for cell in notebook.cells:
            _clean(cell)
        notebook.metadata = {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "measured": _measured(seconds),
        }
        notebook.nbformat, notebook.nbformat_minor = 4, 5
        nbformat.write(notebook, path)
        print(f"\r{path}: {seconds} s".ljust(60))


def _notebooks(root: Path) -> list[Path]:
    paths = [root] if root.is_file() else root.rglob("*.ipynb")
    found = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    if not found:
        sys.exit(f"execute_notebooks.py expected notebooks, found none in {root}.")
    return found


def _read(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        sys.exit(f"execute_notebooks.py expected a notebook, got {path}: {error}")


def _execute(notebook: nbformat.NotebookNode, path: Path) -> int:
    """Return the seconds that it took, the start of the kernel included."""
    start = time.perf_counter()
    NotebookClient(
        notebook,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=_progress(path, len(notebook.cells)),
    ).execute()
    return round(time.perf_counter() - start)


def _measured(seconds: int) -> dict:
    packages = {"TensorFlow": "tensorflow", "Keras": "keras", "NumPy": "numpy"}
    versions = {name: version(package) for name, package in packages.items()}
    return {
        "seconds": seconds,
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "versions": {"Python": platform.python_version(), **versions},
    }


def _progress(path: Path, cells: int):
    def show(cell, cell_index, execute_reply):
        print(f"\r{path}: cell {cell_index + 1} of {cells}", end="", flush=True)

    return show


def _clean(cell: nbformat.NotebookNode) -> None:
    cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "mystnb")}
    if cell.cell_type != "code":
        return
    outputs = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "metadata" in output:
            output.metadata = {}
        if outputs and _are_one_stream(outputs[-1], output):
            outputs[-1].text += output.text  # what stood between was stderr
        else:
            outputs.append(output)
    cell.outputs = outputs


def _are_one_stream(*outputs: nbformat.NotebookNode) -> bool:
    return all(output.output_type == "stream" for output in outputs)


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
