"""Measure CNN-LSTMs, 1D-CNNs made of them, and their peers; write the page of it.

Usage: converting.py [--quick] [--resume] [--default-epochs] [name ...]

Names are further data sets beside the five. One process, one model after the other, on
the archive's default splits. ``--resume`` goes on where a run was stopped. ``--quick``
measures this package's models from one seed, prints, and writes nothing. The networks
of aeon are trained for fewer epochs than they ask for, but for one network of
InceptionTime; ``--default-epochs`` gives them all that they ask for, which takes hours.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import converting_page as page
import keras
import numpy as np
import tensorflow as tf
from aeon.classification.convolution_based import MiniRocketClassifier
from aeon.classification.deep_learning import (
    FCNClassifier,
    InceptionTimeClassifier,
    IndividualInceptionClassifier,
    IndividualLITEClassifier,
    LITETimeClassifier,
)
from keras import layers
from tcn import TCN

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
SEEDS = (0, 1, 2)
EPOCHS, BATCH_SIZE, RATE = 100, 16, 1e-3
ROUNDS = 40
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)

# aeon's networks: the class, one network of it, how many it joins, the epochs that it
# asks for, and those of a full run.
DEEP = {
    "InceptionTime, 1 network": (
        InceptionTimeClassifier,
        IndividualInceptionClassifier,
        1,
        1500,
        1500,
    ),
    "FCN (aeon)": (FCNClassifier, FCNClassifier, 1, 2000, 100),
    "LITETime, 5 networks": (
        LITETimeClassifier,
        IndividualLITEClassifier,
        5,
        1500,
        60,
    ),
    "InceptionTime, 5 networks": (
        InceptionTimeClassifier,
        IndividualInceptionClassifier,
        5,
        1500,
        20,
    ),
}


def load(name, front=False):
    """Return a data set, padded with zeros to one length and normalised by channel."""
    data = helpers.load_dataset(name)
    longest = max(map(len, [*data.x_train, *data.x_test]))
    turn = -1 if front else 1  # padded behind while turned round is padded in front
    train, test = (
        helpers.pad_batch([each[::turn] for each in x], length=longest)[0][:, ::turn]
        for x in (data.x_train, data.x_test)
    )
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    test = (test - mean) / deviation
    return (train - mean) / deviation, data.y_train, test, data.y_test


# --- Keras models: this package's, and keras-tcn --------------------------------------


def with_tcn(shape, classes):
    """Return keras-tcn's layer with its default settings, and logits."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(classes)(TCN()(inputs)))


def converted(shape, classes):
    """Return the 1D-CNN that to_cnn1d makes of an untrained CNN-LSTM."""
    return helpers.to_cnn1d(helpers.cnn_lstm(shape, classes))


OURS = {
    "CNN-LSTM": helpers.cnn_lstm,
    "CNN-LSTM, padded in front": helpers.cnn_lstm,
    "to_cnn1d": converted,
    "to_cnn1d, distilled": converted,
    "cnn1d": helpers.cnn1d,
    "cnn1d, 200 epochs": helpers.cnn1d,
    "keras-tcn": with_tcn,
}


def fit(model, x, y, loss, epochs=EPOCHS):
    """Train, and return CPU seconds of start-up and of the epochs.

    All epochs are one long stream of full batches, so that what Keras does between two
    epochs, some ten milliseconds, is in no measurement.
    """
    seconds = []
    batches = -(-len(x) // BATCH_SIZE)
    model.compile(keras.optimizers.Adam(RATE), loss, steps_per_execution=batches)
    data = tf.data.Dataset.from_tensor_slices((x, y)).cache().shuffle(len(x))
    data = data.repeat().batch(BATCH_SIZE).prefetch(2)
    for part in (1, epochs - 1):
        start = time.process_time()
        model.fit(data, steps_per_epoch=part * batches, shuffle=False, verbose=0)
        seconds.append(time.process_time() - start)
    return seconds


def train_keras(name, method, seed):
    """Train one of the Keras models and return what was measured."""
    x, y, x_test, y_test = load(name, front=method.endswith("in front"))
    size = x.shape[1:], len(np.unique(y))
    keras.utils.set_random_seed(seed)
    model = OURS[method](*size)
    targets = y
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if method == "to_cnn1d, distilled":
        teacher = helpers.cnn_lstm(*size)
        fit(teacher, x, y, loss)
        model = helpers.to_cnn1d(teacher)
        # What helpers.distill does, with the seconds of the first epoch apart.
        targets, loss = teacher.predict(x, verbose=0), "mean_squared_error"
    epochs = 2 * EPOCHS if method.endswith("200 epochs") else EPOCHS
    start, rest = fit(model, x, targets, loss, epochs)
    named = np.argmax(model.predict(x_test, verbose=0), axis=1)
    return {
        "accuracy": float(np.mean(named == y_test)),
        "start_seconds": start,
        "seconds": rest,
        "epochs": epochs,
        "parameters": model.count_params(),
    }


# --- aeon's classifiers ---------------------------------------------------------------


def train_aeon(name, method, seed, default_epochs):
    """Train a classifier of aeon and return what was measured."""
    x, y, x_test, y_test = load(name)
    x, x_test = (np.swapaxes(each, 1, 2).astype("float64") for each in (x, x_test))
    keras.utils.set_random_seed(seed)
    record = {"start_seconds": 0.0, "epochs": 0, "parameters": 0}
    with tempfile.TemporaryDirectory() as folder:
        if method == "MiniRocket":
            classifier = MiniRocketClassifier(random_state=seed)
        else:
            kind, one, networks, default, short = DEEP[method]
            epochs = default if default_epochs else short
            several = {} if kind is one else {"n_classifiers": networks}
            classifier = kind(
                n_epochs=epochs, random_state=seed, file_path=f"{folder}/", **several
            )
            network = one().build_model((x.shape[2], x.shape[1]), len(np.unique(y)))
            record["epochs"] = epochs
            record["parameters"] = networks * network.count_params()
        start = time.process_time()
        classifier.fit(x, y)
        record["seconds"] = time.process_time() - start
        record["accuracy"] = float(np.mean(classifier.predict(x_test) == y_test))
    return record


# --- Time, taking turns ---------------------------------------------------------------


def compiled(*models):
    """Return one compiled function of a tensor: the model, or the mean of several."""

    @tf.function
    def run(x):
        outputs = [model(x, training=False) for model in models]
        return sum(outputs) / len(outputs) if len(outputs) > 1 else outputs[0]

    return run


def in_turns(functions, rounds=ROUNDS):
    """Return the seconds of each function, round by round.

    A first call in each turn brings back to the processor's caches what the function
    before has displaced; the second one counts.
    """
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 1):
        order = list(functions) if turn % 2 else list(functions)[::-1]
        for name in order:
            functions[name]()
            start = time.perf_counter()
            functions[name]()
            seconds[name].append(time.perf_counter() - start)
    # The first round makes the graphs.
    return {name: values[1:] for name, values in seconds.items()}


