"""Measure models that describe clips of a moving digit, from three or six seeds.

Usage: captions.py [--resume]

One thread. New images and unseen pairs of digit and direction are looked at once, at
the end. ``--resume`` goes on where a run was stopped.
"""

import functools
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import captions_page as page
import keras
import numpy as np
from converting import measure_missing
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
PAD, START, END = range(3)
LIMIT = 10
UNITS = 64
BATCH_SIZE = 64
EPOCHS = 8
END_TO_END_EPOCHS = 5  # about as many seconds as readers and writer together
PARTS = {
    "train": {"n": 4000, "seed": 0},
    "validation": {"n": 500, "seed": 1, "split": "validation"},
    "seen": {"n": 1000, "seed": 2, "split": "test"},
    "unseen": {"n": 1000, "seed": 2, "split": "test", "pairs": "unseen"},
}


@functools.cache
def load(part):
    """Return clips and captions."""
    return helpers.captioned_digits(**PARTS[part])


def said(caption):
    """Return the digit, and the speed with the direction."""
    words = caption.split()
    return words[1], " ".join(words[3:])


@functools.cache
def vocabulary():
    """Return all words, with three marks in front."""
    return ["", "<start>", "<end>", *sorted({*" ".join(load("train")[1]).split()})]


def encode(captions):
    """Return words as numbers (batch, 1 + LIMIT): start, words, end, padding."""
    number = {word: i for i, word in enumerate(vocabulary())}
    tokens = np.full((len(captions), 1 + LIMIT), PAD)
    for row, caption in zip(tokens, captions, strict=True):
        words = ["<start>", *caption.split(), "<end>"]
        row[: len(words)] = [number[word] for word in words]
    return tokens


def pairs_of(clips):
    """Return each frame with the next as channels."""
    return np.concatenate([clips[:, :-1], clips[:, 1:]], axis=-1)


# --- Models ---------------------------------------------------------------------------


