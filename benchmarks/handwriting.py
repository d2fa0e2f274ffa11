"""Measure models that write strokes: their density, and what they write.

Usage: handwriting.py [--resume]

One thread. Demonstrations for validation choose learning rates, noise, temperature and
sizes; those for testing are read by the measures alone. ``--resume`` goes on
where a run was stopped.
"""

import os
import sys
import time
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import handwriting_page as page
import handwriting_pictures as pictures
import keras
import numpy as np
import tensorflow as tf
from converting import measure_missing
from keras import layers
from stored_tables import write_tables

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
SHAPES, STEPS = 30, 40
EPOCHS, BATCH_SIZE = 10, 32
KEPT = 0.8  # of a disturbance, from one step to the next
WRITTEN, SCORED = 4, 16  # strokes of each shape and temperature
ROWS = {"train": [0, 1, 3, 4], "validation": [2]}  # of five for training


def load():
    """Return moves (batch, 40, 2) and shapes of each part, deviation 1 in training."""
    data = helpers.load_dataset("LASA")
    drawn = data.x_train.reshape(SHAPES, 5, 1000, 3)
    parts = {name: drawn[:, rows] for name, rows in ROWS.items()}
    parts["test"] = data.x_test.reshape(SHAPES, 2, 1000, 3)
    found = {}
    for name, points in parts.items():
        moves = helpers.stroke_moves(points[..., :2].reshape(-1, 1000, 2), STEPS)
        found[name] = moves, np.arange(SHAPES).repeat(points.shape[1])
    scale = found["train"][0].std()
    return {name: (moves / scale, y) for name, (moves, y) in found.items()}


PARTS = load()


def disturbed(moves, y, noise, seed):
    """Return what is known on a path beside the true one, and the moves towards it."""
    random = np.random.default_rng(seed)
    off = np.zeros((len(moves), STEPS + 1, 2))
    for t in range(STEPS):
        step = random.normal(scale=noise, size=(len(moves), 2))
        off[:, t + 1] = KEPT * off[:, t] + step
    seen = moves + np.diff(off, axis=1)
    target = moves - (1 - KEPT) * off[:, :-1]
    return given(seen, y), target.astype("float32")


