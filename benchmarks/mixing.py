"""Choose how distill mixes series; write the tables of it. Repeats the choice.

Usage: mixing.py [--resume]

Four data sets are split into three folds of their *training* parts; the test parts are
never read. On two folds `random_cnn1d` is fitted, and teaches the network that
`to_cnn1d` makes; both answer for the third. All settings get as many updates.
``--resume`` goes on where a run was stopped.
"""

import os
import random
import sys
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import mixing_page as page
import numpy as np
from converting import measure_missing
from sizes import BATCH_SIZE, FOLDS, build, load_training_part
from sklearn.model_selection import StratifiedKFold

import cnnseq_helpers as helpers
from cnnseq_helpers.converting import distilling

RESULTS = Path(__file__).with_suffix(".json")
MIXED, EPOCHS, RATE = 400, 16, 3e-3


def mix(x, mask, number, *, shares, shift, scale, noise):
    """Return mixtures as `mix_series` does, in other ways as well.

    Each series is first moved in time by up to a part of its length, with its ends
    repeated; the mixture is scaled and gets noise, a part of the deviation of x.
    """
    draw = np.random.default_rng(random.randrange(2**32))
    real = np.ones(x.shape[:2], bool) if mask is None else mask
    pairs = draw.integers(len(x), size=(number, 2))
    share = draw.beta(shares, shares, size=number)
    first, second = (move(x, real, rows, shift, draw) for rows in pairs.T)
    only_first = ~real[pairs[:, 1]][..., None]
    weights = np.where(only_first, 1.0, share[:, None, None])
    mixed = np.where(only_first, first, weights * first + (1 - weights) * second)
    mixed *= draw.normal(1.0, scale, size=(number, 1, 1))
    mixed += draw.normal(0.0, noise * x[real].std(), size=mixed.shape)
    mixed = np.where(real[pairs[:, 0]][..., None], mixed, x[pairs[:, 0]])
    return mixed.astype(x.dtype), pairs, share


def move(x, real, rows, shift, draw):
    """Return some of the series, each moved in time within its real steps."""
    time = x.shape[1]
    first = real.argmax(axis=1)[rows]
    last = (time - 1 - real[:, ::-1].argmax(axis=1))[rows]
    reach = shift * (last - first + 1)
    steps = np.rint(draw.uniform(-reach, reach)).astype(int)[:, None] + np.arange(time)
    return x[rows[:, None], np.clip(steps, first[:, None], last[:, None])]


@cache
def parts(name):
    """Return inputs, labels and the two sides of each fold of a training part."""
    x, mask, y = load_training_part(name)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y)
    return [x] if mask is None else [x, mask], y, list(folds)


@cache
def teacher_of(name, fold):
    """Return the model of random kernels that is fitted without a fold."""
    x, y, folds = parts(name)
    kept = folds[fold][0]
    x, *mask = (each[kept] for each in x)
    return helpers.random_cnn1d(x, y[kept], *mask)


def given(x):
    """Return inputs as a model takes them."""
    return x if len(x) > 1 else x[0]


def judge(model, x, y):
    """Return accuracy and cross-entropy."""
    logits = model.predict(given(x), verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    right = np.mean(logits.argmax(axis=-1) == y)
    return float(right), float(loss(y, logits))


def describe_answers(teacher, x):
    """Return the largest share of a class in a teacher's answers, and their size."""
    logits = teacher.predict(given(x), verbose=0)
    counts = np.bincount(logits.argmax(axis=-1))
    return float(counts.max() / len(logits)), float(np.abs(logits).max(axis=1).mean())


def cross_validate(name, setting):
    """Return what students reach on each fold that they were not taught on."""
    x, y, folds = parts(name)
    values = page.SETTINGS[setting]
    mixed = 0 if values is None else MIXED
    values = dict(zip(page.FIELDS, values or page.SETTINGS["at first"], strict=True))
    mix_so = partial(mix, **values)
    found = {"student": [], "teacher": [], "mixed": [], "as they are": []}
    for fold, (kept, held_out) in enumerate(folds):
        teacher = teacher_of(name, fold)
        keras.utils.set_random_seed(fold)
        student = build("to_cnn1d", x[0].shape[1:], y.max() + 1, len(x) > 1)
        few = [each[kept] for each in x]
        updates = -(-(MIXED + len(kept)) // BATCH_SIZE) * EPOCHS
        epochs = EPOCHS if mixed else round(updates / -(-len(kept) // BATCH_SIZE))
        series, pairs, _ = mix_so(*few[:1], (few[1:] or [None])[0], 300)
        with patch.object(distilling, "mix_series", mix_so):
            helpers.distill(
                student,
                teacher,
                given(few),
                mixed=mixed,
                epochs=epochs,
                batch_size=BATCH_SIZE,
                learning_rate=keras.optimizers.schedules.CosineDecay(RATE, updates),
                verbose=0,
            )
        held = [each[held_out] for each in x]
        found["student"].append(judge(student, held, y[held_out]))
        found["teacher"].append(judge(teacher, held, y[held_out]))
        masks = [each[pairs[:, 0]] for each in few[1:]]
        found["mixed"].append(describe_answers(teacher, [series, *masks]))
        found["as they are"].append(describe_answers(teacher, few))
    return found


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for name in page.TRIED:
        for setting in page.SETTINGS:
            key = f"{setting}/{name}"
            yield key, lambda a=(name, setting): cross_validate(*a)


if __name__ == "__main__":
    page.write(measure_missing(jobs, RESULTS, sys.argv[1:], "one thread"))
