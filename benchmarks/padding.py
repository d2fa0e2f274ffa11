"""Measure what padding, masks and buckets do, and write the tables of the book's page.

Usage: python benchmarks/padding.py

Five seeds each, one after the other, on the archive's default splits. The first table
is the cross-validation on a training set by which settings were chosen.
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
from keras import layers

import cnnseq_helpers as helpers

SEEDS = range(5)
TABLES = Path(__file__).with_suffix(".md")


# --- Accuracy -------------------------------------------------------------------------


def lstm(channels, classes, conv=False):
    """Return an LSTM that reads the mask, behind a convolution or not."""
    series, mask = keras.Input((None, channels)), keras.Input((None,), dtype="bool")
    x = series
    if conv:
        x = helpers.MaskedConv1D(64, 3, padding="same", activation="relu")(x, mask=mask)
    x = layers.LSTM(64)(x, mask=mask)
    return keras.Model([series, mask], layers.Dense(classes)(x))


def accuracy(build, train, test, labels, seed, rate, epochs, batch_size=32):
    """Train once and return the share of test sequences that are named rightly."""
    keras.utils.set_random_seed(seed)
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    options = {"epochs": epochs, "batch_size": batch_size, "verbose": 0}
    model.fit(list(train), labels[0], **options)
    found = np.argmax(model(list(test), training=False), axis=1)
    return float(np.mean(found == labels[1]))


def whole(arrays):
    """Return arrays with a mask that says all steps are real."""
    return [(x, np.ones(x.shape[:2], bool)) for x in arrays]


def in_front(sequences, steps):
    """Pad in front, as pad_sequences does by default."""
    options = {"maxlen": steps, "dtype": "float32", "padding": "pre"}
    return keras.utils.pad_sequences(sequences, **options)


def stretch(sequences, steps):
    """Interpolate each sequence linearly to one length."""
    places = [np.linspace(0, len(each) - 1, steps) for each in sequences]
    return np.stack(
        [
            np.stack([np.interp(at, np.arange(len(x)), c) for c in x.T], axis=1)
            for at, x in zip(places, sequences, strict=True)
        ]
    ).astype("float32")


def choices():
    """Yield rows of a cross-validation on the training set of JapaneseVowels.

    A fold holds six consecutive utterances of each speaker, which were spoken together.
    """
    x, y = helpers.load_dataset("JapaneseVowels").split("train")
    x, mask = helpers.pad_batch(x)
    fold = np.arange(len(y)) % 30 // 6
    assert np.bincount(y).tolist() == [30] * 9
    assert (np.diff(y) >= 0).all()
    candidates = {}
    for size in (3, 5, 7):
        name = f"1D-CNN, kernel size {size}, 3e-3, 20 epochs"
        candidates[name] = (lambda n=size: _cnn(n), {"rate": 3e-3, "epochs": 20})
    for conv in (True, False):
        for rate in (2e-3, 5e-3, 1e-2):
            name = f"{'Conv1D, ' * conv}LSTM, {rate:.0e}, 30 epochs".replace(
                "e-0", "e-"
            )
            options = {"rate": rate, "epochs": 30}
            candidates[name] = (lambda c=conv: lstm(12, 9, conv=c), options)
    for name, (build, options) in candidates.items():
        found = []
        for seed in range(2):
            right = []
            for held_out in (fold == number for number in range(5)):
                parts = [(x[rows], mask[rows]) for rows in (~held_out, held_out)]
                labels = y[~held_out], y[held_out]
                right.append(accuracy(build, *parts, labels, seed, **options))
            found.append(np.mean(right))
        yield name, found


def masked_cnn(channels, classes, filters=(128, 128, 128), kernel_size=3):
    """Return the masked 1D-CNN of the chapter on padding."""
    series = keras.Input((None, channels))
    real = keras.Input((None,), dtype="bool")
    x = series
    for width in filters:
        convolve = helpers.MaskedConv1D(
            width, kernel_size, padding="same", use_bias=False
        )
        x = convolve(x, mask=real)
        x = layers.BatchNormalization(momentum=0.9)(x, mask=real)
        x = layers.ReLU()(x)
    mean = helpers.MaskedGlobalAveragePooling1D()(x, mask=real)
    maximum = helpers.MaskedGlobalMaxPooling1D()(x, mask=real)
    logits = layers.Dense(classes)(layers.Concatenate()([mean, maximum]))
    return keras.Model([series, real], logits)


def _cnn(kernel_size):
    return masked_cnn(12, 9, kernel_size=kernel_size)


def vowels():
    """Yield rows for JapaneseVowels: what was done, and its accuracies."""
    data = helpers.load_dataset("JapaneseVowels")
    both, labels = (data.x_train, data.x_test), (data.y_train, data.y_test)
    masked = [helpers.pad_batch(each, length=29) for each in both]

    def cnn():
        return masked_cnn(12, 9)

    convolutional = {"rate": 3e-3, "epochs": 20}
    recurrent = {"rate": 1e-2, "epochs": 30}
    slow = {"rate": 3e-3, "epochs": 60}
    behind = whole([x for x, _ in masked])
    front = whole([in_front(each, 29) for each in both])
    cropped = whole([np.stack([x[:7] for x in each]) for each in both])
    stretched = whole([stretch(each, 29) for each in both])
    for name, build, arrays, options in (
        ("1D-CNN, mask", cnn, masked, convolutional),
        ("1D-CNN, no mask, padded behind", cnn, behind, convolutional),
        ("1D-CNN, interpolated to 29 steps", cnn, stretched, convolutional),
        ("1D-CNN, cropped to 7 steps", cnn, cropped, convolutional),
        ("Conv1D, LSTM, mask", lambda: lstm(12, 9, conv=True), masked, recurrent),
        ("LSTM, mask", lambda: lstm(12, 9), masked, recurrent),
        ("LSTM, no mask, padded in front", lambda: lstm(12, 9), front, recurrent),
        ("LSTM, no mask, padded behind", lambda: lstm(12, 9), behind, recurrent),
        (
            "LSTM, no mask, padded behind, 3e-3, 60 epochs",
            lambda: lstm(12, 9),
            behind,
            slow,
        ),
    ):
        yield name, [accuracy(build, *arrays, labels, s, **options) for s in SEEDS]


def gestures():
    """Yield rows for PickupGestureWiimoteZ: the mask, then the way of batching."""
    data = helpers.load_dataset("PickupGestureWiimoteZ")
    both, labels = (data.x_train, data.x_test), (data.y_train, data.y_test)
    masked = [helpers.pad_batch(each, length=361) for each in both]

    def cnn():
        size = {"filters": (32, 32, 32), "kernel_size": 8}
        return masked_cnn(1, 10, **size)

    options = {"rate": 3e-3, "epochs": 60, "batch_size": 10}
    for name, arrays in (
        ("1D-CNN, mask", masked),
        ("1D-CNN, no mask, padded behind", whole([x for x, _ in masked])),
    ):
        yield name, [accuracy(cnn, *arrays, labels, s, **options) for s in SEEDS]
    for name, batch in (
        ("1D-CNN, mask, shuffled batches", Shuffled),
        ("1D-CNN, mask, buckets", helpers.bucket_batches),
    ):
        found = []
        for seed in SEEDS:
            keras.utils.set_random_seed(seed)
            model = cnn()
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(3e-3), loss)
            batches = batch(both[0], labels[0], batch_size=10, seed=seed)
            model.fit(batches, epochs=60, verbose=0)
            named = np.argmax(model(list(masked[1]), training=False), axis=1)
            found.append(float(np.mean(named == labels[1])))
        yield name, found


# --- Time -----------------------------------------------------------------------------


class Shuffled(keras.utils.PyDataset):
    """Batches in random order, each padded to its longest sequence."""

    def __init__(self, sequences, labels, batch_size, seed):
        super().__init__()
        self.sequences, self.labels, self.batch_size = sequences, labels, batch_size
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self):
        """Shuffle, with a second length in second place, which Keras needs."""
        while True:
            order = self.random.permutation(len(self.sequences))
            cuts = range(self.batch_size, len(order), self.batch_size)
            self.batches = np.split(order, cuts)
            longest = [max(len(self.sequences[i]) for i in b) for b in self.batches]
            if longest[0] != longest[1]:
                return

    def __len__(self):
        """Return the number of batches."""
        return len(self.batches)

    def __getitem__(self, index):
        """Return one batch."""
        batch = self.batches[index]
        return helpers.pad_batch([self.sequences[i] for i in batch]), self.labels[batch]


def epoch_ratios(name, batch_size, rounds=12):
    """Return seconds of an epoch in buckets over those shuffled, round by round."""
    x, y = helpers.load_dataset(name).split("train")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    pairs = []
    for batches in (
        helpers.bucket_batches(x, y, batch_size=batch_size, seed=0),
        Shuffled(x, y, batch_size, seed=0),
    ):
        model = masked_cnn(x[0].shape[1], 10)
        model.compile("adam", loss)
        pairs.append((model, batches))
    ratios = []
    for turn in range(rounds):
        seconds = {}
        for first in (turn % 2, 1 - turn % 2):  # each goes first every other time
            model, batches = pairs[first]
            start = time.perf_counter()
            model.fit(batches, verbose=0)
            seconds[first] = time.perf_counter() - start
        ratios.append(seconds[0] / seconds[1])
    return ratios[2:]  # functions are traced in the first two


def padding_ratios(rounds=15):
    """Return seconds of pad_batch over those of pad_sequences, round by round."""
    random = np.random.default_rng(0)
    lengths = random.integers(7, 201, size=5000)
    sequences = [random.normal(size=(n, 12)).astype("float32") for n in lengths]
    ways = (
        lambda: helpers.pad_batch(sequences),
        lambda: keras.utils.pad_sequences(sequences, dtype="float32", padding="post"),
    )
    ratios = []
    for turn in range(rounds):
        seconds = {}
        for first in (turn % 2, 1 - turn % 2):
            start = time.perf_counter()
            ways[first]()
            seconds[first] = time.perf_counter() - start
        ratios.append(seconds[0] / seconds[1])
    return ratios


# --- Tables ---------------------------------------------------------------------------


def accuracy_table(title, rows):
    """Return a table in Markdown, showing each row as it is measured."""
    lines = [f"**{title}**", "", "| | mean | lowest | highest |", "|---|---|---|---|"]
    for name, found in rows:
        mean, low, high = np.mean(found), min(found), max(found)
        lines.append(f"| {name} | {mean:.3f} | {low:.3f} | {high:.3f} |")
        print(f"{title}: {name}: {mean:.4f} {np.round(found, 4).tolist()}", flush=True)
    return lines


def ratio_table():
    """Return the ratios of times: their median, and the quartiles."""
    names = {
        "`pad_batch` / `pad_sequences`, 5 000 series": padding_ratios(),
        "an epoch in buckets / shuffled, JapaneseVowels": epoch_ratios(
            "JapaneseVowels", 32
        ),
        "an epoch in buckets / shuffled, PickupGestureWiimoteZ": epoch_ratios(
            "PickupGestureWiimoteZ", 10
        ),
    }
    lines = ["**Ratios of times**", "", "| | median | quartiles |", "|---|---|---|"]
    for name, ratios in names.items():
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        lines.append(f"| {name} | {middle:.2f} | {low:.2f} to {high:.2f} |")
        print(f"{name}: {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)
    return lines


def main():
    """Measure all and write the tables."""
    start = time.perf_counter()
    parts = [
        accuracy_table("JapaneseVowels, five folds of the training set", choices()),
        accuracy_table("JapaneseVowels, test accuracy", vowels()),
        accuracy_table("PickupGestureWiimoteZ, test accuracy", gestures()),
        ratio_table(),
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
    TABLES.write_text("\n\n".join("\n".join(part) for part in parts) + "\n")
    print(f"Wrote {TABLES.name}")


if __name__ == "__main__":
    sys.exit(main())
