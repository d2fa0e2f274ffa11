"""Measure what padding, masks and buckets do, and write the tables of the book's page.

Usage: python benchmarks/padding.py

On the archive's default splits. The first table is the cross-validation on a training
set by which the learning rates of the chapter were chosen.
"""

import os
import platform
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import cnnseq_helpers as helpers

SEEDS = range(3)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
EPOCHS, BATCHES = 15, 9
TABLES = Path(__file__).with_suffix(".md")


# --- Models ---------------------------------------------------------------------------


def inputs(channels, masked):
    """Return the inputs of a model, and the mask that its layers get."""
    series, real = keras.Input((None, channels)), keras.Input((None,), dtype="bool")
    return [series, real], real if masked else ops.ones_like(real)


def recurrent(masked, conv=False):
    """Return the LSTM of the chapter on padding, behind a convolution or not."""
    given, mask = inputs(12, masked)
    x = given[0]
    if conv:
        x = helpers.MaskedConv1D(32, 3, padding="same", activation="relu")(x, mask=mask)
    x = layers.LSTM(32)(x, mask=mask)
    return keras.Model(given, layers.Dense(9)(x))


def convolutional(masked, channels=12, classes=9, filters=48):
    """Return the 1D-CNN of the chapters on padding and buckets."""
    given, mask = inputs(channels, masked)
    x = given[0]
    for _ in range(3):
        convolve = helpers.MaskedConv1D(filters, 3, padding="same", use_bias=False)
        x = convolve(x, mask=mask)
        x = layers.BatchNormalization(momentum=0.9)(x, mask=mask)
        x = layers.ReLU()(x)
    mean = helpers.MaskedGlobalAveragePooling1D()(x, mask=mask)
    maximum = helpers.MaskedGlobalMaxPooling1D()(x, mask=mask)
    logits = layers.Dense(int(classes))(layers.Concatenate()([mean, maximum]))
    return keras.Model(given, logits)


class Trainer:
    """A model that is compiled once, and set back for every run."""

    def __init__(self, build):
        """Compile the model."""
        self.build, self.model = build, build()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.Adam(1e-3), loss)
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        self.fresh = [ops.convert_to_numpy(each) for each in optimizer.variables]

    def train(self, batches, seed, rate, updates, falling=True):
        """Train on batches (inputs, labels), one for each update."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(self.build().get_weights())
        optimizer = self.model.optimizer
        for variable, value in zip(optimizer.variables, self.fresh, strict=True):
            variable.assign(value)
        for number, (x, y) in zip(range(updates), batches, strict=False):
            now = 1 + np.cos(np.pi * number / updates) if falling else 1
            optimizer.learning_rate.assign(rate * now)
            self.model.train_on_batch(list(x), y)

    def count_right(self, x, y):
        """Return the accuracy."""
        logits = ops.convert_to_numpy(self.model(list(x), training=False))
        return float(np.mean(logits.argmax(axis=1) == y))


# --- Batches --------------------------------------------------------------------------


def from_arrays(x, y, number, seed):
    """Yield batches of padded arrays without end, `number` to an epoch."""
    random = np.random.default_rng(seed)
    while True:
        for rows in np.array_split(random.permutation(len(y)), number):
            yield [each[rows] for each in x], y[rows]


def shuffled(series, y, size, seed, length=None):
    """Yield batches without end, each padded to its longest, or all to one length."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(series))
        for rows in np.split(order, range(size, len(order), size)):
            yield helpers.pad_batch([series[i] for i in rows], length=length), y[rows]


def bucketed(series, y, size, seed):
    """Yield batches from buckets without end."""
    batches = helpers.bucket_batches(series, y, batch_size=size, seed=seed)
    while True:
        yield from (batches[i] for i in range(len(batches)))
        batches.on_epoch_end()


# --- Accuracy -------------------------------------------------------------------------


def normalised(name):
    """Return series of both parts, by the mean and deviation of the training steps."""
    data = helpers.load_dataset(name)
    steps = np.concatenate(data.x_train)
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    parts = (data.x_train, data.x_test)
    both = [
        [((x - mean) / deviation).astype("float32") for x in part] for part in parts
    ]
    return *both, data.y_train, data.y_test


def padded(series, steps=29):
    """Pad at the end."""
    return helpers.pad_batch(series, length=steps)


