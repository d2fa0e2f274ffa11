"""Export the book's models, time them, and write the tables of the book's pages.

Usage: python benchmarks/exporting.py [models] [openvino] [bits] [speed]

The first table says which models convert to which runtime, the second what OpenVINO
makes of them and of their ONNX files. The third is the accuracy of models in whole
numbers of 8 bits. The fourth is the median time of a call, for one series and for 64;
the ways take turns.
"""

import os
import platform
import re
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
import openvino
import tensorflow as tf

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
SERIES, CLIP = (100, 6), (10, 32, 32, 1)
SETS = ("ItalyPowerDemand", "BasicMotions", "JapaneseVowels")
SEEDS, EPOCHS, RATE = range(3), 60, 3e-3
FORMATS = {"SavedModel": "", "ONNX": ".onnx", "LiteRT": ".tflite"}
ROUNDS = 30


def draw(model, rows, steps=60):
    """Return random inputs; masks are real for different lengths."""
    random = np.random.default_rng(0)
    found = []
    for each in model.inputs:
        shape = (rows, *(steps if size is None else size for size in each.shape[1:]))
        array = random.normal(size=shape).astype("float32")
        if each.dtype == "bool":
            array = np.arange(steps) < np.linspace(steps, 1, rows)[:, None]
        found.append(array)
    return found if len(found) > 1 else found[0]


def random_kernels():
    """Return a model that was fitted without training, with a mask."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(24, *SERIES)), np.arange(24) % 4
    mask = np.arange(100) < random.integers(50, 101, size=(24, 1))
    return helpers.random_cnn1d(x, y, mask)


def build():
    """Return the book's models by their names in the table."""
    lstm = helpers.cnn_lstm(SERIES, 4)
    causal = [keras.layers.Conv1D(32, 9, padding="causal"), keras.layers.LSTM(32)]
    live = keras.Sequential([keras.Input((None, 6)), *causal, keras.layers.Dense(4)])
    return {
        "`cnn_lstm`": lstm,
        "its `to_cnn1d`": helpers.to_cnn1d(lstm),
        "`cnn1d`": helpers.cnn1d(SERIES, 4),
        "`cnn1d`, masked": helpers.cnn1d((None, 6), 4, masked=True),
        "`cnn_lstm`, masked": helpers.cnn_lstm((None, 6), 4, masked=True),
        "`random_cnn1d`, masked": random_kernels(),
        "`step_model` of a CNN-LSTM": helpers.step_model(live),
        "`cnn_lstm` of clips": helpers.cnn_lstm(CLIP, 8),
        "`cnn1d` of clips": helpers.cnn1d(CLIP, 8),
        "`recurrent_predictor`": helpers.recurrent_predictor(CLIP),
        "`conv_lstm_predictor`": helpers.conv_lstm_predictor(CLIP),
        "`convolutional_predictor`": helpers.convolutional_predictor(CLIP),
    }


def export_all(models, folder):
    """Return what `export_model` says of each model in each format."""
    found = {}
    for number, (name, model) in enumerate(models.items()):
        for kind, suffix in FORMATS.items():
            path = folder / f"{number}{suffix}"
            found[name, kind] = helpers.export_model(
                model, path, draw(model, 3), overwrite=True
            )
            print(name, kind, flush=True)
    return found


def models_table(models, found):
    """Return which models convert, with what in them."""
    lines = [
        "| | ONNX: kB | loops | LiteRT: kB | loops | batch | greatest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in models:
        saved, onnx, lite = (found[name, kind] for kind in FORMATS)
        assert saved.batch is onnx.batch is None
        batch = "any" if lite.batch is None else lite.batch
        most = max(each.difference for each in (saved, onnx, lite))
        sizes = [f"{each.size / 1000:,.0f} | {each.loops}" for each in (onnx, lite)]
        lines.append(f"| {name} | {' | '.join(sizes)} | {batch} | {most:.0e} |")
    return lines


def difference_in(core, file, model, x, **settings):
    """Return OpenVINO's greatest difference from Keras, as a share of the greatest."""
    run = core.compile_model(file, "CPU", settings)
    arrays = x if isinstance(x, list) else [x]
    names = [re.sub(r"\W", "_", each.name) for each in model.inputs]
    answers = run(dict(zip(names, arrays, strict=True)))
    found = [answers[each] for each in run.outputs]
    pairs = zip(found, keras.tree.flatten(model(x, training=False)), strict=True)
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)


