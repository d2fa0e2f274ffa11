"""Execute notebooks in place and leave clean files that are the same on every machine.

Usage: python tools/execute_notebooks.py notebooks

Kept are the cells, their tags and figure texts, and the outputs. Dropped are times,
stderr, colours, the machine's paths in tracebacks, and all other metadata.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(roots: list[str]) -> None:
    for path in sorted(p for root in roots for p in _notebooks(Path(root))):
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_executed=_progress(path, len(notebook.cells)),
        ).execute()
        for cell in notebook.cells:
            _clean(cell)
        notebook.metadata = {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
        notebook.nbformat, notebook.nbformat_minor = 4, 5
        nbformat.write(notebook, path)
        print(f"\r{path}: {time.perf_counter() - start:.0f} s".ljust(60))


def _notebooks(root: Path) -> list[Path]:
    found = [root] if root.is_file() else list(root.rglob("*.ipynb"))
    if not found:
        sys.exit(f"execute_notebooks.py expected notebooks, found none in {root}.")
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


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
        outputs.append(output)
    cell.outputs = outputs


if __name__ == "__main__":
    main(sys.argv[1:])
