"""Export the book's models, time them, and write the tables of the book's pages.

Usage: python benchmarks/exporting.py

The first table says which models convert to which runtime. The second is the median
time of a call, for one series and for 64; the ways take turns.
"""

import os
import platform
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
import tensorflow as tf

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
SERIES, CLIP = (100, 6), (10, 32, 32, 1)
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
            found[name, kind] = helpers.export_model(model, path, draw(model, 3))
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


def written(milliseconds):
    """Write two significant digits."""
    digits = max(0, 1 - int(np.floor(np.log10(milliseconds))))
    return f"{milliseconds:.{digits}f}"


def main():
    """Export, measure, and write the tables."""
    began = time.perf_counter()
    keras.utils.set_random_seed(0)
    models = build()
    with TemporaryDirectory() as folder:
        found = export_all(models, Path(folder))
        timed = {name: models[name] for name in list(models)[:5]}
        speed, times = speed_table(timed, found)
    minutes = (time.perf_counter() - began) / 60
    lstm = next(iter(models))
    first = {
        way: times[lstm, 1, way, "first"] for way in ("`predict`", "`tf.function`")
    }
    told = ", ".join(f"{1000 * s:.0f} ms for {way}" for way, s in first.items())
    measured = (
        f"Measured on {date.today()} in {minutes:.0f} minutes: {os.cpu_count()} cores "
        f"({platform.machine()}), no GPU; Python {platform.python_version()}, Keras "
        f"{keras.__version__}, TensorFlow {tf.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}."
    )
    warm = f"The first call of all, in which functions are traced, took {told}."
    table = models_table(models, found)
    (HERE / "exporting_models.md").write_text("\n".join(table) + "\n")
    text = [*speed, "", warm, "", measured]
    (HERE / "exporting_speed.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