def convert_from_keras(model, file, batch=None):
    """Return "yes" if Keras can write the model for OpenVINO, or "no"."""
    signature = [
        keras.InputSpec(shape=(batch, *x.shape[1:]), dtype=x.dtype, name=x.name)
        for x in model.inputs
    ]
    signature = signature if len(signature) == 1 else [signature]
    try:
        model.export(
            str(file), format="openvino", verbose=False, input_signature=signature
        )
    except Exception as error:
        print(file.name, str(error)[-200:])
        return "no"
    return "yes"


def openvino_table(models, folder):
    """Return what OpenVINO makes of each model, and of its ONNX file."""
    core = openvino.Core()
    full = {"INFERENCE_PRECISION_HINT": "f32"}
    lines = [
        "| | from Keras | its ONNX file, as it comes | in `f32` | stored: kB "
        "| in `f32` |",
        "|---" * 6 + "|",
    ]
    for number, (name, model) in enumerate(models.items()):
        x, onnx = draw(model, 3), folder / f"{number}.onnx"
        helpers.export_model(model, onnx, x, overwrite=True)
        converts = convert_from_keras(model, folder / f"{number}.xml")
        stored = folder / f"{number}_stored.xml"
        try:  # with weights in half precision
            openvino.save_model(core.read_model(onnx), stored)
            parts = [stored, stored.with_suffix(".bin")]
            size = f"{sum(each.stat().st_size for each in parts) / 1000:,.0f}"
            first, second, third = (
                f"{difference_in(core, file, model, x, **settings):.0e}"
                for file, settings in ((onnx, {}), (onnx, full), (stored, full))
            )
        except RuntimeError as error:
            print(str(error)[-300:])
            first, second, size, third = ["not read", *["-"] * 3]
        cells = [converts, first, second, size, third]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    version = openvino.__version__.partition("-")[0]
    return [*lines, "", f"OpenVINO {version}, on a processor that computes in bf16."]


def ways(model, found, rows):
    """Return functions of no argument that answer for so many series."""
    x = draw(model, rows)
    compiled = tf.function(model)
    tensors = [tf.constant(each) for each in (x if isinstance(x, list) else [x])]
    given = tensors if len(tensors) > 1 else tensors[0]
    return {
        "`predict`": lambda: model.predict(x, verbose=0),
        "`model(x)`": lambda: np.asarray(model(x)),
        "`tf.function`": lambda: compiled(given).numpy(),
        "ONNX": lambda: found["ONNX"](x),
        "LiteRT": lambda: found["LiteRT"](x),
    }


