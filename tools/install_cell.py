"""The first code cell of every notebook: it makes the notebook run anywhere.

A reader may open it on Colab, from a clone or unpacked, where nobody has installed the
helpers. The pages of the book leave the cell out.
"""

import re
from pathlib import Path

import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

CONFIG = Path(__file__).parents[1] / "_config.yml"
SOURCE = """\
from importlib.util import find_spec

if find_spec("cnnseq_helpers") is None:  # as on Colab
    %pip install --quiet "{requirement}\""""
EXTRAS = ("data", "plot", "video")
FURTHER = {
    r"import onnxruntime|export_model\(": ("onnx", "litert"),
    r"load_series\(": ("series",),
    r"load_dataset\(\"LASA": ("strokes",),
    r'"KERAS_BACKEND": "jax"': ("jax",),
}
CLONE = "../.."  # the notebooks lie two folders below the root
TAG = "remove-cell"


def repository_address() -> str:
    return yaml.safe_load(CONFIG.read_text())["repository"]["url"]


def extras_of(notebook: NotebookNode) -> tuple[str, ...]:
    """Return what every notebook needs, and what the code of this one needs."""
    code = "\n".join(cell.source for cell in notebook.cells)
    further = [extras for words, extras in FURTHER.items() if re.search(words, code)]
    return EXTRAS + sum(further, ())


def install_cell(address: str, extras: tuple[str, ...] = EXTRAS) -> NotebookNode:
    names = f"[{','.join(extras)}]"
    online = f"cnnseq-helpers{names} @ git+{address}"
    return new_code_cell(
        SOURCE.format(requirement=online if address else CLONE + names),
        id="install-helpers",
        metadata={"tags": [TAG]},
    )


def put_install_cell(notebook: NotebookNode, address: str) -> None:
    """Insert the cell in front of the first code cell, or renew it there."""
    kinds = [cell.cell_type for cell in notebook.cells]
    if "code" not in kinds:
        return
    first = kinds.index("code")
    if TAG in notebook.cells[first].metadata.get("tags", []):
        del notebook.cells[first]
    notebook.cells.insert(first, install_cell(address, extras_of(notebook)))
