"""The package without TensorFlow: models of this process answer alike on JAX.

`make test-all` runs some of the package's other tests on JAX, a weekly job all of them
on JAX and PyTorch.
"""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import (
    MixtureHead,
    cnn1d,
    cnn_lstm,
    conv_lstm_predictor,
    convolutional_predictor,
    random_cnn1d,
    recurrent_predictor,
    step_model,
    to_cnn1d,
)

from .conftest import BACKEND, QUICK, ROOT

# An import of TensorFlow fails in what follows, as where it is not installed.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run_without(code, folder):
    """Run code on JAX without TensorFlow, and return what it prints last."""
    known = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "XLA_FLAGS": QUICK}
    code = f"{WITHOUT}{code}\nassert 'tensorflow' not in sys.modules\n"
    warning = "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", warning, "-c", code],
        cwd=folder,
        env=os.environ | known,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


# --- Models that were saved elsewhere -------------------------------------------------


def models():
    """Return models of each kind, with random weights."""
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(8, 30, 3)).astype("float32")
    front = layers.Conv1D(4, 3, padding="causal")
    lstm = layers.LSTM(4, return_sequences=True)
    clip = (6, 8, 8, 1)
    small = {"filters": 4, "units": 8}
    return {
        "cnn_lstm": cnn_lstm((30, 3), 4),
        "cnn_lstm of clips": cnn_lstm(clip, 4),
        "cnn_lstm with a mask": cnn_lstm((None, 3), 4, masked=True),
        "cnn1d": cnn1d((30, 3), 4),
        "cnn1d with a mask": cnn1d((None, 3), 4, masked=True),
        "to_cnn1d": to_cnn1d(cnn_lstm((30, 3), 4)),
        "random_cnn1d": random_cnn1d(x, np.arange(8) % 2, kernels=84),
        "step_model": step_model(
            keras.Sequential([keras.Input((None, 3)), front, lstm])
        ),
        "recurrent_predictor": recurrent_predictor(clip, **small),
        "conv_lstm_predictor": conv_lstm_predictor(clip, **small),
        "convolutional_predictor": convolutional_predictor(clip, filters=4),
        "MixtureHead": keras.Sequential([keras.Input((9, 5)), MixtureHead(2, 2)]),
    }


def inputs_for(model):
    """Return inputs of two samples, masks with padding at the end."""
    draw = np.random.default_rng(1)
    for symbol in model.inputs:
        shape = (2, *(size or 30 for size in symbol.shape[1:]))
        if symbol.dtype == "bool":
            yield np.arange(shape[1]) < np.array([[shape[1]], [17]])
        else:
            yield draw.random(shape, "float32")


ANSWER = """
import json, pathlib
import cnnseq_helpers, keras, numpy as np

differences = {}
for path in pathlib.Path().glob("*.keras"):
    held = np.load(path.with_suffix(".npz"))
    x = [held[name] for name in sorted(held) if name[0] == "x"]
    model = keras.saving.load_model(path)
    outputs = keras.tree.flatten(model(x if len(x) > 1 else x[0]))
    pairs = zip(outputs, (held[name] for name in sorted(held) if name[0] == "y"))
    differences[path.stem] = max(float(np.abs(a - b).max()) for a, b in pairs)
print(json.dumps(differences))
"""


@pytest.mark.exhaustive
def test_saved_models_answer_alike_on_jax_without_tensorflow(tmp_path):
    made = models()
    for name, model in made.items():
        x = list(inputs_for(model))
        y = keras.tree.flatten(model(x if len(x) > 1 else x[0]))
        y = [keras.ops.convert_to_numpy(each) for each in y]
        named = {f"x{i}": each for i, each in enumerate(x)}
        named |= {f"y{i}": each for i, each in enumerate(y)}
        np.savez(tmp_path / f"{name}.npz", **named)
        model.save(tmp_path / f"{name}.keras")
    differences = run_without(ANSWER, tmp_path)
    assert set(differences) == set(made)
    assert max(differences.values()) < 1e-5, differences


