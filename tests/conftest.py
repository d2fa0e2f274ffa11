"""Fixtures shared by the tests of the book, and the same random examples everywhere."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tools.browser import NOT_FOUND, find_browser

ROOT = Path(__file__).parents[1]

# Why some tests are left out where Keras runs on another backend; the page on backends
# says it in the same words.
TENSORFLOW_ONLY = {
    "export": "files that `export_model` or Keras exports",
    "compiled": "streams that are compiled",
    "fit": "what `check_targets` says, held against what `fit` does or says",
    "lengths": "`TimeDistributed` at a length that `fit` does not know",
    "graphs": "operations counted in TensorFlow's graph",
    "64 bits": "numbers of 64 bits, which JAX makes 32 unless it is told",
}

# For XLA in other processes: programs of a few steps are compiled longer than they run.
QUICK = "--xla_backend_optimization_level=0"

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
collect_ignore = ["torch_arrays.py"]  # no doctests; it needs PyTorch
if BACKEND == "torch":
    from . import torch_arrays  # noqa: F401 - it changes tensors of PyTorch

settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")


def examples(number):
    """Return settings of a property test: so many examples in CI, a quarter at home."""
    few = max(number // 4, 3)
    return settings(max_examples=number if "EXHAUSTIVE" in os.environ else few)


def sampled(cases, every):
    """Return cases for `parametrize`: one of so many always, the others in CI."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else [case]),
            marks=[pytest.mark.exhaustive] if number % every else [],
        )
        for number, case in enumerate(cases)
    ]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # One worker builds the book, or prints it, while others test what needs no page:
    # else all would reach the pages at once, and wait.
    shown = (item for item in items if "html" in getattr(item, "fixturenames", ()))
    pages = dict.fromkeys(item.path for item in shown)
    first = [path for path in pages if path.name == "test_pdf.py"] or [*pages][:1]
    longest = "test_pages.py"  # begun last, it would keep one worker busy alone

    def place(item):
        path = item.path
        return path not in first, path in pages, path.name != longest

    items.sort(key=place)
    for item in items:
        why = [mark.args[0] for mark in item.iter_markers("tensorflow_only")]
        if item.name == "cnnseq_helpers.deploying.exporting.export_model":
            why.append("export")  # its example
        for each in why:
            reason = f"only on TensorFlow: {TENSORFLOW_ONLY[each]}"
            if BACKEND != "tensorflow":
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish():
    # LiteRT's converter makes the collector look at everything, for half a second.
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    if find_browser() is None:
        terminalreporter.write_line(f"Browser tests were skipped. {NOT_FOUND}")


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """Return a function that fills a folder once a run, for all workers."""
    base = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        base = base.parent  # that of all workers

    def once(name, fill):
        with FileLock(base / f"{name}.lock"):
            if not (base / f"{name}.whole").exists():
                fill(base / name)
                (base / f"{name}.whole").touch()
        return base / name

    return once


@pytest.fixture(scope="session")
def html(once):
    """Build the whole book afresh; return the folder of its pages."""
    return once("book", build_book) / "_build/html"


def build_book(folder):
    """Build the book into a folder, and let no warning through."""
    folder.mkdir(exist_ok=True)
    command = [Path(sys.executable).parent / "jupyter-book", "build", ROOT, "--all"]
    options = ["--path-output", folder, "-W", "-n", "--keep-going"]
    result = subprocess.run([*command, *options], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    # The pages of the helpers import TensorFlow, which announces its own log.
    log = re.sub("WARNING: All log messages before absl.*", "", result.stderr)
    assert "WARNING" not in result.stdout + log