def speed_table(models, found):
    """Return the median milliseconds of a call, for one series and for 64."""
    times = {}
    for name, model in models.items():
        of_it = {kind: found[name, kind] for kind in FORMATS}
        for rows in (1, 64):
            calls = ways(model, of_it, rows)
            for way, call in calls.items():
                start = time.perf_counter()
                call()
                times[name, rows, way, "first"] = time.perf_counter() - start
            spent = {way: [] for way in calls}
            for _ in range(ROUNDS):
                for way, call in calls.items():
                    call()  # another way has used the caches
                    start = time.perf_counter()
                    call()
                    spent[way].append(time.perf_counter() - start)
            for way, each in spent.items():
                times[name, rows, way] = 1000 * np.median(each)
            print(name, rows, flush=True)
    names = list(calls)
    lines = [f"| | series | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for name in models:
        for rows in (1, 64):
            cells = [written(times[name, rows, way]) for way in names]
            lines.append(f"| {name} | {rows} | {' | '.join(cells)} |")
    return lines, times


def load(name):
    """Return series, padded with zeros and standardised by channel, and labels."""
    data = helpers.load_dataset(name)
    x_train, x_test = data.x_train, data.x_test
    if isinstance(x_train, list):
        steps = max(map(len, [*x_train, *x_test]))
        x_train, x_test = (
            helpers.pad_batch(x, length=steps)[0] for x in (x_train, x_test)
        )
    mean, deviation = x_train.mean(axis=(0, 1)), x_train.std(axis=(0, 1))
    series = [((x - mean) / deviation).astype("float32") for x in (x_train, x_test)]
    return *series, data.y_train, data.y_test


def train(kind, x, y, seed):
    """Return a trained model with causal convolutions."""
    keras.utils.set_random_seed(seed)
    options = {"padding": "causal", "activation": "relu"}
    middle = [keras.layers.LSTM(32)]
    if kind == "1D-CNN":
        pool = keras.layers.GlobalAveragePooling1D()
        middle = [keras.layers.Conv1D(32, 5, **options), pool]
    first = keras.layers.Conv1D(32, 5, **options)
    head = keras.layers.Dense(int(y.max()) + 1)
    series = keras.Input(x.shape[1:], name="series")
    model = keras.Sequential([series, first, *middle, head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss)
    model.fit(x, y, 32, EPOCHS, verbose=0)
    return model


def steps_of(step, answer, x):
    """Yield what a step model is given, and what it answers, step after step."""
    states = [np.zeros((len(x), *s.shape[1:]), "float32") for s in step.inputs[1:]]
    for at in range(x.shape[1]):
        given = [x[:, at : at + 1], *states]
        found, *states = map(np.asarray, answer(given))
        yield given, found


def in_eight_bits(kind, model, x, folder):
    """Yield functions from series to logits, by how the model was quantised."""
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "tolerance": np.inf,
        "overwrite": True,
    }
    file = folder / "model.tflite"
    if kind == "1D-CNN":
        rows = {"representative_dataset": lambda: ([row[None]] for row in x)}
        yield "all in 8 bits", helpers.export_model(model, file, x, **options, **rows)
        return
    yield "weights only", helpers.export_model(model, file, x, batch=1, **options)
    step = helpers.step_model(model)
    seen = [given for given, _ in steps_of(step, step, x[:20])]
    samples = {
        "representative_dataset": lambda: (
            [part[row : row + 1] for part in given] for given in seen for row in (0, 9)
        )
    }
    stepped = helpers.export_model(step, file, seen[9], **options, **samples)
    yield "step model, all in 8 bits", lambda x: list(steps_of(step, stepped, x))[-1][1]


def bits_table(folder):
    """Return test accuracies in float32 and in whole numbers of 8 bits."""
    found = {}
    for name in SETS:
        x, x_test, y, y_test = load(name)
        for kind in ("CNN-LSTM", "1D-CNN"):
            for seed in SEEDS:
                model = train(kind, x, y, seed)
                runs = {"": lambda x, model=model: model.predict(x, verbose=0)}
                runs |= dict(in_eight_bits(kind, model, x, folder))
                for way, run in runs.items():
                    right = np.mean(np.argmax(run(x_test), axis=-1) == y_test)
                    found.setdefault((kind, way), {}).setdefault(name, []).append(right)
                print(name, kind, seed, right, flush=True)
    lines = [f"| | {' | '.join(SETS)} |", "|---" * (len(SETS) + 1) + "|"]
    for (kind, way), values in found.items():
        cells = [f"{np.mean(v):.3f} ± {np.ptp(v) / 2:.3f}" for v in values.values()]
        label = f"{kind}, {way}" if way else f"{kind}, float32"
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def written(milliseconds):
    """Write two significant digits."""
    digits = max(0, 1 - int(np.floor(np.log10(milliseconds))))
    return f"{milliseconds:.{digits}f}"


def describe(began):
    """Say where and when."""
    minutes = (time.perf_counter() - began) / 60
    return (
        f"Measured on {date.today()} in {minutes:.0f} minutes: {os.cpu_count()} cores "
        f"({platform.machine()}), no GPU; Python {platform.python_version()}, Keras "
        f"{keras.__version__}, TensorFlow {tf.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}."
    )


def write(name, lines):
    """Write a table."""
    (HERE / f"exporting_{name}.md").write_text("\n".join(lines) + "\n")


def main(parts):
    """Export, measure, and write the tables."""
    began = time.perf_counter()
    keras.utils.set_random_seed(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if "bits" in parts:
            write("bits", bits_table(folder))
        if not {"models", "openvino", "speed"} & {*parts}:
            return
        models = build()
        if "openvino" in parts:
            write("openvino", openvino_table(models, folder))
        if not {"models", "speed"} & {*parts}:
            return
        if "models" not in parts:
            models = dict(list(models.items())[:5])
        found = export_all(models, folder)
        if "models" in parts:
            write("models", models_table(models, found))
        if "speed" in parts:
            speed, times = speed_table(dict(list(models.items())[:5]), found)
            first = [
                f"{1000 * times['`cnn_lstm`', 1, way, 'first']:.0f} ms for {way}"
                for way in ("`predict`", "`tf.function`")
            ]
            text = f"The first call, which traces, took {' and '.join(first)}."
            write("speed", [*speed, "", text, "", describe(began)])


if __name__ == "__main__":
    main(sys.argv[1:] or ["models", "openvino", "bits", "speed"])