def reader(filters, channels, classes):
    """Return a CNN of one frame, or of one pair, and its classes."""
    model = keras.Sequential([keras.Input((16, 16, channels))])
    for number, size in enumerate(filters):
        model.add(layers.Conv2D(size, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        if number < 2:
            model.add(layers.MaxPooling2D())
    model.add(layers.GlobalMaxPooling2D(name="features"))
    model.add(layers.Dropout(0.4 if channels == 1 else 0.1))
    model.add(layers.Dense(classes))
    return model


def fit(model, x, y, epochs, rate, weights=None):
    """Train a model with a rate that falls along a half cosine; return CPU seconds."""
    updates = epochs * -(-len(y) // BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(rate, updates)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    model.compile(keras.optimizers.Adam(schedule), loss)
    start = time.process_time()
    options = {"batch_size": BATCH_SIZE, "epochs": epochs, "verbose": 0}
    model.fit(x, y, sample_weight=weights, **options)
    return time.process_time() - start


@functools.cache
def features(seed):
    """Train the two readers; return their features of each part, and how good."""
    clips, captions = load("train")
    digits, motions = np.array([said(caption) for caption in captions]).T
    known = [sorted({*digits}), sorted({*motions})]
    labels = [np.searchsorted(*a) for a in zip(known, (digits, motions), strict=True)]
    keras.utils.set_random_seed(seed)
    what, where = reader((16, 32, 64), 1, 10), reader((16, 32), 2, 16)
    ends = np.concatenate([clips[:, 0], clips[:, -1]])
    seconds = fit(what, ends, np.tile(labels[0], 2), 10, 0.005)
    seconds += fit(where, pairs_of(clips)[:, 0], labels[1], 8, 0.005)
    made, scores = {}, {"seconds": seconds}
    for part in PARTS:
        clips, captions = load(part)
        read = [
            read_each(model, x)
            for model, x in ((what, clips[:, :-1]), (where, pairs_of(clips)))
        ]
        made[part] = np.concatenate([codes for codes, _ in read], axis=-1)
        truth = np.array([said(caption) for caption in captions]).T
        right = [
            np.array(names)[logits.mean(axis=1).argmax(-1)] == words
            for names, (_, logits), words in zip(known, read, truth, strict=True)
        ]
        scores[part] = {"digit": right[0].mean(), "direction": right[1].mean()}
    return made, scores


def read_each(model, clips):
    """Return features and logits of each frame: (batch, time, ...)."""
    both = keras.Model(
        model.inputs, [model.get_layer("features").output, *model.outputs]
    )
    frames = clips.reshape(-1, *clips.shape[2:])
    read = both.predict(frames, batch_size=500, verbose=0)
    return [each.reshape(*clips.shape[:2], -1) for each in read]


def frames_read(clip):
    """Return a vector for each frame, by a CNN that flattens what it has found."""
    cnn = keras.Sequential(reader((16, 32), 1, 1).layers[:-3])
    codes = helpers.BatchApply(layers.Flatten())(helpers.BatchApply(cnn)(clip))
    return layers.Dense(64, activation="relu")(codes)


def writer(kind):
    """Return a model of the next word at each place of a caption."""
    flat = kind == page.FLAT
    given = keras.Input((6, 16, 16, 1) if flat else (5, 96), name="clip")
    codes = frames_read(given) if flat else given
    words = keras.Input((LIMIT,), dtype="int32", name="words")
    steps = layers.Embedding(len(vocabulary()), 32)(words)
    lstm = layers.LSTM(UNITS, return_sequences=True)
    if kind in (page.EACH, page.FLAT):
        repeated = layers.RepeatVector(LIMIT)(layers.LSTM(UNITS)(codes))
        steps = lstm(layers.Concatenate()([steps, repeated]))
    elif kind == page.FIRST:
        _, *state = layers.LSTM(UNITS, return_state=True)(codes)
        steps = lstm(steps, initial_state=state)
    elif kind == page.BLIND:
        steps = lstm(steps)
    else:
        seen = [layers.Dense(64)(codes[..., :64]), layers.Dense(64)(codes[..., 64:])]
        steps = lstm(steps)
        look = layers.MultiHeadAttention(num_heads=1, key_dim=32)
        found = look(steps, layers.Concatenate(axis=1)(seen))
        both = layers.Concatenate()([steps, found])
        steps = layers.Dense(UNITS, activation="relu")(both)
    return keras.Model([given, words], layers.Dense(len(vocabulary()))(steps))


def trained(kind, rate, seed):
    """Return a trained writer, the clips or features by part, and CPU seconds."""
    if kind == page.FLAT:
        given, seconds, epochs = {p: load(p)[0] for p in PARTS}, 0, END_TO_END_EPOCHS
    else:
        (given, scores), epochs = features(seed), EPOCHS
        seconds = 0 if kind == page.BLIND else scores["seconds"]
    keras.utils.set_random_seed(seed)
    model = writer(kind)
    tokens = encode(load("train")[1])
    real = (tokens[:, 1:] != PAD).astype("float32")
    x = [given["train"], tokens[:, :-1]]
    return model, given, seconds + fit(model, x, tokens[:, 1:], epochs, rate, real)


def validation_loss(kind, rate):
    """Return the loss on clips of held-out images: it chooses the rate."""
    model, given, _ = trained(kind, rate, seed=0)
    tokens = encode(load("validation")[1])
    real = (tokens[:, 1:] != PAD).astype("float32")
    x = [given["validation"], tokens[:, :-1]]
    return {
        "loss": float(model.evaluate(x, tokens[:, 1:], sample_weight=real, verbose=0))
    }


def captions_of(model, given, width=1):
    """Return the captions that a model writes, word by word."""

    def step(tokens, state):
        words, place = state["words"].copy(), state["place"]
        words[np.arange(len(words)), place] = tokens
        logits = model.predict_on_batch([state["clip"], words])
        state = {"clip": state["clip"], "words": words, "place": place + 1}
        return logits[np.arange(len(words)), place], state

    state = {
        "clip": given,
        "words": np.zeros((len(given), LIMIT), "int32"),
        "place": np.zeros(len(given), int),
    }
    options = {"start": START, "end": END, "limit": LIMIT, "width": width}
    tokens, _ = helpers.decode(step, state, **options)
    written = [row[: [*row, END].index(END)] for row in tokens]
    return [" ".join(vocabulary()[token] for token in row) for row in written]


def scores_of(written, captions):
    """Return how often a caption, and each part of it, is right."""
    pairs = [(w.split(), c.split()) for w, c in zip(written, captions, strict=True)]
    parts = {"digit": slice(1, 2), "speed": slice(3, 4), "direction": slice(4, None)}
    right = {
        part: float(np.mean([w[place] == c[place] for w, c in pairs]))
        for part, place in parts.items()
    }
    return {"exact": float(np.mean([w == c for w, c in pairs])), **right}


def measure(found, kind, seed):
    """Return what a model says of new images."""
    if kind == page.FREQUENT:
        captions = load("train")[1]
        most = max(sorted({*captions}), key=captions.count)
        made = {
            part: scores_of([most] * len(load(part)[1]), load(part)[1])
            for part in ("seen", "unseen")
        }
        return made | {"seconds": 0}
    rate = page.chosen_rate(found, kind) if kind in page.TUNED else 0.005
    model, given, seconds = trained(kind, rate, seed)
    result = {"seconds": seconds}
    for part in ("seen", "unseen"):
        written = captions_of(model, given[part])
        result[part] = scores_of(written, load(part)[1])
        if part == "seen" and kind in page.READ and seed in page.SEEDS:
            wide = captions_of(model, given[part], width=3)
            result[part]["beam"] = scores_of(wide, load(part)[1])["exact"]
            pairs = zip(written, wide, strict=True)
            result[part]["differ"] = float(np.mean([a != b for a, b in pairs]))
    return result


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for kind in page.TUNED:
        for rate in page.RATES:
            yield f"rate/{kind}/{rate}", lambda a=(kind, rate): validation_loss(*a)
    for seed in page.SEEDS:
        yield f"readers/{seed}", lambda s=seed: features(s)[1]
        for kind in page.METHODS:
            if kind != page.FREQUENT or seed == 0:
                yield f"{kind}/{seed}", lambda a=(kind, seed): measure(found, *a)
    for seed in page.MORE_SEEDS:
        for kind in page.SURE:
            yield f"{kind}/{seed}", lambda a=(kind, seed): measure(found, *a)


if __name__ == "__main__":
    write_tables(
        "captions",
        page.tables(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")),
    )