def given(moves, y):
    """Return what is known before each move: the last one, the place, the shape."""
    last = np.pad(moves, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    shape = np.eye(SHAPES)[y][:, None].repeat(moves.shape[1], axis=1)
    place = last.cumsum(axis=1) / 10
    return np.concatenate([last, place, shape], axis=-1).astype("float32")


# --- Models ---------------------------------------------------------------------------


def writer(method, units=page.UNITS):
    """Return a model from what is known to the distribution of the next move."""
    h = known = keras.Input((None, 4 + SHAPES))
    causal = {"padding": "causal", "activation": "relu"}
    if method == page.CONVOLUTIONS:
        h = layers.Conv1D(units, 1)(h)
        for rate in (1, 2, 4, 8):  # sees 61 steps
            conv = layers.Conv1D(units, 5, dilation_rate=rate, **causal)
            h = layers.add([h, conv(h)])
    elif method in (page.MEMORYLESS, page.LAST):
        if method == page.LAST:
            h = layers.concatenate([h[..., :2], h[..., 4:]])
        for _ in range(2):
            h = layers.Dense(128, activation="relu")(h)
    else:
        if method != page.LSTM:
            h = layers.Conv1D(32, 5, **causal)(h)
        h = layers.LSTM(units, return_sequences=True)(h)
    if method == page.REGRESSION:
        return keras.Model(known, layers.Dense(2)(h))
    components = 1 if method == page.GAUSSIAN else 5
    return keras.Model(known, helpers.MixtureHead(components, 2)(h))


def trained(method, noise, rate, seed, units=page.UNITS):
    """Return a writer, and the CPU seconds of its training."""
    keras.utils.set_random_seed(seed)
    model = writer(method, units)
    moves, y = pictures.varied(*PARTS["train"], seed)
    known, target = disturbed(moves, y, noise, seed)
    updates = EPOCHS * -(-len(moves) // BATCH_SIZE)
    falling = keras.optimizers.schedules.CosineDecay(rate, updates)
    loss = "mse" if method == page.REGRESSION else helpers.MixtureLoss(2)
    model.compile(keras.optimizers.Adam(falling), loss)
    start = time.process_time()
    options = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "verbose": 0}
    model.fit(known, target, **options)
    return model, time.process_time() - start


def loss_on(model, part):
    """Return the loss on a part: of densities in nats a move."""
    moves, y = PARTS[part]
    return float(model.evaluate(given(moves, y), moves, batch_size=64, verbose=0))


def rate_loss(method, rate):
    """Return the loss on the validation demonstrations: it chooses the rate."""
    model, _ = trained(method, 0.1, rate, seed=0)
    return {"loss": loss_on(model, "validation")}


def stepwise(model):
    """Return the model of one step, as a function of what is known and the states."""
    step = helpers.step_model(model)
    return step, tf.function(lambda known, states: step([known, *states]))


def write(stepping, y, temperature, seed):
    """Return new strokes (batch, 40, 2) of the shapes, in closed loop."""
    step, call = stepping
    states = [np.zeros((len(y), *x.shape[1:]), "float32") for x in step.inputs[1:]]
    move, random = np.zeros((len(y), 1, 2), "float32"), np.random.default_rng(seed)
    place, shape, moves = move, np.eye(SHAPES)[y][:, None], []
    for _ in range(STEPS):
        known = np.concatenate([move, place / 10, shape], axis=-1).astype("float32")
        answer, *states = keras.tree.flatten(call(known, states))
        move = np.asarray(answer)
        if move.shape[-1] != 2:
            options = {"seed": random, "temperature": temperature}
            move = helpers.sample_mixture(move, 2, **options)
        place = place + move
        moves.append(move)
    return np.concatenate(moves, axis=1)


# --- Measures -------------------------------------------------------------------------


def distances(moves, others):
    """Return the mean distance of strokes, point by point: (batch, others)."""
    here, there = moves.cumsum(axis=1), others.cumsum(axis=1)
    return np.array(
        [np.linalg.norm(one - there, axis=-1).mean(axis=-1) for one in here]
    )


def sizes():
    """Return the larger of width and height of each shape, mean of its training."""
    moves, y = PARTS["train"]
    extent = np.ptp(np.pad(moves.cumsum(axis=1), [(0, 0), (1, 0), (0, 0)]), axis=1)
    return np.array([extent[y == shape].max(axis=1).mean() for shape in range(SHAPES)])


def energy_score(moves, y):
    """Return how well strokes tell the validation demonstrations; the less the better.

    The mean distance to what people drew, less half of that to each other, in shares of
    the size. Only writing as people do makes it small (Gneiting and Raftery, 2007).
    Of names of one movement and of several, since a single stroke is to tell of three.
    """
    drawn, _ = PARTS["validation"]  # one of each shape
    each = []
    for shape, size in enumerate(sizes()):
        new = moves[y == shape]
        pairs = distances(new, new).sum() / (len(new) * (len(new) - 1))
        far = distances(new, drawn[[shape]]).mean()
        each.append((far - pairs / 2) / size)
    several = np.isin(np.arange(SHAPES), page.SEVERAL)
    each = np.array(each)
    parts = {"one": each[~several], "several": each[several]}
    return {name: float(part.mean()) for name, part in parts.items()}


def choice(found, noise, seed):
    """Return the scores of the CNN-LSTM by temperature, on validation strokes."""
    rate = page.chosen_rate(found, page.CNN_LSTM)
    model, _ = trained(page.CNN_LSTM, noise, rate, seed)
    y = np.arange(SHAPES).repeat(SCORED)
    stepping = stepwise(model)
    return {
        "loss": loss_on(model, "validation"),
        "scores": {
            str(heat): energy_score(write(stepping, y, heat, seed), y)
            for heat in page.TEMPERATURES
        },
    }


def size_tried(found, method, units, seed):
    """Return loss and score of a writer of another size, on validation strokes."""
    noise, heat = page.chosen(found)
    rate = page.chosen_rate(found, method)
    model, _ = trained(method, noise, rate, seed, units)
    y = np.arange(SHAPES).repeat(SCORED)
    new = write(stepwise(model), y, heat, seed)
    return {"loss": loss_on(model, "validation"), "score": energy_score(new, y)}


def measures(moves, y):
    """Return how near strokes come to human ones, in shares of the size, and more."""
    humans, names = PARTS["train"]
    size, same = sizes(), y[:, None] == names
    each = distances(moves, humans)
    own = np.where(same, each, np.inf).min(axis=1) / size[y]
    several = np.isin(y, page.SEVERAL)
    among = distances(humans, humans) + np.where(np.eye(len(humans)), np.inf, 0)
    among = np.where(names[:, None] == names, among, np.inf).min(axis=1)
    least = np.array([among[names == shape].min() for shape in range(SHAPES)]) / size
    pairs = distances(moves, moves) / size[y][:, None]
    couples = (y[:, None] == y) & ~np.eye(len(y), dtype=bool) & ~several[:, None]
    return {
        "own": float(own[~several].mean()),
        "several": float(own[several].mean()),
        "other": float((np.where(same, np.inf, each).min(axis=1) / size[y]).mean()),
        "named": float(np.mean(names[each.argmin(axis=1)] == y)),
        "spread": float(pairs[couples].mean()) if couples.any() else None,
        "copies": float(np.mean(own < least[y])),
    }


def measure(found, method, noise, seed):
    """Return all measures of a writer."""
    rate = page.chosen_rate(found, method)
    model, seconds = trained(method, noise, rate, seed)
    y, stepping = np.arange(SHAPES).repeat(WRITTEN), stepwise(model)
    tried = page.temperatures(found, method, noise)
    return {
        "loss": {part: loss_on(model, part) for part in PARTS},
        "seconds": seconds,
        "weights": model.count_params(),
        "written": {str(t): measures(write(stepping, y, t, seed), y) for t in tried},
    }


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for part in ("validation", "test"):
        yield f"people/{part}", lambda part=part: measures(*PARTS[part])
    for method in page.METHODS:
        for rate in page.RATES:
            yield f"rate/{method}/{rate}", lambda a=(method, rate): rate_loss(*a)
    yield "choice/people", lambda: energy_score(*PARTS["train"])
    for noise in page.NOISES:
        for seed in page.SEEDS:
            yield f"choice/{noise}/{seed}", lambda a=(noise, seed): choice(found, *a)
    for method, units, seed in product(page.SIZED, page.SIZES, page.SEEDS):
        each = (method, units, seed)
        yield page.size_key(*each), lambda each=each: size_tried(found, *each)
    yield from pictures.jobs(found, PARTS)
    for method in page.METHODS:
        noise = page.chosen(found)[0]
        for tried in {noise, 0.0} if method == page.CNN_LSTM else {noise}:
            for seed in page.SEEDS:
                key = f"{method}/{tried}/{seed}"
                yield key, lambda a=(method, tried, seed): measure(found, *a)


if __name__ == "__main__":
    results = measure_missing(jobs, RESULTS, sys.argv[1:], "one thread")
    write_tables("handwriting", page.tables(results))
    page.draw(results)