def in_front(series, steps=29):
    """Pad in front, as pad_sequences does by default."""
    x = keras.utils.pad_sequences(series, maxlen=steps, dtype="float32")
    return x, padded(series, steps)[1][:, ::-1]


def stretched(series, steps=29):
    """Interpolate each series linearly to one length."""
    places = [np.linspace(0, len(each) - 1, steps) for each in series]
    return padded(
        [
            np.stack([np.interp(at, np.arange(len(x)), c) for c in x.T], axis=1)
            for at, x in zip(places, series, strict=True)
        ]
    )


def cropped(series, steps=7):
    """Keep the first steps."""
    return padded([x[:steps] for x in series], steps)


KINDS = {
    "LSTM, mask": (lambda: recurrent(True), padded, 1e-3),
    "LSTM, no mask, padded in front": (lambda: recurrent(False), in_front, 1e-3),
    "LSTM, no mask, padded at the end": (lambda: recurrent(False), padded, 3e-3),
    "Conv1D, LSTM, mask": (lambda: recurrent(True, conv=True), padded, 1e-3),
    "Conv1D, LSTM, no mask, padded at the end": (
        lambda: recurrent(False, conv=True),
        padded,
        3e-3,
    ),
    "1D-CNN, mask": (lambda: convolutional(True), padded, 3e-3),
    "1D-CNN, no mask, padded at the end": (lambda: convolutional(False), padded, 3e-3),
}
MORE = {
    "1D-CNN, interpolated to 29 steps": (lambda: convolutional(False), stretched, 3e-3),
    "1D-CNN, cropped to 7 steps": (lambda: convolutional(False), cropped, 3e-3),
}


def choices():
    """Return a table of a cross-validation on the training set of JapaneseVowels.

    A fold holds six consecutive utterances of each speaker, which were spoken together.
    """
    series, _, y, _ = normalised("JapaneseVowels")
    fold = np.arange(len(y)) % 30 // 6
    assert np.bincount(y).tolist() == [30] * 9
    assert (np.diff(y) >= 0).all()
    head = "| | " + " | ".join(f"{rate:g}" for rate in RATES) + " |"
    lines = ["**JapaneseVowels, five folds of the training set, by learning rate**"]
    lines += ["", head, "|---" * (len(RATES) + 1) + "|"]
    for name, (build, pad, chosen) in KINDS.items():
        x, found, trainer = pad(series), [], Trainer(build)
        for rate in RATES:
            right = []
            for held_out in (fold == number for number in range(5)):
                known, new = ([a[r] for a in x] for r in (~held_out, held_out))
                batches = from_arrays(known, y[~held_out], BATCHES, seed=0)
                trainer.train(batches, 0, rate, EPOCHS * BATCHES)
                right.append(trainer.count_right(new, y[held_out]))
            found.append(np.mean(right))
        assert RATES[np.argmax(found)] == chosen, (name, found)
        lines.append(f"| {name} | " + " | ".join(f"{f:.3f}" for f in found) + " |")
        print(lines[-1], flush=True)
    return lines


def vowels():
    """Yield rows for JapaneseVowels: what was done, and its accuracies."""
    train, test, y, y_test = normalised("JapaneseVowels")
    for name, (build, pad, rate) in (KINDS | MORE).items():
        trainer, found = Trainer(build), []
        x, x_test = pad(train), pad(test)
        for seed in SEEDS:
            batches = from_arrays(x, y, BATCHES, seed)
            trainer.train(batches, seed, rate, EPOCHS * BATCHES)
            found.append(trainer.count_right(x_test, y_test))
        yield name, found


def gestures(updates=160):
    """Yield rows for PickupGestureWiimoteZ: with and without mask, ways of batching."""
    train, test, y, y_test = normalised("PickupGestureWiimoteZ")
    x_test = padded(test, 361)
    all_real = x_test[0], np.ones_like(x_test[1])
    trainer = Trainer(lambda: helpers.cnn1d((None, 1), 10, masked=True))

    def without(seed):
        for (x, mask), labels in shuffled(train, y, 10, seed, 361):
            yield (x, np.ones_like(mask)), labels

    for name, batches, asked in (
        ("no mask, all padded to 361 steps", without, all_real),
        ("mask, all padded", lambda s: shuffled(train, y, 10, s, 361), x_test),
        ("mask, shuffled batches", lambda s: shuffled(train, y, 10, s), x_test),
        ("mask, buckets", lambda s: bucketed(train, y, 10, s), x_test),
        ("mask, batches of one", lambda s: shuffled(train, y, 1, s), x_test),
    ):
        found = []
        for seed in SEEDS:
            trainer.train(batches(seed), seed, 1e-3, updates, falling=False)
            found.append(trainer.count_right(asked, y_test))
        yield name, found


