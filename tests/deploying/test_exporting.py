"""export_model: each runtime answers as Keras does, and what can't be is refused."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from cnnseq_helpers import (
    ShapeError,
    cnn1d,
    cnn_lstm,
    conv_lstm_predictor,
    convolutional_predictor,
    export_model,
    recurrent_predictor,
    step_model,
    to_cnn1d,
)
from cnnseq_helpers.deploying import formats

from ..conftest import BACKEND, ROOT, TENSORFLOW_ONLY, sampled

if BACKEND != "tensorflow":  # other backends can't even build some of the models
    reason = f"only on TensorFlow: {TENSORFLOW_ONLY['export']}"
    pytest.skip(reason, allow_module_level=True)

CLIP = (6, 16, 16, 1)
X = np.random.default_rng(0).normal(size=(2, 20, 3)).astype("float32")


def moved(model):
    """Return a model with weights that are no longer the initial ones."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(weight + random.uniform(0, 0.1, size=weight.shape))
    return model


def drawn(model, rows=3, steps=20, seed=0):
    """Return random inputs, and masks whose first row is all real."""
    random = np.random.default_rng(seed)
    arrays = []
    for each in model.inputs:
        shape = (rows, *(steps if size is None else size for size in each.shape[1:]))
        array = random.normal(size=shape).astype("float32")
        if each.dtype == "bool":
            array = np.arange(steps) < np.linspace(steps, 1, rows)[:, None]
        arrays.append(array)
    return arrays if len(arrays) > 1 else arrays[0]


def sequential(*stack, shape=(20, 3)):
    return keras.Sequential([keras.Input(shape, name="series"), *stack])


def odd_names():
    """Return a model of two inputs and two outputs in no order of the alphabet."""
    slow = keras.Input((8, 2), name="the-slow one")
    fast = keras.Input((20, 3), name="fast")
    x = layers.Concatenate()([layers.GRU(4)(slow), layers.LSTM(4)(fast)])
    return keras.Model([slow, fast], [layers.Dense(3)(x), layers.Dense(1)(x)])


def twelve():
    """Return a model with more outputs than ten."""
    series = keras.Input((20, 3), name="series")
    return keras.Model(series, [layers.Dense(n)(series) for n in range(1, 13)])


def by_name():
    """Return a model that takes a dictionary."""
    inputs = {"b": keras.Input((20, 3), name="b"), "a": keras.Input((4,), name="a")}
    x = layers.Concatenate()([layers.LSTM(4)(inputs["b"]), inputs["a"]])
    return keras.Model(inputs, layers.Dense(2)(x))


def adapted():
    """Return a model whose first layer holds what it learnt in tensors."""
    model = sequential(layers.Normalization(name="scaled"), layers.LSTM(4))
    model.get_layer("scaled").adapt(np.random.default_rng(1).normal(2, 3, (9, 20, 3)))
    return model


MODELS = {
    "odd names": odd_names,
    "cnn_lstm": lambda: cnn_lstm((20, 3), 4),
    "to_cnn1d": lambda: to_cnn1d(cnn_lstm((20, 3), 4)),
    "masked": lambda: cnn1d((None, 3), 4, masked=True),
    "adapted": adapted,
    "masked cnn_lstm": lambda: cnn_lstm((None, 3), 4, masked=True),
    "cnn1d": lambda: cnn1d((20, 3), 4),
    "clips": lambda: cnn_lstm(CLIP, 4),
    "cnn1d of clips": lambda: cnn1d(CLIP, 4),
    "recurrent": lambda: recurrent_predictor(CLIP),
    "conv_lstm": lambda: conv_lstm_predictor(CLIP),
    "convolutional": lambda: convolutional_predictor(CLIP),
    "dictionary": by_name,
    "twelve outputs": twelve,
    "open time": lambda: sequential(layers.LSTM(4), shape=(None, 3)),
}
RECURRENT = {
    *("cnn_lstm", "masked cnn_lstm", "clips", "recurrent", "conv_lstm", "odd names"),
    *("adapted", "dictionary", "open time"),
}
SUFFIXES = ("", ".onnx", ".tflite")


