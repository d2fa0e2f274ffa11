"""From the picture of a stroke to its path: a CNN and an LSTM, beside copies.

`handwriting.py` runs the measurements. Sizes and rate come from the demonstrations for
validation; those for testing are read by the measures alone. "Unseen" are shapes that
were left out of the training: ten of thirty for each seed, every shape once.
"""

import handwriting_page as page
import keras
import numpy as np
from keras import layers

import cnnseq_helpers as helpers

SHAPES, STEPS, SIDE, COPIES = 30, 40, 32, 20
EPOCHS, BATCH_SIZE = 20, 32
UNITS, RATES = 64, (0.001, 0.003, 0.01)
SHOWN = {"known": (0, 19, 13), "unseen": (4, 16, 26)}  # in the figure, of seed 0


# --- Data -----------------------------------------------------------------------------


def paths_of(moves):
    """Return points (batch, 41, 2) around 0, the larger of width and height 1."""
    points = np.pad(moves.cumsum(axis=1), [(0, 0), (1, 0), (0, 0)])
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    return (points - (low + high) / 2) / (high - low).max(axis=2, keepdims=True)


def finer(path, parts=3):
    """Return more points of a path, evenly between those that it has."""
    places = np.arange(0, len(path) - 1 + 1e-9, 1 / parts)
    known = np.arange(len(path))
    return np.stack([np.interp(places, known, axis) for axis in path.T], axis=1)


def pictures_of(paths):
    """Return pictures (batch, 32, 32, 1) of paths: ink 1, paper 0, two pixels wide."""
    rows, columns = np.indices((SIDE, SIDE), "float32").reshape(2, -1, 1)
    middle, scale = (SIDE - 1) / 2, SIDE - 6  # a margin of three pixels
    found = []
    for path in paths:
        x, y = (middle + scale * finer(path).T).astype("float32")
        squares = (columns - x) ** 2 + (SIDE - 1 - rows - y) ** 2
        ink = np.clip(1.5 - np.sqrt(squares.min(axis=1)), 0, 1)
        found.append(ink.reshape(SIDE, SIDE, 1))
    return np.array(found)


def varied(moves, y, seed):
    """Return copies of strokes, each turned and stretched a little."""
    random = np.random.default_rng(seed)
    moves, y = np.tile(moves, (COPIES, 1, 1)), np.tile(y, COPIES)
    angle = random.normal(scale=0.1, size=len(moves))
    stretch = np.exp(random.normal(scale=0.1, size=(len(moves), 1, 2)))
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)
    return (moves * stretch @ turn).astype("float32"), y


def unseen(seed):
    """Return the shapes that are left out of the training for this seed."""
    return np.random.default_rng(0).permutation(SHAPES).reshape(3, 10)[seed % 3]


# --- Models ---------------------------------------------------------------------------


def reader():
    """Return a CNN that reads a picture and an LSTM that writes 41 points."""
    h = picture = keras.Input((SIDE, SIDE, 1))
    for filters in (16, 32, 64):
        kwargs = {"strides": 2, "padding": "same", "activation": "relu"}
        h = layers.Conv2D(filters, 3, **kwargs)(h)
    code = layers.Dense(UNITS, activation="relu")(layers.Flatten()(h))
    h = layers.LSTM(UNITS, return_sequences=True)(layers.RepeatVector(STEPS + 1)(code))
    return keras.Model(picture, layers.Dense(2)(h))


def trained(pictures, paths, rate, seed):
    """Return a reader of pictures that was trained to write their paths."""
    keras.utils.set_random_seed(seed)
    model = reader()
    updates = EPOCHS * -(-len(paths) // BATCH_SIZE)
    falling = keras.optimizers.schedules.CosineDecay(rate, updates)
    model.compile(keras.optimizers.Adam(falling), "mse")
    options = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "verbose": 0}
    model.fit(pictures, paths, **options)
    return model


def copied(seen, shown, known):
    """Return for each picture the path of the shown one which is most like it."""
    seen, shown = (each.reshape(len(each), -1) for each in (seen, shown))
    apart = (seen**2).sum(1)[:, None] - 2 * seen @ shown.T + (shown**2).sum(1)
    return known[apart.argmin(axis=1)]


def best_copied(paths, known):
    """Return for each path the one of the known that is nearest to it."""
    apart = [np.linalg.norm(path - known, axis=-1).mean(axis=1) for path in paths]
    return known[np.argmin(apart, axis=1)]


# --- Measures -------------------------------------------------------------------------


def errors(found, paths):
    """Return how far paths are off, in shares of the size.

    `path` compares points of the same moment; `line` each point with the nearest of the
    other line, both ways, whenever the pen was there.
    """
    lines = []
    for one, other in zip(found, paths, strict=True):
        one, other = finer(one), finer(other)
        apart = np.linalg.norm(one[:, None] - other, axis=-1)
        lines.append((apart.min(axis=0).mean() + apart.min(axis=1).mean()) / 2)
    path = np.linalg.norm(found - paths, axis=-1).mean()
    return {"path": float(path), "line": float(np.mean(lines))}


def choice(parts, rate):
    """Return the mean error of a reader on the demonstrations for validation."""
    turned = paths_of(varied(*parts["train"], seed=0)[0])
    model = trained(pictures_of(turned), turned, rate, seed=0)
    paths = paths_of(parts["validation"][0])
    found = model.predict(pictures_of(paths), verbose=0)
    return {"error": errors(found, paths)["path"]}


def answers(parts, seed, rate, left_out):
    """Return shapes, true paths, and the paths by each method.

    If shapes are left out of the training, they are asked for, and otherwise all.
    """
    moves, y = parts["train"]
    kept = ~np.isin(y, left_out)
    moves, y = moves[kept], y[kept]
    asked, names = parts["test"]
    rows = np.isin(names, left_out) if len(left_out) else names >= 0
    paths = paths_of(asked[rows])
    known, turned = paths_of(moves), paths_of(varied(moves, y, seed)[0])
    seen, shown = pictures_of(paths), pictures_of(turned)
    model = trained(shown, turned, rate, seed)
    found = {
        page.READER: model.predict(seen, verbose=0),
        page.COPY: copied(seen, pictures_of(known), known),
        page.TURNED: copied(seen, shown, turned),
        page.BEST: best_copied(paths, known),
    }
    return names[rows], paths, found


def measure(found, parts, seed):
    """Return all errors of a seed, and the paths that the figure shows."""
    rate, result = page.picture_rate(found), {"examples": []}
    names = helpers.load_dataset("LASA").class_names
    for part, left_out in {"known": [], "unseen": unseen(seed)}.items():
        y, paths, by = answers(parts, seed, rate, left_out)
        result[part] = {name: errors(each, paths) for name, each in by.items()}
        for shape in SHOWN[part] if seed == 0 else ():
            place = np.flatnonzero(y == shape)[0]
            lines = {"true": paths, **by}
            drawn = {
                name: each[place].round(3).tolist() for name, each in lines.items()
            }
            result["examples"].append({"shape": names[shape], **drawn})
    return result


def jobs(found, parts):
    """Yield each measurement's key and the function that makes it."""
    for rate in RATES:
        yield f"pictures/choice/{rate}", lambda rate=rate: choice(parts, rate)
    for seed in page.SEEDS:
        yield f"pictures/{seed}", lambda seed=seed: measure(found, parts, seed)