def speed(name, quick):
    """Return seconds a call, by method and batch size, each round in turn."""
    x, y, *_ = load(name)
    size = x.shape[1:], len(np.unique(y))
    methods = {
        m: compiled(build(*size)) for m, build in OURS.items() if "dist" not in m
    }
    if not quick:
        for method, (_, one, networks, *_) in DEEP.items():
            built = [one().build_model(*size) for _ in range(networks)]
            methods[method] = compiled(*built)
        rocket = MiniRocketClassifier(random_state=0)
        rocket.fit(np.swapaxes(x, 1, 2).astype("float64"), y)
        methods["MiniRocket"] = lambda x: rocket.predict(np.swapaxes(x.numpy(), 1, 2))
    record = {}
    for batch in (1, 64):
        part = tf.constant(np.resize(x, (batch, *x.shape[1:])), "float32")
        calls = {m: (lambda f=f, part=part: f(part)) for m, f in methods.items()}
        record[str(batch)] = in_turns(calls)
    return record


def training_step(model, x, y):
    """Return a function that trains a step on one batch."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss)
    return lambda: model.train_on_batch(x, y)


def cost_of_length(steps):
    """Return seconds of inference and of a training step, for both models, in turn."""
    random = np.random.default_rng(0)
    x = random.normal(size=(64, steps, 1)).astype("float32")
    y = random.integers(4, size=64)
    rounds = max(6, min(ROUNDS, 20_000 // steps))
    models = {m: OURS[m]((steps, 1), 4) for m in ("CNN-LSTM", "to_cnn1d")}
    ready = {m: compiled(each) for m, each in models.items()}
    series = tf.constant(x)
    infer = {m: (lambda f=f: f(series)) for m, f in ready.items()}
    train = {m: training_step(each, x[:16], y[:16]) for m, each in models.items()}
    return {"inference": in_turns(infer, rounds), "training": in_turns(train, rounds)}


# --- The run --------------------------------------------------------------------------


def jobs(names, options):
    """Yield each measurement's key and the function that makes it, cheap ones first."""
    seeds = SEEDS[:1] if options.quick else SEEDS
    for name in names:
        for seed in seeds:
            for method in OURS:
                key = f"train/{name}/{method}/{seed}"
                yield key, lambda a=(name, method, seed): train_keras(*a)
    for name in names:
        yield f"speed/{name}", lambda n=name: speed(n, options.quick)
    for steps in LENGTHS[:5] if options.quick else LENGTHS:
        yield f"length/{steps}", lambda s=steps: cost_of_length(s)
    if options.quick:
        return
    for method in ("MiniRocket", *DEEP):
        for name in names:
            few = method in DEEP and not options.default_epochs
            for seed in seeds[:1] if few else seeds:
                key = f"train/{name}/{method}/{seed}"
                more = options.default_epochs
                yield key, lambda a=(name, method, seed, more): train_aeon(*a)


def read_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="further data sets")
    for flag, help_text in (
        ("--quick", "this package's models, one seed, nothing written"),
        ("--resume", "go on with the results that are there"),
        ("--default-epochs", "all epochs that aeon's networks ask for"),
    ):
        parser.add_argument(flag, action="store_true", help=help_text)
    return parser.parse_args()


def main():
    """Measure what is missing, then write tables and figures."""
    options = read_options()
    names = [*page.NAMES, *(n for n in options.names if n not in page.NAMES)]
    found = {}
    if options.resume and RESULTS.exists():
        found = json.loads(RESULTS.read_text())
    start = time.perf_counter() - found.get("minutes", 0.0) * 60
    todo = list(jobs(names, options))
    for number, (key, measure) in enumerate(todo, start=1):
        if key in found:
            continue
        record = measure()
        found[key] = record
        accuracy = record.get("accuracy")
        result = "" if accuracy is None else f": {accuracy:.3f}"
        minutes = (time.perf_counter() - start) / 60
        print(f"{number}/{len(todo)} {key}{result}  {minutes:.1f} min", flush=True)
        keras.backend.clear_session()
        if not options.quick:
            found |= {"minutes": minutes, "date": str(date.today())}
            RESULTS.write_text(json.dumps(found))
    if options.quick:
        print("\n".join(page.promises(found)))
    else:
        page.write(found, names, list(OURS), list(DEEP))
    return 0


if __name__ == "__main__":
    sys.exit(main())