@pytest.mark.parametrize(
    ("name", "suffix"),
    sampled([(name, suffix) for name in MODELS for suffix in SUFFIXES], every=6),
)
def test_the_runtime_answers_as_keras_does(name, suffix, tmp_path):
    keras.utils.set_random_seed(0)
    model = moved(MODELS[name]())
    exported = export_model(model, tmp_path / f"model{suffix}", drawn(model))
    assert exported.batch == (1 if suffix == ".tflite" and name in RECURRENT else None)
    assert exported.loops == {"odd names": 2}.get(name, int(name in RECURRENT))
    assert exported.difference < 1e-4
    other = drawn(model, rows=4, seed=1)
    if name == "dictionary":
        other = dict(zip("ab", other, strict=True))
    found, wanted = exported(other), model(other)
    assert isinstance(found, list) == isinstance(wanted, list)
    pairs = zip(*map(keras.tree.flatten, (found, wanted)), strict=True)
    for ours, theirs in pairs:
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("kind", ["LSTM", "causal"])
def test_a_step_is_plain_operations(kind, suffix, tmp_path):
    """No loop, no operation that the runtime lacks, and any number of streams."""
    keras.utils.set_random_seed(0)
    first = layers.Conv1D(8, 5, padding="causal", dilation_rate=2, activation="relu")
    second = layers.Conv1D(8, 3, padding="causal", activation="relu")
    if kind == "LSTM":
        second = layers.LSTM(8, return_sequences=True)
    model = moved(sequential(first, second, layers.Dense(2), shape=(None, 3)))
    step = step_model(model)
    run = export_model(step, tmp_path / f"step{suffix}", drawn(step))
    assert (run.loops, run.batch) == (0, None)
    assert not [each for each in run.operations if each.startswith("custom")]
    x = drawn(model, rows=2)
    states = [np.zeros((2, *each.shape[1:]), "float32") for each in step.inputs[1:]]
    answers = []
    for at in range(x.shape[1]):
        answer, *states = run([x[:, at : at + 1], *states])
        answers.append(answer)
    whole = np.asarray(model(x))
    found = np.concatenate(answers, axis=1)
    assert np.abs(found - whole).max() < 1e-4 * np.abs(whole).max()


def test_a_report_says_what_is_in_the_file(tmp_path):
    model = cnn_lstm((20, 3), 4)
    x = drawn(model, rows=6)
    exported = export_model(model, tmp_path / "a.onnx", x, batch=3)
    assert (exported.format, exported.batch) == ("ONNX", 3)
    assert exported.size == (tmp_path / "a.onnx").stat().st_size
    assert exported.operations["LSTM"] == 1
    rows = dict(line.split(maxsplit=1) for line in str(exported).splitlines())
    assert rows["exported"] == "ONNX"
    assert rows["path"] == str(tmp_path / "a.onnx")
    assert (rows["batch"], rows["loops"]) == ("3", "1")
    assert "<td>3</td>" in exported._repr_html_()
    with pytest.raises(ShapeError, match="3 sequences at a time, and x has 4"):
        exported(x[:4])
    folder = export_model(model, tmp_path / "b", x)
    parts = [each for each in (tmp_path / "b").rglob("*") if each.is_file()]
    assert folder.size == sum(each.stat().st_size for each in parts)


def test_a_file_serves_another_process(tmp_path):
    """Without Keras, TensorFlow or this package."""
    model = cnn1d((20, 3), 4)
    x = drawn(model)
    export_model(model, tmp_path / "model.onnx", x)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, onnxruntime as ort; "
        "session = ort.InferenceSession('model.onnx'); "
        "(y,) = session.run(None, {'series': np.load('x.npy')}); "
        "np.save('y.npy', y); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), atol=1e-4)


@pytest.mark.parametrize("suffix", ["", ".onnx"])
def test_only_what_was_exported_is_overwritten(suffix, tmp_path):
    model = sequential(layers.GlobalAveragePooling1D(), layers.Dense(2))
    x, path = drawn(model), tmp_path / f"model{suffix}"
    export_model(model, path, x)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_model(model, path, x)
    model.layers[-1].bias.assign([5.0, -5.0])
    found = export_model(model, path, x, overwrite=True)(x)
    np.testing.assert_allclose(found, model(x), atol=1e-5)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["mine", "mine.onnx"])
def test_other_folders_are_never_overwritten(name, tmp_path):
    model = sequential(layers.Flatten())
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="Choose another path."):
        export_model(model, tmp_path / name, drawn(model), overwrite=True)
    assert (tmp_path / name / "thesis.txt").exists()


def test_quantised_models_are_compared_too(tmp_path):
    keras.utils.set_random_seed(0)
    model = sequential(layers.Conv1D(32, 9), layers.GlobalAveragePooling1D())
    x = drawn(model, rows=8)
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([row[None]] for row in x),
    }
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="larger tolerance"):
        export_model(model, path, x, **options)
    assert not path.exists()
    exported = export_model(model, path, x, tolerance=0.1, **options)
    assert 1e-4 < exported.difference < 0.1