# --- Time -----------------------------------------------------------------------------


def synthetic(number=3000):
    """Return the series of the chapter on buckets: many, of very different length."""
    random = np.random.default_rng(0)
    steps = np.clip(random.lognormal(np.log(40), 0.7, number), 6, 300).astype(int)
    series = [random.normal(size=(n, 4)).astype("float32") for n in steps]
    return series, random.integers(0, 2, number)


def seconds(series, y, size, way):
    """Return the seconds of an epoch, without compiling, taken in one stretch."""
    longest = max(map(len, series))
    batches = {
        "all padded to the longest": lambda: shuffled(series, y, size, 0, longest),
        "shuffled": lambda: shuffled(series, y, size, 0),
        "buckets": lambda: bucketed(series, y, size, 0),
        "batches of one": lambda: shuffled(series, y, 1, 0),
    }[way]()
    number = -(-len(series) // (1 if way == "batches of one" else size))
    if way == "buckets":
        number = len(helpers.bucket_batches(series, y, batch_size=size))
    held = [batch for _, batch in zip(range(number), batches, strict=False)]
    if way == "batches of one":
        held = held[:300]
    share = len(held) / number
    channels = series[0].shape[1]
    trainer = Trainer(lambda: convolutional(True, channels, y.max() + 1, filters=32))
    rounds = []
    for _ in range(4):
        start = time.perf_counter()
        for x, labels in held:
            trainer.model.train_on_batch(list(x), labels)
        rounds.append((time.perf_counter() - start) / share)
    return np.median(rounds[1:])  # functions are traced in the first


def time_table():
    """Return how long an epoch takes, as a share of that with shuffled batches."""
    sets = {"3,000 synthetic series": (*synthetic(), 32)}
    for name, size in (("JapaneseVowels", 32), ("PickupGestureWiimoteZ", 10)):
        train, _, y, _ = normalised(name)
        sets[name] = train, y, size
    ways = ["shuffled", "buckets", "all padded to the longest", "batches of one"]
    title = "**Time of an epoch, where shuffled batches are 1**"
    lines = [title, "", "| | " + " | ".join(ways) + " |", "|---" * 5 + "|"]
    for name, (series, y, size) in sets.items():
        found = [seconds(series, y, size, way) for way in ways]
        cells = [f"{f / found[0]:.2f}" for f in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], np.round(found, 2).tolist(), flush=True)
    return lines


# --- Tables ---------------------------------------------------------------------------


def accuracy_table(title, rows):
    """Return a table in Markdown, showing each row as it is measured."""
    lines = [f"**{title}**", "", "| | mean | lowest | highest |", "|---|---|---|---|"]
    for name, found in rows:
        mean, low, high = np.mean(found), min(found), max(found)
        lines.append(f"| {name} | {mean:.3f} | {low:.3f} | {high:.3f} |")
        print(f"{title}: {name}: {mean:.4f} {np.round(found, 4).tolist()}", flush=True)
    return lines


def main():
    """Measure all and write the tables."""
    start = time.perf_counter()
    title = "PickupGestureWiimoteZ, test accuracy of `cnn1d` after 160 updates"
    parts = [
        time_table(),
        accuracy_table(title, gestures()),
        choices(),
        accuracy_table("JapaneseVowels, test accuracy", vowels()),
    ]
    minutes = (time.perf_counter() - start) / 60
    parts.append(
        [
            f"Measured on {date.today()} in {minutes:.0f} minutes: {os.cpu_count()} "
            f"cores ({platform.machine()}), no GPU; Python {platform.python_version()},"
            f" Keras {keras.__version__}, TensorFlow {tf.__version__}, NumPy "
            f"{np.__version__}."
        ]
    )
    order = [2, 3, 1, 0, 4]
    TABLES.write_text("\n\n".join("\n".join(parts[i]) for i in order) + "\n")
    print(f"Wrote {TABLES.name}")


if __name__ == "__main__":
    sys.exit(main())
