"""A saved model with the package's layers loads after `import cnnseq_helpers` alone.

Files are loaded in a fresh process: here, other tests have imported the layers already.

``data/masked_layers.keras`` was written once, by `SAVE` run on the package as it was
before Keras was told its names by itself, and stays as it is: files of readers last
longer than the modules that they name. `ANSWER` is what that model said then.
"""

import contextlib
import importlib
import io
import json
import pkgutil
import warnings
from pathlib import Path

import keras
import pytest

import cnnseq_helpers
from cnnseq_helpers import _registering
from tests.conftest import sampled
from tests.test_package import run

FILE = Path(__file__).parent / "data/masked_layers.keras"
ANSWER = [
    [1.20633864402771, -0.8949220180511475],
    [-0.22296378016471863, 0.2509849965572357],
]
SAVE = """
import keras
import numpy as np
from keras import layers

from cnnseq_helpers import (
    BatchApply,
    MaskedAveragePooling1D,
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    MaskedGlobalMaxPooling1D,
    MaskedMaxPooling1D,
)

keras.utils.set_random_seed(0)
series = keras.Input((None, 2), name="series")
mask = keras.Input((None,), dtype="bool", name="mask")
x = BatchApply(layers.Dense(3, bias_initializer="normal"), name="each_step")(series)
convolve = MaskedConv1D(4, 3, padding="same", bias_initializer="normal", name="conv")
x, real = convolve(x, mask=mask), mask
pooled = []
for kind in (MaskedMaxPooling1D, MaskedAveragePooling1D):
    pool = kind(2, padding="same")
    y, kept = pool(x, mask=real), pool.compute_mask(x, real)
    pooled += [
        MaskedGlobalAveragePooling1D()(y, mask=kept),
        MaskedGlobalMaxPooling1D()(y, mask=kept),
    ]
logits = layers.Dense(2, bias_initializer="normal")(layers.Concatenate()(pooled))
model = keras.Model([series, mask], logits)
model.save({path!r})
"""
ASK = """
import numpy as np
x = np.linspace(-1, 1, 20, dtype="float32").reshape(2, 5, 2)
real = np.arange(5) < np.array([[5], [3]])
print(keras.ops.convert_to_numpy(loaded([x, real])).tolist())
"""
ORDERS = {
    "package first": "import sys; before = list(sys.meta_path)\n"
    "import cnnseq_helpers; during = list(sys.meta_path)\n"
    "import keras\n"
    # The hook leaves nothing behind, and slows nothing else.
    "assert len(during) == len(before) + 1\n"
    "assert during[0] not in sys.meta_path\n"
    "loader = keras.__spec__.loader\n"
    "assert loader.exec_module.__func__ is type(loader).exec_module\n"
    "assert not [name for name in sys.modules if 'cnnseq_helpers.m' in name]\n",
    "keras first": "import keras, cnnseq_helpers\n",
    "within the package": "from cnnseq_helpers import assert_causal, MaskedConv1D\n"
    "import keras\n",
    "within TensorFlow": "import cnnseq_helpers, tensorflow\n"
    "keras = tensorflow.keras\n",
    "looked for, and the package again": "import importlib.util, cnnseq_helpers\n"
    "assert importlib.util.find_spec('keras').loader.get_source('keras')\n"
    "importlib.reload(cnnseq_helpers)\n"
    "import keras\n",
    "after an import that failed": "import sys, cnnseq_helpers\n"
    "sys.modules['ml_dtypes'] = None\n"
    "try: import keras\n"
    "except ImportError: pass\n"
    "else: raise AssertionError\n"
    "for name in [name for name in sys.modules if name.startswith('keras')]:\n"
    "    del sys.modules[name]\n"
    "del sys.modules['ml_dtypes']\n"
    "import keras\n",
}


LOAD_OF_BEFORE = f"""
loaded = keras.models.load_model({str(FILE)!r})
"""
SAVE_MORE = """
open("model.json", "w").write(model.to_json())
model.save_weights("model.weights.h5")
each = BatchApply(layers.Dense(3))
short = keras.Sequential([keras.Input((5, 2)), each, MaskedConv1D(2, 3)])
short.save("short.h5")
np.save("short", short(np.ones((2, 5, 2))))
from cnnseq_helpers import MixtureHead, MixtureLoss
writer = keras.Sequential([keras.Input((None, 2)), MixtureHead(3, 2, 0.01)])
writer.compile("adam", MixtureLoss(2))
writer.save("writer.keras")
np.save("writer", writer(np.ones((2, 5, 2))))
loaded = model
"""
LOAD_MORE = """
model = keras.models.model_from_json(open("model.json").read())
model.load_weights("model.weights.h5")
loaded = keras.models.load_model("model.keras")
for one, other in zip(model.get_weights(), loaded.get_weights()):
    np.testing.assert_array_equal(one, other)
short = keras.models.load_model("short.h5", compile=False)
again = keras.ops.convert_to_numpy(short(np.ones((2, 5, 2))))
np.testing.assert_allclose(again, np.load("short.npy"))
writer = keras.models.load_model("writer.keras")
again = keras.ops.convert_to_numpy(writer(np.ones((2, 5, 2))))
np.testing.assert_allclose(again, np.load("writer.npy"))
loss = writer.evaluate(again[..., :2], again[..., :2], verbose=0)
assert np.isfinite(loss)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with models in every kind of file, and what one of them says."""
    folder, printed = tmp_path_factory.mktemp("saved"), io.StringIO()
    with (
        contextlib.chdir(folder),
        warnings.catch_warnings(action="ignore"),  # of .h5, which is an old format
        contextlib.redirect_stdout(printed),
    ):
        exec(SAVE.format(path="model.keras") + SAVE_MORE + ASK, {})
    return folder, json.loads(printed.getvalue())


@pytest.mark.parametrize("order", sampled(ORDERS, 6))
def test_files_of_before_and_of_today_load_whichever_is_imported_first(order, saved):
    folder, expected = saved
    move = f"import os; os.chdir({str(folder)!r})\n"
    code = ORDERS[order] + move + LOAD_OF_BEFORE + ASK + LOAD_MORE + ASK
    before, today = map(json.loads, run(code).splitlines())
    assert before == [pytest.approx(row, abs=1e-5) for row in ANSWER]
    assert today == [pytest.approx(row, rel=1e-5) for row in expected]


def test_keras_is_told_every_layer_by_its_lasting_name():
    for module in pkgutil.walk_packages(cnnseq_helpers.__path__, "cnnseq_helpers."):
        importlib.import_module(module.name)
    known = keras.saving.get_custom_objects()
    layers = {name: each for name, each in known.items() if "cnnseq_helpers>" in name}
    names = [f"cnnseq_helpers>{name}" for name in _registering._LAYERS]
    assert sorted(layers) == sorted(names)
    assert all(isinstance(layer, type) for layer in layers.values())


def test_layers_that_are_known_are_left_as_they_are():
    from cnnseq_helpers import MaskedConv1D

    _registering.register_layers()
    known = keras.saving.get_custom_objects()
    assert known["cnnseq_helpers>MaskedConv1D"] is MaskedConv1D


def test_without_keras_its_absence_is_told_as_always():
    code = (
        "import sys, cnnseq_helpers\n"
        "sys.meta_path = [finder for finder in sys.meta_path if finder.__class__."
        "__name__ == '_AfterKeras']\n"
        "try: import keras\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert run(code) == "No module named 'keras'\n"