@pytest.mark.parametrize("inner", [layers.LSTM(4), layers.Bidirectional(layers.GRU(4))])
def test_loops_are_not_quantised_by_samples(inner, tmp_path):
    model = sequential(inner)
    options = {"optimizations": [tf.lite.Optimize.DEFAULT], "tolerance": 0.1}
    samples = {"representative_dataset": lambda: ([row[None]] for row in X)}
    with pytest.raises(ValueError, match="unroll=True"):
        export_model(model, tmp_path / "a.tflite", X, **options, **samples)
    exported = export_model(model, tmp_path / "a.tflite", X, **options)
    assert (exported.batch, exported.loops > 0) == (1, True)


def test_a_layer_without_its_loop_is_quantised_by_samples(tmp_path):
    model = sequential(layers.LSTM(4, unroll=True))
    options = {"optimizations": [tf.lite.Optimize.DEFAULT], "tolerance": 0.1}
    samples = {"representative_dataset": lambda: ([row[None]] for row in X)}
    exported = export_model(model, tmp_path / "a.tflite", X, **options, **samples)
    assert (exported.batch, exported.loops) == (None, 0)
    assert exported.operations["QUANTIZE"] > 0


def test_samples_of_several_inputs_are_given_as_to_keras(tmp_path):
    """LiteRT's converter has an order of its own."""
    step = step_model(sequential(layers.Conv1D(4, 3, padding="causal"), layers.GRU(4)))
    x = drawn(step, rows=8)
    exported = export_model(
        *(step, tmp_path / "a.tflite", x),
        tolerance=0.1,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([a[r : r + 1] for a in x] for r in range(8)),
    )
    assert (exported.loops, exported.operations["QUANTIZE"] > 0) == (0, True)


@pytest.mark.exhaustive
def test_without_the_refusal_the_process_would_crash(tmp_path):
    """When this fails, TensorFlow has mended its issue 75140: refuse no longer."""
    code = (
        "import keras, numpy as np, tensorflow as tf\n"
        "model = keras.Sequential([keras.Input((20, 3)), keras.layers.LSTM(4)])\n"
        "spec = keras.InputSpec(shape=(1, 20, 3), dtype='float32')\n"
        "rows = lambda: ([np.ones((1, 20, 3), 'float32')] for _ in range(3))\n"
        f"model.export({str(tmp_path / 'a.tflite')!r}, format='litert', "
        "input_signature=[spec], optimizations=[tf.lite.Optimize.DEFAULT], "
        "representative_dataset=rows)"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True).returncode < 0


def test_nothing_is_printed_and_the_model_stays_as_it_was(tmp_path, capfd):
    model = adapted()
    before = {k: v for layer in model.layers for k, v in vars(layer).items()}
    export_model(model, tmp_path / "model.onnx", drawn(model))
    export_model(model, tmp_path / "model.tflite", drawn(model))
    assert capfd.readouterr() == ("", "")
    after = {k: v for layer in model.layers for k, v in vars(layer).items()}
    assert all(after[name] is value for name, value in before.items())
    print("heard")
    assert capfd.readouterr().out == "heard\n"


# --- What is refused ------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
class Python(layers.Layer):
    """Calls NumPy from within the graph."""

    def call(self, inputs):
        found = tf.numpy_function(np.sort, [inputs], tf.float32)
        return tf.ensure_shape(found, inputs.shape)


@keras.saving.register_keras_serializable(package="tests")
class Holder(layers.Layer):
    """Holds a tensor where no attribute shows it."""

    def build(self, input_shape):
        self.held = {"tensor": tf.ones(input_shape[-1]) * 2}

    def call(self, inputs):
        return inputs * self.held["tensor"]


@keras.saving.register_keras_serializable(package="tests")
class Inverse(layers.Layer):
    """Needs an operation that LiteRT lacks."""

    def call(self, inputs):
        return tf.linalg.inv(inputs @ tf.transpose(inputs, (0, 2, 1)) + tf.eye(20))


class Own(keras.Model):
    def call(self, inputs):
        return inputs


def quantised():
    model = keras.Sequential([keras.Input((20, 3)), layers.Dense(4)], name="small")
    model.layers[0].quantize("int8")
    return model