# --- What is built there --------------------------------------------------------------

BUILD = """
import json
import cnnseq_helpers as helpers, keras, numpy as np

keras.utils.set_random_seed(0)
draw = np.random.default_rng(0)
series = [draw.normal(size=(n, 3)).astype("float32") for n in draw.integers(12, 31, 32)]
y = np.arange(32) % 2
for each, label in zip(series, y):
    each += 2 * label
x, mask = helpers.pad_batch(series, length=30)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
found = {}


def fit(model, *data):
    model.compile("adam", loss)
    history = model.fit(*data, epochs=8, verbose=0, shuffle=False).history["loss"]
    return [history[0], history[-1]]


recurrent = helpers.cnn_lstm((30, 3), 2)
found["cnn_lstm"] = fit(recurrent, x, y)
found["cnn1d"] = fit(helpers.cnn1d((30, 3), 2), x, y)
batches = helpers.bucket_batches(series, y, batch_size=8, seed=0)
found["cnn1d of buckets"] = fit(helpers.cnn1d((None, 3), 2, masked=True), batches)
student = helpers.to_cnn1d(recurrent)
helpers.distill(student, recurrent, x, epochs=4, verbose=0)


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs)


own = Own()
own(x)
codes = [
    [each.code for each in helpers.check_targets(model, labels, loss)]
    for model in (recurrent, own)
    for labels in (y, y + 9)
]
causal = [keras.layers.Conv1D(4, 3, padding="causal"), keras.layers.Dense(2)]
causal = keras.Sequential([keras.Input((None, 3)), *causal])
stream = helpers.to_streaming(causal)
chunks = np.concatenate([stream(x[:1, i : i + 5]) for i in range(0, 30, 5)], axis=1)
np.testing.assert_allclose(chunks, causal(x[:1]), atol=1e-5)
helpers.assert_causal(causal, x)
assert helpers.receptive_field(causal).size == 3
assert helpers.measured_receptive_field(causal).size == 3
plain = [keras.Input((30, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
assert np.isfinite(fit(keras.Sequential(plain), x, y + 9)).all()  # as the page says
assert np.isnan(keras.layers.Embedding(5, 2)(np.array([[7]]))).all()
refused = []
for call in (
    lambda: helpers.bucket_dataset(None, batch_size=2, boundaries=[5]),
    lambda: helpers.windows(np.zeros((50, 2)), 5).batches(2),
    lambda: helpers.export_model(recurrent, "model.onnx", x),
):
    try:
        call()
    except (ImportError, ValueError) as error:
        refused.append(str(error))
print(json.dumps([found, codes, refused]))
"""


@pytest.mark.exhaustive
def test_models_are_built_and_trained_without_tensorflow(tmp_path):
    found, codes, refused = run_without(BUILD, tmp_path)
    for name, (first, last) in found.items():
        assert last < first, name
    assert codes[0] == []
    assert codes[1] == ["units"]  # labels up to 10, two units
    assert codes[2] == codes[3] == ["per-step-output"]
    assert len(refused) == 3
    assert "bucket_batches takes lists" in refused[0]
    assert "pip install tensorflow" in refused[0]
    assert "pip install tensorflow" in refused[1]
    assert "KERAS_BACKEND=tensorflow" in refused[2]


@pytest.mark.skipif(BACKEND != "torch", reason="on PyTorch")
def test_pytorch_wants_what_the_page_says():
    answer = layers.Dense(2)(np.ones((1, 3, 2), "float32"))
    with pytest.raises(RuntimeError, match="requires grad"):
        answer.numpy()  # which np.asarray asks for
    assert keras.ops.convert_to_numpy(answer).shape == (1, 3, 2)
    with pytest.raises(ValueError, match="step must be greater than zero"):
        answer[:, ::-1]
    assert keras.ops.flip(answer, axis=1).shape == (1, 3, 2)
