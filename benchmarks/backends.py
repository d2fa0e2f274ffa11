"""Measure what training and prediction cost on each backend of Keras, by turns.

Usage: backends.py [--torch PYTHON]

Each backend has a process of its own, with one thread; all are asked for the same in
turn. PyTorch is no package of the book: name the Python of an environment that has it,
beside Keras and NumPy.
"""

import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import backends_page as page
import numpy as np

RESULTS = Path(__file__).with_suffix(".json")
CHANNELS, CLASSES, BATCH, ROUNDS = 6, 4, 64, 5
STEPS = {20: 16, 100: 8, 1000: 2}  # of training, at a time
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


# --- In the process of a backend ------------------------------------------------------


def answer(compiled):
    """Measure what each line asks for, and print its CPU seconds."""
    import keras

    backend, models = keras.backend.backend(), {}
    print(json.dumps(versions(backend)), flush=True)
    for line in sys.stdin:
        kind, length = json.loads(line)
        if (kind, length) not in models:
            models[kind, length] = build(kind, length, compiled)
        model, x, y = models[kind, length]
        start = time.process_time()
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
        trained = time.process_time()
        model.predict(x, batch_size=BATCH, verbose=0)
        predicted = time.process_time()
        seconds = {"train": trained - start, "predict": predicted - trained}
        print(json.dumps(seconds), flush=True)


def build(kind, length, compiled):
    """Return a compiled model, with series and labels for it."""
    import keras

    from cnnseq_helpers import cnn1d, cnn_lstm

    keras.utils.set_random_seed(0)
    make = {page.LSTM: cnn_lstm, page.CNN: cnn1d}[kind]
    model = make((length, CHANNELS), CLASSES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, **({"jit_compile": True} if compiled else {}))
    draw = np.random.default_rng(0)
    x = draw.normal(size=(STEPS[length] * BATCH, length, CHANNELS)).astype("float32")
    return model, x, draw.integers(CLASSES, size=len(x))


def versions(backend):
    """Return the names and versions of Keras and of its backend."""
    from importlib.metadata import version

    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    return {name: version(name) for name in ("keras", "numpy", backend)}


# --- In the process that asks ---------------------------------------------------------


def start(way, python):
    """Start the process of a backend; return it and its versions."""
    backend, *compiled = page.WAYS[way]
    environment = os.environ | ONE_THREAD | {"KERAS_BACKEND": backend}
    process = subprocess.Popen(
        [python, __file__, "--answer", *compiled],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, json.loads(process.stdout.readline())


def ask(process, kind, length):
    """Let a process measure a model once."""
    print(json.dumps([kind, length]), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def measure(torch):
    """Ask all backends in turn, and return the CPU seconds of a step."""
    pythons = dict.fromkeys(page.WAYS, sys.executable) | {page.TORCH: torch}
    started = {way: start(way, pythons[way]) for way in page.WAYS if pythons[way]}
    found = {}
    for kind in page.KINDS:
        for length in STEPS:
            case = f"{kind}/{length}"
            for number in range(ROUNDS + 1):
                for way, (process, _) in started.items():
                    seconds = ask(process, kind, length)
                    if number == 0:  # traces and compiles
                        found[f"first/{case}/{way}"] = seconds["train"]
                        continue
                    for what, each in seconds.items():
                        key = f"{what}/{case}/{way}"
                        found.setdefault(key, []).append(each / STEPS[length])
            print(case, flush=True)
    told = {}
    for process, names in started.values():
        told |= names
        process.stdin.close()
        process.wait()
    names = {"keras": "Keras", "numpy": "NumPy", "jax": "JAX", "torch": "PyTorch"}
    told = [f"{names.get(name, 'TensorFlow')} {each}" for name, each in told.items()]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), no GPU"
    python = f"Python {platform.python_version()}"
    found["measured"] = f"{date.today()}: {machine}, {python}, {', '.join(told)}"
    return found


def main(arguments):
    """Measure, and write the tables."""
    from stored_tables import write_tables

    torch = arguments[1] if arguments[:1] == ["--torch"] else None
    found = measure(torch)
    RESULTS.write_text(json.dumps(found))
    write_tables("backends", page.tables(found))


if __name__ == "__main__":
    if "--answer" in sys.argv:
        answer(compiled="compiled" in sys.argv)
    else:
        main(sys.argv[1:])