TWO = [X, np.ones((2, 20), bool)]
MASKED = cnn1d((20, 3), 4, masked=True)
PLAIN = sequential(layers.Flatten())
REFUSED = {
    "a suffix": (PLAIN, "a.h5", X, ValueError, r"ends in .onnx or .tflite"),
    "Keras's suffix": (PLAIN, "a.keras", X, ValueError, r"model.save"),
    "no folder": (PLAIN, "none/a.onnx", X, FileNotFoundError, "none"),
    "a model of one's own": (Own(), "a.onnx", X, ShapeError, "Own"),
    "a state": (
        keras.Sequential(
            [keras.Input(batch_shape=(2, 20, 3)), layers.LSTM(4, stateful=True)]
        ),
        *("a.onnx", X, ValueError, "lstm.* with stateful=True.*step_model"),
    ),
    "other steps": (PLAIN, "a.onnx", X[:, :9], ShapeError, r"time=20.*\(2, 9, 3\)"),
    "no batch": (PLAIN, "a.onnx", X[0], ShapeError, r"x\[None\]"),
    "unequal rows": (PLAIN, "a.onnx", [[[1]], [[2], [3]]], ShapeError, "time=20"),
    "another name": (PLAIN, "a.onnx", {"x": X}, ShapeError, "inputs series, got a di"),
    "half numbers": (
        keras.Sequential([keras.Input((20,), dtype="int32"), layers.Embedding(5, 2)]),
        *("a.onnx", np.full((2, 20), 1.5), TypeError, "whole numbers of type int32"),
    ),
    "no row": (PLAIN, "a.onnx", X[:0], ShapeError, "one at least"),
    "no mask": (MASKED, "a.onnx", X, ShapeError, "2 inputs series, mask"),
    "a mask of numbers": (
        *(
            MASKED,
            "a.onnx",
            [X, np.ones((2, 20))],
            TypeError,
            "numbers of type bool for 'mask'",
        ),
    ),
    "other rows": (MASKED, "a.onnx", [X, TWO[1][:1]], ShapeError, r"\[2, 1\]"),
    "words": (PLAIN, "a.onnx", X.astype(str), TypeError, "type float32 for 'series'"),
    "NaN": (PLAIN, "a.onnx", X * np.nan, ValueError, "finite"),
    "Python": (
        *(sequential(Python(name="sorts")), "a", X, ValueError),
        r"sorts \(Python\), which runs a Python function",
    ),
    "Python in ONNX": (
        *(sequential(Python(name="sorts")), "a.onnx", X, ValueError),
        r"sorts \(Python\), which runs a Python function",
    ),
    "a tensor that is hidden": (
        *(sequential(Holder()), "a.onnx", X, ValueError),
        "make it one, or a NumPy array",
    ),
    "what LiteRT lacks": (
        *(sequential(Inverse(name="inv")), "a.tflite", X, ValueError),
        r"LiteRT lacks operations that inv \(Inverse\) needs:.*FlexMatrixInverse",
    ),
    "what ONNX lacks": (
        *(sequential(layers.Conv1D(6, 3, groups=3, name="in_groups")), "a.onnx", X),
        *(ValueError, r"ONNX lacks operations that in_groups \(Conv1D\) needs"),
    ),
    "what a converter can't take": (
        *(quantised(), "a.tflite", X, ValueError),
        "LiteRT's converter can't take small: .*Nothing was written",
    ),
    "a suffix alone": (PLAIN, ".onnx", X, ValueError, "ends in .onnx or .tflite"),
    "a masked array": (
        *(PLAIN, "a.onnx", np.ma.masked_less(X, 0), TypeError, r"x.filled\(0\)"),
    ),
    "numbers too large": (
        *(PLAIN, "a.onnx", np.full(X.shape, 1e300), TypeError),
        "numbers that fit float32 for 'series', got 1e[+]300",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_is_refused_and_nothing_written(case, tmp_path):
    model, name, x, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        export_model(model, tmp_path / name, x)
    assert os.listdir(tmp_path) == []


def two_of_one_shape(*names):
    first, second = (keras.Input((4,), name=name) for name in names)
    return keras.Model([first, second], first - 2 * second)


def test_a_dictionary_is_read_by_its_names(tmp_path):
    """Also where the names, sorted, are in another order than the inputs."""
    model = two_of_one_shape("b", "a")
    x = {"a": X[0, :4, 0][None], "b": X[1, :4, 1][None]}
    x = {name: np.repeat(each, 2, axis=0) for name, each in x.items()}
    exported = export_model(model, tmp_path / "model", x)
    np.testing.assert_allclose(exported(x), model(x), atol=1e-5)
    np.testing.assert_allclose(exported([x["b"], x["a"]]), model(x), atol=1e-5)


def test_names_of_which_a_file_makes_one(tmp_path):
    x = [np.ones((2, 4))] * 2
    with pytest.raises(ValueError, match=r"that differ in letters.*got a-b, a_b"):
        export_model(two_of_one_shape("a-b", "a_b"), tmp_path / "a.onnx", x)


@pytest.mark.parametrize("name", ["a.onnx", "a"])
def test_options_are_not_dropped(name, tmp_path):
    with pytest.raises(TypeError, match="got 'opset'. Leave it out"):
        export_model(PLAIN, tmp_path / name, X, opset=18)
    assert os.listdir(tmp_path) == []


def test_a_precision_that_a_runtime_lacks_is_named(tmp_path):
    model = sequential(layers.Dense(2, dtype="mixed_float16", name="head"))
    with pytest.raises(ValueError, match="LiteRT lacks.*head computes in float16"):
        export_model(model, tmp_path / "a.tflite", X, tolerance=0.01)


@pytest.mark.parametrize("tolerance", [-1, float("nan"), None, "1", True])
def test_a_tolerance_is_a_number(tolerance, tmp_path):
    with pytest.raises(ValueError, match="tolerance to be a number of at least 0"):
        export_model(PLAIN, tmp_path / "a.onnx", X, tolerance=tolerance)


@pytest.mark.parametrize("batch", [0, 1.5, True])
def test_a_batch_is_a_whole_number(batch, tmp_path):
    with pytest.raises(ShapeError, match="batch"):
        export_model(PLAIN, tmp_path / "a.onnx", X, batch=batch)


def test_a_batch_that_does_not_divide_x_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="3 sequences at a time, and x has 2"):
        export_model(PLAIN, tmp_path / "a.onnx", X, batch=3)


def test_another_answer_is_refused(tmp_path, monkeypatch):
    """As when a runtime computes in half precision: nothing is written."""
    form = formats.FORMATS[".onnx"]

    def load(path, names):
        return lambda arrays: [1.001 * each for each in form.load(path, names)(arrays)]

    monkeypatch.setitem(formats.FORMATS, ".onnx", form._replace(load=load))
    with pytest.raises(ValueError, match="answers otherwise than Keras.*1e-03 of the"):
        export_model(PLAIN, tmp_path / "a.onnx", X)
    assert os.listdir(tmp_path) == []


ODD = ["my conv", "Ähre", "_conv"]


# Names are changed before any format is asked, so each needs one of them at home.
@pytest.mark.parametrize(
    ("name", "suffix"),
    sampled([(ODD[i], SUFFIXES[(i + j) % 3]) for i in range(3) for j in range(3)], 3),
)
def test_names_that_tensorflow_does_not_take(name, suffix, tmp_path):
    inner = sequential(layers.Dense(2), layers.LSTM(3, return_sequences=True))
    inner.name = f"{name} 2"
    plain = keras.layers.Dense(2, name="my_conv")
    series, conv = keras.Input((20, 3), name="a b"), layers.Conv1D(3, 3, name=name)
    x = conv(inner(series))
    model = keras.Model(series, x if name == "_conv" else plain(x), name=name)
    exported = export_model(model, tmp_path / f"model{suffix}", X)
    np.testing.assert_allclose(exported(X), model(X), atol=1e-5)
    assert (model.name, conv.name) == (name, name)


def test_how_long_calls_take_beside_keras(tmp_path):
    step = step_model(sequential(layers.LSTM(4, return_sequences=True)))
    x = drawn(step, rows=1)
    exported = export_model(step, tmp_path / "step.tflite", x)
    times = exported.latency_beside(step, x, calls=2)
    ways = ["LiteRT", "tf.function", "model(x)", "model.predict(x)"]
    assert list(times) == ways
    assert all(0 < each < 60 for each in times.values())
    with pytest.raises(ShapeError, match="3 inputs"):
        exported.latency_beside(step, x[0], calls=2)


@pytest.mark.exhaustive
def test_another_backend_is_refused(tmp_path):
    code = (
        "import keras, cnnseq_helpers as helpers\n"
        "keras.backend.backend = lambda: 'jax'\n"
        "model = keras.Sequential([keras.Input((3,))])\n"
        f"try: helpers.export_model(model, {str(tmp_path / 'a')!r}, [[1, 2, 3]])\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert "KERAS_BACKEND=tensorflow" in result.stdout
